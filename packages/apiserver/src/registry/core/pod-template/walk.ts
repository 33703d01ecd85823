import type { corev1 } from '@k8ts/api';

export type AnyContainer = corev1.Container | corev1.EphemeralContainer;

/** All containers of a pod with their paths: init containers, containers, ephemeral containers. */
export function* containersWithPaths(
  spec: corev1.PodSpec,
  path: string,
): Generator<readonly [container: AnyContainer, path: string]> {
  const prefix = path === '' ? '' : `${path}.`;
  for (const list of ['initContainers', 'containers', 'ephemeralContainers'] as const) {
    const containers = spec[list];
    if (containers === undefined) continue;
    for (let i = 0; i < containers.length; i++)
      yield [containers[i] as AnyContainer, `${prefix}${list}[${i}]`];
  }
}
