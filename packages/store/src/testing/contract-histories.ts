import { type Random, seededRandom } from '@k8ts/base';
import { expect, test } from 'vitest';

import { CompactedError, type Condition, type Operation, prefixEnd, type StoreEvent } from '../contract.ts';
import { bytes, eventually, plain, record, type RecordedWatch } from './contract-steps.ts';
import type { ContractContext } from './contract-context.ts';
import { StoreModel } from './store-model.ts';

const SEEDS = [1, 2, 3, 20260101];

/**
 * Random histories: commits with right and wrong conditions, several at a time, reads at old revisions, compactions, and
 * watches that start in the past, now or later and end at random. Everything is compared with `StoreModel`.
 */
export function testHistories(context: ContractContext, steps: number): void {
  test.each(SEEDS)(
    'seed %i',
    async (seed) => {
      const history = new History(context, seed);
      await history.begin();
      for (let step = 0; step < steps; step++) await history.step();
      await history.finish();
    },
    60_000,
  );
}

interface Watched {
  readonly watch: RecordedWatch;
  readonly start: string;
  readonly end: string;
  readonly from: number;
  closed: boolean;
}

class History {
  readonly #context: ContractContext;
  readonly #random: Random;
  readonly #prefix: string;
  #model = new StoreModel(0);
  #compacted = 0;
  readonly #watched: Watched[] = [];

  constructor(context: ContractContext, seed: number) {
    this.#context = context;
    this.#random = seededRandom(seed);
    this.#prefix = context.prefix();
  }

  async begin(): Promise<void> {
    this.#model = new StoreModel(await this.#context.store.revision());
  }

  async step(): Promise<void> {
    const dice = this.#below(100);
    if (dice < 45) await this.#commit();
    else if (dice < 60) await this.#commitMany();
    else if (dice < 85) await this.#read();
    else if (dice < 93) this.#watch();
    else if (dice < 97) this.#unwatch();
    else if (dice < 99) await this.#compact();
    else await this.#compareAll();
  }

