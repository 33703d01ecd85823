import type { corev1 } from '@k8ts/api';
import { claimNameOf } from '@k8ts/apimachinery';

/** The index of pods by the keys of the claims that their volumes stand for. */
export const BY_CLAIM = 'claim';

export function claimKeysOf(pod: corev1.Pod): string[] {
  const names = (pod.spec.volumes ?? []).flatMap((volume) => claimNameOf(pod, volume) ?? []);
  return names.map((name) => `${pod.metadata.namespace ?? ''}/${name}`);
}
