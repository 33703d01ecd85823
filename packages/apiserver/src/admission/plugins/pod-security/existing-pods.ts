import type { corev1 } from '@k8ts/api';
import { evaluatePod, reasonsText } from './evaluation.ts';
import { levelVersionText, type LevelVersion } from './policy.ts';

/** How many pods a change of labels may hold up. */
const MAX_PODS = 3000;

/** Whom a namespace's new level would refuse, were they created now: warnings, each with the pods that share it. */
export function existingPodWarnings(
  namespace: string,
  enforce: LevelVersion,
  pods: readonly corev1.Pod[],
): string[] {
  const checked = oneOfEachControllerFirst(pods).slice(0, MAX_PODS);
  const namesByReasons = new Map<string, string[]>();
  for (const { metadata, spec } of checked) {
    const violations = evaluatePod(enforce, spec, metadata);
    if (violations.length === 0) continue;
    const reasons = reasonsText(violations);
    const names = namesByReasons.get(reasons);
    if (names === undefined) namesByReasons.set(reasons, [metadata.name ?? '']);
    else names.push(metadata.name ?? '');
  }
  const warnings: string[] = [];
  if (checked.length < pods.length)
    warnings.push(
      `new PodSecurity enforce level only checked against the first ${checked.length} of ${pods.length} existing pods`,
    );
  if (namesByReasons.size > 0)
    warnings.push(
      `existing pods in namespace "${namespace}" violate the new PodSecurity enforce level "${levelVersionText(enforce)}"`,
    );
  return [...warnings, ...[...namesByReasons].map(([reasons, names]) => podsText(names, reasons)).sort()];
}

/** `web-1 (and 2 other pods): privileged` */
function podsText(names: readonly string[], reasons: string): string {
  const [first = ''] = [...names].sort();
  const others = names.length - 1;
  const more = others === 0 ? '' : ` (and ${others} other ${others === 1 ? 'pod' : 'pods'})`;
  return `${first}${more}: ${reasons}`;
}

/** Replicas are alike, so that one of them says most. */
function oneOfEachControllerFirst(pods: readonly corev1.Pod[]): readonly corev1.Pod[] {
  const seen = new Set<string>();
  const replicas: corev1.Pod[] = [];
  const first = pods.filter((pod) => {
    const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller === true)?.uid;
    if (owner === undefined) return true;
    if (seen.has(owner)) {
      replicas.push(pod);
      return false;
    }
    seen.add(owner);
    return true;
  });
  return [...first, ...replicas];
}
