import type { EventRecorder, ObjectIdentity } from '@k8ts/client';

import type { ContainerKind } from './pod-spec.ts';
import type { Container, Pod } from './types.ts';

/** The object an event about a pod is tied to. */
export function podIdentity(pod: Pod): ObjectIdentity {
  const { name, namespace, uid, resourceVersion } = pod.metadata;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
}

const FIELDS: Readonly<Record<ContainerKind, string>> = {
  init: 'spec.initContainers',
  container: 'spec.containers',
  ephemeral: 'spec.ephemeralContainers',
};

/** With the field path `spec.containers{web}`. */
export function containerIdentity(pod: Pod, kind: ContainerKind, container: Container): ObjectIdentity {
  return { ...podIdentity(pod), fieldPath: `${FIELDS[kind]}{${container.name}}` };
}

/** Records an event about a container; the texts are upstream's. */
export function recordContainerEvent(
  events: EventRecorder,
  pod: Pod,
  { kind, container }: { readonly kind: ContainerKind; readonly container: Container },
  type: 'Normal' | 'Warning',
  reason: string,
  message: string,
): void {
  events.event(containerIdentity(pod, kind, container), type, reason, message);
}
