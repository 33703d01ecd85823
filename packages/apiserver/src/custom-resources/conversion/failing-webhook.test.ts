/** A conversion webhook that is down, or answers what it may not: what that means to whom. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { customResourcesHook } from '../../post-start/custom-resources.ts';
import { builtinStrategies } from '../../registry/builtin-strategies.ts';
import { apiCallers, type Answer, type ApiCaller } from '../../testing/api-callers.ts';
import {
  answerTo,
  converted,
  convertEndpoint,
  defineEndpoints,
  endpoints,
  startConversionWebhook,
  type ConversionReviewBody,
  type ConversionWebhook,
} from '../../testing/conversion-webhook.ts';
import { createTestServer, type TestServer } from '../../testing/test-server.ts';

const V1 = endpoints('v1');
const V2 = endpoints('v2');
const EVERYWHERE = '/apis/example.com/v2/endpoints';
const MERGE = 'application/merge-patch+json';
const ABOUT = 'conversion webhook for example.com/v1, Kind=Endpoint';

let webhook: ConversionWebhook;
let server: TestServer;

const api = apiCallers(() => server)[1] as ApiCaller;
const write = async (
  method: 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: string,
  body?: object,
  contentType?: string,
): Promise<Answer['body']> => {
  const answer = await api.call(method, path, {
    ...(body === undefined ? {} : { body }),
    ...(contentType === undefined ? {} : { contentType }),
  });
  expect(answer.code, answer.body.message).toBe(200);
  return answer.body;
};

/** The limit is a safety net. */
const eventually = <T>(work: () => T) => expect.poll(work, { timeout: 20_000 });

beforeAll(async () => {
  webhook = await startConversionWebhook();
  server = await createTestServer({ strategies: builtinStrategies(), postStartHooks: [customResourcesHook] });
  await server.server.ready;
  await api.call('POST', '/api/v1/namespaces', { body: { metadata: { name: 'a' } } });
  await defineEndpoints(api, webhook, 'v1');
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await webhook[Symbol.asyncDispose]();
});
afterEach(async () => {
  webhook.behaviour = converted;
  await write('DELETE', V1);
});

/** The answer with one thing of the first object another. */
const spoiled =
  (spoil: (object: Record<string, unknown>) => unknown) =>
  (review: ConversionReviewBody): object =>
    answerTo(
      review,
      review.request.objects.map((object) =>
        spoil(structuredClone(convertEndpoint(object, review.request.desiredAPIVersion)) as never),
      ),
    );
const metadata = (fields: object) =>
  spoiled((object) => ({ ...object, metadata: { ...(object['metadata'] as object), ...fields } }));
const result = (status: object) => (review: ConversionReviewBody) => {
  const answer = answerTo(review, []) as { readonly response: object };
  return { ...answer, response: { ...answer.response, result: status } };
};

