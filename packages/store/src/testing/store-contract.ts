import { afterAll, beforeAll, describe } from 'vitest';

import { keyFromText, type Store } from '../contract.ts';
import type { ContractContext } from './contract-context.ts';
import { testCommits } from './contract-commits.ts';
import { testCompaction } from './contract-compaction.ts';
import { testHistories } from './contract-histories.ts';
import { testLeases } from './contract-leases.ts';
import { testWatches } from './contract-watches.ts';

/** A store under test. */
export interface TestStore {
  readonly store: Store;
  /** Lets so many milliseconds pass on the store's clock. */
  advance(milliseconds: number): Promise<void>;
  /** Undoes what opening did besides the store, which the suite disposes of itself. */
  close?(): Promise<void>;
}

export type OpenTestStore = () => Promise<TestStore>;

export interface StoreContractOptions {
  /** Steps of each random history. */
  readonly historySteps?: number;
  /** The store is not exclusive: others may write to it. Default false. */
  readonly shared?: boolean;
}

/**
 * The contract of `Store`, as tests. One store serves the whole suite, and need not be empty. Every driver, also one of
 * your own, must pass:
 *
 *     describeStoreContract('memory', async () => {
 *       const clock = new VirtualClock();
 *       return { store: createMemoryStore({ clock }), advance: (milliseconds) => clock.advance(milliseconds) };
 *     });
 */
export function describeStoreContract(
  name: string,
  open: OpenTestStore,
  { historySteps = 300, shared = false }: StoreContractOptions = {},
): void {
  describe(`store contract: ${name}`, () => {
    let opened: TestStore | undefined;
    let prefixes = 0;
    const current = (): TestStore => {
      if (opened === undefined) throw new Error('the store did not open');
      return opened;
    };
    const context: ContractContext = {
      shared,
      get store() {
        return current().store;
      },
      advance: (milliseconds) => current().advance(milliseconds),
      prefix: () => keyFromText(`/contract/${prefixes++}/`),
    };

    beforeAll(async () => {
      opened = await open();
    });
    afterAll(async () => {
      await opened?.store[Symbol.asyncDispose]();
      await opened?.close?.();
    });

    describe('commits and reads', () => testCommits(context));
    describe('watches', () => testWatches(context));
    describe('compaction', () => testCompaction(context));
    describe('leases', () => testLeases(context));
    describe('random histories', () => testHistories(context, historySteps));
  });
}
