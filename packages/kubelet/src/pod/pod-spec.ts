import type { Container, EphemeralContainer, Pod } from './types.ts';

/** Where a pod came from; pods of the API have none, or `api`. */
export const CONFIG_SOURCE_ANNOTATION = 'kubernetes.io/config.source';
/** On the API's copy of a static pod: the hash of the static pod it mirrors. */
export const CONFIG_MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';
/** The hash of a static pod's manifest. */
export const CONFIG_HASH_ANNOTATION = 'kubernetes.io/config.hash';
/** RFC 3339: when the kubelet first saw a static pod. */
export const CONFIG_SEEN_ANNOTATION = 'kubernetes.io/config.seen';

/** What a pod is called in messages: `web_default(3f6c…)`. */
export function formatPod(pod: Pod): string {
  return `${podName(pod)}_${podNamespace(pod)}(${podUid(pod)})`;
}

/** `namespace/name`, the key of listers. */
export function podKey(pod: Pod): string {
  return `${podNamespace(pod)}/${podName(pod)}`;
}

export function podName(pod: Pod): string {
  return pod.metadata.name;
}

export function podNamespace(pod: Pod): string {
  return pod.metadata.namespace ?? '';
}

export function podUid(pod: Pod): string {
  return pod.metadata.uid ?? '';
}

export type ContainerKind = 'init' | 'container' | 'ephemeral';

export interface SpecContainer {
  readonly kind: ContainerKind;
  readonly container: Container;
}

/** Init, ordinary and ephemeral containers, in this order. */
export function specContainers(pod: Pod): SpecContainer[] {
  const spec = pod.spec;
  return [
    ...(spec.initContainers ?? []).map((container): SpecContainer => ({ kind: 'init', container })),
    ...spec.containers.map((container): SpecContainer => ({ kind: 'container', container })),
    ...(spec.ephemeralContainers ?? []).map((container): SpecContainer => ({
      kind: 'ephemeral',
      container: ephemeralAsContainer(container),
    })),
  ];
}

export function findContainer(pod: Pod, name: string): SpecContainer | undefined {
  return specContainers(pod).find(({ container }) => container.name === name);
}

/** An ephemeral container has a container's fields, and the name of the container it looks at. */
export function ephemeralAsContainer(ephemeral: EphemeralContainer): Container {
  const { targetContainerName: _target, ...container } = ephemeral;
  return container;
}

/** A sidecar: an init container that goes on running (KEP-753). */
export function isSidecar(container: Container): boolean {
  return container.restartPolicy === 'Always';
}

export function hasSidecars(pod: Pod): boolean {
  return (pod.spec.initContainers ?? []).some(isSidecar);
}

export function restartPolicy(pod: Pod): 'Always' | 'OnFailure' | 'Never' {
  return pod.spec.restartPolicy ?? 'Always';
}

/**
 * Whether a container that ended with `exitCode` runs again. The container's own rules come first, then its own policy
 * (KEP-5307), then the pod's.
 */
export function containerShouldRestart(container: Container, pod: Pod, exitCode: number): boolean {
  for (const rule of container.restartPolicyRules ?? []) {
    if (rule.action !== 'Restart' || rule.exitCodes === undefined) continue;
    const listed = (rule.exitCodes.values ?? []).includes(exitCode);
    if (rule.exitCodes.operator === 'In' ? listed : !listed) return true;
  }
  switch (container.restartPolicy ?? restartPolicy(pod)) {
    case 'Never':
      return false;
    case 'OnFailure':
      return exitCode !== 0;
    default:
      return true;
  }
}

export function isHostNetwork(pod: Pod): boolean {
  return pod.spec.hostNetwork === true;
}

export function isStaticPod(pod: Pod): boolean {
  const source = pod.metadata.annotations?.[CONFIG_SOURCE_ANNOTATION];
  return source !== undefined && source !== 'api';
}

export function isMirrorPod(pod: Pod): boolean {
  return pod.metadata.annotations?.[CONFIG_MIRROR_ANNOTATION] !== undefined;
}

/** DaemonSet-like and node-critical pods: static, mirror, or of priority 2000000000 and above. */
export function isCriticalPod(pod: Pod): boolean {
  return isStaticPod(pod) || isMirrorPod(pod) || (pod.spec.priority ?? 0) >= 2_000_000_000;
}

export function isTerminalPhase(phase: string | undefined): boolean {
  return phase === 'Succeeded' || phase === 'Failed';
}

/** Seconds that the pod's containers get to stop, before the API has set a deletion. */
export function terminationGracePeriod(pod: Pod): number {
  return pod.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 30;
}
