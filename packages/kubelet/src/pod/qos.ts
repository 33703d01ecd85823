import type { Pod, ResourceList } from './types.ts';

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';

/**
 * The pod's quality of service (pkg/apis/core/v1/helper/qos): Guaranteed when every container limits cpu and memory and
 * requests just that; BestEffort when none requests or limits anything; Burstable else. Pod-level resources come first.
 */
export function podQos(pod: Pod): QosClass {
  const known = pod.status?.qosClass;
  if (known === 'Guaranteed' || known === 'Burstable' || known === 'BestEffort') return known;
  return computeQos(pod);
}

function computeQos(pod: Pod): QosClass {
  const { spec } = pod;
  const podLevel = spec.resources;
  if (podLevel !== undefined && (anyOf(podLevel.requests) || anyOf(podLevel.limits)))
    return isGuaranteed(podLevel.requests, podLevel.limits) ? 'Guaranteed' : 'Burstable';
  const all = [...(spec.initContainers ?? []), ...spec.containers];
  let guaranteed = true;
  let bestEffort = true;
  for (const { resources } of all) {
    if (anyOf(resources?.requests) || anyOf(resources?.limits)) bestEffort = false;
    if (!isGuaranteed(resources?.requests, resources?.limits)) guaranteed = false;
  }
  if (bestEffort) return 'BestEffort';
  return guaranteed ? 'Guaranteed' : 'Burstable';
}

const COUNTED = ['cpu', 'memory'] as const;

function anyOf(list: ResourceList | undefined): boolean {
  return COUNTED.some((name) => !isZero(list?.[name]));
}

function isGuaranteed(requests: ResourceList | undefined, limits: ResourceList | undefined): boolean {
  return COUNTED.every((name) => {
    const limit = limits?.[name];
    // A request that is left out is the limit.
    return !isZero(limit) && (requests?.[name] === undefined || requests[name] === limit);
  });
}

/** Admission has brought quantities into canonical form, so equal amounts are equal texts and zero is `0`. */
function isZero(quantity: string | undefined): boolean {
  return quantity === undefined || /^0*(\.0*)?[a-zA-Z]*$/.test(quantity);
}
