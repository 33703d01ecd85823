import { isLive, type Version } from './version.ts';

/**
 * The newest version of every key, in key order.
 *
 * Invariant: leaves are never empty, their heads are sorted by key, and all keys of a leaf precede those of the next.
 * Two levels are enough: a million keys are some 6,000 leaves, found by binary search. Each leaf knows how many of its
 * keys are live, so a count visits leaves, not keys. Guarded by bench/store.bench.ts (creates/s, bytes per key).
 */
export class KeyIndex {
  readonly #leaves: Leaf[] = [];
  #size = 0;

  /** Keys, deleted ones that compaction has not taken yet included. */
  get size(): number {
    return this.#size;
  }

  get(key: string): Version | undefined {
    const leaf = this.#leaves[this.#leafOf(key)];
    if (leaf === undefined) return undefined;
    const head = leaf.heads[lowerBound(leaf.heads, key)];
    return head !== undefined && head.key === key ? head : undefined;
  }

  /** Makes `version` the head of its key. */
  set(version: Version): void {
    const { key } = version;
    let at = this.#leafOf(key);
    let leaf = this.#leaves[at];
    if (leaf === undefined) {
      this.#leaves.push((leaf = { heads: [], live: 0 }));
      at = 0;
    }
    const place = lowerBound(leaf.heads, key);
    const head = leaf.heads[place];
    if (head !== undefined && head.key === key) {
      leaf.live += Number(isLive(version)) - Number(isLive(head));
      leaf.heads[place] = version;
      return;
    }
    this.#size++;
    leaf.live += Number(isLive(version));
    if (place === leaf.heads.length) leaf.heads.push(version);
    else leaf.heads.splice(place, 0, version);
    if (leaf.heads.length > LEAF_LIMIT) this.#split(at, leaf, place);
  }

  delete(key: string): void {
    const at = this.#leafOf(key);
    const leaf = this.#leaves[at];
    if (leaf === undefined) return;
    const place = lowerBound(leaf.heads, key);
    const head = leaf.heads[place];
    if (head === undefined || head.key !== key) return;
    this.#size--;
    leaf.live -= Number(isLive(head));
    leaf.heads.splice(place, 1);
    if (leaf.heads.length === 0) this.#leaves.splice(at, 1);
    else this.#mergeWithNext(at, leaf);
  }

  /** How many live keys the range holds. */
  count(start: string, end: string): number {
    let count = 0;
    for (let at = Math.max(0, this.#leafOf(start)); at < this.#leaves.length; at++) {
      const { heads, live } = this.#leaves[at] as Leaf;
      if ((heads[0] as Version).key >= end) break;
      if ((heads[0] as Version).key >= start && (heads[heads.length - 1] as Version).key < end) {
        count += live;
        continue;
      }
      const last = lowerBound(heads, end);
      for (let i = lowerBound(heads, start); i < last; i++) count += Number(isLive(heads[i]));
    }
    return count;
  }

  /** Calls `visit` with the heads of the range in order, until it returns false. The index must not change meanwhile. */
  visit(start: string, end: string, visit: (head: Version) => boolean): void {
    for (let at = Math.max(0, this.#leafOf(start)); at < this.#leaves.length; at++) {
      const { heads } = this.#leaves[at] as Leaf;
      for (let i = lowerBound(heads, start); i < heads.length; i++) {
        const head = heads[i] as Version;
        if (head.key >= end || !visit(head)) return;
      }
    }
  }

  /** The leaf that holds `key` or where it belongs; -1 when there is none at all. */
  #leafOf(key: string): number {
    let low = 0;
    let high = this.#leaves.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (((this.#leaves[middle] as Leaf).heads[0] as Version).key <= key) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? (this.#leaves.length === 0 ? -1 : 0) : low - 1;
  }

  #split(at: number, leaf: Leaf, place: number): void {
    // Keys that arrive in order leave full leaves behind instead of half-empty ones.
    const inOrder = place === leaf.heads.length - 1 && at === this.#leaves.length - 1;
    const heads = leaf.heads.splice(inOrder ? leaf.heads.length - 1 : leaf.heads.length >>> 1);
    const live = liveIn(heads);
    leaf.live -= live;
    this.#leaves.splice(at + 1, 0, { heads, live });
  }

  #mergeWithNext(at: number, leaf: Leaf): void {
    const next = this.#leaves[at + 1];
    if (next === undefined || leaf.heads.length + next.heads.length > LEAF_LIMIT >>> 1) return;
    leaf.heads.push(...next.heads);
    leaf.live += next.live;
    this.#leaves.splice(at + 1, 1);
  }
}

interface Leaf {
  readonly heads: Version[];
  live: number;
}

const LEAF_LIMIT = 256;

/** Where `key` is or belongs. */
function lowerBound(heads: readonly Version[], key: string): number {
  let low = 0;
  let high = heads.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((heads[middle] as Version).key < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function liveIn(heads: readonly Version[]): number {
  let live = 0;
  for (const head of heads) live += Number(isLive(head));
  return live;
}