  async finish(): Promise<void> {
    await this.#compareAll();
    for (const watched of this.#watched) {
      if (!watched.closed) await this.#compareWatch(watched);
      watched.watch.handle.close();
    }
    for (const { watch } of this.#watched) await watch.ended();
  }

  async #commit(): Promise<void> {
    const request = { conditions: this.#conditions(), operations: this.#operations(1 + this.#below(4)) };
    const expected = this.#model.commit(request);
    const result = await this.#context.store.commit(request);
    expect(result.succeeded).toBe(expected);
    expect(result.revision).toBe(this.#model.revision);
    if (!result.succeeded)
      expect(result.current.map(plain)).toEqual(
        request.conditions.map(({ key }) => plain(this.#model.at().get(key))),
      );
  }

  /** Commits under way together: whatever order the store chose, it must be some order. */
  async #commitMany(): Promise<void> {
    const requests = Array.from({ length: 2 + this.#below(8) }, () => ({
      conditions: this.#below(2) === 0 ? [] : this.#conditions(),
      operations: [this.#put(this.#key())],
    }));
    const results = await Promise.all(requests.map((request) => this.#context.store.commit(request)));
    const done = requests
      .map((request, i) => ({ request, result: results[i] as (typeof results)[0] }))
      .filter(({ result }) => result.succeeded)
      .sort((a, b) => a.result.revision - b.result.revision);
    for (const { request, result } of done) {
      expect(this.#model.commit(request)).toBe(true);
      expect(result.revision).toBe(this.#model.revision);
    }
  }

  async #read(): Promise<void> {
    const { store } = this.#context;
    const oldest = Math.max(this.#compacted, this.#model.revision - 40, this.#base());
    const revision = oldest + this.#below(this.#model.revision - oldest + 1);
    const key = this.#key();
    expect(plain(await store.get(key, { revision }))).toEqual(plain(this.#model.at(revision).get(key)));
    const [start, end] = this.#range();
    const limit = this.#below(6);
    const all = this.#model.range(start, end, revision);
    const result = await store.range({ start, end, revision, limit });
    expect(result.items.map(plain)).toEqual((limit > 0 ? all.slice(0, limit) : all).map(plain));
    expect(result.count).toBe(all.length);
    expect(result.more).toBe(limit > 0 && all.length > limit);
    if (this.#compacted > this.#base())
      await expect(store.get(key, { revision: this.#compacted - 1 })).rejects.toThrow(CompactedError);
  }

  async #compareAll(): Promise<void> {
    const all = { start: this.#prefix, end: prefixEnd(this.#prefix) };
    const result = await this.#context.store.range(all);
    expect(result.items.map(plain)).toEqual(this.#model.range(all.start, all.end).map(plain));
    expect(result.revision).toBe(this.#model.revision);
  }

  #watch(): void {
    const [start, end] = this.#range();
    const oldest = Math.max(this.#compacted, this.#base()) + 1; // old etcd loses deletions at the compacted revision
    const span = this.#model.revision + 4 - oldest;
    const from = oldest + this.#below(Math.max(1, span));
    const watch = record(this.#context.store, start, from, end);
    this.#watched.push({ watch, start, end, from, closed: false });
  }

  #unwatch(): void {
    const open = this.#watched.filter(({ closed }) => !closed);
    const watched = open[this.#below(Math.max(1, open.length))];
    if (watched === undefined) return;
    watched.closed = true;
    watched.watch.handle.close();
    // What came before the end is a beginning of what should come, without gaps.
    const expected = this.#model.events(watched.start, watched.end, watched.from);
    this.#compareEvents(watched.watch.events, expected.slice(0, watched.watch.events.length));
  }

  async #compact(): Promise<void> {
    const oldest = Math.max(this.#compacted + 1, this.#model.revision - 30);
    if (oldest > this.#model.revision || oldest <= this.#base()) return;
    // Watches still replaying what goes away would rightly end with CompactedError.
    for (const watched of this.#watched) if (!watched.closed) await this.#compareWatch(watched);
    this.#compacted = oldest + this.#below(this.#model.revision - oldest + 1);
    await this.#context.store.compact(this.#compacted);
  }

  async #compareWatch({ watch, start, end, from }: Watched): Promise<void> {
    const expected = this.#model.events(start, end, from);
    await eventually(() => {
      expect(watch.events.length).toBeGreaterThanOrEqual(expected.length);
    });
    this.#compareEvents(watch.events, expected);
    expect(watch.ends).toEqual([]);
    expect(watch.revisions).toEqual([...new Set(watch.revisions)].sort((a, b) => a - b));
  }

  #compareEvents(events: readonly StoreEvent[], expected: readonly StoreEvent[]): void {
    const shown = (event: StoreEvent): unknown => ({ type: event.type, kv: plain(event.kv) });
    const byKeyWithinRevision = (a: StoreEvent, b: StoreEvent): number =>
      a.kv.modRevision - b.kv.modRevision || (a.kv.key < b.kv.key ? -1 : 1);
    const got = [...events].sort(byKeyWithinRevision);
    const wanted = [...expected].sort(byKeyWithinRevision);
    expect(events.map(({ kv }) => kv.modRevision)).toEqual(expected.map(({ kv }) => kv.modRevision));
    expect(got.map(shown)).toEqual(wanted.map(shown));
    for (const [i, { previous }] of got.entries()) {
      const before = wanted[i]?.previous;
      if (previous !== undefined || before === undefined) expect(plain(previous)).toEqual(plain(before));
      else expect(before.modRevision).toBeLessThanOrEqual(this.#compacted);
    }
  }

  #conditions(): Condition[] {
    return Array.from({ length: this.#below(3) }, () => {
      const key = this.#key();
      const right = this.#model.at().get(key)?.modRevision ?? 0;
      const dice = this.#below(10);
      return { key, modRevision: dice < 7 ? right : dice < 8 ? 0 : Math.max(0, right - 1) };
    });
  }

  #operations(count: number): Operation[] {
    const keys = new Set(Array.from({ length: count }, () => this.#key()));
    return [...keys].map((key) => (this.#below(3) === 0 ? { type: 'delete', key } : this.#put(key)));
  }

  #put(key: string): Operation {
    return { type: 'put', key, value: bytes(`${this.#below(1e9)}`) };
  }

  #key(): string {
    return `${this.#prefix}${'abc'[this.#below(3)] as string}/${this.#below(5)}`;
  }

  #range(): [string, string] {
    switch (this.#below(4)) {
      case 0:
        return [this.#prefix, prefixEnd(this.#prefix)];
      case 1: {
        const prefix = `${this.#prefix}${'abc'[this.#below(3)] as string}/`;
        return [prefix, prefixEnd(prefix)];
      }
      case 2: {
        const key = this.#key();
        return [key, `${key}\0`];
      }
      default: {
        const [a, b] = [this.#key(), this.#key()].sort() as [string, string];
        return [a, `${b}\0`];
      }
    }
  }

  #base(): number {
    return this.#model.revision - this.#model.length + 1;
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
}
