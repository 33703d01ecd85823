import type { corev1 } from '@k8ts/api';
import type { CancelTimer, Clock } from '@k8ts/base';
import { uidOf } from '../cluster-state/pod-info.ts';
import type { ClusterEvent, Plugin } from '../contract.ts';
import { Heap } from './heap.ts';
import type { HeapElement } from './heap.ts';

/** A pod on its way to a node. */
export interface QueuedPod extends HeapElement {
  pod: corev1.Pod;
  /** When it came, in the clock's monotonic milliseconds. */
  readonly added: number;
  /** Times it was tried. */
  attempts: number;
  /** Until when it is not tried again. */
  backoffUntil: number;
  /** Since when it waits for something to change. */
  parkedAt: number;
  /** What refused it last; events that none of these cares for do not wake it. */
  refusedBy: ReadonlySet<string>;
  place: 'active' | 'backoff' | 'parked' | 'held' | 'gated' | 'in-flight';
}

export interface SchedulingQueueOptions {
  readonly clock: Clock;
  readonly plugins: readonly Plugin[];
  /** Milliseconds; upstream's podInitialBackoffSeconds, podMaxBackoffSeconds, podMaxInUnschedulablePodsDuration. */
  readonly initialBackoff?: number;
  readonly maxBackoff?: number;
  readonly maxParked?: number;
}

/**
 * Pods that wait for a node, in three places as upstream's queue: active (by priority, then by age), in back-off after a
 * failed try, and parked until an event that may help one of the plugins that refused them. Nobody is parked for ever.
 */
export class SchedulingQueue {
  readonly #clock: Clock;
  readonly #retryOn: ReadonlyMap<string, ReadonlySet<ClusterEvent>>;
  readonly #initialBackoff: number;
  readonly #maxBackoff: number;
  readonly #maxParked: number;
  readonly #pods = new Map<string, QueuedPod>();
  readonly #active = new Heap<QueuedPod>(comesBefore);
  readonly #backoff = new Heap<QueuedPod>((a, b) => a.backoffUntil < b.backoffUntil);
  readonly #parked = new Set<QueuedPod>();
  /** Not to be tried yet, each with whether it is to be afterwards. */
  readonly #held = new Map<QueuedPod, boolean>();
  /** Events since each pod in flight was taken out: they may have made room after it was judged. */
  readonly #missed = new Map<QueuedPod, Set<ClusterEvent>>();
  #timer: { readonly cancel: CancelTimer; readonly due: number } | undefined;
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(options: SchedulingQueueOptions) {
    this.#clock = options.clock;
    this.#retryOn = new Map(options.plugins.map(({ name, retryOn }) => [name, new Set(retryOn)]));
    this.#initialBackoff = options.initialBackoff ?? 1000;
    this.#maxBackoff = options.maxBackoff ?? 10_000;
    this.#maxParked = options.maxParked ?? 5 * 60 * 1000;
  }

