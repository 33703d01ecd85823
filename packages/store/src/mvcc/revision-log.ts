import type { Version } from './version.ts';

const CHUNK = 4096;

/** Every version since the last compaction, in order of revision: what a watch from an old revision replays. */
export class RevisionLog {
  readonly #chunks: Version[][] = []; // no chunk is empty

  append(version: Version): void {
    const last = this.#chunks[this.#chunks.length - 1];
    if (last !== undefined && last.length < CHUNK) last.push(version);
    else this.#chunks.push([version]);
  }

  /**
   * Versions of whole revisions from `from` to `to`, at least `atLeast` of them unless the log ends before. A revision is
   * never split, so a big one can make the answer longer.
   */
  slice(from: number, to: number, atLeast: number): Version[] {
    const found: Version[] = [];
    for (let at = this.#chunkOf(from); at < this.#chunks.length; at++) {
      const chunk = this.#chunks[at] as Version[];
      for (let i = lowerBound(chunk, from); i < chunk.length; i++) {
        const version = chunk[i] as Version;
        if (version.modRevision > to) return found;
        const previous = found[found.length - 1];
        if (found.length >= atLeast && previous?.modRevision !== version.modRevision) return found;
        found.push(version);
      }
    }
    return found;
  }

  /** Drops what is older than `revision`. */
  trimBefore(revision: number): void {
    const first = this.#chunkOf(revision);
    this.#chunks.splice(0, first);
    const chunk = this.#chunks[0];
    if (chunk === undefined) return;
    chunk.splice(0, lowerBound(chunk, revision));
    if (chunk.length === 0) this.#chunks.shift();
  }

  /** Takes the newest version away and returns it, if it is newer than `revision`. */
  popAfter(revision: number): Version | undefined {
    const chunk = this.#chunks[this.#chunks.length - 1];
    const version = chunk?.[chunk.length - 1];
    if (chunk === undefined || version === undefined || version.modRevision <= revision) return undefined;
    chunk.pop();
    if (chunk.length === 0) this.#chunks.pop();
    return version;
  }

  /** The first chunk that has a version of `revision` or later. */
  #chunkOf(revision: number): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const chunk = this.#chunks[middle] as Version[];
      if ((chunk[chunk.length - 1] as Version).modRevision < revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function lowerBound(chunk: readonly Version[], revision: number): number {
  let low = 0;
  let high = chunk.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((chunk[middle] as Version).modRevision < revision) low = middle + 1;
    else high = middle;
  }
  return low;
}
