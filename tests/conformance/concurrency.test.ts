import { corev1, type New } from '@k8ts/api';
import { realClock, seededRandom, silentLogger } from '@k8ts/base';
import { retryOnConflict } from '@k8ts/client';
import { Cluster } from '@k8ts/cluster';
import { createMemoryStore } from '@k8ts/store';
import { afterAll, describe, expect, it } from 'vitest';

import { refusal, useSuite, watch } from './support.ts';

/** What many clients at once, and clients that come too late, are told. */
describe('concurrency', () => {
  const store = createMemoryStore({ clock: realClock, logger: silentLogger });
  const suite = useSuite({ nodes: 0, store });
  afterAll(() => store[Symbol.asyncDispose]());

  it('a watch from a revision that is compacted away: 410', async () => {
    const configMaps = suite.client.resource(corev1.configMaps, 'default');
    const { metadata } = await configMaps.create({ metadata: { name: 'old' } });
    for (let count = 0; count < 20; count++)
      await configMaps.patch('old', { data: { count: String(count) } }, { type: 'merge' });
    await store.compact(await store.revision());
    // The cache of recent events may remember more than the store; another server's does not.
    await using late = await Cluster.start({ nodes: 0, store, serve: false });
    await using watcher = await watch(late.client.resource(corev1.configMaps, 'default'), {
      resourceVersion: metadata.resourceVersion ?? '',
    });
    expect(await refusal(watcher.next())).toMatchObject({ code: 410, reason: 'Expired' });
    const list = late.client.resource(corev1.configMaps).list({
      resourceVersion: metadata.resourceVersion ?? '',
      resourceVersionMatch: 'Exact',
    });
    expect(await refusal(list)).toMatchObject({ code: 410 });
  });

  it('two writers of one version: exactly one 409', async () => {
    const configMaps = suite.client.resource(corev1.configMaps, 'default');
    for (let round = 0; round < 25; round++) {
      const name = `contended-${round}`;
      const read = await configMaps.create({ metadata: { name } });
      const write = (writer: string): Promise<number> =>
        configMaps.update({ ...read, data: { writer } }).then(
          () => 200,
          (error: { readonly status?: { readonly code?: number } }) => error.status?.code ?? 0,
        );
      const codes = await Promise.all([write('one'), write('two')]);
      expect(codes.sort()).toEqual([200, 409]);
    }
  });

  it('two creators of one name: exactly one 409', async () => {
    const configMaps = suite.client.resource(corev1.configMaps, 'default');
    const create = (): Promise<string> =>
      configMaps.create({ metadata: { name: 'once' } }).then(
        () => 'created',
        (error: { readonly status?: { readonly reason?: string } }) => error.status?.reason ?? '',
      );
    expect((await Promise.all([create(), create(), create()])).sort()).toEqual([
      'AlreadyExists',
      'AlreadyExists',
      'created',
    ]);
  });

  it('many writers lose nothing', async () => {
    const configMaps = suite.client.resource(corev1.configMaps, 'default');
    await configMaps.create({ metadata: { name: 'counter' }, data: { count: '0' } });
    const increment = (): Promise<unknown> =>
      retryOnConflict({ clock: realClock, random: seededRandom(1), steps: 200, initial: 2 }, async () => {
        const read = await configMaps.get('counter');
        const count = String(Number(read.data?.['count']) + 1);
        return configMaps.update({ ...read, data: { count } });
      });
    await Promise.all(
      Array.from({ length: 12 }, async () => {
        for (let count = 0; count < 5; count++) await increment();
      }),
    );
    expect((await configMaps.get('counter')).data?.['count']).toBe('60');
    // Patches need no version: the server tries again itself.
    await Promise.all(
      Array.from({ length: 50 }, (_, writer) =>
        configMaps.patch('counter', { data: { [`writer-${writer}`]: 'was here' } }, { type: 'merge' }),
      ),
    );
    expect(Object.keys((await configMaps.get('counter')).data ?? {})).toHaveLength(51);
  });

  it('generated names do not collide', async () => {
    const configMaps = suite.client.resource(corev1.configMaps, 'default');
    const made = await Promise.all(
      Array.from({ length: 200 }, () => configMaps.create({ metadata: { generateName: 'made-' } })),
    );
    const names = made.map(({ metadata }) => metadata.name ?? '');
    expect(new Set(names).size).toBe(200);
    for (const name of names) expect(name).toMatch(/^made-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
  });

  it('a wrong manifest: 422 that names every wrong field', async () => {
    const status = await refusal(
      suite.client.resource(corev1.pods, 'default').create({
        metadata: { name: 'Wrong_Name', labels: { 'a b': 'c' } },
        spec: {
          restartPolicy: 'Sometimes',
          containers: [
            { name: 'UPPER', image: '' },
            { name: 'ports', image: 'x', ports: [{ containerPort: 99_999, protocol: 'ICMP' }] },
          ],
        },
        status: {},
      } as unknown as New<corev1.Pod>),
    );
    expect(status).toMatchObject({
      code: 422,
      reason: 'Invalid',
      details: { kind: 'Pod', name: 'Wrong_Name' },
    });
    expect(status.message).toMatch(/^Pod "Wrong_Name" is invalid: \[/);
    const causes = status.details?.causes ?? [];
    expect(causes.map(({ field, reason }) => `${field} ${reason}`).sort()).toEqual([
      'metadata.labels FieldValueInvalid',
      'metadata.name FieldValueInvalid',
      'spec.containers[0].image FieldValueRequired',
      'spec.containers[0].name FieldValueInvalid',
      'spec.containers[1].ports[0].containerPort FieldValueInvalid',
      'spec.containers[1].ports[0].protocol FieldValueNotSupported',
      'spec.restartPolicy FieldValueNotSupported',
    ]);
  });
});
