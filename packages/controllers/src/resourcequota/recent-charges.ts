import type { corev1 } from '@k8ts/api';
import { amountsOf, compareQuantities } from '@k8ts/apimachinery';

/**
 * Milliseconds. Admission charges a quota before the object is stored, and the object's event may come later than the
 * quota's: until then what is counted is too little.
 */
const ARRIVAL = 500;

/** Which amounts have lately been charged to a quota, for objects that may not have been seen yet. */
export class RecentCharges {
  /** By the quota's key and the name of what it limits: when, on the monotonic clock. */
  readonly #charges = new Map<string, Map<string, number>>();

  observe(key: string, quota: corev1.ResourceQuota, previous: corev1.ResourceQuota, now: number): void {
    const before = amountsOf(previous.status?.used);
    for (const [name, amount] of amountsOf(quota.status?.used)) {
      const known = before.get(name);
      if (known === undefined || compareQuantities(amount, known) <= 0) continue;
      let charges = this.#charges.get(key);
      if (charges === undefined) this.#charges.set(key, (charges = new Map<string, number>()));
      charges.set(name, now);
    }
  }

  /** For how many more milliseconds the usage of `name` must not be lowered; 0: it may. */
  wait(key: string, name: string, now: number): number {
    const charged = this.#charges.get(key)?.get(name);
    return charged === undefined ? 0 : Math.max(0, charged + ARRIVAL - now);
  }

  forget(key: string): void {
    this.#charges.delete(key);
  }
}
