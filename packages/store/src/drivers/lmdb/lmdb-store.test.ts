import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { VirtualClock } from '@k8ts/base';

import { describeStoreContract } from '../../testing/store-contract.ts';
import { impatientClock } from '../../testing/impatient-clock.ts';
import { openLmdbStore } from './lmdb-store.ts';

describeStoreContract(
  'lmdb',
  async () => {
    const directory = await mkdtemp(join(tmpdir(), 'k8ts-store-'));
    const clock = new VirtualClock();
    return {
      store: await openLmdbStore({ directory, clock }),
      advance: (milliseconds) => clock.advance(milliseconds),
      close: () => rm(directory, { recursive: true }),
    };
  },
  { historySteps: 400 },
);

describeStoreContract(
  'lmdb, yielding at every chance',
  async () => {
    const directory = await mkdtemp(join(tmpdir(), 'k8ts-store-'));
    const { clock, advance } = impatientClock();
    const store = await openLmdbStore({ directory, clock });
    return { store, advance, close: () => rm(directory, { recursive: true }) };
  },
  { historySteps: 150 },
);
