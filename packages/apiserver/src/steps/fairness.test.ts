import { flowcontrolv1 } from '@k8ts/api';
import { createClient } from '@k8ts/client';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { AdmissionPlugin } from '../admission/contract.ts';
import type { UserInfo } from '../authentication/contract.ts';
import { SUGGESTED_FLOW_SCHEMAS } from '../flowcontrol/default-configuration.ts';
import {
  flowConfigurationConsumerHook,
  flowConfigurationProducerHook,
} from '../post-start/priority-and-fairness.ts';
import { builtinStrategies } from '../registry/builtin-strategies.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';
let server: TestServer;
/** Creations wait here until they are let go. */
const held: (() => void)[] = [];

const holding: AdmissionPlugin = {
  name: 'Holding',
  operations: ['CREATE'],
  handles: ({ resource }) => resource === 'configmaps',
  admit: () => new Promise<void>((resolve) => held.push(resolve)),
};

beforeAll(async () => {
  server = await createTestServer({
    strategies: builtinStrategies(),
    postStartHooks: [flowConfigurationProducerHook, flowConfigurationConsumerHook],
    inFlight: { reading: 100, writing: 100 },
    requestTimeout: 2_000,
    admission: [holding],
    authenticators: [
      {
        name: 'by-header',
        authenticate: async ({ headers }): Promise<{ user: UserInfo }> => {
          if (headers['x-slow'] !== undefined) await new Promise<void>((resolve) => held.push(resolve));
          return {
            user: {
              name: String(headers['x-user'] ?? 'admin'),
              uid: '',
              groups: [headers['x-user'] === undefined ? 'system:masters' : 'system:authenticated'],
              extra: {},
            },
          };
        },
      },
    ],
  });
  await server.server.ready;
});
afterAll(async () => {
  for (const letGo of held.splice(0)) letGo();
  await server[Symbol.asyncDispose]();
});

