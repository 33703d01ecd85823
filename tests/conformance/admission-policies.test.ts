import { describe, expect, it } from 'vitest';

import type { Answer } from '../support/wire.ts';
import { useSuite } from './support.ts';

const ADMISSION = '/apis/admissionregistration.k8s.io/v1';

describe('admission policies', () => {
  const suite = useSuite();
  let count = 0;

  const send = (method: string, path: string, body?: object): Promise<Answer> =>
    suite.wire.send(method, path, body === undefined ? {} : { body });

  /** A policy about the deployments of one namespace; disposing takes it away. */
  async function policy(
    kind: 'validating' | 'mutating',
    namespace: string,
    spec: object,
  ): Promise<AsyncDisposable> {
    const name = `${kind}-${++count}.policy.example.com`;
    const namespaceSelector = { matchLabels: { 'kubernetes.io/metadata.name': namespace } };
    const collections = [
      `${ADMISSION}/${kind}admissionpolicies`,
      `${ADMISSION}/${kind}admissionpolicybindings`,
    ];
    const objects = [
      {
        metadata: { name },
        spec: {
          matchConstraints: {
            namespaceSelector,
            resourceRules: [
              {
                operations: ['CREATE', 'UPDATE'],
                apiGroups: ['apps'],
                apiVersions: ['v1'],
                resources: ['deployments'],
              },
            ],
          },
          ...spec,
        },
      },
      {
        metadata: { name },
        spec: {
          policyName: name,
          matchResources: { namespaceSelector },
          ...(kind === 'validating' ? { validationActions: ['Deny'] } : {}),
        },
      },
    ];
    for (const [i, collection] of collections.entries()) {
      const answer = await send('POST', collection, objects[i]);
      expect(answer.code, answer.text).toBe(201);
    }
    return {
      [Symbol.asyncDispose]: async () => {
        for (const collection of collections) await send('DELETE', `${collection}/${name}`);
      },
    };
  }

  const workload = (name: string, replicas: number): object => ({
    metadata: { name, labels: { app: 'nginx' } },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'nginx' } },
      template: {
        metadata: { labels: { app: 'nginx' } },
        spec: { containers: [{ name: 'nginx', image: 'registry.example/nginx:1' }] },
      },
    },
  });
  const create = (
    namespace: string,
    name: string,
    replicas: number,
    resource = 'deployments',
  ): Promise<Answer> =>
    send('POST', `/apis/apps/v1/namespaces/${namespace}/${resource}`, workload(name, replicas));
  const message = ({ json }: Answer): string => json<{ readonly message: string }>().message;

  it('[sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should validate against a Deployment [Conformance]', async () => {
    const namespace = await suite.namespace();
    await using _policy = await policy('validating', namespace, {
      validations: [
        {
          expression: 'object.spec.replicas > 1',
          messageExpression: "'wants replicas > 1, got ' + string(object.spec.replicas)",
        },
      ],
    });
    const denied = await create(namespace, 'marker', 1);
    expect(denied.code).toBe(422);
    expect(message(denied)).toMatch(
      /^deployments\.apps "marker" is forbidden: ValidatingAdmissionPolicy '.*' with binding '.*' denied request: wants replicas > 1, got 1$/,
    );
    expect((await create(namespace, 'replicated', 2)).code).toBe(201);
    expect((await create(namespace, 'not-replicated', 1, 'replicasets')).code).toBe(201);
  });

  it('[sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should allow expressions to refer variables. [Conformance]', async () => {
    const namespace = await suite.namespace();
    await using _policy = await policy('validating', namespace, {
      variables: [
        { name: 'replicas', expression: 'object.spec.replicas' },
        { name: 'oddReplicas', expression: 'variables.replicas % 2 == 1' },
      ],
      validations: [
        { expression: 'variables.replicas > 1' },
        { expression: 'variables.oddReplicas', message: 'wants an odd number' },
      ],
    });
    expect(message(await create(namespace, 'marker', 1))).toContain(
      'failed expression: variables.replicas > 1',
    );
    expect(message(await create(namespace, 'even', 2))).toContain('wants an odd number');
    expect((await create(namespace, 'odd', 3)).code).toBe(201);
    expect((await create(namespace, 'not-replicated', 1, 'replicasets')).code).toBe(201);
  });

  const mutation = (expression: string): object => ({
    reinvocationPolicy: 'Never',
    mutations: [{ patchType: 'ApplyConfiguration', applyConfiguration: { expression } }],
  });
  interface Deployment {
    readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
    readonly spec: { readonly replicas: number };
  }

  it('[sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] should mutate a Deployment with annotations [Conformance]', async () => {
    const namespace = await suite.namespace();
    await using _policy = await policy(
      'mutating',
      namespace,
      mutation("Object{metadata: Object.metadata{annotations: {'mutated-by': 'admission-policy'}}}"),
    );
    const made = await create(namespace, 'marker', 1);
    expect(made.code, made.text).toBe(201);
    expect(made.json<Deployment>().metadata.annotations).toMatchObject({ 'mutated-by': 'admission-policy' });
  });

  it('[sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] should mutate a Deployment [Conformance]', async () => {
    const namespace = await suite.namespace();
    await using _policy = await policy(
      'mutating',
      namespace,
      mutation('Object{spec: Object.spec{replicas: 1337}}'),
    );
    const made = await create(namespace, 'marker', 1);
    expect(made.code, made.text).toBe(201);
    expect(made.json<Deployment>().spec.replicas).toBe(1337);
    await send('DELETE', `/apis/apps/v1/namespaces/${namespace}/deployments/marker`);
  });
});
