/** The pod's quality of service class, from its CPU and memory (helper/qos.ComputePodQOS). */
import type { corev1 } from '@k8ts/api';
import {
  addAmounts,
  compareQuantities,
  quantityOf,
  quantitySign,
  type Amounts,
  type ResourceList,
} from '@k8ts/apimachinery';

type Resources = { readonly requests?: ResourceList; readonly limits?: ResourceList };

export function computePodQos(spec: corev1.PodSpec): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const requests: Amounts = new Map();
  const limits: Amounts = new Map();
  let guaranteed = true;
  const add = (resources: Resources | undefined, limitsNeeded: boolean): void => {
    addCompute(requests, resources?.requests);
    const own = addCompute(limits, resources?.limits);
    if (limitsNeeded && own < 2) guaranteed = false;
  };
  if (spec.resources !== undefined) {
    add(spec.resources, Object.keys(spec.resources.limits ?? {}).length > 0);
  } else {
    for (const container of spec.containers ?? []) add(container.resources, true);
    for (const container of spec.initContainers ?? []) add(container.resources, true);
  }
  if (requests.size === 0 && limits.size === 0) return 'BestEffort';
  if (!guaranteed || requests.size !== limits.size) return 'Burstable';
  for (const [name, amount] of requests) {
    const limit = limits.get(name);
    if (limit === undefined || compareQuantities(limit, amount) !== 0) return 'Burstable';
  }
  return 'Guaranteed';
}

/** Adds the amounts of CPU and memory above zero; how many there were. */
function addCompute(sum: Amounts, list: ResourceList | undefined): number {
  let count = 0;
  for (const name of ['cpu', 'memory']) {
    const amount = list?.[name];
    if (amount === undefined) continue;
    const own = quantityOf(amount);
    if (quantitySign(own) <= 0) continue;
    addAmounts(sum, new Map([[name, own]]));
    count++;
  }
  return count;
}
