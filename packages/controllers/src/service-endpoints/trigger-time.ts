import type { corev1 } from '@k8ts/api';
import { formatTime } from '@k8ts/apimachinery';
import { objectKey } from '@k8ts/client';

import { milliseconds, podCondition } from '../pod-state.ts';

/** On Endpoints and EndpointSlices: when what led to their newest state happened, for measuring how long that took. */
export const TRIGGER_TIME = 'endpoints.kubernetes.io/last-change-trigger-time';

interface Seen {
  readonly service: number;
  readonly pods: ReadonlyMap<string, number>;
}

/** Remembers which changes of a Service and its pods have been dealt with. */
export class TriggerTimes {
  readonly #seen = new Map<string, Seen>();

  /** The time of the earliest change since the last call, as annotations have it; undefined when there was none. */
  next(service: corev1.Service, members: readonly corev1.Pod[]): string | undefined {
    const key = objectKey(service);
    const before = this.#seen.get(key);
    const pods = new Map<string, number>();
    let earliest = Infinity;
    for (const pod of members) {
      const time = milliseconds(podCondition(pod, 'Ready')?.lastTransitionTime);
      if (time === undefined) continue;
      pods.set(pod.metadata.name, time);
      if (time > (before?.pods.get(pod.metadata.name) ?? -Infinity)) earliest = Math.min(earliest, time);
    }
    const created = milliseconds(service.metadata.creationTimestamp) ?? -Infinity;
    if (created > (before?.service ?? -Infinity)) earliest = Math.min(earliest, created);
    this.#seen.set(key, { service: created, pods });
    return Number.isFinite(earliest) ? formatTime(earliest) : undefined;
  }

  forget(key: string): void {
    this.#seen.delete(key);
  }
}

/** `annotations` with the new trigger time, or without one. */
export function withTriggerTime(
  annotations: Readonly<Record<string, string>> | undefined,
  time: string | undefined,
): Record<string, string> {
  const { [TRIGGER_TIME]: _old, ...rest } = annotations ?? {};
  return time === undefined ? rest : { ...rest, [TRIGGER_TIME]: time };
}
