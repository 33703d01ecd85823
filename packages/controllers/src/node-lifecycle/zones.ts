import { TokenBucket } from '@k8ts/client';
import type { Clock } from '@k8ts/base';

/**
 * - `normal`: nodes fail one by one, and their pods are moved at the usual rate.
 * - `partial`: so many failed that the fault may be ours; large zones are emptied slowly, small ones not at all.
 * - `full`: none is left. If that holds for all zones it is us who are cut off, and nothing is evicted.
 */
export type ZoneState = 'normal' | 'partial' | 'full';

export interface ZoneOptions {
  readonly evictionRate: number;
  readonly secondaryEvictionRate: number;
  readonly largeClusterSizeThreshold: number;
  readonly unhealthyZoneThreshold: number;
}

export function zoneState(ready: number, notReady: number, threshold: number): ZoneState {
  if (ready === 0 && notReady > 0) return 'full';
  return notReady > 2 && notReady / (ready + notReady) >= threshold ? 'partial' : 'normal';
}

/** Nodes per second that may be tainted. */
export function zoneRate(state: ZoneState, size: number, options: ZoneOptions): number {
  if (state !== 'partial') return options.evictionRate;
  return size > options.largeClusterSizeThreshold ? options.secondaryEvictionRate : 0;
}

/** The nodes of one zone that wait to be tainted, first come first served, at the zone's rate. */
export class ZoneQueue {
  readonly #clock: Clock;
  readonly #waiting = new Set<string>();
  #rate = 0;
  #bucket: TokenBucket;

  constructor(clock: Clock, rate: number) {
    this.#clock = clock;
    this.#rate = rate;
    this.#bucket = new TokenBucket(clock, rate, 1);
  }

  get size(): number {
    return this.#waiting.size;
  }

  get rate(): number {
    return this.#rate;
  }

  setRate(rate: number): void {
    if (rate === this.#rate) return;
    this.#rate = rate;
    this.#bucket = new TokenBucket(this.#clock, rate, 1);
  }

  add(node: string): void {
    this.#waiting.add(node);
  }

  remove(node: string): void {
    this.#waiting.delete(node);
  }

  /** The next node, if it may be tainted now. */
  take(): string | undefined {
    if (this.#rate <= 0) return undefined;
    for (const node of this.#waiting) {
      if (!this.#bucket.tryTake()) return undefined;
      this.#waiting.delete(node);
      return node;
    }
    return undefined;
  }
}
