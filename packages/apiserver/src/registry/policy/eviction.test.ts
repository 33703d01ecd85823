import type { KubeObject } from '@k8ts/api';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { apiCallers, type Answer, type ApiCaller } from '../../testing/api-callers.ts';
import { createTestServer, type TestServer } from '../../testing/test-server.ts';
import { builtinSpecialHandlers } from '../builtin-handlers.ts';
import { builtinStrategies } from '../builtin-strategies.ts';

const PODS = '/api/v1/namespaces/default/pods';
const BUDGETS = '/apis/policy/v1/namespaces/default/poddisruptionbudgets';
const MERGE = 'application/merge-patch+json';

let server: TestServer;
let http: ApiCaller;

beforeEach(async () => {
  server = await createTestServer({
    strategies: builtinStrategies(),
    specialHandlers: builtinSpecialHandlers,
  });
  http = apiCallers(() => server)[1] as ApiCaller;
  await http.call('POST', '/api/v1/namespaces', { body: { metadata: { name: 'default' } } });
  await http.call('POST', PODS, {
    body: {
      metadata: { name: 'p', labels: { app: 'a' } },
      spec: { containers: [{ name: 'c', image: 'nginx:1' }] },
    },
  });
});
afterEach(() => server[Symbol.asyncDispose]());

const bind = (body: object): Promise<Answer> => http.call('POST', `${PODS}/p/binding`, { body });
const evict = (body: object = { metadata: { name: 'p' } }): Promise<Answer> =>
  http.call('POST', `${PODS}/p/eviction`, { body });
const read = async (): Promise<KubeObject & { spec: object; status: object }> =>
  (await http.call('GET', `${PODS}/p`)).body as unknown as KubeObject & { spec: object; status: object };

async function run(): Promise<void> {
  await bind({ metadata: { name: 'p' }, target: { name: 'n' } });
  await http.call('PATCH', `${PODS}/p/status`, {
    body: { status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } },
    contentType: MERGE,
  });
}

async function budget(status: object): Promise<void> {
  await http.call('POST', BUDGETS, {
    body: { metadata: { name: 'b' }, spec: { minAvailable: 1, selector: { matchLabels: { app: 'a' } } } },
  });
  await http.call('PATCH', `${BUDGETS}/b/status`, {
    body: { status: { observedGeneration: 1, ...status } },
    contentType: MERGE,
  });
}

describe('a binding', () => {
  test('assigns a pod, once', async () => {
    const answer = await bind({
      metadata: { name: 'p', annotations: { a: 'b' } },
      target: { kind: 'Node', name: 'n' },
    });
    expect(answer.body).toMatchObject({ kind: 'Status', status: 'Success', code: 201 });
    const pod = await read();
    expect(pod).toMatchObject({
      metadata: { annotations: { a: 'b' } },
      spec: { nodeName: 'n' },
      status: { conditions: [{ type: 'PodScheduled', status: 'True' }] },
    });
    expect((await bind({ metadata: { name: 'p' }, target: { name: 'm' } })).body).toMatchObject({
      code: 409,
      reason: 'Conflict',
      message: 'Operation cannot be fulfilled on pods/binding "p": pod p is already assigned to node "n"',
    });
  });

  test('is for the pod of the path, and says where', async () => {
    expect((await bind({ metadata: { name: 'q' }, target: { name: 'n' } })).body).toMatchObject({
      code: 400,
      message: 'name in URL does not match name in Binding object',
    });
    expect((await bind({ metadata: { name: 'p' }, target: { kind: 'Pod' } })).body).toMatchObject({
      code: 500,
      message:
        '[target.kind: Unsupported value: "Pod": supported values: "Node", "<empty>", target.name: Required value]',
    });
    expect((await bind({ metadata: { name: 'p', uid: 'other' }, target: { name: 'n' } })).code).toBe(409);
  });
});

