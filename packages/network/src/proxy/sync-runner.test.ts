import { Scope, VirtualClock, silentLogger } from '@k8ts/base';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { createSyncRunner } from './sync-runner.ts';
import type { SyncRunner } from './sync-runner.ts';

describe('the sync runner', () => {
  let clock: VirtualClock;
  let scope: Scope;
  let runner: SyncRunner;
  let syncs: string[];
  let failing: boolean;
  let intact: boolean;

  beforeEach(async () => {
    clock = new VirtualClock();
    scope = new Scope();
    syncs = [];
    failing = false;
    intact = true;
    runner = createSyncRunner({
      clock,
      logger: silentLogger,
      sync: async (full) => {
        syncs.push(`${clock.monotonic()} ${failing ? 'failed ' : ''}${full ? 'full' : 'changes'}`);
        if (failing) throw new Error('no');
      },
      intact: async () => intact,
      minSyncPeriod: 100,
      syncPeriod: 30_000,
      fullSyncPeriod: 3_600_000,
    });
    scope.run(runner.run(scope.signal));
    await clock.advance(10_000);
  });
  afterEach(() => scope[Symbol.asyncDispose]());

  it('syncs everything first, then changes: at once, and those that follow together', async () => {
    for (const wait of [0, 30, 30]) {
      await clock.advance(wait);
      runner.request();
      runner.request();
      await clock.settle();
    }
    await clock.advance(1_000);
    expect(syncs).toEqual(['0 full', '10000 changes', '10100 changes']);
  });

  it('retries a failed sync as a full one, later and later', async () => {
    failing = true;
    runner.request();
    await clock.advance(1_000);
    failing = false;
    await clock.advance(5_000);
    expect(syncs.slice(1)).toEqual([
      '10000 failed changes',
      '10200 failed full',
      '10600 failed full',
      '11400 full',
    ]);
  });

  it('syncs everything when others removed it, and every hour', async () => {
    intact = false;
    await clock.advance(30_000);
    intact = true;
    expect(syncs.slice(1)).toEqual(['30100 full']);
    await clock.advance(3_700_000);
    expect(syncs.length).toBe(3);
    expect(syncs[2]).toMatch(/ full$/);
  });

  it('ends when told so', async () => {
    await scope[Symbol.asyncDispose]();
    runner.request();
    await clock.advance(100_000);
    expect(syncs).toEqual(['0 full']);
  });
});
