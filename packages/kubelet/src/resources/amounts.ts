import { parseQuantity, quantityMilliValue, quantityValue } from '@k8ts/apimachinery';

import { isSidecar } from '../pod/pod-spec.ts';
import type { Container, Pod, ResourceList } from '../pod/types.ts';

/** Amounts by resource name: milli-cores for `cpu`, bytes or pieces for everything else. */
export type Amounts = Readonly<Record<string, number>>;

function amount(name: string, quantity: string): number {
  const parsed = parseQuantity(quantity);
  return name === 'cpu' ? quantityMilliValue(parsed) : quantityValue(parsed);
}

export function amounts(list: ResourceList | undefined): Amounts {
  return Object.fromEntries(
    Object.entries(list ?? {}).map(([name, quantity]) => [name, amount(name, quantity)]),
  );
}

/**
 * What a pod requests or limits as a whole (k8s.io/component-helpers/resource): the sum of its containers and sidecars, or
 * the greatest need of an init container with the sidecars before it, whichever is more; pod-level amounts replace that;
 * overhead comes on top.
 */
export function podAmounts({ spec }: Pod, which: 'requests' | 'limits'): Amounts {
  const memo = known[which];
  let found = memo.get(spec);
  if (found === undefined) memo.set(spec, (found = computeAmounts(spec, which)));
  return found;
}

/** Specs are immutable, and each pod of a node is counted again whenever another one is admitted. */
const known = {
  requests: new WeakMap<Pod['spec'], Amounts>(),
  limits: new WeakMap<Pod['spec'], Amounts>(),
};

function computeAmounts(spec: Pod['spec'], which: 'requests' | 'limits'): Amounts {
  const of = (container: Container): Amounts => amounts(container.resources?.[which]);
  const total: Record<string, number> = {};
  for (const container of spec.containers) add(total, of(container));
  const sidecars: Record<string, number> = {};
  const init: Record<string, number> = {};
  for (const container of spec.initContainers ?? []) {
    const need = of(container);
    if (isSidecar(container)) {
      add(total, need);
      add(sidecars, need);
      max(init, sidecars);
    } else {
      max(init, sum(sidecars, need));
    }
  }
  max(total, init);
  const podLevel = amounts(spec.resources?.[which]);
  for (const name of ['cpu', 'memory']) if (podLevel[name] !== undefined) total[name] = podLevel[name];
  const overhead = amounts(spec.overhead);
  for (const [name, value] of Object.entries(overhead))
    if (which === 'requests' || total[name] !== undefined) total[name] = (total[name] ?? 0) + value;
  return total;
}

function add(total: Record<string, number>, more: Amounts): void {
  for (const [name, value] of Object.entries(more)) total[name] = (total[name] ?? 0) + value;
}

function sum(a: Amounts, b: Amounts): Record<string, number> {
  const total = { ...a };
  add(total, b);
  return total;
}

function max(total: Record<string, number>, other: Amounts): void {
  for (const [name, value] of Object.entries(other)) total[name] = Math.max(total[name] ?? 0, value);
}
