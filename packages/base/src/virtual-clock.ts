import type { CancelTimer, Clock } from './clock.ts';

interface VirtualTimer {
  readonly due: number;
  readonly sequence: number;
  readonly callback: () => void;
}

/**
 * A clock that moves only when told to. `advance` fires the timers that fall due in order, and between two timers lets
 * everything that they set off come to rest, so five minutes of node failure take milliseconds and always end the same.
 *
 * Comes to rest means: no `yield()` is outstanding and `settleTurns` turns of the event loop in a row brought no new
 * timer and no new yield. Work that waits for anything else (sockets, disks) is not seen; whole-cluster tests on virtual
 * time use the in-process transport and the memory store, which need neither.
 */
export class VirtualClock implements Clock {
  readonly #origin: number;
  #elapsed = 0;
  #sequence = 0;
  #activity = 0;
  #yielding = 0;
  readonly #timers: VirtualTimer[] = []; // binary heap on (due, sequence)

  constructor(origin: number = Date.UTC(2026, 0, 1)) {
    this.#origin = origin;
  }

  now(): number {
    return this.#origin + this.#elapsed;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  setTimeout(callback: () => void, delay: number): CancelTimer {
    let cancelled = false;
    this.#activity++;
    push(this.#timers, {
      due: this.#elapsed + Math.max(0, Number.isFinite(delay) ? delay : 0),
      sequence: this.#sequence++,
      callback: () => {
        if (!cancelled) callback();
      },
    });
    return () => {
      cancelled = true;
    };
  }

  async yield(): Promise<void> {
    this.#activity++;
    this.#yielding++;
    await nextTurn();
    this.#yielding--;
  }

  /** Lets everything that can run without time passing run. */
  async settle(settleTurns = 3): Promise<void> {
    let quiet = 0;
    while (quiet < settleTurns) {
      const before = this.#activity;
      await nextTurn();
      quiet = this.#activity === before && this.#yielding === 0 ? quiet + 1 : 0;
    }
  }

  /** Moves time forward by `milliseconds`, firing what falls due on the way. */
  async advance(milliseconds: number): Promise<void> {
    const target = this.#elapsed + milliseconds;
    await this.settle();
    for (;;) {
      const next = this.#timers[0];
      if (next === undefined || next.due > target) break;
      this.#elapsed = Math.max(this.#elapsed, next.due);
      // All timers of one instant fire together, in the order they were set.
      while (this.#timers[0] !== undefined && this.#timers[0].due <= this.#elapsed)
        pop(this.#timers)?.callback();
      await this.settle();
    }
    this.#elapsed = target;
  }

  /**
   * Moves time forward, timer by timer, until `condition` holds; at most `limit` milliseconds.
   * Throws when it does not hold by then.
   */
  async advanceUntil(condition: () => boolean | Promise<boolean>, limit: number): Promise<void> {
    const deadline = this.#elapsed + limit;
    await this.settle();
    while (!(await condition())) {
      const next = this.#timers[0];
      if (next === undefined || next.due > deadline) {
        await this.advance(deadline - this.#elapsed);
        if (await condition()) return;
        throw new Error(`condition does not hold after ${limit} ms of virtual time`);
      }
      await this.advance(next.due - this.#elapsed);
    }
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function before(a: VirtualTimer, b: VirtualTimer): boolean {
  return a.due < b.due || (a.due === b.due && a.sequence < b.sequence);
}

function push(heap: VirtualTimer[], timer: VirtualTimer): void {
  let index = heap.length;
  heap.push(timer);
  while (index > 0) {
    const parent = (index - 1) >> 1;
    const other = heap[parent] as VirtualTimer;
    if (!before(timer, other)) break;
    heap[index] = other;
    index = parent;
  }
  heap[index] = timer;
}

function pop(heap: VirtualTimer[]): VirtualTimer | undefined {
  const top = heap[0];
  const last = heap.pop();
  if (top === undefined || last === undefined || heap.length === 0) return top;
  let index = 0;
  for (;;) {
    let child = 2 * index + 1;
    if (child >= heap.length) break;
    const right = heap[child + 1];
    if (right !== undefined && before(right, heap[child] as VirtualTimer)) child++;
    const smaller = heap[child] as VirtualTimer;
    if (!before(smaller, last)) break;
    heap[index] = smaller;
    index = child;
  }
  heap[index] = last;
  return top;
}
