import { corev1 } from '@k8ts/api';
import { fromStatus, tooManyRequests } from '@k8ts/apimachinery';
import { VirtualClock, seededRandom, silentLogger } from '@k8ts/base';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { Informer, InformerFactory } from './contract.ts';
import { createInformerFactory } from './informer-factory.ts';
import { FakeApi } from './testing/fake-api.ts';

let clock: VirtualClock;
let api: FakeApi;
let factory: InformerFactory;

beforeEach(() => {
  clock = new VirtualClock();
  api = new FakeApi({ clock });
  factory = createInformerFactory({
    client: api.client,
    clock,
    random: seededRandom(7),
    logger: silentLogger,
  });
});

afterEach(async () => {
  await factory[Symbol.asyncDispose]();
  expect(api.watcherCount).toBe(0);
});

function configMap(name: string, data: Record<string, string> = {}, namespace = 'default'): corev1.ConfigMap {
  return { metadata: { name, namespace }, data };
}

/** What the handler was told, as `+name`, `~name:value` (with the value before) and `-name`. */
function record(informer: Informer<corev1.ConfigMap>): string[] {
  const log: string[] = [];
  informer.addHandler({
    added: ({ metadata, data }) => log.push(`+${metadata.name}${data?.['v'] ?? ''}`),
    updated: ({ metadata, data }, previous) =>
      log.push(`~${metadata.name}${previous.data?.['v'] ?? ''}>${data?.['v'] ?? ''}`),
    deleted: ({ metadata, data }) => log.push(`-${metadata.name}${data?.['v'] ?? ''}`),
  });
  return log;
}

const configMaps = () => factory.of(corev1.configMaps);
const signal = new AbortController().signal;

async function start(): Promise<void> {
  factory.start();
  await factory.waitForSync(signal);
}

async function change(name: string, v: string): Promise<void> {
  await api.client.resource(corev1.configMaps, 'default').patch(name, { data: { v } }, { type: 'merge' });
}

