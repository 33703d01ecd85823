import { createHash } from 'node:crypto';

import type { Labels } from '@k8ts/cri';

import { podName, podNamespace, podUid, terminationGracePeriod } from './pod-spec.ts';
import { resourceKey } from './resource-key.ts';
import type { Container, Pod } from './types.ts';

/**
 * What the kubelet writes on sandboxes and containers, so that after a restart it knows them again. Names are upstream's
 * (pkg/kubelet/types/labels.go, pkg/kubelet/kuberuntime/labels.go): crictl, log collectors and cAdvisor read them.
 */
export const POD_NAME_LABEL = 'io.kubernetes.pod.name';
export const POD_NAMESPACE_LABEL = 'io.kubernetes.pod.namespace';
export const POD_UID_LABEL = 'io.kubernetes.pod.uid';
export const CONTAINER_NAME_LABEL = 'io.kubernetes.container.name';

const HASH_ANNOTATION = 'io.kubernetes.container.hash';
const RESTART_COUNT_ANNOTATION = 'io.kubernetes.container.restartCount';
const TERMINATION_MESSAGE_PATH_ANNOTATION = 'io.kubernetes.container.terminationMessagePath';
const TERMINATION_MESSAGE_POLICY_ANNOTATION = 'io.kubernetes.container.terminationMessagePolicy';
/** Ours: cpu and memory that it was started with, see `resourceKey`. */
const RESOURCES_ANNOTATION = 'k8ts.io/container.resources';
const POD_TERMINATION_GRACE_PERIOD_ANNOTATION = 'io.kubernetes.pod.terminationGracePeriod';

export function sandboxLabels(pod: Pod): Labels {
  return {
    ...pod.metadata.labels,
    [POD_NAME_LABEL]: podName(pod),
    [POD_NAMESPACE_LABEL]: podNamespace(pod),
    [POD_UID_LABEL]: podUid(pod),
  };
}

export function sandboxAnnotations(pod: Pod): Labels {
  return { ...pod.metadata.annotations };
}

export function containerLabels(pod: Pod, container: Container): Labels {
  return {
    [POD_NAME_LABEL]: podName(pod),
    [POD_NAMESPACE_LABEL]: podNamespace(pod),
    [POD_UID_LABEL]: podUid(pod),
    [CONTAINER_NAME_LABEL]: container.name,
  };
}

export function containerAnnotations(pod: Pod, container: Container, restartCount: number): Labels {
  return {
    [HASH_ANNOTATION]: containerHash(container),
    [RESTART_COUNT_ANNOTATION]: String(restartCount),
    [TERMINATION_MESSAGE_PATH_ANNOTATION]: container.terminationMessagePath ?? '/dev/termination-log',
    [TERMINATION_MESSAGE_POLICY_ANNOTATION]: container.terminationMessagePolicy ?? 'File',
    [POD_TERMINATION_GRACE_PERIOD_ANNOTATION]: String(terminationGracePeriod(pod)),
    [RESOURCES_ANNOTATION]: resourceKey(container),
  };
}

/** Only what makes a running container a wrong one: since 1.31 its name and image. */
export function containerHash(container: Container): string {
  return createHash('sha256')
    .update(JSON.stringify([container.name, container.image ?? '']))
    .digest('hex')
    .slice(0, 8);
}

export interface ContainerMarks {
  readonly hash: string;
  readonly restartCount: number;
  readonly terminationMessagePath: string;
  readonly terminationMessagePolicy: string;
  /** Seconds. */
  readonly terminationGracePeriod: number;
  /** See `resourceKey`; empty when it is not known. */
  readonly resources: string;
}

/** Reads the annotations back; `attempt` stands in where they are missing. */
export function containerMarks(annotations: Labels, attempt: number): ContainerMarks {
  return {
    hash: annotations[HASH_ANNOTATION] ?? '',
    restartCount: integer(annotations[RESTART_COUNT_ANNOTATION]) ?? attempt,
    terminationMessagePath: annotations[TERMINATION_MESSAGE_PATH_ANNOTATION] ?? '',
    terminationMessagePolicy: annotations[TERMINATION_MESSAGE_POLICY_ANNOTATION] ?? 'File',
    terminationGracePeriod: integer(annotations[POD_TERMINATION_GRACE_PERIOD_ANNOTATION]) ?? 30,
    resources: annotations[RESOURCES_ANNOTATION] ?? '',
  };
}

function integer(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
