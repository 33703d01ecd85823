import { parseQuantity, type ParsedQuantity } from '../quantity.ts';
import type { QuotaEvaluator } from './contract.ts';

export const ONE: ParsedQuantity = parseQuantity('1');

/** `count/pods`, `count/deployments.apps` */
export function objectCountName(group: string, resource: string): string {
  return group === '' ? `count/${resource}` : `count/${resource}.${group}`;
}

/** Counts objects and nothing else. The alias is the name of before there were names for all. */
export function objectCountEvaluator(group: string, resource: string, alias?: string): QuotaEvaluator {
  const name = objectCountName(group, resource);
  const usage = new Map(
    alias === undefined
      ? [[name, ONE]]
      : [
          [name, ONE],
          [alias, ONE],
        ],
  );
  return {
    group,
    resource,
    readsObjects: false,
    counts: (candidate) => candidate === name || candidate === alias,
    handles: ({ operation, subresource }) => operation === 'CREATE' && subresource === '',
    usage: () => usage,
  };
}
