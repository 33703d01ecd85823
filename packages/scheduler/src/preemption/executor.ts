import { corev1 } from '@k8ts/api';
import { isNotFound } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import type { Logger } from '@k8ts/base';
import type { EventRecorder } from '@k8ts/client';
import type { Nominations } from '../cluster-state/nominations.ts';
import { podPriority, uidOf } from '../cluster-state/pod-info.ts';
import type { PodInfo } from '../cluster-state/pod-info.ts';
import type { SchedulerMetrics } from '../metrics.ts';
import { podIdentity, podName } from '../pod-identity.ts';
import { patchPodStatus } from '../pod-status.ts';
import type { PodStatusWriter } from '../pod-status.ts';

export interface PreemptionExecutorOptions extends PodStatusWriter {
  readonly events: EventRecorder;
  readonly logger: Logger;
  readonly metrics: SchedulerMetrics;
  readonly nominations: Nominations;
}

/** Victims of one preemptor deleted at once (upstream's parallelism). */
const PARALLELISM = 16;

/**
 * Makes the victims of a preemption leave (pkg/scheduler/framework/preemption/executor.go). This goes on while other pods
 * are scheduled, KEP-4832; its pod must not be tried before it has ended.
 */
export class PreemptionExecutor {
  readonly #options: PreemptionExecutorOptions;
  /** Being deleted by us; until they are gone, for their `deletionTimestamp` may be seen late. */
  readonly #leaving = new Set<string>();

  constructor(options: PreemptionExecutorOptions) {
    this.#options = options;
  }

  isBeingPreempted(uid: string): boolean {
    return this.#leaving.has(uid);
  }

  /** The pod is gone. */
  forget(uid: string): void {
    this.#leaving.delete(uid);
  }

  /** Undefined: all victims are leaving already. Else resolves, and never rejects, with whether all of them do now. */
  execute(pod: corev1.Pod, node: string, victims: readonly PodInfo[]): Promise<boolean> | undefined {
    const staying = victims.filter(
      ({ latest }) => latest.metadata.deletionTimestamp === undefined && !this.#leaving.has(uidOf(latest)),
    );
    if (staying.length === 0) return undefined;
    this.#options.metrics.preempting(victims.length);
    for (const { latest } of staying) this.#leaving.add(uidOf(latest));
    return this.#run(
      pod,
      node,
      staying.map(({ latest }) => latest),
    );
  }

  async #run(pod: corev1.Pod, node: string, victims: readonly corev1.Pod[]): Promise<boolean> {
    const { clock, metrics } = this.#options;
    const started = clock.monotonic();
    const cleared = await this.#clearNominations(pod, node);
    const waiting = [...victims];
    let failed = false;
    const work = async (): Promise<void> => {
      for (let victim = waiting.shift(); victim !== undefined; victim = waiting.shift()) {
        // After one failure the others may stay: their pod looks for a node anew.
        if (!failed && (await this.#preempt(pod, node, victim))) continue;
        failed = true;
        this.forget(uidOf(victim));
      }
    };
    await Promise.all(Array.from({ length: Math.min(PARALLELISM, victims.length) }, work));
    const succeeded = cleared && !failed;
    metrics.preempted(succeeded ? 'success' : 'error', clock.monotonic() - started);
    return succeeded;
  }

  async #preempt(pod: corev1.Pod, node: string, victim: corev1.Pod): Promise<boolean> {
    const { client, events, logger, signal } = this.#options;
    const { name = '', namespace = '', uid } = victim.metadata;
    try {
      await patchPodStatus(this.#options, victim, {
        condition: {
          type: 'DisruptionTarget',
          status: 'True',
          reason: 'PreemptionByScheduler',
          message: `${pod.spec.schedulerName ?? ''}: preempting to accommodate a higher priority pod`,
        },
      });
      await client
        .resource(corev1.pods, namespace)
        .delete(name, { ...(uid === undefined ? undefined : { preconditions: { uid } }), signal });
    } catch (error) {
      if (isNotFound(error)) return true;
      if (!signal.aborted)
        logger.warn('pod could not be preempted', {
          pod: podName(pod),
          victim: podName(victim),
          error: errorMessage(error),
        });
      return false;
    }
    logger.info('pod preempted', { pod: podName(pod), victim: podName(victim), node });
    events.event(
      podIdentity(victim),
      'Normal',
      'Preempted',
      `Preempted by pod ${pod.metadata.uid ?? ''} on node ${node}`,
      { action: 'Preempting', related: podIdentity(pod) },
    );
    return true;
  }

  /** Pods of lower priority that wait for this node may not fit on it any more, and had better look for another. */
  async #clearNominations(pod: corev1.Pod, node: string): Promise<boolean> {
    const { nominations, logger, signal } = this.#options;
    const priority = podPriority(pod);
    const lower = nominations.on(node).filter((other) => other.priority < priority);
    const results = await Promise.all(
      lower.map(async ({ latest }) => {
        try {
          // Its status may be on its way still.
          const nominated = { ...latest, status: { ...latest.status, nominatedNodeName: node } };
          await patchPodStatus(this.#options, nominated, { nominatedNodeName: '' });
          return true;
        } catch (error) {
          if (isNotFound(error)) return true;
          if (!signal.aborted)
            logger.warn("Cannot clear 'NominatedNodeName' field", {
              pod: podName(latest),
              node,
              error: errorMessage(error),
            });
          return false;
        }
      }),
    );
    return results.every((cleared) => cleared);
  }
}
