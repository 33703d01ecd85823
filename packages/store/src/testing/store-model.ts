import type { CommitRequest, Key, KeyValue, StoreEvent } from '../contract.ts';

/**
 * The store as one would define it on paper: a copy of everything at every revision. Slow and obviously right; random
 * histories are run against it and a real store, and the answers compared.
 */
export class StoreModel {
  readonly #states: ReadonlyMap<Key, KeyValue>[] = [new Map()];
  readonly #events: StoreEvent[][] = [[]];
  /** Revision of `#states[0]`: real stores need not be empty when a history begins. */
  readonly #base: number;

  constructor(base: number) {
    this.#base = base;
  }

  /** How many states are known, the first included. */
  get length(): number {
    return this.#states.length;
  }

  get revision(): number {
    return this.#base + this.#states.length - 1;
  }

  at(revision: number = this.revision): ReadonlyMap<Key, KeyValue> {
    return this.#states[revision - this.#base] as ReadonlyMap<Key, KeyValue>;
  }

  /** Live keys of a range in order. */
  range(start: Key, end: Key, revision?: number): KeyValue[] {
    return [...this.at(revision).values()]
      .filter(({ key }) => key >= start && key < end)
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** Events of a range from `from` on. */
  events(start: Key, end: Key, from: number): StoreEvent[] {
    return this.#events
      .slice(Math.max(0, from - this.#base))
      .flat()
      .filter(({ kv: { key } }) => key >= start && key < end);
  }

  /** Whether the commit succeeds. */
  commit({ conditions, operations }: CommitRequest): boolean {
    const state = new Map(this.at());
    if (conditions.some(({ key, modRevision }) => (state.get(key)?.modRevision ?? 0) !== modRevision))
      return false;
    const revision = this.revision + 1;
    const events: StoreEvent[] = [];
    for (const operation of operations) {
      const { key } = operation;
      const previous = state.get(key);
      const before = previous === undefined ? {} : { previous };
      if (operation.type === 'put') {
        const kv: KeyValue = {
          key,
          value: operation.value,
          createRevision: previous?.createRevision ?? revision,
          modRevision: revision,
          version: (previous?.version ?? 0) + 1,
          ...(operation.lease === undefined ? {} : { lease: operation.lease }),
        };
        state.set(key, kv);
        events.push({ type: 'put', kv, ...before });
      } else if (previous !== undefined) {
        state.delete(key);
        const kv = { key, value: new Uint8Array(0), createRevision: 0, modRevision: revision, version: 0 };
        events.push({ type: 'delete', kv, ...before });
      }
    }
    if (events.length > 0) {
      this.#states.push(state);
      this.#events.push(events);
    }
    return true;
  }
}
