import { tooManyRequests } from '@k8ts/apimachinery';
import type { Metrics } from '@k8ts/base';
import type { PipelineStep } from '../request-pipeline.ts';
import { isLongRunning } from '../request/time-limit.ts';

export interface InFlightLimits {
  /** GET, LIST at the same time. Default 400, as --max-requests-inflight. */
  readonly reading: number;
  /** Writes at the same time. Default 200, as --max-mutating-requests-inflight. */
  readonly writing: number;
}

/**
 * With one event loop, requests that wait for the disk together share its sync, so the limit for writes is above
 * upstream's 200: it is there to bound memory, not to save CPU.
 */
export const DEFAULT_IN_FLIGHT: InFlightLimits = { reading: 4_000, writing: 4_000 };

const READING = new Set(['get', 'list']);
/** Refuses with 429 what is too much at once. The system's own masters are always served. */
export function fairnessStep(limits: InFlightLimits, metrics: Metrics): PipelineStep {
  const inFlight = { readOnly: 0, mutating: 0 };
  const gauge = metrics.gauge({
    name: 'apiserver_current_inflight_requests',
    help: 'Maximal number of currently used inflight request limit of this apiserver per request kind in last second.',
    labels: ['request_kind'],
  });
  gauge.set(0, ['readOnly']);
  gauge.set(0, ['mutating']);
  return {
    name: 'fairness',
    run(context) {
      if (isLongRunning(context)) return;
      const kind = READING.has(context.info.verb) ? 'readOnly' : 'mutating';
      const limit = kind === 'readOnly' ? limits.reading : limits.writing;
      if (inFlight[kind] >= limit && !context.user.groups.includes('system:masters'))
        throw tooManyRequests('Too many requests, please try again later.', 1);
      gauge.set(++inFlight[kind], [kind]);
      context.release = () => gauge.set(--inFlight[kind], [kind]);
    },
  };
}
