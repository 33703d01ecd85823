/** Defaults that only pods get, not pod templates (SetDefaults_Pod). */
import type { corev1, Draft } from '@k8ts/api';
import { aggregateContainerResources, formatQuantity } from '@k8ts/apimachinery';
import { roundUpToMilli } from '../../quantities.ts';
import { roundUpResources, setPodSpecDefaults } from '../pod-template/defaults.ts';

export function setPodDefaults(pod: Draft<corev1.Pod>): void {
  pod.spec ??= {} as Draft<corev1.PodSpec>;
  const { spec } = pod;
  for (const container of spec.containers ?? []) requestLimits(container.resources);
  for (const container of spec.initContainers ?? []) requestLimits(container.resources);
  if (spec.resources !== undefined) {
    setPodHugePageLimits(spec, spec.resources);
    setPodRequests(spec, spec.resources);
  }
  spec.enableServiceLinks ??= true;
  setPodSpecDefaults(spec);
  if (pod.status !== undefined) roundUpStatus(pod.status);
}

/** What is limited and not requested is requested up to its limit. */
function requestLimits(resources: Draft<corev1.ResourceRequirements> | undefined): void {
  if (resources?.limits === undefined) return;
  resources.requests ??= {};
  for (const name in resources.limits)
    if (!Object.hasOwn(resources.requests, name)) resources.requests[name] = resources.limits[name] as string;
}

const isHugePages = (name: string): boolean => name.startsWith('hugepages-');
const isPodLevel = (name: string): boolean => name === 'cpu' || name === 'memory' || isHugePages(name);

/** KEP-2837: containers' huge page limits add up to the pod's where the pod says nothing of them. */
function setPodHugePageLimits(
  spec: Draft<corev1.PodSpec>,
  resources: Draft<corev1.ResourceRequirements>,
): void {
  if (isEmpty(resources.limits) && isEmpty(resources.requests)) return;
  const limits = resources.limits ?? {};
  for (const [name, amount] of aggregateContainerResources(spec, 'limits')) {
    if (!isHugePages(name) || Object.hasOwn(resources.requests ?? {}, name) || Object.hasOwn(limits, name))
      continue;
    limits[name] = formatQuantity(amount);
  }
  if (!isEmpty(limits)) resources.limits = limits;
}

/** KEP-2837: a pod with limits requests what its containers request, and its limits where they request nothing. */
function setPodRequests(spec: Draft<corev1.PodSpec>, resources: Draft<corev1.ResourceRequirements>): void {
  if (isEmpty(resources.limits)) return;
  const requests = resources.requests ?? {};
  for (const [name, amount] of aggregateContainerResources(spec, 'requests'))
    if ((name === 'cpu' || name === 'memory') && !Object.hasOwn(requests, name))
      requests[name] = formatQuantity(amount);
  for (const name in resources.limits)
    if (isPodLevel(name) && !Object.hasOwn(requests, name)) requests[name] = resources.limits[name] as string;
  if (!isEmpty(requests)) resources.requests = requests;
}

function roundUpStatus(status: Draft<corev1.PodStatus>): void {
  const { initContainerStatuses, containerStatuses, ephemeralContainerStatuses } = status;
  for (const list of [initContainerStatuses, containerStatuses, ephemeralContainerStatuses]) {
    for (const container of list ?? []) {
      roundUpToMilli(container.allocatedResources);
      roundUpResources(container.resources);
    }
  }
  roundUpToMilli(status.allocatedResources);
  roundUpResources(status.resources);
}

function isEmpty(list: Readonly<Record<string, string>> | undefined): boolean {
  for (const _ in list ?? {}) return false;
  return true;
}
