/** matchLabelKeys and mismatchLabelKeys become part of their selectors when a pod is created (KEP-3633, KEP-3243). */
import type { corev1, Draft } from '@k8ts/api';

type Selector = Draft<NonNullable<corev1.PodAffinityTerm['labelSelector']>>;

export function mergeLabelKeys(pod: Draft<corev1.Pod>): void {
  const labels = pod.metadata.labels ?? {};
  const { affinity, topologySpreadConstraints } = pod.spec;
  for (const kind of [affinity?.podAffinity, affinity?.podAntiAffinity]) {
    for (const { podAffinityTerm } of kind?.preferredDuringSchedulingIgnoredDuringExecution ?? [])
      mergeTerm(podAffinityTerm, labels);
    for (const term of kind?.requiredDuringSchedulingIgnoredDuringExecution ?? []) mergeTerm(term, labels);
  }
  for (const constraint of topologySpreadConstraints ?? [])
    add(constraint.labelSelector, constraint.matchLabelKeys, 'In', labels);
}

function mergeTerm(
  term: Draft<corev1.PodAffinityTerm> | undefined,
  labels: Readonly<Record<string, string>>,
): void {
  add(term?.labelSelector, term?.matchLabelKeys, 'In', labels);
  add(term?.labelSelector, term?.mismatchLabelKeys, 'NotIn', labels);
}

/** No selector matches nothing, and stays so. */
function add(
  selector: Selector | undefined,
  keys: readonly string[] | undefined,
  operator: 'In' | 'NotIn',
  labels: Readonly<Record<string, string>>,
): void {
  if (selector === undefined) return;
  for (const key of keys ?? []) {
    const value = labels[key];
    if (value !== undefined) (selector.matchExpressions ??= []).push({ key, operator, values: [value] });
  }
}
