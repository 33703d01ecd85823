import type { corev1 } from '@k8ts/api';

export const COMPLETION_INDEX = 'batch.kubernetes.io/job-completion-index';

/** From and to, both included. */
type Interval = readonly [first: number, last: number];

/** A set of completion indexes as intervals in order: small even when a job has a hundred thousand of them. */
export class Indexes {
  static readonly NONE: Indexes = new Indexes([]);
  readonly #intervals: readonly Interval[];
  /** How many there are. */
  readonly total: number;

  /** Intervals in order that neither touch nor overlap. */
  private constructor(intervals: readonly Interval[]) {
    this.#intervals = intervals;
    this.total = intervals.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  }

  static of(indexes: Iterable<number>): Indexes {
    return Indexes.#joined([...indexes].map((index) => [index, index] as const));
  }

  static #joined(intervals: Interval[]): Indexes {
    intervals.sort(([a], [b]) => a - b);
    const result: [number, number][] = [];
    for (const [first, last] of intervals) {
      const before = result.at(-1);
      if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
      else result.push([first, last]);
    }
    return new Indexes(result);
  }

  /** Reads `1,3-5,7`; what cannot be read, or is not below `completions`, is left out. */
  static parse(text: string | undefined, completions: number): Indexes {
    if (text === undefined || text === '') return Indexes.NONE;
    const intervals: Interval[] = [];
    for (const part of text.split(',')) {
      const match = /^(\d+)(?:-(\d+))?$/.exec(part);
      if (match === null) continue;
      const first = Number(match[1]);
      const last = Math.min(Number(match[2] ?? match[1]), completions - 1);
      if (first <= last) intervals.push([first, last]);
    }
    return Indexes.#joined(intervals);
  }

  union(other: Indexes): Indexes {
    if (other.total === 0) return this;
    return Indexes.#joined([...this.#intervals, ...other.#intervals]);
  }

  has(index: number): boolean {
    let low = 0;
    let high = this.#intervals.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const [first, last] = this.#intervals[middle] as Interval;
      if (index < first) high = middle - 1;
      else if (index > last) low = middle + 1;
      else return true;
    }
    return false;
  }

  /** How many are in both. */
  overlap(other: Indexes): number {
    const [left, right] = [this.#intervals, other.#intervals];
    let [l, r, count] = [0, 0, 0];
    for (;;) {
      const a = left[l];
      const b = right[r];
      if (a === undefined || b === undefined) return count;
      count += Math.max(0, Math.min(a[1], b[1]) - Math.max(a[0], b[0]) + 1);
      if (a[1] < b[1]) l++;
      else r++;
    }
  }

  /** The first `count` indexes below `completions` that are not in it. */
  firstMissing(count: number, completions: number): number[] {
    const missing: number[] = [];
    let candidate = 0;
    for (const [first, last] of [...this.#intervals, [completions, completions] as const]) {
      for (; candidate < Math.min(first, completions) && missing.length < count; candidate++)
        missing.push(candidate);
      candidate = Math.max(candidate, last + 1);
    }
    return missing;
  }

  /** `1,3-5,7`; two in a row are written `3,4`. */
  toString(): string {
    return this.#intervals
      .map(([first, last]) =>
        first === last ? `${first}` : last === first + 1 ? `${first},${last}` : `${first}-${last}`,
      )
      .join(',');
  }
}

/** The pod's place in its job; undefined when it has none, or one that cannot be read. */
export function completionIndexOf(pod: corev1.Pod): number | undefined {
  const text = pod.metadata.annotations?.[COMPLETION_INDEX];
  return text !== undefined && /^\+?\d{1,10}$/.test(text) ? Number(text) : undefined;
}