describe('informer', () => {
  it('lists with one request, then follows the watch', async () => {
    api.seed(corev1.configMaps, configMap('a', { v: '1' }));
    const log = record(configMaps());
    await start();
    expect(log).toEqual(['+a1']);
    expect(api.requests).toEqual(['WATCH /api/v1/configmaps']);
    await api.client.resource(corev1.configMaps, 'default').create(configMap('b', { v: '1' }));
    await change('a', '2');
    await api.client.resource(corev1.configMaps, 'default').delete('a');
    await clock.settle();
    expect(log).toEqual(['+a1', '+b1', '~a1>2', '-a2']);
    expect(
      configMaps()
        .lister.list()
        .map(({ metadata }) => metadata.name),
    ).toEqual(['b']);
  });

  it('lists in pages and watches where the server has no watch lists', async () => {
    api.intercept(({ query, path }) => {
      if (query?.['sendInitialEvents'] === undefined) return undefined;
      throw fromStatus({
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        message: `${path}: sendInitialEvents is forbidden`,
        reason: 'Invalid',
        code: 422,
      });
    });
    for (let index = 0; index < 1201; index++) api.seed(corev1.configMaps, configMap(`cm-${index}`));
    const informer = configMaps();
    await start();
    expect(informer.lister.list()).toHaveLength(1201);
    await change('cm-7', 'x');
    await clock.settle();
    expect(informer.lister.get('default', 'cm-7')?.data).toEqual({ v: 'x' });
    expect(api.requests.filter((request) => request.startsWith('GET'))).toHaveLength(3);
  });

  it('goes on from the last version when a watch is lost, without listing', async () => {
    const log = record(configMaps());
    await start();
    api.endWatches();
    await api.client.resource(corev1.configMaps, 'default').create(configMap('a', { v: '1' }));
    await clock.advance(60_000);
    expect(log).toEqual(['+a1']);
    const watches = api.requests.filter((request) => request === 'WATCH /api/v1/configmaps');
    expect(watches).toHaveLength(2);
    expect(api.requests.filter((request) => request.startsWith('GET'))).toEqual([]);
  });

  it('finds out what happened behind a version that is gone (410)', async () => {
    for (const name of ['kept', 'changed', 'deleted', 'remade'])
      api.seed(corev1.configMaps, configMap(name, { v: '1' }));
    const informer = configMaps();
    const log = record(informer);
    await start();
    log.length = 0;
    api.pauseWatches();
    const client = api.client.resource(corev1.configMaps, 'default');
    await change('changed', '2');
    await client.delete('deleted');
    await client.delete('remade');
    await client.create(configMap('remade', { v: '2' }));
    await client.create(configMap('new', { v: '1' }));
    const stop = api.intercept(({ query }) => {
      // The first attempts to resume are refused as too old.
      if (query?.['watch'] !== 'true' || query['sendInitialEvents'] === 'true') return undefined;
      stop[Symbol.dispose]();
      throw fromStatus({
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        message: 'too old resource version',
        reason: 'Expired',
        code: 410,
      });
    });
    // The watch dies with the events in it.
    api.endWatches();
    api.dropPending();
    api.resumeWatches();
    await clock.advance(120_000);
    expect(log.sort()).toEqual(['+new1', '+remade2', '-deleted1', '-remade1', '~changed1>2'].sort());
    expect(
      informer.lister
        .list()
        .map(({ metadata }) => metadata.name)
        .sort(),
    ).toEqual(['changed', 'kept', 'new', 'remade']);
  });

  it('waits longer and longer while the server is away, and comes back', async () => {
    let refused = 0;
    const away = api.intercept(() => {
      refused++;
      throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    });
    const log = record(configMaps());
    factory.start();
    await clock.advance(600_000);
    // 0.8 s doubled up to 30 s, each up to twice as long: some 20 attempts in ten minutes, not thousands.
    expect(refused).toBeGreaterThan(8);
    expect(refused).toBeLessThan(40);
    away[Symbol.dispose]();
    api.seed(corev1.configMaps, configMap('a', { v: '1' }));
    await clock.advance(61_000);
    expect(log).toEqual(['+a1']);
  });

  it('survives a server that is too busy', async () => {
    let busy = true;
    api.intercept(() => {
      if (busy) throw tooManyRequests('too many requests', 1);
      return undefined;
    });
    api.seed(corev1.configMaps, configMap('a', { v: '1' }));
    const log = record(configMaps());
    factory.start();
    await clock.advance(10_000);
    busy = false;
    await clock.advance(60_000);
    expect(log).toEqual(['+a1']);
  });

  it('moves its version on by bookmarks, so that a quiet watch can be resumed', async () => {
    const log = record(configMaps());
    await start();
    await api.client.resource(corev1.secrets, 'default').create({ metadata: { name: 's' } });
    api.bookmark();
    await clock.settle();
    api.compact();
    api.endWatches();
    await api.client.resource(corev1.configMaps, 'default').create(configMap('a', { v: '1' }));
    await clock.advance(60_000);
    expect(log).toEqual(['+a1']);
    // Two watches: the one that was ended, and its continuation.
    expect(api.requests.filter((request) => request === 'WATCH /api/v1/configmaps')).toHaveLength(2);
  });

  it('tells a handler that comes late of all that is known', async () => {
    api.seed(corev1.configMaps, configMap('a', { v: '1' }));
    const informer = configMaps();
    await start();
    expect(record(informer)).toEqual(['+a1']);
  });

  it('calls a handler no more once it is disposed of, and survives one that throws', async () => {
    const informer = configMaps();
    informer.addHandler({
      added: () => {
        throw new Error('bug');
      },
    });
    const log = record(informer);
    const heard: string[] = [];
    const registration = informer.addHandler({ added: ({ metadata }) => heard.push(metadata.name) });
    await start();
    registration[Symbol.dispose]();
    await api.client.resource(corev1.configMaps, 'default').create(configMap('a', { v: '1' }));
    await clock.settle();
    expect(log).toEqual(['+a1']);
    expect(heard).toEqual([]);
  });

  it('resyncs a handler that wants it, until it is disposed of', async () => {
    api.seed(corev1.configMaps, configMap('a'));
    const informer = configMaps();
    let updates = 0;
    const registration = informer.addHandler({ updated: () => updates++ }, { resyncPeriod: 10_000 });
    await start();
    await clock.advance(35_000);
    expect(updates).toBe(3);
    registration[Symbol.dispose]();
    await clock.advance(35_000);
    expect(updates).toBe(3);
  });

  it('keeps indexes up to date', async () => {
    const informer = configMaps();
    informer.addIndex('v', ({ data }) => (data?.['v'] === undefined ? [] : [data['v']]));
    api.seed(corev1.configMaps, configMap('a', { v: '1' }));
    api.seed(corev1.configMaps, configMap('b', { v: '1' }, 'other'));
    await start();
    const names = (value: string): string[] =>
      informer.lister.byIndex('v', value).map(({ metadata }) => metadata.name);
    expect(names('1')).toEqual(['a', 'b']);
    expect(informer.lister.list('other').map(({ metadata }) => metadata.name)).toEqual(['b']);
    await change('a', '2');
    await clock.settle();
    expect([names('1'), names('2')]).toEqual([['b'], ['a']]);
    await api.client.resource(corev1.configMaps, 'other').delete('b');
    await clock.settle();
    expect(names('1')).toEqual([]);
    expect(informer.lister.list('other')).toEqual([]);
  });

  it('keeps the very objects that were sent, without copies', async () => {
    const seeded = api.seed(corev1.configMaps, configMap('a'));
    const informer = configMaps();
    await start();
    expect(informer.lister.get('default', 'a')).toBe(seeded);
  });

  it('sees objects come and go when they begin and cease to match its selector', async () => {
    const informer = factory.of(corev1.configMaps, { labelSelector: 'app=web' });
    const log = record(informer);
    await start();
    const client = api.client.resource(corev1.configMaps, 'default');
    await client.create({ metadata: { name: 'a', labels: { app: 'web' } } });
    await client.create({ metadata: { name: 'b' } });
    await client.patch('b', { metadata: { labels: { app: 'web' } } }, { type: 'merge' });
    await client.patch('a', { metadata: { labels: { app: 'db' } } }, { type: 'merge' });
    await clock.settle();
    expect(log).toEqual(['+a', '+b', '-a']);
  });

  it('is one informer per resource and selection', () => {
    expect(factory.of(corev1.configMaps)).toBe(factory.of(corev1.configMaps));
    expect(factory.of(corev1.configMaps)).not.toBe(factory.of(corev1.configMaps, { namespace: 'x' }));
    expect(factory.of(corev1.configMaps)).not.toBe(factory.of(corev1.secrets));
  });

  it('stops the informer of a resource that is no longer served', async () => {
    factory.of(corev1.configMaps);
    factory.of(corev1.secrets);
    await start();
    expect(api.watcherCount).toBe(2);
    await factory.stop(corev1.secrets);
    expect(api.watcherCount).toBe(1);
  });

  it('goes on for those who still have a handler', async () => {
    const registration = factory.of(corev1.secrets).addHandler({});
    await start();
    await factory.stop(corev1.secrets);
    expect(api.watcherCount).toBe(1);
    registration[Symbol.dispose]();
    await factory.stop(corev1.secrets);
    expect(api.watcherCount).toBe(0);
  });
});
