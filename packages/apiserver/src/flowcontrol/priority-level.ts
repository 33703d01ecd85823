import type { flowcontrolv1 } from '@k8ts/api';
import type { Clock } from '@k8ts/base';
import { EXEMPT } from './default-configuration.ts';
import { QueueSet, type Queueing } from './queue-set.ts';
import { RetryAfter } from './retry-after.ts';
import { SeatDemand } from './seat-demand.ts';

type Configuration = flowcontrolv1.PriorityLevelConfiguration;

/** Of the nominal seats of a level, at most this part goes to one request (upstream: priorityLevelMaxSeatsPercent). */
const MAX_SEATS_PART = 0.15;

/** A level of priority and what is known of its use. */
export class PriorityLevel {
  configuration: Configuration;
  readonly queues: QueueSet;
  readonly demand: SeatDemand;
  readonly retryAfter: RetryAfter = new RetryAfter();
  /** Seats that the level has by its share, keeps for itself, may have at most, and has now. */
  nominal = 0;
  lower = 0;
  upper = 0;
  current = 0;
  /** Its configuration is gone; it stays until its requests are done. */
  isLeaving = false;

  constructor(configuration: Configuration, clock: Clock) {
    this.configuration = configuration;
    const demand = new SeatDemand(clock.monotonic());
    this.demand = demand;
    this.queues = new QueueSet(clock, queueingOf(configuration), 0, (seats, now) => demand.set(seats, now));
  }

  get name(): string {
    return this.configuration.metadata.name;
  }

  get isExempt(): boolean {
    return this.configuration.spec?.type === 'Exempt';
  }

  get shares(): number {
    const { limited, exempt } = this.configuration.spec ?? {};
    return limited?.nominalConcurrencyShares ?? exempt?.nominalConcurrencyShares ?? 0;
  }

  /** Seats that one request can take at most. */
  get maxSeats(): number {
    const queueing = queueingOf(this.configuration);
    if (queueing.kind !== 'queue') return Infinity;
    return Math.max(
      1,
      Math.min(Math.ceil(this.nominal * MAX_SEATS_PART), Math.floor(this.nominal / queueing.handSize)),
    );
  }

  /** Of the server's `total` seats, to be divided by all levels' shares together. */
  setShare(total: number, shareSum: number): void {
    const { limited, exempt } = this.configuration.spec ?? {};
    const lendable = limited?.lendablePercent ?? exempt?.lendablePercent ?? 0;
    const borrowing = limited?.borrowingLimitPercent;
    this.nominal = shareSum === 0 ? 0 : Math.ceil((total * this.shares) / shareSum);
    this.lower = this.nominal - Math.round((this.nominal * lendable) / 100);
    this.upper =
      this.nominal + (borrowing === undefined ? total : Math.round((this.nominal * borrowing) / 100));
  }

  setCurrent(seats: number): void {
    this.current = seats;
    this.queues.configure(queueingOf(this.configuration), seats);
  }
}

function queueingOf({ spec }: Configuration): Queueing {
  if (spec?.type === 'Exempt') return { kind: 'exempt' };
  const queuing = spec?.limited?.limitResponse?.queuing;
  if (queuing === undefined) return { kind: 'reject' };
  const { queues = 1, handSize = 1, queueLengthLimit = 1 } = queuing;
  return { kind: 'queue', queues, handSize, queueLengthLimit };
}

/** Whether it can be used; what is not would have been refused by the API. */
export function isUsable({ metadata, spec }: Configuration): boolean {
  const { type, limited, exempt } = spec ?? {};
  if ((type === 'Exempt') !== (metadata.name === EXEMPT)) return false;
  if (type === 'Exempt') return limited === undefined;
  const response = limited?.limitResponse;
  return (
    exempt === undefined &&
    limited !== undefined &&
    (response?.type === 'Queue') === (response?.queuing !== undefined)
  );
}