describe('an answer that is none', () => {
  test.each<[string, ConversionWebhook['behaviour'], string]>([
    ['a broken connection', () => 'break', `${ABOUT} failed: Post "URL?timeout=30s": `],
    [
      'a status code',
      () => 500,
      `${ABOUT} failed: an error on the server ("broken") has prevented the request from succeeding`,
    ],
    [
      'another kind',
      (review) => ({ ...answerTo(review, []), kind: 'AdmissionReview' }),
      `${ABOUT} failed: expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got apiextensions.k8s.io/v1, Kind=AdmissionReview`,
    ],
    [
      'no response',
      (review) => ({ ...answerTo(review, []), response: null }),
      `${ABOUT} failed: no response provided`,
    ],
    [
      'one to another request',
      (review) => answerTo({ ...review, request: { ...review.request, uid: 'x' } }, []),
      `${ABOUT} failed: expected response.uid="UID", got "x"`,
    ],
    ['a failure', result({ status: 'Failure', message: 'no way' }), `${ABOUT} failed: no way`],
    [
      'a failure without words',
      result({ status: 'Failed' }),
      `${ABOUT} failed: response.result.status was 'Failed', not 'Success'`,
    ],
    ['no result', result({}), `${ABOUT} failed: response.result.status was '', not 'Success'`],
    ['too few objects', (review) => answerTo(review, []), `${ABOUT} returned 0 objects, expected 1`],
    ['too many', (review) => answerTo(review, [{}, {}]), `${ABOUT} returned 2 objects, expected 1`],
    ['nothing', spoiled(() => null), 'unexpected end of JSON input'],
    ['no object', spoiled(() => 'text'), `Object 'Kind' is missing in '"text"'`],
    [
      'too deep an object',
      (review) => {
        let deep: unknown = {};
        for (let depth = 0; depth < 600; depth++) deep = { deep };
        return answerTo(review, [deep]);
      },
      'exceeded max depth',
    ],
    [
      'another version',
      spoiled((object) => ({ ...object, apiVersion: 'example.com/v1' })),
      `${ABOUT} returned invalid object at index 0: invalid groupVersion (expected example.com/v2, received example.com/v1)`,
    ],
    [
      'another kind of object',
      spoiled((object) => ({ ...object, kind: 'Other' })),
      `${ABOUT} returned invalid object at index 0: invalid kind (expected Endpoint, received Other)`,
    ],
    [
      'another name',
      metadata({ name: 'two' }),
      `${ABOUT} returned invalid object: must have the same name: one != two`,
    ],
    [
      'another namespace',
      metadata({ namespace: 'b' }),
      `${ABOUT} returned invalid object: must have the same namespace: a != b`,
    ],
    [
      'another uid',
      metadata({ uid: 'u' }),
      `${ABOUT} returned invalid object: must have the same UID: OBJECT != u`,
    ],
    [
      'labels that are none',
      metadata({ labels: 'a' }),
      `${ABOUT} returned invalid metadata: invalid metadata.labels of type string in converted object`,
    ],
    [
      'a label that is no text',
      metadata({ labels: { a: 1 } }),
      `${ABOUT} returned invalid metadata: metadata.labels[a] must be a string, but is int64 in converted object`,
    ],
    [
      'an invalid annotation',
      metadata({ annotations: { '-': 'x' } }),
      `${ABOUT} returned invalid metadata: metadata.annotation: Invalid value: "-": `,
    ],
  ])('%s', async (_name, behaviour, message) => {
    const { metadata: made } = await write('POST', V1, {
      metadata: { name: 'one' },
      spec: { hostPort: 'h:1' },
    });
    webhook.behaviour = behaviour;
    webhook.asked.length = 0;
    const answers = [await api.call('GET', `${V2}/one`), await api.call('GET', V2)];
    answers.push(await api.call('GET', V2, { query: { watch: 'true' } }));
    for (const [at, { code, body }] of answers.entries()) {
      expect(code).toBe(500);
      expect(body.reason).toBeUndefined();
      const expected = message
        .replace('URL', webhook.url)
        .replace('"UID"', () => `"${webhook.asked[at]?.request.uid ?? ''}"`)
        .replace('OBJECT', made.uid);
      expect(body.message.slice(0, expected.length)).toBe(expected);
    }
  });

  test('of many objects names the one', async () => {
    for (const name of ['one', 'two', 'six']) await write('POST', V1, { metadata: { name } });
    webhook.behaviour = spoiled((object) =>
      (object['metadata'] as { name: string }).name === 'six' ? { ...object, kind: 'Other' } : object,
    );
    expect((await api.call('GET', V2)).body.message).toBe(
      `${ABOUT} returned invalid converted object at index 1: invalid kind (expected Endpoint, received Other)`,
    );
    expect((await api.call('GET', `${V2}/two`)).code).toBe(200);
  });
});

