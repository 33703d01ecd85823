import { apiextensionsv1, apiregistrationv1, type KubeObject } from '@k8ts/api';
import { createTestServer } from '../testing/test-server.ts';
import { describe, expect, test } from 'vitest';
import type { APIService } from './api-service.ts';
import { MANAGED_LABEL, registrationStep, runRegistration } from './registration.ts';
import { apiServiceStrategy } from '../registry/apiregistration/api-service.ts';
import type { Strategy } from '../registry/contract.ts';
import { APISERVER_USER } from '../registry/registry-access.ts';
import { realClock, silentLogger, systemRandom } from '@k8ts/base';

const SPEC = { group: 'apps', version: 'v1', groupPriorityMinimum: 17_800, versionPriority: 15 };
const OTHER = { ...SPEC, versionPriority: 1 };

const current = (management?: string, spec: object = SPEC): APIService => ({
  metadata: {
    name: 'v1.apps',
    ...(management === undefined ? {} : { labels: { [MANAGED_LABEL]: management } }),
  },
  spec: spec as APIService['spec'],
});
const desired = (management: 'onstart' | 'true') => ({ management, spec: SPEC });

const FIRST = { wasThere: true, isDone: false };
const NEW = { wasThere: false, isDone: false };
const LATER = { wasThere: true, isDone: true };

// Upstream's table, row by row (kube-aggregator/pkg/controllers/autoregister: checkAPIService).
test.each<[string, Parameters<typeof registrationStep>, ReturnType<typeof registrationStep>]>([
  ['2A: neither there nor wanted', [undefined, undefined, FIRST], undefined],
  ['2B: wanted at the start', [undefined, desired('onstart'), NEW], 'create'],
  ['2B: deleted later', [undefined, desired('onstart'), LATER], undefined],
  ['2C: wanted always', [undefined, desired('true'), LATER], 'create'],
  ['3A: somebody else’s', [current(), undefined, FIRST], undefined],
  [
    '3B: somebody else’s, wanted at the start',
    [current(undefined, OTHER), desired('onstart'), FIRST],
    undefined,
  ],
  ['3C: somebody else’s, wanted always', [current(undefined, OTHER), desired('true'), FIRST], undefined],
  ['4A: another server’s, made later', [current('onstart'), undefined, NEW], undefined],
  ['4C: another server’s, wanted always', [current('onstart', OTHER), desired('true'), NEW], undefined],
  ['5A: of an older program', [current('onstart'), undefined, FIRST], 'delete'],
  ['5A: looked at before', [current('onstart'), undefined, LATER], undefined],
  ['5B: of an older program, still wanted', [current('onstart', OTHER), desired('onstart'), FIRST], 'update'],
  ['5B: changed later', [current('onstart', OTHER), desired('onstart'), LATER], undefined],
  ['5C: from then on wanted always', [current('onstart', OTHER), desired('true'), FIRST], 'update'],
  ['6A: kept, and no longer wanted', [current('true'), undefined, LATER], 'delete'],
  ['6B: kept, and wanted at the start', [current('true', OTHER), desired('onstart'), FIRST], 'update'],
  ['6C: kept, and changed', [current('true', OTHER), desired('true'), LATER], 'update'],
  ['6C: kept, and as it is to be', [current('true'), desired('true'), LATER], undefined],
  [
    '6C: kept, and led elsewhere',
    [current('true', { ...SPEC, service: { name: 'a' } }), desired('true'), LATER],
    'update',
  ],
])('%s', (_, args, step) => {
  expect(registrationStep(...args)).toBe(step);
});

describe('a server', () => {
  const definition = (served: boolean): object => ({
    metadata: { name: 'greetings.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'greetings', kind: 'Greeting' },
      versions: [
        { name: 'v1', served: true, storage: true },
        { name: 'v2', served, storage: false },
      ],
    },
  });

  test('registers what is built in at its start, and custom resources as they come and go', async () => {
    const strategies = [apiServiceStrategy as unknown as Strategy<KubeObject>];
    await using server = await createTestServer({
      strategies,
      postStartHooks: [
        {
          name: 'registration',
          async run(context) {
            const { synced, done } = runRegistration(context);
            context.background(done);
            await synced;
          },
        },
      ],
    });
    await server.server.ready;
    const { registry } = server.server;
    const find = (name: string): Promise<APIService | undefined> =>
      registry.find(apiregistrationv1.apiServices, '', name);
    expect(await find('v1.')).toMatchObject({
      metadata: { labels: { [MANAGED_LABEL]: 'onstart' } },
      spec: { version: 'v1', groupPriorityMinimum: 18_000, versionPriority: 1 },
    });
    expect((await find('v1.apps'))?.spec).toEqual(SPEC);
    expect(await find('v1.apiregistration.k8s.io')).toBeUndefined();

    await registry.create(apiextensionsv1.customResourceDefinitions, definition(true) as never);
    await expect
      .poll(() => find('v2.example.com'))
      .toMatchObject({
        metadata: { labels: { [MANAGED_LABEL]: 'true' } },
        spec: { group: 'example.com', version: 'v2', groupPriorityMinimum: 1000, versionPriority: 100 },
      });
    // What is kept comes back; what was written at the start stays gone.
    await registry.delete(apiregistrationv1.apiServices, '', 'v1.apps', {});
    await registry.delete(apiregistrationv1.apiServices, '', 'v2.example.com', {});
    await expect.poll(() => find('v2.example.com')).toBeDefined();
    expect(await find('v1.apps')).toBeUndefined();

    await registry.update(apiextensionsv1.customResourceDefinitions, '', 'greetings.example.com', (draft) => {
      draft.spec.versions.splice(1, 1, { ...draft.spec.versions[1], served: false } as never);
    });
    await expect.poll(() => find('v2.example.com')).toBeUndefined();
    expect(await find('v1.example.com')).toBeDefined();
    await registry.delete(apiextensionsv1.customResourceDefinitions, '', 'greetings.example.com', {});
    await expect.poll(() => find('v1.example.com')).toBeUndefined();
  });

  test('ends with its signal', async () => {
    await using server = await createTestServer();
    const stop = new AbortController();
    const { done } = runRegistration({
      registry: server.server.registry,
      transport: server.server.transportFor(APISERVER_USER),
      clock: realClock,
      random: systemRandom,
      logger: silentLogger,
      signal: stop.signal,
      objects: { get: () => undefined, list: () => [], version: () => 0 },
      groupVersions: [],
    });
    stop.abort();
    await done;
  });
});
