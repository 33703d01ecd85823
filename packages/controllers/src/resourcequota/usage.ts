import type { corev1, KubeObject } from '@k8ts/api';
import { addAmounts, isInScope, quantityOf, type Amounts, type QuotaEvaluator } from '@k8ts/apimachinery';

export interface Counted {
  readonly evaluator: QuotaEvaluator;
  /** All objects of the quota's namespace; undefined where they are not known yet. */
  readonly objects: () => readonly KubeObject[] | undefined;
}

export interface Usage {
  /** Only what the quota limits, and only where it could be counted. */
  readonly used: Amounts;
  /** Resources whose objects are not known yet: `pods`, `widgets.example.com`. */
  readonly unknown: readonly string[];
}

/** What the objects of a quota's namespace use of what it limits (k8s.io/apiserver/pkg/quota/v1: CalculateUsage). */
export function calculateUsage(quota: corev1.ResourceQuota, all: Iterable<Counted>, now: number): Usage {
  const limited = Object.keys(quota.spec.hard ?? {});
  const used: Amounts = new Map();
  const uncounted = new Set<string>();
  const unknown: string[] = [];
  for (const { evaluator, objects } of all) {
    const names = limited.filter((name) => evaluator.counts(name));
    if (names.length === 0) continue;
    const found = objects();
    if (found === undefined) {
      const { group, resource } = evaluator;
      unknown.push(group === '' ? resource : `${resource}.${group}`);
      for (const name of names) uncounted.add(name);
      continue;
    }
    for (const name of names) if (!used.has(name)) used.set(name, quantityOf('0'));
    for (const object of found) {
      if (!isInScope(evaluator, quota, object)) continue;
      const usage = evaluator.usage(object, now);
      for (const name of names) {
        const amount = usage.get(name);
        if (amount !== undefined) addAmounts(used, new Map([[name, amount]]));
      }
    }
  }
  for (const name of uncounted) used.delete(name);
  return { used, unknown };
}
