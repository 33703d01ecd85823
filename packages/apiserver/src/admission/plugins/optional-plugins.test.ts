import { apiextensionsv1, appsv1, corev1 } from '@k8ts/api';
import type { KubeObject } from '@k8ts/api';
import { alreadyExists, forbidden } from '@k8ts/apimachinery';
import { describe, expect, test } from 'vitest';
import { userInfo } from '../../authentication/well-known-users.ts';
import type { Authorizer } from '../../authorization/contract.ts';
import { createObjectTable, type ObjectTable } from '../../testing/object-table.ts';
import { admit } from '../testing/admission-request.ts';
import { alwaysAdmit, alwaysDeny } from './always-admit-and-deny.ts';
import { alwaysPullImages } from './always-pull-images.ts';
import { denyServiceExternalIps } from './deny-service-external-ips.ts';
import { extendedResourceToleration } from './extended-resource-toleration.ts';
import { limitPodHardAntiAffinityTopology } from './limit-pod-hard-anti-affinity-topology.ts';
import { namespaceAutoProvision } from './namespace-auto-provision.ts';
import { namespaceExists } from './namespace-exists.ts';
import { ownerReferencesPermissionEnforcement } from './owner-references-permission-enforcement.ts';
import { podNodeSelector } from './pod-node-selector.ts';
import { podTolerationRestriction } from './pod-toleration-restriction.ts';

const pod = (spec: Partial<corev1.PodSpec> = {}, metadata: object = {}): corev1.Pod => ({
  metadata: { name: 'p', namespace: 'ns', ...metadata },
  spec: { containers: [{ name: 'c', image: 'i' }], ...spec },
});
const create = (object: corev1.Pod) => ({ operation: 'CREATE', resource: corev1.pods, object }) as const;
const update = (oldObject: corev1.Pod, object: corev1.Pod) =>
  ({ operation: 'UPDATE', resource: corev1.pods, object, oldObject }) as const;

function withNamespace(annotations: Readonly<Record<string, string>> = {}): ObjectTable {
  const objects = createObjectTable();
  objects.put(corev1.namespaces, { metadata: { name: 'ns', annotations }, spec: {} });
  return objects;
}
const outcomeOf = async (outcome: Promise<unknown>): Promise<string | undefined> =>
  outcome.then(
    () => undefined,
    (error: unknown) => (error as Error).message,
  );

describe('AlwaysPullImages', () => {
  test('sets the policy of all containers and image volumes', async () => {
    const object = pod({
      initContainers: [{ name: 'a', image: 'i' }],
      containers: [{ name: 'b', image: 'i', imagePullPolicy: 'Never' }],
      volumes: [{ name: 'v', image: { reference: 'r', pullPolicy: 'IfNotPresent' } }, { name: 'w' }],
    });
    expect((await admit(alwaysPullImages(), create(object))).spec).toEqual({
      initContainers: [{ name: 'a', image: 'i', imagePullPolicy: 'Always' }],
      containers: [{ name: 'b', image: 'i', imagePullPolicy: 'Always' }],
      volumes: [{ name: 'v', image: { reference: 'r', pullPolicy: 'Always' } }, { name: 'w' }],
    });
  });

  test('lets pods be whose images do not change', async () => {
    const old = pod({ containers: [{ name: 'c', image: 'i', imagePullPolicy: 'Never' }] });
    expect(await admit(alwaysPullImages(), update(old, old))).toEqual(old);
    const changed = pod({ containers: [{ name: 'c', image: 'j', imagePullPolicy: 'Never' }] });
    const { spec } = await admit(alwaysPullImages(), update(old, changed));
    expect(spec.containers[0]?.imagePullPolicy).toBe('Always');
  });

  test('refuses what others have set back', async () => {
    const plugin = { ...alwaysPullImages(), admit: () => undefined };
    const object = pod({
      containers: [
        { name: 'b', image: 'i', imagePullPolicy: 'Never' },
        { name: 'c', image: 'i', imagePullPolicy: 'Always' },
      ],
    });
    expect(await outcomeOf(admit(plugin, create(object)))).toBe(
      'pods "p" is forbidden: spec.containers[0].imagePullPolicy: Unsupported value: "Never": supported values: "Always"',
    );
  });
});

