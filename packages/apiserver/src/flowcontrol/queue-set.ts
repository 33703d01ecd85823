/**
 * The requests of one priority level: those that run, and those that wait in queues until seats are free, taken fairly from
 * the queues (k8s.io/apiserver/pkg/util/flowcontrol/fairqueuing; KEP-1040 explains the mathematics).
 *
 * Progress is measured in seat-milliseconds that a queue would have had if all active queues had been served at once, each
 * with the same share of the seats. The queue whose oldest request would be through first in that world is served next.
 */
import type { Clock } from '@k8ts/base';
import { deal } from './shuffle-sharding.ts';

/** Milliseconds that a request is taken to run, until it is known (upstream: estimatedServiceDuration). */
const ESTIMATED_DURATION = 3;

export type Queueing =
  /** Without limit. */
  | { readonly kind: 'exempt' }
  /** What finds no free seat is refused. */
  | { readonly kind: 'reject' }
  | {
      readonly kind: 'queue';
      readonly queues: number;
      readonly handSize: number;
      readonly queueLengthLimit: number;
    };

export type Refusal = 'concurrency-limit' | 'queue-full' | 'time-out';

interface Queue {
  readonly index: number;
  readonly waiting: Set<QueuedTicket>;
  /** Requests that run. */
  executing: number;
  seatsInUse: number;
  /** Seat-milliseconds of those that wait. */
  work: number;
  /** Where in the fair world the next request is served. */
  nextDispatch: number;
}

/** A request in the set. */
export interface Ticket {
  readonly seats: number;
  /** Set while it waits: resolves with whether it may run. */
  readonly decision: Promise<boolean> | undefined;
}

interface QueuedTicket extends Ticket {
  readonly queue: Queue | undefined;
  /** The progress when it came. */
  readonly arrival: number;
  /** `clock.monotonic()` when it began to run. */
  startedAt: number;
  readonly decide: (mayRun: boolean) => void;
}

export class QueueSet {
  readonly #clock: Clock;
  /** Told whenever the seats wanted (used and waited for) change. */
  readonly #onDemand: (seats: number, now: number) => void;
  #queueing: Queueing;
  #limit: number;
  /** Those with requests, the least recently served first. */
  readonly #queues = new Map<number, Queue>();
  readonly #hand: number[] = [];
  #enqueued = 0;
  #progress = 0;
  #progressAt: number;
  #seatsInUse = 0;
  #executing = 0;
  #waiting = 0;
  #seatsWaiting = 0;

  constructor(
    clock: Clock,
    queueing: Queueing,
    limit: number,
    onDemand: (seats: number, now: number) => void,
  ) {
    this.#clock = clock;
    this.#queueing = queueing;
    this.#limit = limit;
    this.#onDemand = onDemand;
    this.#progressAt = clock.monotonic();
  }

  get isIdle(): boolean {
    return this.#executing === 0 && this.#waiting === 0;
  }

  /** Requests that wait stay in their queues, also in those that the new setting no longer has. */
  configure(queueing: Queueing, limit: number): void {
    const now = this.#advance();
    this.#queueing = queueing;
    this.#limit = limit;
    this.#dispatch(now);
  }