  /** How many pods wait, by place. */
  get counts(): {
    readonly active: number;
    readonly backoff: number;
    readonly unschedulable: number;
    readonly gated: number;
  } {
    let gated = 0;
    for (const entry of this.#pods.values()) if (entry.place === 'gated') gated++;
    return {
      active: this.#active.size,
      backoff: this.#backoff.size,
      unschedulable: this.#parked.size + this.#held.size,
      gated,
    };
  }

  /** A pod came, or changed while it waits. A change of what scheduling looks at is a reason to try at once. */
  put(pod: corev1.Pod): void {
    const uid = uidOf(pod);
    const known = this.#pods.get(uid);
    if (known === undefined) {
      const entry: QueuedPod = {
        pod,
        added: this.#clock.monotonic(),
        attempts: 0,
        backoffUntil: 0,
        parkedAt: 0,
        refusedBy: new Set(),
        heapIndex: -1,
        place: 'gated',
      };
      this.#pods.set(uid, entry);
      if (!isGated(pod)) this.#activate(entry);
      return;
    }
    const before = known.pod;
    known.pod = pod;
    if (known.place === 'gated') {
      if (!isGated(pod)) this.#activate(known);
    } else if (known.place === 'parked' && changesScheduling(before, pod)) {
      this.#retry(known);
    } else if (known.place === 'held' && changesScheduling(before, pod)) {
      this.#held.set(known, true);
    } else if (known.place === 'active') {
      // Its priority may have changed.
      this.#active.remove(known);
      this.#active.push(known);
    }
  }

  /** A pod is gone, or on a node. */
  delete(uid: string): void {
    const entry = this.#pods.get(uid);
    if (entry === undefined) return;
    this.#pods.delete(uid);
    this.#active.remove(entry);
    this.#backoff.remove(entry);
    this.#parked.delete(entry);
    this.#held.delete(entry);
    this.#missed.delete(entry);
  }

  /**
   * Something happened that may help: pods that a plugin refused which cares for it are tried again. `whom`: those it can
   * help at all.
   */
  onEvent(event: ClusterEvent, whom: (pod: corev1.Pod) => boolean = () => true): void {
    for (const missed of this.#missed.values()) missed.add(event);
    const helps = (entry: QueuedPod): boolean => this.#helps(entry, [event]) && whom(entry.pod);
    for (const entry of this.#parked) if (helps(entry)) this.#retry(entry);
    for (const entry of this.#held.keys()) if (helps(entry)) this.#held.set(entry, true);
  }

  /** After `park`: pods are being deleted for this one. Until that is done it is not tried, whatever happens. */
  hold(entry: QueuedPod): void {
    if (this.#pods.get(uidOf(entry.pod)) !== entry) return;
    const isWoken = entry.place === 'backoff';
    this.#backoff.remove(entry);
    this.#parked.delete(entry);
    entry.place = 'held';
    this.#held.set(entry, isWoken);
  }

  /** It is parked again, or, if something happened meanwhile that may help or if `retry` is asked for, tried again. */
  release(entry: QueuedPod, retry: boolean): void {
    const isWoken = this.#held.get(entry);
    if (!this.#held.delete(entry)) return; // gone meanwhile
    if (isWoken === true || retry) this.#retry(entry);
    else this.#park(entry);
  }

  /** The next pod to try; waits for one. Undefined when the queue is closed. */
  async take(): Promise<QueuedPod | undefined> {
    for (;;) {
      if (this.#closed) return undefined;
      const entry = this.tryTake();
      if (entry !== undefined) return entry;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  tryTake(): QueuedPod | undefined {
    const entry = this.#active.pop();
    if (entry === undefined) return undefined;
    entry.place = 'in-flight';
    entry.attempts++;
    this.#missed.set(entry, new Set());
    return entry;
  }

  /** It found no node: it waits for events that may help, or, if one came meanwhile, for its back-off only. */
  park(entry: QueuedPod, refusedBy: ReadonlySet<string>): void {
    const missed = this.#missed.get(entry);
    this.#missed.delete(entry);
    if (this.#pods.get(uidOf(entry.pod)) !== entry) return; // gone meanwhile
    entry.refusedBy = refusedBy;
    entry.backoffUntil = this.#clock.monotonic() + this.#backoffOf(entry);
    if (this.#helps(entry, missed ?? [])) {
      this.#delay(entry);
    } else {
      this.#park(entry);
    }
  }

  /** It found a node and could not be bound to it: nothing about the nodes is wrong, so only the back-off holds it. */
  delayRetry(entry: QueuedPod): void {
    this.#missed.delete(entry);
    if (this.#pods.get(uidOf(entry.pod)) !== entry) return;
    entry.backoffUntil = this.#clock.monotonic() + this.#backoffOf(entry);
    this.#delay(entry);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#wake?.();
  }

  #helps({ refusedBy }: QueuedPod, events: Iterable<ClusterEvent>): boolean {
    for (const event of events) {
      if (refusedBy.size === 0) return true; // there were no nodes at all
      for (const plugin of refusedBy) if (this.#retryOn.get(plugin)?.has(event) === true) return true;
    }
    return false;
  }

  #park(entry: QueuedPod): void {
    entry.place = 'parked';
    entry.parkedAt = this.#clock.monotonic();
    this.#parked.add(entry);
    this.#schedule();
  }

  #retry(entry: QueuedPod): void {
    this.#parked.delete(entry);
    if (entry.backoffUntil > this.#clock.monotonic()) this.#delay(entry);
    else this.#activate(entry);
  }

  #activate(entry: QueuedPod): void {
    entry.place = 'active';
    this.#active.push(entry);
    this.#wake?.();
    this.#wake = undefined;
  }

  #delay(entry: QueuedPod): void {
    entry.place = 'backoff';
    this.#backoff.push(entry);
    this.#schedule();
  }

  /** 1 s, 2 s, 4 s … 10 s. */
  #backoffOf({ attempts }: QueuedPod): number {
    return Math.min(this.#maxBackoff, this.#initialBackoff * 2 ** Math.max(0, attempts - 1));
  }

  /** One timer, for whatever is due first. */
  #schedule(): void {
    if (this.#closed) return;
    let due = this.#backoff.peek()?.backoffUntil ?? Infinity;
    for (const { parkedAt } of this.#parked) {
      due = Math.min(due, parkedAt + this.#maxParked);
      break; // a Set keeps the order of insertion, so the first has waited longest
    }
    if (due === Infinity || (this.#timer !== undefined && this.#timer.due <= due)) return;
    this.#timer?.cancel();
    const cancel = this.#clock.setTimeout(() => this.#flush(), Math.max(0, due - this.#clock.monotonic()));
    this.#timer = { cancel, due };
  }

  #flush(): void {
    this.#timer = undefined;
    const now = this.#clock.monotonic();
    for (
      let first = this.#backoff.peek();
      first !== undefined && first.backoffUntil <= now;
      first = this.#backoff.peek()
    )
      this.#activate(this.#backoff.pop() as QueuedPod);
    for (const entry of this.#parked) {
      if (entry.parkedAt + this.#maxParked > now) break;
      this.#retry(entry);
    }
    this.#schedule();
  }
}

function comesBefore(a: QueuedPod, b: QueuedPod): boolean {
  const [priorityA, priorityB] = [a.pod.spec.priority ?? 0, b.pod.spec.priority ?? 0];
  return priorityA > priorityB || (priorityA === priorityB && a.added < b.added);
}

export function isGated(pod: corev1.Pod): boolean {
  return (pod.spec.schedulingGates ?? []).length > 0;
}

function changesScheduling(before: corev1.Pod, after: corev1.Pod): boolean {
  return (
    JSON.stringify([before.spec, before.metadata.labels]) !==
    JSON.stringify([after.spec, after.metadata.labels])
  );
}