describe('PodNodeSelector', () => {
  const ANNOTATION = 'scheduler.alpha.kubernetes.io/node-selector';
  test.each<
    [string | undefined, Record<string, string> | undefined, Record<string, string> | string | undefined]
  >([
    [undefined, { a: 'b' }, { a: 'b' }],
    ['', undefined, undefined],
    ['zone=z, disk = fast', undefined, { zone: 'z', disk: 'fast' }],
    ['zone=z', { disk: 'slow' }, { zone: 'z', disk: 'slow' }],
    ['zone=z', { zone: 'z' }, { zone: 'z' }],
    [
      'zone=z',
      { zone: 'y' },
      'pods "p" is forbidden: pod node label selector conflicts with its namespace node label selector',
    ],
    ['zone', undefined, 'invalid selector: [zone]'],
    ['a=b=c', undefined, 'invalid selector: [a b c]'],
  ])('%j with %j', async (annotation, nodeSelector, wanted) => {
    const objects = withNamespace(annotation === undefined ? {} : { [ANNOTATION]: annotation });
    const object = pod(nodeSelector === undefined ? {} : { nodeSelector });
    const outcome = admit(podNodeSelector(objects), create(object));
    if (typeof wanted === 'string') await expect(outcome).rejects.toThrow(wanted);
    else expect((await outcome).spec.nodeSelector).toEqual(wanted);
  });

  test('a namespace that is not there', async () => {
    expect(await outcomeOf(admit(podNodeSelector(createObjectTable()), create(pod())))).toBe(
      'namespaces "ns" not found',
    );
  });
});

describe('PodTolerationRestriction', () => {
  const DEFAULTS = 'scheduler.alpha.kubernetes.io/defaultTolerations';
  const WHITELIST = 'scheduler.alpha.kubernetes.io/tolerationsWhitelist';
  const a: corev1.Toleration = { key: 'a', operator: 'Exists' };
  const b: corev1.Toleration = { key: 'b', operator: 'Equal', value: '1', effect: 'NoSchedule' };
  const memory: corev1.Toleration = {
    key: 'node.kubernetes.io/memory-pressure',
    operator: 'Exists',
    effect: 'NoSchedule',
  };
  const json = (...tolerations: readonly corev1.Toleration[]): string => JSON.stringify(tolerations);
  const CONFLICT =
    'pod tolerations (possibly merged with namespace default tolerations) conflict with its namespace whitelist';
  const requests: Partial<corev1.PodSpec> = {
    containers: [{ name: 'c', resources: { requests: { cpu: '1' } } }],
  };

  test.each<
    [
      string,
      Readonly<Record<string, string>>,
      Partial<corev1.PodSpec>,
      readonly corev1.Toleration[] | string | undefined,
    ]
  >([
    ['nothing', {}, {}, undefined],
    ['what is not best effort', {}, requests, [memory]],
    ['defaults', { [DEFAULTS]: json(a) }, { tolerations: [b] }, [b, a]],
    [
      'wider defaults',
      { [DEFAULTS]: json({ key: 'b', operator: 'Exists' }) },
      { tolerations: [b] },
      [{ key: 'b', operator: 'Exists' }],
    ],
    ['allowed ones', { [WHITELIST]: json(a, { key: 'b', operator: 'Exists' }) }, { tolerations: [b] }, [b]],
    ['others', { [WHITELIST]: json(a) }, { tolerations: [b] }, CONFLICT],
    ['defaults that are not allowed', { [WHITELIST]: json(a), [DEFAULTS]: json(b) }, {}, CONFLICT],
    ['an empty list', { [WHITELIST]: '[]', [DEFAULTS]: 'null' }, { tolerations: [b] }, [b]],
  ])('%s', async (_what, annotations, spec, wanted) => {
    const outcome = admit(podTolerationRestriction(withNamespace(annotations)), create(pod(spec)));
    if (typeof wanted === 'string') await expect(outcome).rejects.toThrow(wanted);
    else expect((await outcome).spec.tolerations).toEqual(wanted);
  });

  test('defaults are for new pods', async () => {
    const plugin = podTolerationRestriction(withNamespace({ [DEFAULTS]: json(a) }));
    expect((await admit(plugin, update(pod(), pod()))).spec.tolerations).toBeUndefined();
  });

  test('annotations that are no tolerations', async () => {
    for (const text of ['{', '{}', '[1]']) {
      const plugin = podTolerationRestriction(withNamespace({ [DEFAULTS]: text }));
      expect(await outcomeOf(admit(plugin, create(pod())))).not.toBeUndefined();
    }
  });
});

test('ExtendedResourceToleration: a toleration for each resource that is not Kubernetes’', async () => {
  const request = (...names: string[]): corev1.Container => ({
    name: 'c',
    resources: { requests: Object.fromEntries(names.map((name) => [name, '1'])) },
  });
  const existing: corev1.Toleration = { key: 'x.com/a', operator: 'Exists', effect: 'NoSchedule' };
  const object = pod({
    initContainers: [request('x.com/b')],
    containers: [request('cpu', 'x.com/c', 'kubernetes.io/z'), request('x.com/a')],
    tolerations: [existing],
  });
  expect((await admit(extendedResourceToleration(), create(object))).spec.tolerations).toEqual([
    existing,
    { ...existing, key: 'x.com/b' },
    { ...existing, key: 'x.com/c' },
  ]);
  expect((await admit(extendedResourceToleration(), create(pod()))).spec.tolerations).toBeUndefined();
});