describe('while it is down', () => {
  test('those who read and write the stored version notice nothing', async () => {
    webhook.behaviour = () => 'never';
    const pending: Promise<Answer>[] = [];
    const events = await api.watch(V1, {}, 5, async () => {
      await write('POST', V1, { metadata: { name: 'one' }, spec: { hostPort: 'h:1' } });
      pending.push(api.call('GET', `${V2}/one`), api.call('GET', V2), api.call('DELETE', V2));
      await write('PATCH', `${V1}/one`, { spec: { hostPort: 'h:2' } }, MERGE);
      await write('PUT', `${V1}/one/scale`, { metadata: { name: 'one' }, spec: { replicas: 4 } });
      await write('PATCH', `${V1}/one/status`, { status: { replicas: 4 } }, MERGE);
      expect((await api.call('GET', V1)).body.items).toMatchObject([{ spec: { hostPort: 'h:2' } }]);
      await write('DELETE', `${V1}/one`);
    });
    expect(events.map(({ type }) => type)).toEqual(['ADDED', 'MODIFIED', 'MODIFIED', 'MODIFIED', 'DELETED']);
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
    await webhook[Symbol.asyncDispose]();
    for (const answer of pending) expect((await answer).code).toBe(500);

    // Another one in its place is asked as soon as the definition says so.
    webhook = await startConversionWebhook();
    await defineEndpoints(api, webhook, 'v1');
    await write('POST', V1, { metadata: { name: 'one' }, spec: { hostPort: 'h:1' } });
    expect((await api.call('GET', EVERYWHERE)).body.items).toMatchObject([
      { spec: { host: 'h', port: '1' } },
    ]);
    expect(webhook.asked).toHaveLength(1);
  });

  test('nothing is written in the other version', async () => {
    webhook.behaviour = () => 503;
    const body = { metadata: { name: 'two' }, spec: { host: 'h' } };
    const message =
      'conversion webhook for example.com/v2, Kind=Endpoint failed: the server is currently unable to handle the request';
    for (const answer of [
      await api.call('POST', V2, { body }),
      await api.call('POST', V2, { body, query: { dryRun: 'All' } }),
      await api.call('PATCH', `${V2}/two`, {
        query: { fieldManager: 'me' },
        body: { apiVersion: 'example.com/v2', kind: 'Endpoint', ...body },
        contentType: 'application/apply-patch+yaml',
      }),
    ])
      expect(answer).toMatchObject({ code: 500, body: { message } });
    expect((await api.call('GET', V1)).body.items).toEqual([]);
    await write('POST', V1, { metadata: { name: 'one' } });
    for (const [method, path] of [
      ['PATCH', '/one'],
      ['PATCH', '/one/status'],
      ['PATCH', '/one/scale'],
      ['DELETE', '/one'],
      ['DELETE', ''],
    ] as const)
      expect(
        await api.call(method, `${V2}${path}`, method === 'PATCH' ? { body: {}, contentType: MERGE } : {}),
      ).toMatchObject({
        code: 500,
        body: { message: message.replace('/v2', '/v1') },
      });
  });

  test("a version that nobody has is no webhook's fault, and what does not exist is not found", async () => {
    webhook.behaviour = () => 503;
    expect((await api.call('GET', `${V2}/nobody`)).code).toBe(404);
    expect((await api.call('GET', endpoints('v3'))).code).toBe(404);
    expect((await api.call('GET', V2)).body.items).toEqual([]);
  });

  test("what is elsewhere stands in nobody's way", async () => {
    await api.call('POST', '/api/v1/namespaces', { body: { metadata: { name: 'b' } } });
    const elsewhere = V1.replace('/a/', '/b/');
    await write('POST', elsewhere, { metadata: { name: 'bad' } });
    await write('POST', V1, { metadata: { name: 'one' }, spec: { hostPort: 'h:1' } });
    // Nothing of the new storage has been read.
    await defineEndpoints(api, webhook, 'v1', ['v1']);
    webhook.behaviour = spoiled((object) =>
      (object['metadata'] as { name: string }).name === 'bad' ? undefined : object,
    );
    for (const query of [{}, { limit: '1' }, { resourceVersion: '0' }, { fieldSelector: 'spec.port=1' }])
      expect((await api.call('GET', V2, { query })).body.items).toMatchObject([{ spec: { host: 'h' } }]);
    expect((await api.call('GET', `${V2}/one`, { query: { resourceVersion: '0' } })).code).toBe(200);
    expect((await api.call('GET', EVERYWHERE)).code).toBe(500);
    expect((await api.call('GET', V2)).code).toBe(200);
    expect((await api.call('DELETE', V2)).code).toBe(200);
    expect((await api.call('GET', V1)).body.items).toEqual([]);
    await write('DELETE', elsewhere);
  });

  test('watches of the other version end, and go on when it is back', async () => {
    await write('POST', V1, { metadata: { name: 'one' }, spec: { hostPort: 'h:1' } });
    const { body: list } = await api.call('GET', V2);
    const seen = await api.watch(V2, { resourceVersion: list.metadata.resourceVersion }, 5, async () => {
      await write('PATCH', `${V1}/one`, { spec: { hostPort: 'h:2' } }, MERGE);
      await eventually(async () => (await api.call('GET', V2)).body.items[0]?.spec).toEqual({
        host: 'h',
        port: '2',
      });
      webhook.behaviour = () => 503;
      await write('PATCH', `${V1}/one`, { spec: { hostPort: 'h:3' } }, MERGE);
    });
    expect(seen.map(({ object }) => object.spec)).toEqual([{ host: 'h', port: '2' }]);
    const again = { resourceVersion: seen[0]?.object.metadata.resourceVersion as string };
    await expect(api.watch(V2, again, 1)).rejects.toThrow(`${ABOUT} failed: the server is currently unable`);
    expect((await api.call('GET', V2)).body.message).toContain(`${ABOUT} failed`);

    webhook.behaviour = converted;
    const { body: now } = await api.call('GET', V2);
    expect(now.items).toMatchObject([{ spec: { host: 'h', port: '3' } }]);
    const later = await api.watch(V2, { resourceVersion: now.metadata.resourceVersion }, 1, () =>
      write('PATCH', `${V1}/one`, { spec: { hostPort: 'h:4' } }, MERGE),
    );
    expect(later.map(({ object }) => object.spec)).toEqual([{ host: 'h', port: '4' }]);
  });

  test('a write in the stored version forgets who managed what in the other, as upstream', async () => {
    await write('POST', V2, { metadata: { name: 'one' }, spec: { host: 'h' } });
    expect((await api.call('GET', `${V1}/one`)).body.metadata.managedFields).toHaveLength(1);
    webhook.behaviour = () => 503;
    const patched = await write('PATCH', `${V1}/one`, { spec: { hostPort: 'h:3' } }, MERGE);
    expect(patched.metadata.managedFields).toBeUndefined();
    expect(patched.spec).toEqual({ hostPort: 'h:3' });
  });

  test('whom to trust is what the definition says now', async () => {
    await write('POST', V1, { metadata: { name: 'one' }, spec: { hostPort: 'h:1' } });
    await using other = await startConversionWebhook();
    const mixed = { ...webhook, caBundle: other.caBundle } as ConversionWebhook;
    const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/endpoints.example.com';
    const patch = ({ url, caBundle }: ConversionWebhook): Promise<unknown> =>
      write('PATCH', path, { spec: { conversion: { webhook: { clientConfig: { url, caBundle } } } } }, MERGE);
    await patch(mixed);
    await eventually(async () => (await api.call('GET', `${V2}/one`)).body.message).toBe(
      `${ABOUT} failed: Post "${webhook.url}?timeout=30s": tls: failed to verify certificate: x509: certificate signed by unknown authority`,
    );
    await patch(other);
    await eventually(async () => (await api.call('GET', `${V2}/one`)).code).toBe(200);
    expect(other.asked.length).toBeGreaterThan(0);
    await patch(webhook);
    await eventually(() => api.call('GET', `${V2}/one`).then(() => webhook.asked.length)).toBeGreaterThan(0);
  });
});

