/**
 * The records of one resource in the order of their keys: a sorted array cut into leaves. Reads of any length see one
 * moment (`snapshot`), because a leaf that somebody holds is copied before it changes. The bytes of a leaf as they stand
 * in a list are joined once and kept until the leaf changes, so that repeated lists copy nothing.
 */
import type { ObjectRecord } from '../storage/object-record.ts';

const LEAF_MAX = 128;

export class Leaf {
  records: ObjectRecord[];
  /** Held by a snapshot: copy before changing. */
  shared = false;
  /** `,{"metadata":…},{"metadata":…}`: every item of this leaf after a comma; undefined after a change. */
  joined: Buffer | undefined = undefined;

  constructor(records: ObjectRecord[]) {
    this.records = records;
  }
}

/** A part of a leaf as it was: `records.slice(from, to)`. Whole leaves carry the leaf, for its joined bytes. */
export interface Stretch {
  readonly records: readonly ObjectRecord[];
  readonly from: number;
  readonly to: number;
  readonly leaf: Leaf | undefined;
}

export class OrderedRecords {
  readonly #byKey = new Map<string, ObjectRecord>();
  #leaves: Leaf[] = [];

  get size(): number {
    return this.#byKey.size;
  }

  get(key: string): ObjectRecord | undefined {
    return this.#byKey.get(key);
  }

  values(): IterableIterator<ObjectRecord> {
    return this.#byKey.values();
  }

  /** Fills an empty index; `records` are in order. */
  load(records: readonly ObjectRecord[]): void {
    for (const record of records) this.#byKey.set(record.key, record);
    // Half-full leaves leave room for what comes in between.
    for (let at = 0; at < records.length; at += LEAF_MAX / 2)
      this.#leaves.push(new Leaf(records.slice(at, at + LEAF_MAX / 2)));
  }

  clear(): void {
    this.#byKey.clear();
    this.#leaves = [];
  }

  set(record: ObjectRecord): void {
    const existed = this.#byKey.has(record.key);
    this.#byKey.set(record.key, record);
    const leafIndex = this.#leafFor(record.key);
    let leaf = this.#leaves[leafIndex];
    if (leaf === undefined) {
      this.#leaves.push((leaf = new Leaf([record])));
      return;
    }
    leaf = this.#writable(leafIndex);
    const at = lowerBound(leaf.records, record.key);
    if (existed) leaf.records[at] = record;
    else if (at === leaf.records.length) leaf.records.push(record);
    else leaf.records.splice(at, 0, record);
    if (leaf.records.length > LEAF_MAX) this.#split(leafIndex, at);
  }

  delete(key: string): ObjectRecord | undefined {
    const record = this.#byKey.get(key);
    if (record === undefined) return undefined;
    this.#byKey.delete(key);
    const leafIndex = this.#leafFor(key);
    const leaf = this.#writable(leafIndex);
    leaf.records.splice(lowerBound(leaf.records, key), 1);
    if (leaf.records.length === 0) this.#leaves.splice(leafIndex, 1);
    return record;
  }

  /** Everything from `start` up to (not including) `end`, at most `limit` records, as it is now and stays. */
  snapshot(start: string, end: string, limit: number = Infinity): Stretch[] {
    const stretches: Stretch[] = [];
    let left = limit;
    for (let index = this.#leafFor(start); index < this.#leaves.length && left > 0; index++) {
      const leaf = this.#leaves[index] as Leaf;
      const { records } = leaf;
      const from = lowerBound(records, start);
      const last = (records[records.length - 1] as ObjectRecord).key;
      let to = last < end ? records.length : lowerBound(records, end);
      const isEnd = to < records.length;
      to = Math.min(to, from + left);
      if (to > from) {
        leaf.shared = true;
        const whole = from === 0 && to === records.length;
        stretches.push({ records, from, to, leaf: whole ? leaf : undefined });
        left -= to - from;
      }
      if (isEnd) break;
    }
    return stretches;
  }

  /** The records from `start` up to (not including) `end`. */
  range(start: string, end: string): ObjectRecord[] {
    const found: ObjectRecord[] = [];
    for (let index = this.#leafFor(start); index < this.#leaves.length; index++) {
      const { records } = this.#leaves[index] as Leaf;
      for (let at = lowerBound(records, start); at < records.length; at++) {
        const record = records[at] as ObjectRecord;
        if (record.key >= end) return found;
        found.push(record);
      }
    }
    return found;
  }

  /** How many keys lie in the range. */
  count(start: string, end: string): number {
    let count = 0;
    for (let index = this.#leafFor(start); index < this.#leaves.length; index++) {
      const { records } = this.#leaves[index] as Leaf;
      const from = lowerBound(records, start);
      const to = lowerBound(records, end);
      count += to - from;
      if (to < records.length) break;
    }
    return count;
  }

  /** Forgets the joined bytes: they are only worth their memory while lists keep coming. */
  dropJoined(): void {
    for (const leaf of this.#leaves) leaf.joined = undefined;
  }

  /** The leaf in which the key is or belongs. */
  #leafFor(key: string): number {
    let low = 0;
    let high = this.#leaves.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const first = (this.#leaves[middle] as Leaf).records[0] as ObjectRecord;
      if (first.key <= key) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  #writable(index: number): Leaf {
    const leaf = this.#leaves[index] as Leaf;
    if (!leaf.shared) {
      leaf.joined = undefined;
      return leaf;
    }
    const copy = new Leaf(leaf.records.slice());
    this.#leaves[index] = copy;
    return copy;
  }

  /** Appending at the end (names that grow) keeps full leaves full; anything else halves. */
  #split(index: number, insertedAt: number): void {
    const leaf = this.#leaves[index] as Leaf;
    const cut = insertedAt === leaf.records.length - 1 ? LEAF_MAX : leaf.records.length >>> 1;
    this.#leaves.splice(index + 1, 0, new Leaf(leaf.records.splice(cut)));
  }
}

function lowerBound(records: readonly ObjectRecord[], key: string): number {
  let low = 0;
  let high = records.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((records[middle] as ObjectRecord).key < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
