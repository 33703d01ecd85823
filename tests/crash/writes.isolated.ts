import { corev1 } from '@k8ts/api';
import { isNotFound } from '@k8ts/apimachinery';
import { seededRandom } from '@k8ts/base';
import type { Client } from '@k8ts/client';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { createInstallation, type Installation } from '../support/installation.ts';

/** Kills per run; the seed tells when each happens. `K8TS_CRASH_ROUNDS=300 npm run test:crash` for hundreds. */
const ROUNDS = Math.ceil(Number(process.env['K8TS_CRASH_ROUNDS'] ?? 100) / 5);
const SEED = Number(process.env['K8TS_CRASH_SEED'] ?? 1);
const WRITERS = 24;
const OBJECTS_PER_WRITER = 8;
const LONGEST_RUN = 1500; // acknowledged writes before the kill

let installation: Installation;
beforeAll(async () => {
  installation = await createInstallation();
});
afterAll(() => installation[Symbol.asyncDispose]());

/** What is known of one object: the last write that was acknowledged, and what was asked for and not answered. */
interface Known {
  /** Of the last acknowledged write; `undefined`: it is not there. */
  acknowledged: number | undefined;
  /** A write that was under way when the server died: it may have happened or not. `null` is a deletion. */
  pending: number | null | undefined;
}

test(`${ROUNDS} kills of k8ts in the middle of writing lose no acknowledged write (seed ${SEED})`, async () => {
  const random = seededRandom(SEED);
  const known = new Map<string, Known>();
  let acknowledged = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const up = await installation.up('--no-node', '--port', '0');
    const client = await installation.client();
    await check(client, known);
    const stopAfter = Math.floor(random() * LONGEST_RUN);
    let written = 0;
    let ended = false;
    const onAcknowledged = (): void => {
      if (++written !== stopAfter + 1) return;
      ended = true;
      process.kill(up.pid, 'SIGKILL');
    };
    await Promise.all(
      Array.from({ length: WRITERS }, (_, writer) =>
        write(client, writer, random, known, onAcknowledged, () => ended),
      ),
    );
    expect((await up.ended).signal).toBe('SIGKILL');
    acknowledged += written;
  }
  expect(acknowledged).toBeGreaterThan(ROUNDS * 100); // the kills did come in the middle of work
  const up = await installation.up('--no-node', '--port', '0');
  await check(await installation.client(), known);
  expect((await up.stop()).code).toBe(0);
  expect(installation.leftovers()).toEqual({});
}, 300_000);

async function write(
  client: Client,
  writer: number,
  random: () => number,
  known: Map<string, Known>,
  onAcknowledged: () => void,
  ended: () => boolean,
): Promise<void> {
  const configMaps = client.resource(corev1.configMaps, 'default');
  while (!ended()) {
    const name = `crash-${writer}-${Math.floor(random() * OBJECTS_PER_WRITER)}`;
    const before = known.get(name) ?? { acknowledged: undefined, pending: undefined };
    const next = (before.acknowledged ?? 0) + 1 + Math.floor(random() * 1000);
    const remove = before.acknowledged !== undefined && random() < 0.2;
    const entry: Known = { ...before, pending: remove ? null : next };
    known.set(name, entry);
    try {
      if (remove) await configMaps.delete(name);
      else if (before.acknowledged === undefined) await configMaps.create(content(name, next, random));
      else await configMaps.update(content(name, next, random));
    } catch (error) {
      if (ended()) return;
      throw error;
    }
    known.set(name, { acknowledged: remove ? undefined : next, pending: undefined });
    onAcknowledged();
  }
}

/** The number at both ends of a value of up to several pages: half a value would show. */
function content(name: string, number: number, random: () => number): corev1.ConfigMap {
  const filling = '-'.repeat(Math.floor(random() < 0.1 ? random() * 20_000 : random() * 300));
  return { metadata: { name }, data: { value: `${number}:${filling}:${number}` } };
}

/** Brings `known` up to date with what is there, and throws when something acknowledged is not. */
async function check(client: Client, known: Map<string, Known>): Promise<void> {
  const configMaps = client.resource(corev1.configMaps, 'default');
  const { items } = await configMaps.list();
  const found = new Map(
    items
      .filter(({ metadata }) => metadata.name?.startsWith('crash-') === true)
      .map((item) => [item.metadata.name, numberOf(item)]),
  );
  for (const [name, { acknowledged, pending }] of known) {
    const number = found.get(name);
    const asAcknowledged = number === acknowledged;
    const asPending = pending !== undefined && number === (pending ?? undefined);
    if (!asAcknowledged && !asPending)
      throw new Error(
        `${name} is ${String(number)}; acknowledged was ${String(acknowledged)}, asked for ${String(pending)}`,
      );
    // The list and the single object come from different places.
    expect(
      await configMaps.get(name).then(numberOf, (error: unknown) => {
        if (isNotFound(error)) return undefined;
        throw error;
      }),
    ).toBe(number);
    known.set(name, { acknowledged: number, pending: undefined });
    found.delete(name);
  }
  expect([...found.keys()], 'objects that nobody made').toEqual([]);
}

function numberOf({ metadata, data }: corev1.ConfigMap): number {
  const [first, , last] = data?.['value']?.split(':') ?? [];
  if (first === undefined || first !== last)
    throw new Error(`the value of ${metadata.name ?? ''} is not whole`);
  return Number(first);
}
