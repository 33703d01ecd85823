import type { corev1 } from '@k8ts/api';
import { formatTime } from '@k8ts/apimachinery';
import type { Clock } from '@k8ts/base';

import { LruMap } from './lru-map.ts';
import { TokenBucket } from './rate-limiter.ts';

/** client-go's numbers (tools/record/events_cache.go). */
const CACHE_SIZE = 4096;
const AGGREGATE_MAX_EVENTS = 10;
const AGGREGATE_INTERVAL = 600_000;
const SPAM_BURST = 25;
const SPAM_PER_SECOND = 1 / 300;

export interface CorrelatedEvent {
  readonly event: corev1.Event;
  /** Set when an event that exists only happened again: what to merge into it. */
  readonly patch: Pick<corev1.Event, 'count' | 'lastTimestamp' | 'message'> | undefined;
}

interface Observation {
  readonly count: number;
  readonly firstTimestamp: string | undefined;
  readonly name: string;
}

interface Aggregate {
  readonly messages: Set<string>;
  lastSeen: number;
}

/**
 * Keeps events from flooding the API. The same event again becomes a higher count; ten that differ only in their message
 * within ten minutes become one "(combined from similar events)"; and about one object a source may send 25 events at once
 * and one every five minutes after that.
 */
export class EventCorrelator {
  readonly #clock: Clock;
  readonly #aggregates = new LruMap<string, Aggregate>(CACHE_SIZE);
  readonly #observations = new LruMap<string, Observation>(CACHE_SIZE);
  readonly #buckets = new LruMap<string, TokenBucket>(CACHE_SIZE);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Undefined when the event is to be dropped. */
  correlate(event: corev1.Event): CorrelatedEvent | undefined {
    const { event: aggregated, key } = this.#aggregate(event);
    const correlated = this.#count(aggregated, key);
    return this.#isSpam(correlated.event) ? undefined : correlated;
  }

  /** The server has it like this now; a patch must find it under its name. */
  update(event: corev1.Event): void {
    this.#observations.set(eventKey(event), {
      count: event.count ?? 1,
      firstTimestamp: event.firstTimestamp,
      name: event.metadata.name,
    });
  }

  #aggregate(event: corev1.Event): { readonly event: corev1.Event; readonly key: string } {
    const now = this.#clock.now();
    const aggregateKey = join([
      ...sourceAndObject(event),
      event.type,
      event.reason,
      event.reportingComponent,
      event.reportingInstance,
    ]);
    let aggregate = this.#aggregates.get(aggregateKey);
    if (aggregate === undefined || now - aggregate.lastSeen > AGGREGATE_INTERVAL)
      aggregate = { messages: new Set(), lastSeen: now };
    aggregate.messages.add(event.message ?? '');
    aggregate.lastSeen = now;
    this.#aggregates.set(aggregateKey, aggregate);
    if (aggregate.messages.size < AGGREGATE_MAX_EVENTS) return { event, key: eventKey(event) };

    for (const message of aggregate.messages) {
      aggregate.messages.delete(message); // the set need not grow any further
      break;
    }
    const time = formatTime(now);
    return {
      event: {
        ...event,
        count: 1,
        firstTimestamp: time,
        lastTimestamp: time,
        message: `(combined from similar events): ${event.message ?? ''}`,
      },
      key: aggregateKey,
    };
  }

  #count(event: corev1.Event, key: string): CorrelatedEvent {
    const known = this.#observations.get(key);
    const count = known === undefined ? 1 : known.count + 1;
    const counted: corev1.Event =
      known === undefined
        ? event
        : {
            ...event,
            metadata: { ...event.metadata, name: known.name },
            ...(known.firstTimestamp === undefined ? {} : { firstTimestamp: known.firstTimestamp }),
            count,
          };
    this.#observations.set(key, {
      count,
      firstTimestamp: counted.firstTimestamp,
      name: counted.metadata.name,
    });
    const { lastTimestamp, message } = counted;
    return {
      event: counted,
      patch:
        known === undefined
          ? undefined
          : {
              count,
              ...(lastTimestamp === undefined ? {} : { lastTimestamp }),
              ...(message === undefined ? {} : { message }),
            },
    };
  }

  #isSpam(event: corev1.Event): boolean {
    const key = join([...sourceAndObject(event), event.type]);
    let bucket = this.#buckets.get(key);
    bucket ??= new TokenBucket(this.#clock, SPAM_PER_SECOND, SPAM_BURST);
    this.#buckets.set(key, bucket);
    return !bucket.tryTake();
  }
}

function sourceAndObject({ source, involvedObject }: corev1.Event): (string | undefined)[] {
  const { kind, namespace, name, uid, apiVersion } = involvedObject;
  return [source?.component, source?.host, kind, namespace, name, uid, apiVersion];
}

function eventKey(event: corev1.Event): string {
  return join([
    ...sourceAndObject(event),
    event.involvedObject.fieldPath,
    event.type,
    event.reason,
    event.message,
  ]);
}

function join(parts: readonly (string | undefined)[]): string {
  return parts.map((part) => part ?? '').join('\u0000');
}
