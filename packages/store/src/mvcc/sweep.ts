import type { Clock } from '@k8ts/base';

import type { Journal } from './journal.ts';
import type { KeyIndex } from './key-index.ts';
import type { Version } from './version.ts';

/** Keys per slice, which takes well under a millisecond, and versions that a journal removes in one go. */
const SLICE = 1024;
const REMOVAL = 2048;

/**
 * Drops the versions that nobody can read any more after a compaction at `revision`: of each key, all that are older than
 * the newest one at or before it, and that one too if it is a deletion. A deletion exactly at `revision` stays until the
 * next compaction, because a watch may still start there.
 *
 * `unremoved` collects what the journal still has to remove, and keeps it when the journal fails, for the next sweep: were
 * a deletion removed before what it deleted, the next start would find the key alive again. For the same reason all
 * versions of a key that go together are removed together.
 *
 * Worked example, compaction at 5: {mod 7} → {mod 4} → {mod 2} keeps 7 and 4; {mod 4: deleted} → {mod 3} loses the key.
 */
export async function sweepCompacted(
  index: KeyIndex,
  revision: number,
  clock: Clock,
  signal: AbortSignal,
  journal: Journal | undefined,
  unremoved: Version[],
): Promise<void> {
  for (let from: string | undefined = ''; from !== undefined;) {
    if (signal.aborted) return;
    const gone: string[] = [];
    let seen = 0;
    let next: string | undefined;
    index.visit(from, '\uffff', (head) => {
      if (seen++ >= SLICE) {
        next = head.key;
        return false;
      }
      if (cut(head, revision, unremoved)) gone.push(head.key);
      return true;
    });
    for (const key of gone) index.delete(key);
    from = next;
    if (unremoved.length >= REMOVAL || from === undefined) {
      if (unremoved.length > 0) await journal?.remove(unremoved);
      unremoved.length = 0;
    }
    if (from !== undefined) await clock.yield();
  }
  await journal?.markSwept(revision);
}

/** Cuts the chain of one key; true when nothing of the key is left. */
function cut(head: Version, revision: number, dropped: Version[]): boolean {
  let newer: Version | undefined;
  let version: Version | undefined = head;
  while (version !== undefined && version.modRevision > revision) {
    newer = version;
    version = version.older;
  }
  if (version === undefined) return false;
  const keep = version.version > 0 || version.modRevision === revision;
  if (keep) {
    newer = version;
    version = version.older;
  }
  if (newer !== undefined) newer.older = undefined;
  for (; version !== undefined; version = version.older) dropped.push(version);
  return newer === undefined;
}
