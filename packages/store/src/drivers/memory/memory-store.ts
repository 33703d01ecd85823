import { type Clock, type Logger, silentLogger } from '@k8ts/base';

import type { Store } from '../../contract.ts';
import { MvccStore } from '../../mvcc/mvcc-store.ts';

export interface MemoryStoreOptions {
  readonly clock: Clock;
  readonly logger?: Logger;
}

/** A store that lives and dies with the process: for tests, and for clusters that need not outlive one. */
export function createMemoryStore({ clock, logger = silentLogger }: MemoryStoreOptions): Store {
  return new MvccStore({ clock, logger });
}
