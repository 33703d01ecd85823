/** Policies and webhooks that want to see a custom resource in another version than that of the request. */
import { silentLogger } from '@k8ts/base';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { mutatingAdmissionPolicy } from '../../admission/policies/mutating-admission-policy.ts';
import { validatingAdmissionPolicy } from '../../admission/policies/validating-admission-policy.ts';
import { createWebhookClient, type WebhookClient } from '../../admission/webhooks/webhook-client.ts';
import { mutatingWebhooks, validatingWebhooks } from '../../admission/webhooks/webhooks.ts';
import { customResourcesHook } from '../../post-start/custom-resources.ts';
import { builtinStrategies } from '../../registry/builtin-strategies.ts';
import { apiCallers, type Answer, type ApiCaller } from '../../testing/api-callers.ts';
import {
  converted,
  defineEndpoints,
  endpoints,
  startConversionWebhook,
  type ConvertedObject,
  type ConversionWebhook,
} from '../../testing/conversion-webhook.ts';
import { createTestServer, type TestServer } from '../../testing/test-server.ts';

const V1 = endpoints('v1');
const V2 = endpoints('v2');
const MERGE = 'application/merge-patch+json';
const ADMISSION = '/apis/admissionregistration.k8s.io/v1';
const RULE = { apiGroups: ['example.com'], apiVersions: ['v2'], resources: ['endpoints'], operations: ['*'] };

interface AdmissionBody {
  readonly apiVersion: string;
  readonly request: {
    readonly uid: string;
    readonly operation: string;
    readonly kind: { readonly version: string };
    readonly requestKind: { readonly version: string };
    readonly object: ConvertedObject | null;
    readonly oldObject: ConvertedObject | null;
  };
}

let webhook: ConversionWebhook;
let admission: ConversionWebhook;
let server: TestServer;
let client: WebhookClient;
const made: string[] = [];
const api = apiCallers(() => server)[1] as ApiCaller;

beforeAll(async () => {
  webhook = await startConversionWebhook();
  admission = await startConversionWebhook();
  server = await createTestServer(
    { strategies: builtinStrategies(), postStartHooks: [customResourcesHook] },
    (objects) => {
      client = createWebhookClient(objects);
      const authorize = (): { readonly verdict: 'allow'; readonly reason: string } => ({
        verdict: 'allow',
        reason: '',
      });
      const services = { objects, client, logger: silentLogger, authorize };
      return {
        admission: [
          mutatingAdmissionPolicy(services),
          mutatingWebhooks(services),
          validatingAdmissionPolicy(services),
          validatingWebhooks(services),
        ],
      };
    },
  );
  await server.server.ready;
  await api.call('POST', '/api/v1/namespaces', { body: { metadata: { name: 'a' } } });
  await defineEndpoints(api, webhook, 'v1');
});
afterAll(async () => {
  client.close();
  await server[Symbol.asyncDispose]();
  await webhook[Symbol.asyncDispose]();
  await admission[Symbol.asyncDispose]();
});
afterEach(async () => {
  webhook.behaviour = converted;
  for (const path of made.splice(0)) await api.call('DELETE', path);
  await api.call('DELETE', V1);
});

async function register(resource: string, object: object): Promise<void> {
  const name = `${resource.slice(0, 12)}${made.length}`;
  const { code, body } = await api.call('POST', `${ADMISSION}/${resource}`, {
    body: { metadata: { name }, ...object },
  });
  expect(code, body.message).toBe(200);
  made.push(`${ADMISSION}/${resource}/${name}`);
}

/** What the admission webhook does with what it is shown. */
function admit(answer: (request: AdmissionBody['request']) => object): AdmissionBody['request'][] {
  const seen: AdmissionBody['request'][] = [];
  admission.behaviour = (body) => {
    const { apiVersion, request } = body as unknown as AdmissionBody;
    seen.push(request);
    return { kind: 'AdmissionReview', apiVersion, response: { uid: request.uid, ...answer(request) } };
  };
  return seen;
}

const hook = (further: object = {}): object => ({
  name: 'hook.example.com',
  clientConfig: { url: admission.url, caBundle: admission.caBundle },
  rules: [RULE],
  sideEffects: 'None',
  admissionReviewVersions: ['v1'],
  ...further,
});
const create = (name: string, hostPort: string): Promise<Answer> =>
  api.call('POST', V1, { body: { metadata: { name }, spec: { hostPort } } });

