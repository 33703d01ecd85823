import type { Lease } from '../contract.ts';
import { KeyIndex } from './key-index.ts';
import { RevisionLog } from './revision-log.ts';

/** Where a store starts: empty, or what a journal has kept. */
export interface StoreState {
  readonly index: KeyIndex;
  readonly log: RevisionLog;
  readonly revision: number;
  readonly compactRevision: number;
  readonly leases: readonly Lease[];
  /** A compaction was cut short: some versions of before `compactRevision` are still there. */
  readonly sweepPending: boolean;
}

export function emptyState(): StoreState {
  return {
    index: new KeyIndex(),
    log: new RevisionLog(),
    revision: 1,
    compactRevision: 0,
    leases: [],
    sweepPending: false,
  };
}