describe('an eviction', () => {
  test('deletes a pod that has no budget', async () => {
    await run();
    expect((await evict()).body).toMatchObject({ status: 'Success', code: 201 });
    expect(await read()).toMatchObject({
      metadata: { deletionGracePeriodSeconds: 30, deletionTimestamp: expect.any(String) as string },
      status: {
        conditions: [
          { type: 'Ready' },
          {
            type: 'DisruptionTarget',
            status: 'True',
            reason: 'EvictionByEvictionAPI',
            message: 'Eviction API: evicting',
          },
        ],
      },
    });
  });

  test('of a pod that does not run asks no budget', async () => {
    await budget({ disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 1 });
    expect((await evict()).body).toMatchObject({ status: 'Success' });
    expect((await http.call('GET', `${PODS}/p`)).code).toBe(404);
  });

  test('waits for the budget', async () => {
    await run();
    await budget({ disruptionsAllowed: 0, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1 });
    expect((await evict()).body).toMatchObject({
      code: 429,
      reason: 'TooManyRequests',
      message: "Cannot evict pod as it would violate the pod's disruption budget.",
      details: {
        causes: [
          {
            reason: 'DisruptionBudget',
            message: 'The disruption budget b needs 1 healthy pods and has 1 currently',
          },
        ],
      },
    });
    await budget({ disruptionsAllowed: 1, currentHealthy: 2, desiredHealthy: 1, expectedPods: 2 });
    expect((await evict()).body).toMatchObject({ status: 'Success' });
    const { body } = await http.call('GET', `${BUDGETS}/b`);
    expect(body).toMatchObject({
      status: {
        disruptionsAllowed: 0,
        disruptedPods: { p: expect.any(String) as string },
        conditions: [{ type: 'DisruptionAllowed', status: 'False', reason: 'InsufficientPods' }],
      },
    });
  });

  test('of a pod that is not ready needs no budget while enough others are healthy, or when that is allowed', async () => {
    await run();
    await http.call('PATCH', `${PODS}/p/status`, {
      body: { status: { conditions: [{ type: 'Ready', status: 'False' }] } },
      contentType: MERGE,
    });
    await budget({ disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 1, expectedPods: 1 });
    expect((await evict()).code).toBe(429);
    const dryRun = { metadata: { name: 'p' }, deleteOptions: { dryRun: ['All'] } };
    await http.call('PATCH', `${BUDGETS}/b`, {
      body: { spec: { unhealthyPodEvictionPolicy: 'AlwaysAllow' } },
      contentType: MERGE,
    });
    expect((await evict(dryRun)).body).toMatchObject({ status: 'Success' });
    await http.call('PATCH', `${BUDGETS}/b`, {
      body: { spec: { unhealthyPodEvictionPolicy: 'IfHealthyBudget' } },
      contentType: MERGE,
    });
    expect((await evict(dryRun)).code).toBe(429);
    await budget({ observedGeneration: 3, disruptionsAllowed: 0, currentHealthy: 1, desiredHealthy: 1 });
    expect((await evict()).body).toMatchObject({ status: 'Success' });
    const { body } = await http.call('GET', `${BUDGETS}/b`);
    expect(body).not.toHaveProperty('status.disruptedPods'); // nothing was taken from the budget
  });

  test('waits until the budget has been computed for its newest version', async () => {
    await run();
    await budget({ observedGeneration: 0, disruptionsAllowed: 1, currentHealthy: 2, desiredHealthy: 1 });
    expect((await evict()).body).toMatchObject({
      code: 429,
      details: {
        retryAfterSeconds: 10,
        causes: [
          {
            reason: 'DisruptionBudget',
            message: 'The disruption budget b is still being processed by the server.',
          },
        ],
      },
    });
  });

  test('of a pod with several budgets is not possible', async () => {
    await run();
    await budget({ disruptionsAllowed: 1, currentHealthy: 2, desiredHealthy: 1 });
    await http.call('POST', BUDGETS, {
      body: { metadata: { name: 'c' }, spec: { minAvailable: 0, selector: {} } },
    });
    expect((await evict()).body).toMatchObject({
      status: 'Failure',
      code: 500,
      message:
        'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
    });
    expect((await read()).metadata.deletionTimestamp).toBeUndefined();
  });

  test('changes nothing when it is only tried', async () => {
    await run();
    await budget({ disruptionsAllowed: 1, currentHealthy: 2, desiredHealthy: 1, expectedPods: 2 });
    const { body } = await evict({ metadata: { name: 'p' }, deleteOptions: { dryRun: ['All'] } });
    expect(body).toMatchObject({ status: 'Success' });
    expect((await read()).metadata.deletionTimestamp).toBeUndefined();
    expect((await http.call('GET', `${BUDGETS}/b`)).body).toMatchObject({
      status: { disruptionsAllowed: 1 },
    });
  });

  test('names the pod of the path', async () => {
    expect((await evict({ metadata: { name: 'q' } })).body).toMatchObject({
      code: 400,
      message: 'name in URL does not match name in Eviction object',
    });
  });
});