  /** Resolves a waiting request's `decision` later; a ticket without one runs at once. `hash`: the flow's. */
  request(seats: number, hash: number): Ticket | Refusal {
    const { kind } = this.#queueing;
    if (kind !== 'queue') {
      if (kind === 'reject' && !this.#hasRoomFor(seats)) return 'concurrency-limit';
      const ticket: QueuedTicket = {
        seats,
        decision: undefined,
        queue: undefined,
        arrival: 0,
        startedAt: 0, // nobody asks
        decide: ignore,
      };
      this.#executing++;
      this.#seatsInUse += seats;
      this.#noteDemand(this.#clock.monotonic());
      return ticket;
    }
    const now = this.#advance();
    const queue = this.#chooseQueue(hash, this.#queueing);
    if (this.#seatsInUse >= this.#limit && queue.waiting.size >= this.#queueing.queueLengthLimit)
      return 'queue-full';
    let decide: (mayRun: boolean) => void = ignore;
    // Most run at once: then nobody needs the promise.
    const runsAtOnce = this.#waiting === 0 && this.#seatsInUse < this.#limit && this.#hasRoomFor(seats);
    const decision = runsAtOnce ? undefined : new Promise<boolean>((resolve) => (decide = resolve));
    const ticket: QueuedTicket = { seats, decision, queue, arrival: this.#progress, startedAt: 0, decide };
    if (isEmpty(queue)) queue.nextDispatch = this.#progress;
    this.#queues.set(queue.index, queue);
    queue.waiting.add(ticket);
    queue.work += work(ticket);
    this.#waiting++;
    this.#seatsWaiting += seats;
    boundNextDispatch(queue);
    if (runsAtOnce) this.#run(queue, ticket, now);
    else this.#dispatch(now);
    this.#noteDemand(now);
    return ticket;
  }

  /** The request has been answered. */
  finish(given: Ticket): void {
    const ticket = given as QueuedTicket;
    const now = this.#advance();
    this.#executing--;
    this.#seatsInUse -= ticket.seats;
    const { queue } = ticket;
    if (queue !== undefined) {
      queue.executing--;
      queue.seatsInUse -= ticket.seats;
      // It was counted with the estimate; now it is known.
      const duration = now - ticket.startedAt;
      queue.nextDispatch -= ticket.seats * (ESTIMATED_DURATION - duration);
      boundNextDispatch(queue);
      if (isEmpty(queue)) this.#queues.delete(queue.index);
    }
    this.#dispatch(now);
    this.#noteDemand(now);
  }

  /** Nobody waits for the request any more. False when it runs already. */
  cancel(given: Ticket): boolean {
    const ticket = given as QueuedTicket;
    const { queue } = ticket;
    if (queue?.waiting.has(ticket) !== true) return false;
    const now = this.#advance();
    this.#takeOut(queue, ticket);
    boundNextDispatch(queue);
    if (isEmpty(queue)) this.#queues.delete(queue.index);
    ticket.decide(false);
    // What it kept from running because it wanted so many seats may run now.
    this.#dispatch(now);
    this.#noteDemand(now);
    return true;
  }

  /** How many wait in the queue of a ticket. */
  queueLength(ticket: Ticket): number {
    return (ticket as QueuedTicket).queue?.waiting.size ?? 0;
  }

  /**
   * Lets time pass in the fair world: each active queue has had its share of the seats since the last time. Gives
   * `clock.monotonic()`.
   */
  #advance(): number {
    const now = this.#clock.monotonic();
    const passed = now - this.#progressAt;
    this.#progressAt = now;
    if (this.#queues.size > 0) {
      const seats = Math.min(this.#seatsInUse + this.#seatsWaiting, this.#limit);
      this.#progress += (passed * seats) / this.#queues.size;
    }
    return now;
  }

  /** The one with the least work of the flow's hand. */
  #chooseQueue(hash: number, { queues, handSize }: Queueing & { readonly kind: 'queue' }): Queue {
    deal(hash, queues, handSize, this.#hand);
    // Not always in the order of the deal: flows whose hands overlap would meet in the same queue.
    const offset = this.#enqueued++ % handSize;
    let best = -1;
    let least = Infinity;
    for (let i = 0; i < handSize && least > 0; i++) {
      const index = this.#hand[(offset + i) % handSize] as number;
      const waiting = this.#queues.get(index)?.work ?? 0;
      if (waiting < least) {
        least = waiting;
        best = index;
      }
    }
    return (
      this.#queues.get(best) ?? {
        index: best,
        waiting: new Set(),
        executing: 0,
        seatsInUse: 0,
        work: 0,
        nextDispatch: 0,
      }
    );
  }

  #hasRoomFor(seats: number): boolean {
    // What is wider than the level runs alone.
    return this.#seatsInUse + seats <= this.#limit || (seats > this.#limit && this.#executing === 0);
  }

  #dispatch(now: number): void {
    while (this.#waiting > 0 && this.#seatsInUse < this.#limit) {
      const queue = this.#nextQueue();
      const [oldest] = queue.waiting;
      if (oldest === undefined || !this.#hasRoomFor(oldest.seats)) return;
      this.#run(queue, oldest, now);
      oldest.decide(true);
    }
  }

  #nextQueue(): Queue {
    let chosen: Queue | undefined;
    let soonest = Infinity;
    for (const queue of this.#queues.values()) {
      const [oldest] = queue.waiting;
      if (oldest === undefined) continue;
      const finish = queue.nextDispatch + work(oldest);
      if (finish < soonest) {
        soonest = finish;
        chosen = queue;
      }
    }
    return chosen as Queue; // somebody waits
  }

  #run(queue: Queue, ticket: QueuedTicket, now: number): void {
    this.#takeOut(queue, ticket);
    ticket.startedAt = now;
    this.#executing++;
    this.#seatsInUse += ticket.seats;
    queue.executing++;
    queue.seatsInUse += ticket.seats;
    queue.nextDispatch += work(ticket);
    boundNextDispatch(queue);
    // The others come first where all else is equal.
    this.#queues.delete(queue.index);
    this.#queues.set(queue.index, queue);
  }

  #takeOut(queue: Queue, ticket: QueuedTicket): void {
    queue.waiting.delete(ticket);
    queue.work -= work(ticket);
    this.#waiting--;
    this.#seatsWaiting -= ticket.seats;
  }

  #noteDemand(now: number): void {
    this.#onDemand(this.#seatsInUse + this.#seatsWaiting, now);
  }
}

const ignore = (): void => undefined;

/** Seat-milliseconds, as estimated. */
const work = ({ seats }: Ticket): number => seats * ESTIMATED_DURATION;

const isEmpty = ({ waiting, executing }: Queue): boolean => waiting.size === 0 && executing === 0;

/** A queue saves up no claims while it has nothing to do: nothing is served before it came. */
function boundNextDispatch(queue: Queue): void {
  const [oldest] = queue.waiting;
  if (oldest !== undefined && queue.nextDispatch < oldest.arrival) queue.nextDispatch = oldest.arrival;
}
