import { corev1 } from '@k8ts/api';
import { formatTime, isConflict, isInternalError, isServiceUnavailable } from '@k8ts/apimachinery';
import type { Clock, Random } from '@k8ts/base';
import { retryOnError } from '@k8ts/client';
import type { Client } from '@k8ts/client';

export interface PodStatusChange {
  readonly condition?: Pick<corev1.PodCondition, 'type' | 'status' | 'reason' | 'message'>;
  /** Empty: none. */
  readonly nominatedNodeName?: string;
}

export interface PodStatusWriter {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
}

/** Client-go's DefaultBackoff, in milliseconds. */
const BACKOFF = { steps: 4, initial: 10, factor: 5, jitter: 0.1 };

/**
 * Changes one condition and the nominated node of this very pod, for the UID is a precondition; does nothing when the pod
 * says so already. Tries a few times what a moment later may succeed (pkg/scheduler/util, PatchPodStatus).
 */
export async function patchPodStatus(
  { client, clock, random, signal }: PodStatusWriter,
  pod: corev1.Pod,
  { condition, nominatedNodeName }: PodStatusChange,
): Promise<void> {
  const { name = '', namespace = '', uid, generation } = pod.metadata;
  const known = pod.status?.conditions?.find(({ type }) => type === condition?.type);
  const changesCondition =
    condition !== undefined &&
    (known?.status !== condition.status ||
      known.reason !== condition.reason ||
      known.message !== condition.message);
  const changesNomination =
    nominatedNodeName !== undefined && nominatedNodeName !== (pod.status?.nominatedNodeName ?? '');
  if (!changesCondition && !changesNomination) return;
  const since = known?.status === condition?.status ? known?.lastTransitionTime : undefined;
  const status = {
    ...(changesNomination
      ? { nominatedNodeName: nominatedNodeName === '' ? null : nominatedNodeName }
      : undefined),
    ...(changesCondition
      ? {
          conditions: [
            {
              ...condition,
              ...(generation === undefined ? undefined : { observedGeneration: generation }),
              lastTransitionTime: since ?? formatTime(clock.now()),
            },
          ],
        }
      : undefined),
  };
  await retryOnError({ clock, random, signal, ...BACKOFF }, isPassing, () =>
    client
      .resource(corev1.pods, namespace)
      .patch(name, { metadata: { uid }, status }, { type: 'strategic', subresource: 'status', signal }),
  );
}

function isPassing(error: unknown): boolean {
  return isInternalError(error) || isServiceUnavailable(error) || isConflict(error);
}