test('a definition waits for who should convert what is to be deleted', async () => {
  await defineEndpoints(api, webhook, 'v1');
  await write('POST', V1, { metadata: { name: 'one' } });
  await defineEndpoints(api, webhook, 'v2');
  webhook.behaviour = () => 503;
  const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/endpoints.example.com';
  await write('DELETE', path);
  await eventually(async () => JSON.stringify((await api.call('GET', path)).body)).toContain(
    `"reason":"InstanceDeletionFailed","message":"could not list instances: ${ABOUT} failed`,
  );
  webhook.behaviour = converted;
  await eventually(async () => (await api.call('GET', path)).code).toBe(404);
  await defineEndpoints(api, webhook, 'v1');
});

test('what is asked is counted', async () => {
  await write('POST', V1, { metadata: { name: 'one' } });
  await api.call('GET', `${V2}/one`);
  const text = await server.server.metrics.text();
  for (const name of [
    'apiserver_crd_conversion_webhook_duration_seconds_count{crd_name="endpoints.example.com",from_version="v1",to_version="v2",succeeded="true"}',
    'apiserver_crd_conversion_webhook_duration_seconds_count{crd_name="endpoints.example.com",from_version="v1",to_version="v2",succeeded="false"}',
    'apiserver_conversion_webhook_request_total{result="success",failure_type=""}',
    ...['call', 'malformed_response', 'partial_response', 'invalid_converted_object'].map(
      (type) =>
        `apiserver_conversion_webhook_request_total{result="failure",failure_type="conversion_webhook_${type}_failure"}`,
    ),
    'apiserver_conversion_webhook_duration_seconds_bucket{le="45",result="success",failure_type=""}',
  ])
    expect(text).toContain(name);
});

test('a server that stops waits for nobody', async () => {
  webhook.behaviour = converted;
  await using hanging = await startConversionWebhook();
  const other = await createTestServer({
    strategies: builtinStrategies(),
    postStartHooks: [customResourcesHook],
    plainPort: 0,
  });
  const [inside, outside] = apiCallers(() => other) as [ApiCaller, ApiCaller];
  await other.server.ready;
  await inside.call('POST', '/api/v1/namespaces', { body: { metadata: { name: 'a' } } });
  await defineEndpoints(inside, hanging, 'v1');
  await inside.call('POST', V1, { body: { metadata: { name: 'one' } } });
  hanging.behaviour = () => 'never';
  const pending = [
    inside.call('GET', `${V2}/one`),
    inside.call('GET', EVERYWHERE),
    inside.watch(V2, {}, 1),
    outside.call('GET', `${V2}/one`),
  ].map((each) => each.then(() => 'answered').catch(() => 'refused'));
  await eventually(() => hanging.asked.length).toBeGreaterThan(2);
  const start = performance.now();
  await other[Symbol.asyncDispose]();
  await Promise.all(pending);
  expect(performance.now() - start).toBeLessThan(5_000);
  // And nobody is asked afterwards.
  const { length } = hanging.asked;
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(hanging.asked).toHaveLength(length);
});
