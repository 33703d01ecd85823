/**
 * The process that `store-crash.test.ts` kills: `store-crash-writer DIRECTORY SEED`. Writes without end and prints one
 * line of JSON for every acknowledged commit.
 */
import { realClock, seededRandom } from '@k8ts/base';
import { type Condition, openLmdbStore, type Operation } from '@k8ts/store';

import type { Acknowledged, CommitMark } from './store-crash-protocol.ts';

const WRITERS = 16;
const KEYS = 300;

const [directory = '', seed = '0'] = process.argv.slice(2);
const random = seededRandom(Number(seed));
const below = (limit: number): number => Math.floor(random() * limit);
const store = await openLmdbStore({ directory, clock: realClock });
const first = await store.revision();

function acknowledge(line: Acknowledged): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function write(writer: number): Promise<never> {
  for (let count = 0; ; count++) {
    const keys = [...new Set(Array.from({ length: 1 + below(4) }, () => `/crash/${below(KEYS)}`))];
    const puts = below(3) === 0 ? keys.slice(0, 1) : keys;
    const mark: CommitMark = { id: `${seed}.${writer}.${count}`, puts, deletes: keys.slice(puts.length) };
    // From a few bytes to several pages, with the mark at both ends: half a value would show.
    const text = JSON.stringify(mark);
    const value = Buffer.from(`${text}${'-'.repeat(below(10) === 0 ? below(20_000) : below(300))}${text}`);
    const conditions: Condition[] = [];
    if (below(3) === 0) {
      const key = keys[0] as string;
      conditions.push({ key, modRevision: (await store.get(key))?.modRevision ?? 0 });
    }
    const operations: Operation[] = [
      ...mark.puts.map((key) => ({ type: 'put', key, value }) as const),
      ...mark.deletes.map((key) => ({ type: 'delete', key }) as const),
    ];
    const result = await store.commit({ conditions, operations });
    if (result.succeeded) acknowledge({ type: 'commit', revision: result.revision, mark });
    if (below(200) === 0) acknowledge({ type: 'lease', id: String((await store.grantLease(3600)).id) });
  }
}

/** Everything before this run has been checked already and may go; being killed in the middle of that must not matter. */
async function compact(): Promise<void> {
  if (first > 1) await store.compact(first).catch(() => undefined); // a repetition of what a killed run did
}

await Promise.all([...Array.from({ length: WRITERS }, (_, writer) => write(writer)), compact()]);
