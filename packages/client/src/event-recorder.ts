import { corev1 } from '@k8ts/api';
import { StatusError, formatTime, isDNS1123Subdomain, isNotFound } from '@k8ts/apimachinery';
import { Scope, errorMessage, sleep } from '@k8ts/base';
import type { Clock, Logger, Random } from '@k8ts/base';

import type { Client, EventRecorder, ObjectIdentity } from './contract.ts';
import { EventCorrelator } from './event-correlator.ts';
import type { CorrelatedEvent } from './event-correlator.ts';

export interface EventRecorderOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Who speaks: `kubelet`, `deployment-controller`. */
  readonly component: string;
  /** The node, where the component is one of many. */
  readonly host?: string;
}

/** client-go's: events beyond the queue are dropped, one that cannot be written is tried 12 times, 10 s apart. */
const MAX_QUEUED = 1000;
const MAX_TRIES = 12;
const RETRY_WAIT = 10_000;

/** Recording never waits; events are written in the background, in order. Dispose it to stop. */
export function createEventRecorder(options: EventRecorderOptions): EventRecorder & AsyncDisposable {
  const broadcaster = createEventBroadcaster(options);
  const recorder = broadcaster.recorder(options.component, options.host);
  return {
    event: (...event) => recorder.event(...event),
    [Symbol.asyncDispose]: () => broadcaster[Symbol.asyncDispose](),
  };
}

/** One queue and one correlator behind the recorders of several components in a process. */
export interface EventBroadcaster extends AsyncDisposable {
  recorder(component: string, host?: string): EventRecorder;
  /** Resolves when all that was recorded so far has been written or given up. */
  flush(): Promise<void>;
}

/**
 * Writes the events of one process, one after another. Repetitions become a count on the event that is there, similar
 * events are summed up, and what one object says too often is dropped (client-go tools/record).
 */
export function createEventBroadcaster(
  options: Pick<EventRecorderOptions, 'client' | 'clock' | 'random' | 'logger'>,
): EventBroadcaster {
  const { client, clock, random, logger } = options;
  const correlator = new EventCorrelator(clock);
  const scope = new Scope();
  const queue: corev1.Event[] = [];
  let draining = false;
  let drained: Promise<void> = Promise.resolve();
  // Components of one process may speak of one object within one millisecond: each starts elsewhere in it.
  let sequence = Math.floor(random() * 1_000_000);

  const drain = async (): Promise<void> => {
    try {
      for (let event = queue.shift(); event !== undefined; event = queue.shift()) {
        if (scope.signal.aborted) return;
        const correlated = correlator.correlate(event);
        if (correlated !== undefined) await record(correlated);
      }
    } finally {
      draining = false; // in the same turn as the last look at the queue, so that no event falls between
    }
  };
  const record = async (correlated: CorrelatedEvent): Promise<void> => {
    for (let tries = 1; ; tries++) {
      try {
        correlator.update(await write(correlated));
        return;
      } catch (error) {
        const { reason, metadata } = correlated.event;
        if (scope.signal.aborted) return;
        const fields = { reason, namespace: metadata.namespace, error: errorMessage(error) };
        if (error instanceof StatusError) {
          // It would be refused the next time as well.
          if (endsWithNamespace(error)) logger.debug('the server rejected an event', fields);
          else logger.warn('the server rejected an event', fields);
          return;
        }
        if (tries >= MAX_TRIES) {
          logger.warn('an event could not be written and is given up', fields);
          return;
        }
      }
      // The first wait is random, so that many clients do not come back at the same moment.
      await sleep(clock, tries === 1 ? RETRY_WAIT * random() : RETRY_WAIT, scope.signal).catch(
        () => undefined,
      );
    }
  };
  const write = async ({ event, patch }: CorrelatedEvent): Promise<corev1.Event> => {
    const events = client.resource(corev1.events, event.metadata.namespace ?? 'default');
    const signal = scope.signal;
    if (patch !== undefined) {
      try {
        return await events.patch(event.metadata.name, patch, { type: 'strategic', signal });
      } catch (error) {
        if (!isNotFound(error)) throw error; // it expired meanwhile: a new one then
      }
    }
    return events.create(event, { signal });
  };

  return {
    recorder: (component, host) => ({
      event: (about, type, reason, message, { action, related } = {}) => {
        if (scope.signal.aborted) return;
        if (queue.length >= MAX_QUEUED) {
          logger.warn('too many queued events, dropped one', { reason, kind: about.kind, name: about.name });
          return;
        }
        const now = clock.now();
        const time = formatTime(now);
        const namespace =
          about.namespace === undefined || about.namespace === '' ? 'default' : about.namespace;
        queue.push({
          apiVersion: 'v1',
          kind: 'Event',
          metadata: { name: eventName(about.name, now, sequence++), namespace },
          involvedObject: referenceTo(about),
          reason,
          message,
          source: { component, ...(host === undefined ? {} : { host }) },
          firstTimestamp: time,
          lastTimestamp: time,
          count: 1,
          type,
          ...(action === undefined ? {} : { action }),
          ...(related === undefined ? {} : { related: referenceTo(related) }),
          reportingComponent: component,
          reportingInstance: host ?? '',
        });
        if (draining) return;
        draining = true;
        drained = drain();
        scope.run(drained);
      },
    }),
    flush: async () => {
      while (draining) await drained;
    },
    [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
  };
}

function referenceTo(object: ObjectIdentity): corev1.ObjectReference {
  const { apiVersion, kind, name, namespace, uid, resourceVersion, fieldPath } = object;
  return {
    apiVersion,
    kind,
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
    ...(fieldPath === undefined ? {} : { fieldPath }),
  };
}

function endsWithNamespace(error: StatusError): boolean {
  return (
    error.reason === 'AlreadyExists' ||
    error.status.details?.causes?.some(({ reason }) => reason === 'NamespaceTerminating') === true
  );
}

/** `web-0.18b2f0c3a1d4e5f6`: the object's name and the time in nanoseconds, counted up within one millisecond. */
function eventName(name: string, now: number, sequence: number): string {
  const nanoseconds = BigInt(Math.floor(now)) * 1_000_000n + BigInt(sequence % 1_000_000);
  const suffix = `.${nanoseconds.toString(16)}`;
  // Not every object's name can be the name of an Event.
  return isDNS1123Subdomain(name + suffix).length === 0 ? name + suffix : `event${suffix}`;
}
