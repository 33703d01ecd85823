import type { Store } from '../contract.ts';

/** What the parts of the suite get. */
export interface ContractContext {
  /** Others may write to the store as well. */
  readonly shared: boolean;
  readonly store: Store;
  advance(milliseconds: number): Promise<void>;
  /** A key prefix of its own for every test: the store may hold other things. */
  prefix(): string;
}
