import { apiextensionsv1 } from '@k8ts/api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { until } from '../support/waiting.ts';
import {
  jsonPatch,
  startWebhookServer,
  type WebhookBehaviour,
  type WebhookServer,
} from '../support/webhook-server.ts';
import type { Answer } from '../support/wire.ts';
import {
  define,
  definitionOf,
  undefine,
  versionsOf,
  ANYTHING,
  type Definition,
  type JsonSchema,
} from './custom-resources.ts';
import { podOf, useSuite } from './support.ts';

const HOST = 'hook.webhooks.svc';
const ADMISSION = '/apis/admissionregistration.k8s.io/v1';
const DISALLOWED = { 'webhook-e2e-test': 'webhook-disallow' };

interface Data {
  readonly data?: Readonly<Record<string, string>>;
}

const denied = (message: string): object => ({ allowed: false, status: { message } });
const dataOf = (object: Readonly<Record<string, unknown>> | null): Readonly<Record<string, string>> =>
  (object as Data | null)?.data ?? {};

/** What upstream's test image answers, by path. */
const BEHAVIOURS: Readonly<Record<string, WebhookBehaviour>> = {
  '/always-deny': () => denied('this webhook denies all requests'),
  '/configmaps': ({ object }) =>
    dataOf(object)['webhook-e2e-test'] === 'webhook-disallow'
      ? denied('the configmap contains unwanted key and value')
      : { allowed: true },
  '/pods': ({ object }) => {
    const pod = object as {
      metadata: { labels?: Record<string, string> };
      spec: { containers: { name: string }[] };
    };
    const label = pod.metadata.labels?.['webhook-e2e-test'];
    if (label === 'wait-forever') return undefined;
    const faults = [
      ...(pod.spec.containers.some(({ name }) => name.includes('webhook-disallow'))
        ? ['the pod contains unwanted container name']
        : []),
      ...(label === 'webhook-disallow' ? ['the pod contains unwanted label'] : []),
    ];
    return faults.length === 0 ? { allowed: true } : denied(faults.join('; '));
  },
  '/attach': ({ name }) => denied(`attaching to pod '${name}' is not allowed`),
  '/custom-resource': ({ object, oldObject }) =>
    dataOf(object ?? oldObject)['webhook-e2e-test'] === 'webhook-disallow'
      ? denied('the custom resource contains unwanted data')
      : { allowed: true },
  '/mutate': ({ object }) => {
    const data = dataOf(object);
    if (data['mutation-start'] === 'yes' && data['mutation-stage-1'] === undefined)
      return jsonPatch({ op: 'add', path: '/data/mutation-stage-1', value: 'yes' });
    return { allowed: true };
  },
  '/mutate-again': ({ object }) => {
    const data = dataOf(object);
    if (data['mutation-stage-1'] === 'yes' && data['mutation-stage-2'] === undefined)
      return jsonPatch({ op: 'add', path: '/data/mutation-stage-2', value: 'yes' });
    return { allowed: true };
  },
  '/mutate-pods': () =>
    jsonPatch({
      op: 'add',
      path: '/spec/initContainers',
      value: [{ image: 'registry.example/init:1', name: 'webhook-added-init-container', resources: {} }],
    }),
  '/add-label': () =>
    jsonPatch({ op: 'add', path: '/metadata/labels', value: { 'added-label': 'added-value' } }),
  '/slow': () => new Promise((resolve) => setTimeout(() => resolve({ allowed: true }), 5_000)),
};

type Kind = 'validating' | 'mutating';

interface HookParts {
  readonly path: string;
  readonly resources?: readonly string[];
  readonly group?: string;
  readonly operations?: readonly string[];
  readonly further?: object;
}

