import type { corev1 } from '@k8ts/api';

import { quantitySign } from '../quantity.ts';
import {
  amountsOf,
  isPodLevelResource,
  podAmounts,
  type Amounts,
  type ReadonlyAmounts,
  type ResourceList,
} from '../resource-amounts.ts';
import { isExtendedResource, isHugePages, isNativeResource } from '../resource-names.ts';
import { parseTime } from '../time.ts';
import type { QuotaEvaluator, ScopeRequirement } from './contract.ts';
import { matchesValues } from './matching.ts';
import { objectCountName, ONE } from './object-counts.ts';

type Pod = corev1.Pod;

const COUNT = objectCountName('', 'pods');
const COMPUTE = ['cpu', 'memory', 'ephemeral-storage'];
const COUNTED: ReadonlySet<string> = new Set([
  COUNT,
  'pods',
  ...COMPUTE.flatMap((name) => [name, `requests.${name}`, `limits.${name}`]),
]);
/** Every container must name these where they are limited; upstream calls it a mistake that is kept. */
const MANDATORY = ['cpu', 'memory'].flatMap((name) => [name, `requests.${name}`, `limits.${name}`]);
const DEVICE_CLASS = 'deviceclass.resource.kubernetes.io/';

/** `count/pods` counts all pods there are; everything else only those that have not ended (pkg/quota/v1/evaluator/core). */
export const podEvaluator: QuotaEvaluator = {
  group: '',
  resource: 'pods',
  readsObjects: true,
  counts: (name) =>
    COUNTED.has(name) ||
    isHugePages(name) ||
    name.startsWith('requests.hugepages-') ||
    (name.startsWith('requests.') &&
      (!isNativeResource(name) || name.startsWith(`requests.${DEVICE_CLASS}`))),
  handles({ operation, subresource, object, oldObject }) {
    if (subresource === 'resize') return operation === 'UPDATE';
    if (subresource !== '') return false;
    return operation === 'CREATE' || isTerminating(object as Pod) !== isTerminating(oldObject as Pod);
  },
  usage(object, now) {
    const pod = object as Pod;
    if (hasEnded(pod, now)) return new Map([[COUNT, ONE]]);
    return computeUsage(podAmounts(pod, 'requests'), podAmounts(pod, 'limits')).set(COUNT, ONE);
  },
  matchesScope: (requirement, object) => isPodInScope(requirement, object as Pod),
  lacks: (names, object) => lackingResources(names, object as Pod),
};

function computeUsage(requests: ReadonlyAmounts, limits: ReadonlyAmounts): Amounts {
  const usage: Amounts = new Map([['pods', ONE]]);
  for (const [name, amount] of requests)
    if (COMPUTE.includes(name) || isHugePages(name)) usage.set(name, amount).set(`requests.${name}`, amount);
    else if (isExtendedResource(name) || name.startsWith(DEVICE_CLASS)) usage.set(`requests.${name}`, amount);
  for (const [name, amount] of limits) if (COMPUTE.includes(name)) usage.set(`limits.${name}`, amount);
  return usage;
}

/** The pod has ended, or should have: one on a node that is lost is not to keep others from taking its place. */
function hasEnded({ metadata, status }: Pod, now: number): boolean {
  if (status?.phase === 'Failed' || status?.phase === 'Succeeded') return true;
  const { deletionTimestamp, deletionGracePeriodSeconds } = metadata;
  if (deletionTimestamp === undefined || deletionGracePeriodSeconds === undefined) return false;
  return now > parseTime(deletionTimestamp) + deletionGracePeriodSeconds * 1000;
}

/** Has an end set. */
function isTerminating({ spec }: Pod): boolean {
  return (spec.activeDeadlineSeconds ?? -1) >= 0;
}

function isPodInScope(requirement: ScopeRequirement, pod: Pod): boolean {
  switch (requirement.scopeName) {
    case 'Terminating':
      return isTerminating(pod);
    case 'NotTerminating':
      return !isTerminating(pod);
    case 'BestEffort':
      return isBestEffort(pod);
    case 'NotBestEffort':
      return !isBestEffort(pod);
    case 'PriorityClass': {
      const { priorityClassName = '' } = pod.spec;
      return matchesValues(requirement, priorityClassName === '' ? [] : [priorityClassName]);
    }
    case 'CrossNamespacePodAffinity':
      return looksIntoOtherNamespaces(pod.spec.affinity);
    default:
      return false;
  }
}

function isBestEffort({ spec, status }: Pod): boolean {
  if (status?.qosClass !== undefined) return status.qosClass === 'BestEffort';
  const says = (list: ResourceList | undefined): boolean => {
    const amounts = amountsOf(list);
    return ['cpu', 'memory'].some((name) => {
      const amount = amounts.get(name);
      return amount !== undefined && quantitySign(amount) > 0;
    });
  };
  const whole = spec.resources;
  const all =
    whole === undefined
      ? [...(spec.containers ?? []), ...(spec.initContainers ?? [])].map(({ resources }) => resources)
      : [whole];
  return !all.some((resources) => says(resources?.requests) || says(resources?.limits));
}

function looksIntoOtherNamespaces(affinity: corev1.Affinity | undefined): boolean {
  return [affinity?.podAffinity, affinity?.podAntiAffinity].some((terms) =>
    [
      ...(terms?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
      ...(terms?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(
        ({ podAffinityTerm }) => podAffinityTerm,
      ),
    ].some(
      ({ namespaces, namespaceSelector }) => (namespaces ?? []).length > 0 || namespaceSelector !== undefined,
    ),
  );
}

function lackingResources(names: readonly string[], { spec }: Pod): string | undefined {
  const wanted = MANDATORY.filter((name) => names.includes(name)).sort();
  if (wanted.length === 0 || hasPodLevelResources(spec)) return undefined;
  const containers = [...(spec.containers ?? []), ...(spec.initContainers ?? [])].map(
    ({ name, resources }) => ({
      name,
      has: computeUsage(amountsOf(resources?.requests), amountsOf(resources?.limits)),
    }),
  );
  const lacking = wanted.flatMap((name) => {
    const without = containers.filter(({ has }) => !has.has(name)).map((container) => container.name);
    return without.length === 0 ? [] : [`${name} for: ${[...new Set(without)].sort().join(',')}`];
  });
  return lacking.length === 0 ? undefined : `must specify ${lacking.join('; ')}`;
}

function hasPodLevelResources({ resources }: corev1.PodSpec): boolean {
  return [...Object.keys(resources?.requests ?? {}), ...Object.keys(resources?.limits ?? {})].some(
    isPodLevelResource,
  );
}