test('a validating policy', async () => {
  await register('validatingadmissionpolicies', {
    spec: {
      matchConstraints: { resourceRules: [RULE] },
      matchConditions: [
        { name: 'not-skipped', expression: "request.operation == 'DELETE' || object.spec.host != 'skip'" },
      ],
      validations: [
        { expression: "object == null || object.spec.port != '666'", message: 'that port is taken' },
        { expression: 'oldObject == null || object == null || object.spec.host == oldObject.spec.host' },
      ],
    },
  });
  await register('validatingadmissionpolicybindings', {
    spec: { policyName: 'validatingad0', validationActions: ['Deny'] },
  });
  expect(await create('one', 'h:666')).toMatchObject({
    code: 422,
    body: { message: expect.stringContaining('that port is taken') as string },
  });
  expect((await create('skipped', 'skip:666')).code).toBe(200);
  expect((await create('one', 'h:1')).code).toBe(200);
  const patch = (hostPort: string): Promise<Answer> =>
    api.call('PATCH', `${V1}/one`, { body: { spec: { hostPort } }, contentType: MERGE });
  expect((await patch('h:2')).code).toBe(200);
  expect((await patch('i:2')).code).toBe(422);
  webhook.behaviour = () => 503;
  expect(await patch('h:3')).toMatchObject({
    code: 500,
    body: {
      reason: 'InternalError',
      message: expect.stringContaining(
        'Internal error occurred: conversion webhook for example.com/v1, Kind=Endpoint failed: ',
      ) as string,
    },
  });
});

test('a mutating policy', async () => {
  await register('mutatingadmissionpolicies', {
    spec: {
      matchConstraints: { resourceRules: [{ ...RULE, operations: ['CREATE'] }] },
      reinvocationPolicy: 'Never',
      mutations: [
        {
          patchType: 'ApplyConfiguration',
          applyConfiguration: { expression: 'Object{spec: Object.spec{port: object.spec.port + "0"}}' },
        },
        {
          patchType: 'JSONPatch',
          jsonPatch: {
            expression: '[JSONPatch{op: "replace", path: "/spec/port", value: object.spec.port + "1"}]',
          },
        },
      ],
    },
  });
  await register('mutatingadmissionpolicybindings', { spec: { policyName: 'mutatingadmi0' } });
  expect(await create('one', 'h:8')).toMatchObject({
    code: 200,
    body: { apiVersion: 'example.com/v1', spec: { hostPort: 'h:801' } },
  });
  const two = await api.call('POST', V2, {
    body: { metadata: { name: 'two' }, spec: { host: 'h', port: '9' } },
  });
  expect(two.body.spec).toEqual({ host: 'h', port: '901' });
});

test('a mutating webhook', async () => {
  await register('mutatingwebhookconfigurations', { webhooks: [hook()] });
  const seen = admit(({ object }) => ({
    allowed: true,
    ...(object === null
      ? {}
      : {
          patchType: 'JSONPatch',
          patch: Buffer.from(
            JSON.stringify([
              { op: 'replace', path: '/spec/port', value: `${String(object.spec?.['port'])}0` },
            ]),
          ).toString('base64'),
        }),
  }));
  expect((await create('one', 'h:8')).body.spec).toEqual({ hostPort: 'h:80' });
  const patched = await api.call('PATCH', `${V1}/one`, {
    body: { spec: { hostPort: 'i:7' } },
    contentType: MERGE,
  });
  expect(patched.body.spec).toEqual({ hostPort: 'i:70' });
  expect((await api.call('DELETE', `${V1}/one`)).code).toBe(200);
  const shown = (object: ConvertedObject | null): unknown => object && [object.apiVersion, object.spec];
  expect(
    seen.map(({ operation, object, oldObject }) => [operation, shown(object), shown(oldObject)]),
  ).toEqual([
    ['CREATE', ['example.com/v2', { host: 'h', port: '8' }], null],
    ['UPDATE', ['example.com/v2', { host: 'i', port: '7' }], ['example.com/v2', { host: 'h', port: '80' }]],
    ['DELETE', null, ['example.com/v2', { host: 'i', port: '70' }]],
  ]);
  expect(seen[0]).toMatchObject({ kind: { version: 'v2' }, requestKind: { version: 'v1' } });
});

test('validating webhooks, of which each sees what it wants', async () => {
  const inV1 = { ...RULE, apiVersions: ['v1'] };
  const matchConditions = [{ name: 'port', expression: "has(object.spec.port) && object.spec.port == '5'" }];
  await register('validatingwebhookconfigurations', {
    webhooks: [
      hook({ name: 'one.x.y', matchConditions }),
      hook({ name: 'two.x.y', rules: [inV1] }),
      hook({ name: 'three.x.y' }),
    ],
  });
  const seen = admit(() => ({ allowed: true }));
  webhook.asked.length = 0;
  await create('one', 'h:1');
  await create('two', 'h:5');
  expect(seen.map(({ object }) => object?.apiVersion).sort()).toEqual([
    ...['example.com/v1', 'example.com/v1'],
    ...['example.com/v2', 'example.com/v2', 'example.com/v2'],
  ]);
  // Once for each object, however many want to see it.
  expect(webhook.asked.map(({ request }) => request.objects[0]?.metadata.name)).toEqual(['one', 'two']);
});
