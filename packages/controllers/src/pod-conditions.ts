import { corev1 } from '@k8ts/api';
import { formatTime } from '@k8ts/apimachinery';
import type { Client } from '@k8ts/client';

import { podCondition } from './pod-state.ts';

export type ConditionChange = Pick<corev1.PodCondition, 'type' | 'status' | 'reason' | 'message'>;

export interface PodStatusChange {
  readonly phase?: corev1.PodPhase;
  readonly condition?: ConditionChange;
}

/** The condition a pod gets when something takes it away from its node, for its workload to tell why it ended. */
export function disruptionTarget(reason: string, message: string): ConditionChange {
  return { type: 'DisruptionTarget', status: 'True', reason, message };
}

/**
 * Changes the phase and one condition of a pod's status and nothing else, and only of this very pod: the UID in the patch is
 * a precondition. Does nothing when the pod says so already.
 */
export async function patchPodStatus(
  client: Client,
  pod: corev1.Pod,
  change: PodStatusChange,
  now: number,
): Promise<void> {
  const { phase, condition } = change;
  const known = condition && podCondition(pod, condition.type);
  const sameCondition =
    condition === undefined ||
    (known?.status === condition.status &&
      known.reason === condition.reason &&
      known.message === condition.message);
  const samePhase = phase === undefined || pod.status?.phase === phase;
  if (sameCondition && samePhase) return;
  const since = known?.status === condition?.status ? known?.lastTransitionTime : undefined;
  const { generation } = pod.metadata;
  await client.resource(corev1.pods, pod.metadata.namespace).patch(
    pod.metadata.name,
    {
      metadata: { uid: pod.metadata.uid },
      status: {
        ...(samePhase ? {} : { phase }),
        ...(sameCondition
          ? {}
          : {
              conditions: [
                {
                  ...condition,
                  ...(generation === undefined ? {} : { observedGeneration: generation }),
                  lastTransitionTime: since ?? formatTime(now),
                },
              ],
            }),
      },
    },
    { type: 'strategic', subresource: 'status' },
  );
}