test('LimitPodHardAntiAffinityTopology', async () => {
  const spread = (...keys: string[]): corev1.Pod =>
    pod({
      affinity: {
        podAntiAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: keys.map((topologyKey) => ({ topologyKey })),
        },
      },
    });
  const refusal = (object: corev1.Pod): Promise<string | undefined> =>
    outcomeOf(admit(limitPodHardAntiAffinityTopology(), create(object)));
  expect(await refusal(pod())).toBeUndefined();
  expect(await refusal(spread('kubernetes.io/hostname'))).toBeUndefined();
  expect(await refusal(spread('kubernetes.io/hostname', 'zone'))).toBe(
    'pods "p" is forbidden: affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey zone but only key kubernetes.io/hostname is allowed',
  );
});

test('DenyServiceExternalIPs', async () => {
  const service = (...externalIPs: string[]): corev1.Service => ({
    metadata: { name: 's', namespace: 'ns' },
    spec: { externalIPs },
  });
  const refusal = (object: corev1.Service, oldObject?: corev1.Service): Promise<string | undefined> =>
    outcomeOf(
      admit(denyServiceExternalIps(), {
        operation: oldObject === undefined ? 'CREATE' : 'UPDATE',
        resource: corev1.services,
        object,
        ...(oldObject === undefined ? {} : { oldObject }),
      }),
    );
  const DENIED = 'services "s" is forbidden: Use of external IPs is denied by admission control';
  expect(await refusal(service())).toBeUndefined();
  expect(await refusal(service('1.2.3.4'))).toBe(DENIED);
  expect(await refusal(service('1.2.3.4'), service('5.6.7.8', '1.2.3.4'))).toBeUndefined();
  expect(await refusal(service('1.2.3.4', '9.9.9.9'), service('1.2.3.4'))).toBe(DENIED);
});

describe('namespaces', () => {
  test('NamespaceExists', async () => {
    const refusal = (objects: ObjectTable, operation: 'CREATE' | 'DELETE'): Promise<string | undefined> =>
      outcomeOf(
        admit(namespaceExists(objects), {
          operation,
          resource: corev1.pods,
          ...(operation === 'DELETE' ? { oldObject: pod() } : { object: pod() }),
        }),
      );
    expect(await refusal(withNamespace(), 'CREATE')).toBeUndefined();
    expect(await refusal(createObjectTable(), 'CREATE')).toBe('namespaces "ns" not found');
    expect(await refusal(createObjectTable(), 'DELETE')).toBe('namespaces "ns" not found');
    expect(namespaceExists(createObjectTable()).handles(corev1.nodes, '')).toBe(false);
    expect(namespaceExists(createObjectTable()).handles(corev1.namespaces, '')).toBe(false);
  });

  test('NamespaceAutoProvision', async () => {
    const provide = async (
      objects: ObjectTable,
      failure?: Error,
      dryRun = false,
    ): Promise<readonly [readonly string[], string | undefined]> => {
      const created: string[] = [];
      const registry = () =>
        Promise.resolve({
          create: <T extends KubeObject>(_type: unknown, object: T): Promise<T> => {
            if (failure !== undefined) return Promise.reject(failure);
            created.push(object.metadata.name ?? '');
            return Promise.resolve(object);
          },
        });
      const plugin = namespaceAutoProvision({ objects, registry });
      const refusal = await outcomeOf(admit(plugin, { ...create(pod()), dryRun }));
      return [created, refusal];
    };
    expect(await provide(withNamespace())).toEqual([[], undefined]);
    expect(await provide(createObjectTable())).toEqual([['ns'], undefined]);
    expect(await provide(createObjectTable(), undefined, true)).toEqual([[], undefined]);
    expect(await provide(createObjectTable(), alreadyExists(corev1.namespaces, 'ns'))).toEqual([
      [],
      undefined,
    ]);
    expect(await provide(createObjectTable(), forbidden(corev1.namespaces, 'ns', 'no'))).toEqual([
      [],
      'pods "p" is forbidden: namespaces "ns" is forbidden: no',
    ]);
  });
});