describe('admission webhooks', () => {
  const suite = useSuite();
  let server: WebhookServer;
  let configurations = 0;

  beforeAll(async () => {
    server = await startWebhookServer(HOST, BEHAVIOURS);
    await send('POST', '/api/v1/namespaces', { metadata: { name: 'webhooks' } });
    // A Service that leads out of the cluster: to the webhook on this machine.
    await send('POST', '/api/v1/namespaces/webhooks/services', {
      metadata: { name: 'hook' },
      spec: { type: 'ExternalName', externalName: 'localhost' },
    });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  async function send(method: string, path: string, body?: object, contentType?: string): Promise<Answer> {
    return suite.wire.send(method, path, {
      ...(body === undefined ? {} : { body }),
      ...(contentType === undefined ? {} : { contentType }),
    });
  }
  async function created<T = Data>(path: string, body: object): Promise<T> {
    const answer = await send('POST', path, body);
    expect(answer.code, answer.text).toBe(201);
    return answer.json<T>();
  }
  async function refused(answer: Answer | Promise<Answer>): Promise<string> {
    const { code, text, json } = await answer;
    expect(code, text).toBeGreaterThanOrEqual(400);
    return json<{ readonly message: string }>().message;
  }

  /** A webhook for one namespace. */
  const hook = (namespace: string | undefined, parts: HookParts): object => ({
    name: `hook${parts.path.replaceAll('/', '-')}.k8s.io`,
    clientConfig: {
      service: { namespace: 'webhooks', name: 'hook', path: parts.path, port: server.port },
      caBundle: server.caBundle,
    },
    admissionReviewVersions: ['v1', 'v1beta1'],
    sideEffects: 'None',
    rules: [
      {
        operations: parts.operations ?? ['CREATE'],
        apiGroups: [parts.group ?? ''],
        apiVersions: ['*'],
        resources: parts.resources ?? ['configmaps'],
      },
    ],
    ...(namespace === undefined
      ? {}
      : { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } } }),
    ...parts.further,
  });

  /** The path of a new configuration. */
  async function register(
    kind: Kind,
    webhooks: readonly object[],
    labels: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    const collection = `${ADMISSION}/${kind}webhookconfigurations`;
    const name = `test-${++configurations}`;
    await created(collection, { metadata: { name, labels }, webhooks });
    return `${collection}/${name}`;
  }

  const maps = (namespace: string): string => `/api/v1/namespaces/${namespace}/configmaps`;
  let names = 0;
  const map = (data: object): object => ({ metadata: { name: `map-${++names}` }, data });
  const START = { 'mutation-start': 'yes' };

  it('[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should include webhook resources in discovery documents [Conformance]', async () => {
    interface Group {
      readonly name: string;
      readonly versions: readonly { readonly version: string }[];
    }
    const hasV1 = ({ versions }: Group): boolean => versions.some(({ version }) => version === 'v1');
    const { groups } = (await send('GET', '/apis')).json<{ readonly groups: readonly Group[] }>();
    expect(groups.some((group) => group.name === 'admissionregistration.k8s.io' && hasV1(group))).toBe(true);
    expect(hasV1((await send('GET', '/apis/admissionregistration.k8s.io')).json<Group>())).toBe(true);
    const { resources } = (await send('GET', ADMISSION)).json<{ readonly resources: readonly Group[] }>();
    expect(resources.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['mutatingwebhookconfigurations', 'validatingwebhookconfigurations']),
    );
  });

  it('[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should be able to deny pod and configmap creation [Conformance]', async () => {
    const namespace = await suite.namespace();
    const skipped = await suite.namespace();
    await send(
      'PATCH',
      `/api/v1/namespaces/${skipped}`,
      { metadata: { labels: { 'skip-webhook': 'yes' } } },
      'application/merge-patch+json',
    );
    const further = {
      namespaceSelector: {
        matchExpressions: [
          { key: 'skip-webhook', operator: 'NotIn', values: ['yes'] },
          { key: 'kubernetes.io/metadata.name', operator: 'In', values: [namespace, skipped] },
        ],
      },
    };
    const configuration = await register('validating', [
      hook(undefined, { path: '/pods', resources: ['pods'], further: { ...further, timeoutSeconds: 2 } }),
      hook(undefined, { path: '/configmaps', operations: ['CREATE', 'UPDATE', 'DELETE'], further }),
    ]);
    const pods = `/api/v1/namespaces/${namespace}/pods`;
    const labelled = (name: string, label: string): object =>
      podOf(name, {
        labels: { 'webhook-e2e-test': label },
        spec: { containers: [{ name: label, image: 'registry.example/pause:1' }] },
      });
    const message = await refused(send('POST', pods, labelled('disallowed', 'webhook-disallow')));
    expect(message).toContain('the pod contains unwanted container name');
    expect(message).toContain('the pod contains unwanted label');

    const hanging = await refused(send('POST', pods, labelled('hanging', 'wait-forever')));
    expect(hanging).toMatch(/webhook.*deadline/);
    expect((await send('GET', `${pods}/hanging`)).code).toBe(404);

    const unwanted = 'the configmap contains unwanted key and value';
    expect(await refused(send('POST', maps(namespace), map(DISALLOWED)))).toContain(unwanted);
    await created(maps(namespace), { metadata: { name: 'allowed' }, data: { admit: 'this' } });
    const allowed = `${maps(namespace)}/allowed`;
    const current = (await send('GET', allowed)).json<Data>();
    expect(
      await refused(send('PUT', allowed, { ...current, data: { ...current.data, ...DISALLOWED } })),
    ).toContain(unwanted);
    expect(
      await refused(send('PATCH', allowed, { data: DISALLOWED }, 'application/strategic-merge-patch+json')),
    ).toContain(unwanted);
    await created(maps(skipped), map(DISALLOWED));
    await send('DELETE', configuration);
  });

  it('[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should be able to deny attaching pod [Conformance]', async () => {
    const namespace = await suite.namespace();
    const configuration = await register('validating', [
      hook(namespace, { path: '/attach', operations: ['CONNECT'], resources: ['pods/attach'] }),
    ]);
    const pod = `/api/v1/namespaces/${namespace}/pods/to-be-attached-pod`;
    await created(pod.replace('/to-be-attached-pod', ''), podOf('to-be-attached-pod'));
    await until(
      async () => (await send('GET', pod)).json<{ status: { phase?: string } }>().status.phase === 'Running',
    );
    expect(await refused(send('POST', `${pod}/attach?container=main&stdin=true&stdout=true`))).toContain(
      "attaching to pod 'to-be-attached-pod' is not allowed",
    );
    await send('DELETE', configuration);
  });

  it('[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should unconditionally reject operations on fail closed webhook [Conformance]', async () => {
    const namespace = await suite.namespace();
    const service = { namespace: 'webhooks', name: 'hook', path: '/configmaps', port: server.port };
    const configuration = await register('validating', [
      // Without an authority to trust, the call always fails.
      hook(namespace, { path: '/configmaps', further: { clientConfig: { service }, failurePolicy: 'Fail' } }),
    ]);
    const answer = await send('POST', maps(namespace), map({}));
    expect(answer.code).toBe(500);
    expect(answer.json()).toMatchObject({ reason: 'InternalError' });
    await send('DELETE', configuration);
  });

  it('[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate configmap [Conformance]', async () => {
    const namespace = await suite.namespace();
    const configuration = await register('mutating', [
      hook(namespace, { path: '/mutate' }),
      hook(namespace, { path: '/mutate-again' }),
    ]);
    expect((await created(maps(namespace), map(START))).data).toEqual({
      ...START,
      'mutation-stage-1': 'yes',
      'mutation-stage-2': 'yes',
    });
    await send('DELETE', configuration);
  });

  it('[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate pod and apply defaults after mutation [Conformance]', async () => {
    const namespace = await suite.namespace();
    const configuration = await register('mutating', [
      hook(namespace, { path: '/mutate-pods', resources: ['pods'] }),
    ]);
    const pod = await created<object>(`/api/v1/namespaces/${namespace}/pods`, podOf('webhook-to-be-mutated'));
    expect(pod).toMatchObject({
      spec: { initContainers: [{ name: 'webhook-added-init-container', terminationMessagePolicy: 'File' }] },
    });
    await send('DELETE', configuration);
  });

  it('[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should not be able to mutate or prevent deletion of webhook configuration objects [Conformance]', async () => {
    const about = {
      group: 'admissionregistration.k8s.io',
      resources: ['validatingwebhookconfigurations', 'mutatingwebhookconfigurations'],
    };
    const guards = [
      await register('validating', [
        hook(undefined, { path: '/always-deny', operations: ['DELETE'], ...about }),
      ]),
      await register('mutating', [hook(undefined, { path: '/add-label', ...about })]),
    ];
    for (const kind of ['validating', 'mutating'] as const) {
      const dummy = await register(kind, [
        hook(undefined, { path: '/none', resources: ['invalid'], further: { failurePolicy: 'Ignore' } }),
      ]);
      expect((await send('GET', dummy)).text).not.toContain('added-label');
      expect((await send('DELETE', dummy)).code).toBe(200);
    }
    for (const guard of guards) expect((await send('DELETE', guard)).code).toBe(200);
  });

  it('[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should deny crd creation [Conformance]', async () => {
    const configuration = await register('validating', [
      hook(undefined, {
        path: '/always-deny',
        group: 'apiextensions.k8s.io',
        resources: ['customresourcedefinitions'],
        further: { objectSelector: { matchLabels: { 'webhook-test': 'denied' } } },
      }),
    ]);
    const definition = definitionOf({
      group: 'denied.example.com',
      plural: 'denieds',
      kind: 'Denied',
      labels: { 'webhook-test': 'denied' },
      versions: versionsOf(ANYTHING, 'v1'),
    });
    const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    expect(await refused(send('POST', path, definition))).toContain('this webhook denies all requests');
    await send('DELETE', configuration);
  });

  const timing = async (namespace: string, further: object): Promise<Answer> => {
    const configuration = await register('validating', [hook(namespace, { path: '/slow', further })]);
    const answer = await send('POST', maps(namespace), map({}));
    await send('DELETE', configuration);
    return answer;
  };

  it('[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should honor timeout [Conformance]', async () => {
    // One namespace for each, so that they wait at the same time.
    const [early = '', ignored = '', late = '', standard = ''] = await Promise.all(
      [1, 2, 3, 4].map(() => suite.namespace()),
    );
    const answers = await Promise.all([
      timing(early, { failurePolicy: 'Fail', timeoutSeconds: 1 }),
      timing(ignored, { failurePolicy: 'Ignore', timeoutSeconds: 1 }),
      timing(late, { failurePolicy: 'Fail', timeoutSeconds: 10 }),
      timing(standard, { failurePolicy: 'Fail' }),
    ]);
    expect(answers.map(({ code }) => code)).toEqual([500, 201, 201, 201]);
    expect(await refused(answers[0])).toMatch(/failed calling webhook.*context deadline exceeded/);
  });

  /** Whether the webhook of the kind has its effect on a new object. */
  async function isInEffect(kind: Kind, namespace: string): Promise<boolean> {
    if (kind === 'mutating')
      return (await created(maps(namespace), map(START))).data?.['mutation-stage-1'] === 'yes';
    const answer = await send('POST', maps(namespace), map(DISALLOWED));
    if (answer.code === 201) return false;
    expect(await refused(answer)).toContain('denied');
    return true;
  }
  const effective = (kind: Kind, namespace: string): object =>
    hook(namespace, { path: kind === 'mutating' ? '/mutate' : '/configmaps' });

  async function patchAndUpdate(kind: Kind): Promise<void> {
    const namespace = await suite.namespace();
    const configuration = await register(kind, [effective(kind, namespace)]);
    expect(await isInEffect(kind, namespace)).toBe(true);
    interface Configuration {
      readonly metadata: { readonly resourceVersion: string };
      readonly webhooks: readonly { readonly rules: readonly object[] }[];
    }
    const current = (await send('GET', configuration)).json<Configuration>();
    const webhooks = current.webhooks.map((webhook) => ({
      ...webhook,
      rules: webhook.rules.map((rule) => ({ ...rule, operations: ['UPDATE'] })),
    }));
    const updated = await send('PUT', configuration, { ...current, webhooks });
    expect(updated.code, updated.text).toBe(200);
    expect(await isInEffect(kind, namespace)).toBe(false);
    const operations = [{ op: 'replace', path: '/webhooks/0/rules/0/operations', value: ['CREATE'] }];
    const patched = await send('PATCH', configuration, operations, 'application/json-patch+json');
    expect(Number(patched.json<Configuration>().metadata.resourceVersion)).toBeGreaterThan(
      Number(updated.json<Configuration>().metadata.resourceVersion),
    );
    expect(await isInEffect(kind, namespace)).toBe(true);
    await send('DELETE', configuration);
  }

  it('[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] patching/updating a validating webhook should work [Conformance]', () =>
    patchAndUpdate('validating'));
  it('[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] patching/updating a mutating webhook should work [Conformance]', () =>
    patchAndUpdate('mutating'));

  async function listAndDelete(kind: Kind): Promise<void> {
    const namespace = await suite.namespace();
    const labels = { 'e2e-list-test-uuid': `${kind}-${namespace}` };
    for (let at = 0; at < 10; at++) await register(kind, [effective(kind, namespace)], labels);
    const path = `${ADMISSION}/${kind}webhookconfigurations?labelSelector=e2e-list-test-uuid%3D${kind}-${namespace}`;
    const count = async (): Promise<number> =>
      (await send('GET', path)).json<{ readonly items: readonly unknown[] }>().items.length;
    expect(await count()).toBe(10);
    expect(await isInEffect(kind, namespace)).toBe(true);
    expect((await send('DELETE', path)).code).toBe(200);
    expect(await count()).toBe(0);
    expect(await isInEffect(kind, namespace)).toBe(false);
  }

  it('[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] listing validating webhooks should work [Conformance]', () =>
    listAndDelete('validating'));
  it('[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] listing mutating webhooks should work [Conformance]', () =>
    listAndDelete('mutating'));

  const customPath = ({ spec }: Definition, namespace: string, version = 'v1'): string =>
    `/apis/${spec.group}/${version}/namespaces/${namespace}/${spec.names.plural}`;
  const custom = ({ spec }: Definition, name: string, data: object): object => ({
    apiVersion: `${spec.group}/v1`,
    kind: spec.names.kind,
    metadata: { name },
    data,
  });
  async function defined(plural: string, kind: string, schema: JsonSchema = ANYTHING): Promise<Definition> {
    return define(suite.client, definitionOf({ plural, kind, versions: versionsOf(schema, 'v1', 'v2') }));
  }
  const aboutCustom = ({ spec }: Definition, path: string, operations = ['CREATE', 'UPDATE']): HookParts => ({
    path,
    group: spec.group,
    resources: [spec.names.plural],
    operations,
  });

  it('[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should be able to deny custom resource creation, update and deletion [Conformance]', async () => {
    const namespace = await suite.namespace();
    const definition = await defined('guardeds', 'Guarded');
    const configuration = await register('validating', [
      hook(namespace, aboutCustom(definition, '/custom-resource', ['CREATE', 'UPDATE', 'DELETE'])),
    ]);
    const path = customPath(definition, namespace);
    const unwanted = 'the custom resource contains unwanted data';
    expect(await refused(send('POST', path, custom(definition, 'bad', DISALLOWED)))).toContain(unwanted);
    await created(path, custom(definition, 'one', { 'webhook-e2e-test': 'webhook-allow' }));
    const merge = (data: object): Promise<Answer> =>
      send('PATCH', `${path}/one`, { data }, 'application/merge-patch+json');
    expect(await refused(merge(DISALLOWED))).toContain(unwanted);
    // What is unwanted can be there only while nobody looks; then it cannot be deleted.
    await send('DELETE', configuration);
    expect((await merge(DISALLOWED)).code).toBe(200);
    const again = await register('validating', [
      hook(namespace, aboutCustom(definition, '/custom-resource', ['DELETE'])),
    ]);
    expect(await refused(send('DELETE', `${path}/one`))).toContain(unwanted);
    expect((await merge({ 'webhook-e2e-test': null })).code).toBe(200);
    expect((await send('DELETE', `${path}/one`)).code).toBe(200);
    await send('DELETE', again);
    await undefine(suite.client, definition);
  });

  async function mutateCustom(definition: Definition): Promise<Data['data']> {
    const namespace = await suite.namespace();
    const configuration = await register('mutating', [
      hook(namespace, aboutCustom(definition, '/mutate')),
      hook(namespace, aboutCustom(definition, '/mutate-again')),
    ]);
    const { data } = await created(customPath(definition, namespace), custom(definition, 'one', START));
    await send('DELETE', configuration);
    await undefine(suite.client, definition);
    return data;
  }

  it('[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate custom resource [Conformance]', async () => {
    expect(await mutateCustom(await defined('mutateds', 'Mutated'))).toEqual({
      ...START,
      'mutation-stage-1': 'yes',
      'mutation-stage-2': 'yes',
    });
  });

  it('[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate custom resource with pruning [Conformance]', async () => {
    const text = { type: 'string' };
    const data = { type: 'object', properties: { 'mutation-start': text, 'mutation-stage-1': text } };
    const definition = await defined('pruneds', 'Pruned', { type: 'object', properties: { data } });
    expect(await mutateCustom(definition)).toEqual({ ...START, 'mutation-stage-1': 'yes' });
  });

  it('[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate custom resource with different stored version [Conformance]', async () => {
    const namespace = await suite.namespace();
    const definition = await defined('storeds', 'Stored');
    const configuration = await register('mutating', [hook(namespace, aboutCustom(definition, '/mutate'))]);
    await created(customPath(definition, namespace), custom(definition, 'one', START));
    const definitions = suite.client.resource(apiextensionsv1.customResourceDefinitions);
    const current = await definitions.get(definition.metadata.name);
    await definitions.update({
      ...current,
      spec: {
        ...current.spec,
        versions: current.spec.versions.map((version) => ({ ...version, storage: version.name === 'v2' })),
      },
    });
    const patch = { data: { dummy: 'test' } };
    let patched: Answer | undefined;
    await until(async () => {
      patched = await send(
        'PATCH',
        `${customPath(definition, namespace)}/one`,
        patch,
        'application/merge-patch+json',
      );
      return patched.code === 200;
    });
    expect(patched?.json<Data>().data).toEqual({ ...START, 'mutation-stage-1': 'yes', dummy: 'test' });
    await send('DELETE', configuration);
    await undefine(suite.client, definition);
  });

  const unlessLease = {
    name: 'exclude-leases',
    expression: "!(request.resource.group == 'coordination.k8s.io')",
  };

  async function createAndUpdateConditions(kind: Kind): Promise<void> {
    const namespace = await suite.namespace();
    const webhook = hook(namespace, { path: '/always-deny', further: { matchConditions: [unlessLease] } });
    const path = await register(kind, [webhook]);
    const stored = async (): Promise<unknown[]> => {
      interface Configuration {
        readonly webhooks: readonly { readonly matchConditions?: unknown[] }[];
      }
      const { json } = await send('GET', path);
      return json<Configuration>().webhooks.map(({ matchConditions }) => matchConditions);
    };
    expect(await stored()).toEqual([[unlessLease]]);
    const further = [
      unlessLease,
      { name: 'exclude-kubelets', expression: "!('system:nodes' in request.userInfo.groups)" },
    ];
    const current = (await send('GET', path)).json<object>();
    const updated = await send('PUT', path, {
      ...current,
      webhooks: [{ ...webhook, matchConditions: further }],
    });
    expect(updated.code, updated.text).toBe(200);
    expect(await stored()).toEqual([further]);
    await send('DELETE', path);
  }
  it('[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should be able to create and update validating webhook configurations with match conditions [Conformance]', () =>
    createAndUpdateConditions('validating'));
  it('[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should be able to create and update mutating webhook configurations with match conditions [Conformance]', () =>
    createAndUpdateConditions('mutating'));

  async function rejectConditions(kind: Kind): Promise<void> {
    const wrong = { name: 'invalid-expression-1', expression: '... [] bad expression' };
    const answer = await send('POST', `${ADMISSION}/${kind}webhookconfigurations`, {
      metadata: { name: `invalid-${kind}` },
      webhooks: [hook(undefined, { path: '/always-deny', further: { matchConditions: [wrong] } })],
    });
    expect(answer.code).toBe(422);
    expect(await refused(answer)).toContain('compilation failed');
  }
  it('[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should reject validating webhook configurations with invalid match conditions [Conformance]', () =>
    rejectConditions('validating'));
  it('[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should reject mutating webhook configurations with invalid match conditions [Conformance]', () =>
    rejectConditions('mutating'));

  it("[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate everything except 'skip-me' configmaps [Conformance]", async () => {
    const namespace = await suite.namespace();
    const unlessNamed = { name: 'skip-me', expression: "object.metadata.name != 'skip-me'" };
    const configuration = await register('mutating', [
      hook(namespace, { path: '/mutate', further: { matchConditions: [unlessNamed] } }),
    ]);
    const skipped = await created(maps(namespace), { metadata: { name: 'skip-me' }, data: START });
    expect(skipped.data).toEqual(START);
    const mutated = await created(maps(namespace), map(START));
    expect(mutated.data).toEqual({ ...START, 'mutation-stage-1': 'yes' });
    await send('DELETE', configuration);
  });
});
