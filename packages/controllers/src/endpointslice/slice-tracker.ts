import type { discoveryv1 } from '@k8ts/api';

type Slice = discoveryv1.EndpointSlice;

const DELETED = Symbol('deleted');

/**
 * What this controller wrote last, per Service: the cache may be behind, and a plan made from old slices would put endpoints
 * into two of them. Versions of one server are numbers that only grow, so they can be compared.
 */
export class SliceTracker {
  readonly #byService = new Map<string, Map<string, bigint | typeof DELETED>>();

  written(service: string, slice: Slice): void {
    this.#of(service).set(slice.metadata.uid ?? '', versionOf(slice));
  }

  deleted(service: string, slice: Slice): void {
    this.#of(service).set(slice.metadata.uid ?? '', DELETED);
  }

  /** Whether the cache has not seen all of it yet. */
  isStale(service: string, slices: readonly Slice[]): boolean {
    const known = this.#byService.get(service);
    if (known === undefined) return false;
    const present = new Set<string>();
    for (const slice of slices) {
      const { uid = '' } = slice.metadata;
      present.add(uid);
      const expected = known.get(uid);
      if (expected === DELETED || (expected !== undefined && versionOf(slice) < expected)) return true;
    }
    for (const [uid, expected] of known) if (expected !== DELETED && !present.has(uid)) return true;
    return false;
  }

  /** Whether an event tells of something that this controller did not do itself. */
  isForeign(service: string, slice: Slice): boolean {
    const expected = this.#byService.get(service)?.get(slice.metadata.uid ?? '');
    return expected === undefined || expected === DELETED || versionOf(slice) > expected;
  }

  /** A slice is gone. Returns whether that was expected. */
  observeDeletion(service: string, slice: Slice): boolean {
    const known = this.#byService.get(service);
    const expected = known?.get(slice.metadata.uid ?? '');
    known?.delete(slice.metadata.uid ?? '');
    return expected === DELETED;
  }

  forget(service: string): void {
    this.#byService.delete(service);
  }

  #of(service: string): Map<string, bigint | typeof DELETED> {
    let known = this.#byService.get(service);
    if (known === undefined)
      this.#byService.set(service, (known = new Map<string, bigint | typeof DELETED>()));
    return known;
  }
}

function versionOf({ metadata }: Slice): bigint {
  const { resourceVersion = '' } = metadata;
  return /^\d+$/.test(resourceVersion) ? BigInt(resourceVersion) : 0n;
}
