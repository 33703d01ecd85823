import type { corev1 } from '@k8ts/api';
import type { ObjectIdentity } from '@k8ts/client';

/** `default/web` */
export function podName({ metadata }: corev1.Pod): string {
  return `${metadata.namespace ?? ''}/${metadata.name ?? ''}`;
}

export function podIdentity({ metadata }: corev1.Pod): ObjectIdentity {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    namespace: metadata.namespace ?? '',
    name: metadata.name ?? '',
    uid: metadata.uid ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
  };
}
