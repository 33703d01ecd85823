import type { corev1 } from '@k8ts/api';

import { BUSYBOX } from './images.ts';

type PodSpec = corev1.PodSpec;
type Container = PodSpec['containers'][number];

/** A container that runs a shell script. */
export function script(text: string, more: Partial<Container> = {}): Container {
  return { name: 'app', image: BUSYBOX, command: ['sh', '-c', text], ...more };
}

/** Runs until it is stopped, and then ends at once. */
export const PAUSE = 'trap "exit 0" TERM INT; while :; do sleep 1 & wait $!; done';

export function podManifest(
  name: string,
  spec: Omit<PodSpec, 'restartPolicy'> & { readonly restartPolicy?: string },
  metadata: Omit<NonNullable<corev1.Pod['metadata']>, 'name'> = {},
): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, ...metadata },
    spec: { terminationGracePeriodSeconds: 5, ...spec },
  };
}

export type Labels = Readonly<Record<string, string>>;

export function list(...items: readonly object[]): object {
  return { apiVersion: 'v1', kind: 'List', items };
}

/** `targetPort` of the pods with these labels, as `port`. */
export function service(name: string, labels: Labels, port: number, targetPort: number | string): object {
  const spec = { ports: [{ port, targetPort }], selector: labels };
  return { apiVersion: 'v1', kind: 'Service', metadata: { name, labels }, spec };
}
