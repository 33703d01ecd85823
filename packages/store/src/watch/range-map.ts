/**
 * Finds the ranges that hold a key without looking at all ranges.
 *
 * The borders of all ranges cut the key space into segments; each segment lists the ranges that cover it. A look-up is one
 * binary search. Worked example, ranges a=[b,f) and b=[d,z):
 *
 *     borders   b      d         f      z
 *     covering  [a]    [a, b]    [b]    []
 */
export class RangeMap<T extends KeyRange> {
  readonly #segments: Segment<T>[] = []; // by `start`; the last one covers nothing

  add(range: T): void {
    if (range.start >= range.end) return;
    const first = this.#cutAt(range.start);
    const end = this.#cutAt(range.end);
    for (let i = first; i < end; i++) {
      const segment = this.#segments[i] as Segment<T>;
      segment.ranges = [...segment.ranges, range];
    }
  }

  delete(range: T): void {
    if (range.start >= range.end) return;
    const first = this.#find(range.start);
    const end = this.#find(range.end);
    for (let i = first; i < end; i++) {
      const segment = this.#segments[i] as Segment<T>;
      segment.ranges = segment.ranges.filter((other) => other !== range);
    }
    this.#joinAt(end);
    this.#joinAt(first);
  }

  /** The ranges that hold `key`; the array is never changed afterwards. */
  at(key: string): readonly T[] {
    const at = this.#find(key);
    return at < 0 ? NONE : (this.#segments[at] as Segment<T>).ranges;
  }

  /** How many segments there are. */
  get size(): number {
    return this.#segments.length;
  }

  /** The last segment that starts at or before `key`; -1 if there is none. */
  #find(key: string): number {
    let low = 0;
    let high = this.#segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#segments[middle] as Segment<T>).start <= key) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #cutAt(border: string): number {
    const at = this.#find(border);
    const segment = this.#segments[at];
    if (segment !== undefined && segment.start === border) return at;
    this.#segments.splice(at + 1, 0, { start: border, ranges: segment?.ranges ?? NONE });
    return at + 1;
  }

  /** Takes the border at the start of segment `at` away if no range starts or ends there any more. */
  #joinAt(at: number): void {
    const segment = this.#segments[at];
    if (segment === undefined) return;
    const before = at === 0 ? NONE : (this.#segments[at - 1] as Segment<T>).ranges;
    // Ranges keep their order of arrival in every segment, so equal sets are equal lists.
    const same =
      before.length === segment.ranges.length && before.every((range, i) => range === segment.ranges[i]);
    if (same) this.#segments.splice(at, 1);
  }
}

export interface KeyRange {
  readonly start: string;
  /** Exclusive. */
  readonly end: string;
}

interface Segment<T> {
  readonly start: string;
  ranges: readonly T[];
}

const NONE: readonly never[] = [];