test('AlwaysAdmit and AlwaysDeny', async () => {
  await admit(alwaysAdmit(), create(pod()));
  const DENIED = 'pods "p" is forbidden: Admission control is denying all modifications';
  expect(await outcomeOf(admit(alwaysDeny(), create(pod())))).toBe(DENIED);
  const deletion = { operation: 'DELETE', resource: corev1.pods, oldObject: pod() } as const;
  expect(await outcomeOf(admit(alwaysDeny(), deletion))).toBe(DENIED);
});

describe('OwnerReferencesPermissionEnforcement', () => {
  /** Allows `VERB GROUP/RESOURCE[/SUBRESOURCE] [NAMESPACE/]NAME`. */
  const authorizers = (allowed: readonly string[]): readonly Authorizer[] => [
    {
      name: 'test',
      authorize: ({ verb, apiGroup, resource, subresource, namespace, name }) => {
        const what = [apiGroup, resource, subresource].filter((part) => part !== '').join('/');
        const where = namespace === '' ? name : `${namespace}/${name}`;
        return allowed.includes(`${verb} ${what} ${where}`)
          ? { verdict: 'allow', reason: '' }
          : { verdict: 'no-opinion', reason: 'because' };
      },
    },
  ];
  const owner = (apiVersion: string, kind: string, blockOwnerDeletion?: boolean) => ({
    apiVersion,
    kind,
    name: 'o',
    uid: `${kind}-uid`,
    ...(blockOwnerDeletion === undefined ? {} : { blockOwnerDeletion }),
  });
  type Owner = ReturnType<typeof owner>;
  const owned = (...ownerReferences: readonly Owner[]): corev1.Pod => pod({}, { ownerReferences });
  const set = owner('apps/v1', 'ReplicaSet');
  const blocking = owner('apps/v1', 'ReplicaSet', true);
  const NOT_DELETED = `pods "p" is forbidden: cannot set an ownerRef on a resource you can't delete: because, <nil>`;
  const NOT_FINALIZED = `pods "p" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: because, <nil>`;

  test.each<[string, corev1.Pod | undefined, corev1.Pod, readonly string[], string | undefined]>([
    ['no owner', undefined, pod(), [], undefined],
    ['an owner', undefined, owned(set), [], NOT_DELETED],
    ['an owner of what one may delete', undefined, owned(set), ['delete pods ns/p'], undefined],
    ['the same owner', owned(set), owned(set), [], undefined],
    ['an owner that goes', owned(set), owned(), [], NOT_DELETED],
    ['a blocking owner', undefined, owned(blocking), ['delete pods ns/p'], NOT_FINALIZED],
    [
      'a blocking owner whose finalizers one may set',
      undefined,
      owned(blocking),
      ['delete pods ns/p', 'update apps/replicasets/finalizers ns/o'],
      undefined,
    ],
    ['one that blocks from now on', owned(set), owned(blocking), ['delete pods ns/p'], NOT_FINALIZED],
    [
      'one that blocked before',
      owned(blocking),
      owned(blocking, owner('v1', 'Pod')),
      ['delete pods ns/p'],
      undefined,
    ],
    [
      'a blocking owner without a namespace',
      undefined,
      owned(owner('v1', 'Node', true)),
      ['delete pods ns/p', 'update nodes/finalizers o'],
      undefined,
    ],
    [
      'a custom resource',
      undefined,
      owned(owner('example.com/v1', 'Widget', true)),
      ['delete pods ns/p', 'update example.com/widgets/finalizers ns/o'],
      undefined,
    ],
    [
      'an unknown kind',
      undefined,
      owned(owner('example.com/v2', 'Widget', true)),
      ['delete pods ns/p'],
      'pods "p" is forbidden: cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion example.com/v2 Kind Widget: no matches for kind "Widget" in version "example.com/v2"',
    ],
  ])('%s', async (_what, oldObject, object, allowed, refusal) => {
    const objects = createObjectTable();
    objects.put(apiextensionsv1.customResourceDefinitions, {
      metadata: { name: 'widgets.example.com' },
      spec: {
        group: 'example.com',
        names: { plural: 'widgets', kind: 'Widget' },
        scope: 'Namespaced',
        versions: [{ name: 'v1', served: true, storage: true }],
      },
    });
    const plugin = ownerReferencesPermissionEnforcement({ objects, authorizers: authorizers(allowed) });
    const request = oldObject === undefined ? create(object) : update(oldObject, object);
    expect(await outcomeOf(admit(plugin, { ...request, user: userInfo('u', []) }))).toBe(refusal);
  });

  test('a pod’s status is not its', () => {
    const plugin = ownerReferencesPermissionEnforcement({ objects: createObjectTable(), authorizers: [] });
    expect(plugin.handles(corev1.pods, 'status')).toBe(false);
    expect(plugin.handles(appsv1.deployments, 'status')).toBe(true);
  });
});
