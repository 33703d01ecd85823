import { tooManyRequests, type StatusError } from '@k8ts/apimachinery';
import type { Clock, Metrics } from '@k8ts/base';
import type { Classification, FlowControl } from '../flowcontrol/flow-control.ts';
import type { Refusal, Ticket } from '../flowcontrol/queue-set.ts';
import { estimateSeats, type ObjectStats } from '../flowcontrol/work-estimate.ts';
import type { PipelineStep } from '../request-pipeline.ts';
import type { RequestContext } from '../request/request-context.ts';
import type { RequestInfo } from '../request/request-info.ts';
import { DEFAULT_REQUEST_TIMEOUT, isLongRunning, timeLimitOf } from '../request/time-limit.ts';

export interface InFlightLimits {
  /** GET, LIST at the same time: `--max-requests-inflight`. Default 4,000. */
  readonly reading: number;
  /** Writes at the same time: `--max-mutating-requests-inflight`. Default 4,000. */
  readonly writing: number;
}

/**
 * Upstream's are 400 and 200, to save CPU and memory. With one event loop, requests that wait for the disk together share
 * its sync, so it is better to have many; the limits bound memory.
 */
export const DEFAULT_IN_FLIGHT: InFlightLimits = { reading: 4_000, writing: 4_000 };

export interface FairnessOptions {
  readonly flowControl: FlowControl;
  readonly stats: (info: RequestInfo) => ObjectStats | undefined;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Milliseconds; a request waits for a seat a quarter of the time it has. */
  readonly requestTimeout: number | undefined;
}

const READING = new Set(['get', 'list', 'watch']);
/** Milliseconds that a request may wait for its seat, however long it has. */
const LONGEST_WAIT = 60_000;

/**
 * Gives each request its seats, if it has to wait for them, or refuses it with 429. Streams are not counted, and watches
 * only until they have begun.
 */
export function fairnessStep(options: FairnessOptions): PipelineStep {
  const { flowControl, clock } = options;
  const inFlight = inFlightGauge(options.metrics);

  /** The request runs from here to `context.release`. */
  const start = (context: RequestContext, { level, metrics }: Classification, ticket: Ticket): void => {
    const isReading = READING.has(context.info.verb);
    const startedAt = clock.monotonic();
    inFlight.add(isReading, 1);
    metrics.started(ticket.seats);
    context.release = () => {
      context.release = undefined;
      inFlight.add(isReading, -1);
      metrics.ended(ticket.seats, clock.monotonic() - startedAt, context.info.verb === 'watch');
      level.queues.finish(ticket);
    };
  };
  const refusal = ({ level, metrics }: Classification, reason: Refusal): StatusError => {
    metrics.refused(reason);
    level.retryAfter.noteRefusal(clock.now());
    return tooManyRequests('Too many requests, please try again later.', level.retryAfter.value);
  };
  const wait = async (
    context: RequestContext,
    classification: Classification,
    ticket: Ticket,
    decision: Promise<boolean>,
  ): Promise<void> => {
    const { level, metrics } = classification;
    const since = clock.monotonic();
    const cancel = (): boolean => level.queues.cancel(ticket);
    const cancelTimer = clock.setTimeout(cancel, waitLimit(context, options.requestTimeout));
    context.signal.addEventListener('abort', cancel, { once: true });
    if (context.signal.aborted) cancel();
    metrics.queued(ticket.seats, level.queues.queueLength(ticket));
    const runs = await decision;
    cancelTimer();
    context.signal.removeEventListener('abort', cancel);
    metrics.unqueued(ticket.seats, clock.monotonic() - since, runs);
    if (!runs) throw refusal(classification, 'time-out');
    start(context, classification, ticket);
  };

  return {
    name: 'fairness',
    run(context) {
      const { info } = context;
      if (isLongRunning(context) && info.verb !== 'watch') return undefined;
      const classification = flowControl.classify(context.user, info);
      context.classification = classification;
      const { level } = classification;
      const seats = estimateSeats(info, context.query, level.maxSeats, options.stats);
      const ticket = level.queues.request(seats, flowControl.flowHash(classification, context.user, info));
      if (typeof ticket === 'string') throw refusal(classification, ticket);
      if (ticket.decision !== undefined) return wait(context, classification, ticket, ticket.decision);
      start(context, classification, ticket);
      return undefined;
    },
  };
}

function waitLimit(context: RequestContext, requestTimeout: number | undefined): number {
  const maximum = requestTimeout ?? DEFAULT_REQUEST_TIMEOUT;
  return Math.min((timeLimitOf(context, maximum) ?? maximum) / 4, LONGEST_WAIT);
}

function inFlightGauge(metrics: Metrics): { add(isReading: boolean, by: number): void } {
  const gauge = metrics.gauge({
    name: 'apiserver_current_inflight_requests',
    help: 'Maximal number of currently used inflight request limit of this apiserver per request kind in last second.',
    labels: ['request_kind'],
  });
  const reading = gauge.child(['readOnly']);
  const writing = gauge.child(['mutating']);
  return { add: (isReading, by) => (isReading ? reading : writing).add(by) };
}
