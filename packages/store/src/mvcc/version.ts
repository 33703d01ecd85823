import type { KeyValue } from '../contract.ts';

/**
 * What a key became at one revision. The versions of a key form a chain from the newest (its head, held by the
 * `KeyIndex`) to the oldest that compaction has left. Every version is also in the `RevisionLog`, in order.
 *
 * Worked example: put a (revision 2), put a (3), delete a (4), put a (5) gives
 *
 *     head → {mod 5, create 5, version 1} → {mod 4, version 0: deleted} → {mod 3, create 2, version 2} → {mod 2, …, version 1}
 *
 * All fields are always present, so that every version has one hidden class. Only `value` and `older` ever change: a
 * journal takes values out of memory once they are on disk, compaction cuts chains.
 */
export interface Version {
  readonly key: string;
  readonly createRevision: number;
  readonly modRevision: number;
  /** 0 for a deletion. */
  readonly version: number;
  /** 0n: none. */
  readonly lease: bigint;
  /** Place among the operations of its commit; with `modRevision` it names the version on disk. */
  readonly sub: number;
  /** Undefined where the journal holds it. */
  value: Uint8Array | undefined;
  older: Version | undefined;
}

export const NO_VALUE: Uint8Array = new Uint8Array(0);

export function isLive(version: Version | undefined): version is Version {
  return version !== undefined && version.version > 0;
}

/** What a reader at `revision` sees of the key whose newest version is `head`. */
export function versionAt(head: Version | undefined, revision: number): Version | undefined {
  let version = head;
  while (version !== undefined && version.modRevision > revision) version = version.older;
  return isLive(version) ? version : undefined;
}

/** The version that follows `head` when the key is put, or deleted (`value` undefined). */
export function nextVersion(
  head: Version | undefined,
  key: string,
  revision: number,
  sub: number,
  value: Uint8Array | undefined,
  lease: bigint,
): Version {
  const live = isLive(head);
  const deletion = value === undefined;
  return {
    key: head === undefined ? key : head.key, // one string per key, however often it is written
    createRevision: deletion ? 0 : live ? head.createRevision : revision,
    modRevision: revision,
    version: deletion ? 0 : live ? head.version + 1 : 1,
    lease,
    sub,
    value: value ?? NO_VALUE,
    older: head,
  };
}

export function keyValueOf(version: Version, value: Uint8Array): KeyValue {
  const { key, createRevision, modRevision, version: count, lease } = version;
  return lease === 0n
    ? { key, value, createRevision, modRevision, version: count }
    : { key, value, createRevision, modRevision, version: count, lease };
}