function request(method: string, path: string, user?: string, body?: object): Promise<Response> {
  return fetch(server.url + path, {
    method,
    headers: {
      'content-type': 'application/json',
      ...(user === undefined ? {} : { 'x-user': user }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

const create = (user: string, name: string): Promise<Response> =>
  request('POST', CONFIG_MAPS, user, { metadata: { name } });

async function letGo(): Promise<void> {
  await vi.waitFor(() => expect(held.length).toBeGreaterThan(0));
  held.shift()?.();
}

describe('the default configuration', () => {
  it('is there from the start', async () => {
    const client = createClient(server.transport);
    const schemas = client.resource(flowcontrolv1.flowSchemas);
    const { items } = await schemas.list();
    expect(items.map(({ metadata }) => metadata.name).sort()).toEqual(
      ['catch-all', 'exempt', ...SUGGESTED_FLOW_SCHEMAS.map(({ metadata }) => metadata.name)].sort(),
    );
    await vi.waitFor(async () => {
      for (const { status } of (await schemas.list()).items)
        expect(status?.conditions?.[0]).toMatchObject({ type: 'Dangling', status: 'False', reason: 'Found' });
    });
  });

  it('says which schema lacks its level', async () => {
    const schemas = createClient(server.transport).resource(flowcontrolv1.flowSchemas);
    await schemas.create({
      metadata: { name: 'lonely' },
      spec: { priorityLevelConfiguration: { name: 'nobody' }, matchingPrecedence: 8_000 },
    });
    await vi.waitFor(async () =>
      expect((await schemas.get('lonely')).status?.conditions).toMatchObject([
        {
          type: 'Dangling',
          status: 'True',
          reason: 'NotFound',
          message:
            'This FlowSchema references the PriorityLevelConfiguration object named "nobody" but there is no such object',
        },
      ]),
    );
    await schemas.delete('lonely');
  });
});

it('names schema and level of a request by their uids', async () => {
  const client = createClient(server.transport);
  const schema = await client.resource(flowcontrolv1.flowSchemas).get('global-default');
  const level = await client.resource(flowcontrolv1.priorityLevelConfigurations).get('global-default');
  const response = await request('GET', CONFIG_MAPS, 'carol');
  expect(response.headers.get('x-kubernetes-pf-flowschema-uid')).toBe(schema.metadata.uid);
  expect(response.headers.get('x-kubernetes-pf-prioritylevel-uid')).toBe(level.metadata.uid);
});

describe('on a level with one seat', () => {
  beforeAll(async () => {
    const client = createClient(server.transport);
    await client.resource(flowcontrolv1.priorityLevelConfigurations).create({
      metadata: { name: 'one' },
      spec: {
        type: 'Limited',
        limited: {
          nominalConcurrencyShares: 1, // of 246, so of 200 seats less than one, which is rounded up
          borrowingLimitPercent: 0,
          limitResponse: { type: 'Queue', queuing: { queues: 8, handSize: 2, queueLengthLimit: 1 } },
        },
      },
    });
    await client.resource(flowcontrolv1.flowSchemas).create({
      metadata: { name: 'some' },
      spec: {
        priorityLevelConfiguration: { name: 'one' },
        matchingPrecedence: 7_000,
        distinguisherMethod: { type: 'ByUser' },
        rules: [
          {
            subjects: ['alice', 'bob'].map((name) => ({ kind: 'User', user: { name } })),
            resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'] }],
          },
        ],
      },
    });
  });

  it('requests wait for each other; the administrator does not, nor do other levels', async () => {
    const first = create('alice', 'first');
    await vi.waitFor(() => expect(held).toHaveLength(1));
    const second = request('GET', CONFIG_MAPS, 'bob');
    expect((await request('GET', CONFIG_MAPS)).status).toBe(200); // exempt
    expect((await request('GET', '/readyz', 'bob')).status).toBe(200); // another level
    expect((await request('GET', CONFIG_MAPS, 'carol')).status).toBe(200); // another schema
    await vi.waitFor(async () =>
      expect(await (await request('GET', '/metrics')).text()).toContain(
        'apiserver_flowcontrol_current_inqueue_requests{priority_level="one",flow_schema="some"} 1',
      ),
    );
    await letGo();
    expect((await first).status).toBe(201);
    expect((await second).status).toBe(200);
  });

  it('a request waits for a quarter of its time, and is told when to come again', async () => {
    const first = create('alice', 'again');
    await vi.waitFor(() => expect(held).toHaveLength(1));
    const refused = await request('GET', CONFIG_MAPS, 'bob');
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await refused.json()).toMatchObject({
      reason: 'TooManyRequests',
      message: 'Too many requests, please try again later.',
    });
    await letGo();
    expect((await first).status).toBe(201);
    expect(await (await request('GET', '/metrics')).text()).toContain('reason="time-out"} 1');
  });

  it('a client that goes away leaves the queue', async () => {
    const first = create('alice', 'third');
    await vi.waitFor(() => expect(held).toHaveLength(1));
    const abort = new AbortController();
    const gone = fetch(server.url + CONFIG_MAPS, { headers: { 'x-user': 'bob' }, signal: abort.signal });
    const inQueue = async (): Promise<string | undefined> =>
      /current_inqueue_requests\{priority_level="one",flow_schema="some"\} (\d+)/.exec(
        await (await request('GET', '/metrics')).text(),
      )?.[1];
    await vi.waitFor(async () => expect(await inQueue()).toBe('1'));
    abort.abort();
    await expect(gone).rejects.toThrow();
    await vi.waitFor(async () => expect(await inQueue()).toBe('0'));
    await letGo();
    expect((await first).status).toBe(201);
  });

  it('a request that was given up before it was known who asks leaves no seat taken', async () => {
    const slow = await fetch(`${server.url}${CONFIG_MAPS}?timeout=50ms`, {
      headers: { 'x-user': 'alice', 'x-slow': 'yes' },
    });
    expect(slow.status).toBe(504);
    await letGo();
    await vi.waitFor(async () =>
      expect(await (await request('GET', '/metrics')).text()).toContain(
        'apiserver_flowcontrol_current_executing_requests{priority_level="one",flow_schema="some"} 0',
      ),
    );
    expect((await request('GET', CONFIG_MAPS, 'bob')).status).toBe(200);
  });

  it('a watch has its seat only until it has begun', async () => {
    const abort = new AbortController();
    const watch = await fetch(`${server.url}${CONFIG_MAPS}?watch=true`, {
      headers: { 'x-user': 'alice' },
      signal: abort.signal,
    });
    expect(watch.status).toBe(200);
    expect((await request('GET', CONFIG_MAPS, 'bob')).status).toBe(200);
    abort.abort();
    await watch.text().catch(() => undefined);
  });
});
