import { corev1, nodev1, rbacv1, schedulingv1 } from '@k8ts/api';
import type { Draft, KubeObject, ResourceType } from '@k8ts/api';
import { seededRandom } from '@k8ts/base';
import { beforeEach, describe, expect, test } from 'vitest';
import type { UserInfo } from '../../authentication/contract.ts';
import { userInfo } from '../../authentication/well-known-users.ts';
import { parseRule } from '../../authorization/rbac/bootstrap-policy.ts';
import { rbacAuthorizer } from '../../authorization/rbac/rbac-authorizer.ts';
import { createObjectTable } from '../../testing/object-table.ts';
import type { ObjectTable } from '../../testing/object-table.ts';
import { AdmissionChain } from '../../registry/admission-chain.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../contract.ts';
import { defaultTolerationSeconds } from './default-toleration-seconds.ts';
import { namespaceLifecycle } from './namespace-lifecycle.ts';
import { nodeRestriction } from './node-restriction.ts';
import { priority } from './priority.ts';
import { rbacEscalation } from './rbac-escalation.ts';
import { runtimeClass } from './runtime-class.ts';
import { serviceAccount } from './service-account.ts';

let objects: ObjectTable;
beforeEach(() => {
  objects = createObjectTable();
  objects.put(corev1.namespaces, { metadata: { name: 'default' }, spec: {}, status: { phase: 'Active' } });
  objects.put(corev1.namespaces, {
    metadata: { name: 'leaving' },
    spec: {},
    status: { phase: 'Terminating' },
  });
  objects.put(corev1.serviceAccounts, { metadata: { name: 'default', namespace: 'default' } });
});

const admin = userInfo('admin', ['system:masters']);
const kubelet = userInfo('system:node:n1', ['system:nodes']);

function attributes(
  operation: AdmissionAttributes['operation'],
  resource: ResourceType<KubeObject>,
  object: object | undefined,
  rest: Partial<AdmissionAttributes> & { user?: UserInfo } = {},
): AdmissionAttributes {
  const metadata = (object as KubeObject | undefined)?.metadata;
  return {
    operation,
    resource,
    subresource: '',
    namespace: metadata?.namespace ?? '',
    name: metadata?.name ?? '',
    user: admin,
    object: object as Draft<KubeObject> | undefined,
    oldObject: undefined,
    options: {},
    dryRun: false,
    versions: {
      requested: resource,
      equivalents: [],
      show: (shown) => shown,
      take: (taken) => taken as never,
    },
    reinvocation: undefined,
    signal: undefined,
    warn: () => undefined,
    ...rest,
  };
}

async function admit(plugin: AdmissionPlugin, request: AdmissionAttributes): Promise<void> {
  const admission = new AdmissionChain([plugin]);
  await admission.admit(request);
  await admission.validate(request);
}

function pod(
  spec: Partial<corev1.PodSpec> = {},
  metadata: Partial<corev1.Pod['metadata']> = {},
): Draft<corev1.Pod> {
  return structuredClone({
    metadata: { name: 'web', namespace: 'default', ...metadata },
    spec: { containers: [{ name: 'app', image: 'app' }], ...spec },
  }) as Draft<corev1.Pod>;
}

describe('NamespaceLifecycle', () => {
  test.each([
    ['CREATE', 'default', undefined],
    ['CREATE', 'absent', 'namespaces "absent" not found'],
    [
      'CREATE',
      'leaving',
      'pods "web" is forbidden: unable to create new content in namespace leaving because it is being terminated',
    ],
    ['UPDATE', 'leaving', undefined],
    ['DELETE', 'absent', undefined],
  ] as const)('%s in %s: %s', async (operation, namespace, message) => {
    const request = attributes(operation, corev1.pods, pod({}, { namespace }));
    const outcome = admit(namespaceLifecycle(objects), request);
    await (message === undefined ? outcome : expect(outcome).rejects.toThrow(message));
  });

  test('namespaces that the cluster needs stay', async () => {
    const request = attributes('DELETE', corev1.namespaces, undefined, { name: 'kube-system' });
    await expect(admit(namespaceLifecycle(objects), request)).rejects.toThrow(
      'namespaces "kube-system" is forbidden: this namespace may not be deleted',
    );
  });
});

test('DefaultTolerationSeconds adds what is missing only', async () => {
  const object = pod({ tolerations: [{ key: 'node.kubernetes.io/not-ready', operator: 'Exists' }] });
  await admit(defaultTolerationSeconds(), attributes('CREATE', corev1.pods, object));
  expect(object.spec.tolerations).toEqual([
    { key: 'node.kubernetes.io/not-ready', operator: 'Exists' },
    {
      key: 'node.kubernetes.io/unreachable',
      operator: 'Exists',
      effect: 'NoExecute',
      tolerationSeconds: 300,
    },
  ]);
});

describe('RuntimeClass', () => {
  const create = (target: Draft<corev1.Pod>): Promise<void> =>
    admit(runtimeClass(objects), attributes('CREATE', corev1.pods, target));
  beforeEach(() => {
    objects.put(nodev1.runtimeClasses, {
      metadata: { name: 'heavy' },
      handler: 'runc',
      overhead: { podFixed: { cpu: '10m' } },
      scheduling: { nodeSelector: { disk: 'fast' }, tolerations: [{ key: 'a', operator: 'Exists' }] },
    });
    objects.put(nodev1.runtimeClasses, { metadata: { name: 'light' }, handler: 'runc' });
  });

  test('adds the overhead, the node selector and the tolerations of the class', async () => {
    const heavy = pod({
      runtimeClassName: 'heavy',
      overhead: { cpu: '0.01' },
      nodeSelector: { zone: 'z' },
      tolerations: [
        { key: 'a', value: '1' },
        { key: 'b', operator: 'Exists' },
      ], // the first: covered by the class's
    });
    await create(heavy);
    expect(heavy.spec).toMatchObject({
      overhead: { cpu: '10m' },
      nodeSelector: { zone: 'z', disk: 'fast' },
      tolerations: [
        { key: 'b', operator: 'Exists' },
        { key: 'a', operator: 'Exists' },
      ],
    });
    const plain = pod();
    await create(plain);
    expect(plain).toEqual(pod());
  });

  test.each([
    [{ runtimeClassName: 'absent' }, 'pod rejected: RuntimeClass "absent" not found'],
    [
      { runtimeClassName: 'heavy', overhead: { cpu: '11m' } },
      "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
    ],
    [
      { runtimeClassName: 'light', overhead: { cpu: '10m' } },
      'pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead',
    ],
    [
      { runtimeClassName: 'heavy', nodeSelector: { disk: 'slow' } },
      'conflict: runtimeClass.scheduling.nodeSelector[disk] = fast; pod.spec.nodeSelector[disk] = slow',
    ],
  ])('refuses %j', async (spec, message) => {
    await expect(create(pod(spec))).rejects.toThrow(`pods "web" is forbidden: ${message}`);
  });
});

describe('Priority', () => {
  test('resolves the class, or the default one, or zero', async () => {
    objects.put(schedulingv1.priorityClasses, {
      metadata: { name: 'high' },
      value: 1000,
      preemptionPolicy: 'Never',
    });
    const named = pod({ priorityClassName: 'high' });
    await admit(priority(objects), attributes('CREATE', corev1.pods, named));
    expect(named.spec).toMatchObject({ priority: 1000, preemptionPolicy: 'Never' });

    const plain = pod();
    await admit(priority(objects), attributes('CREATE', corev1.pods, plain));
    expect(plain.spec).toMatchObject({ priority: 0, preemptionPolicy: 'PreemptLowerPriority' });

    objects.put(schedulingv1.priorityClasses, { metadata: { name: 'usual' }, value: 7, globalDefault: true });
    const defaulted = pod();
    await admit(priority(objects), attributes('CREATE', corev1.pods, defaulted));
    expect(defaulted.spec).toMatchObject({ priority: 7, priorityClassName: 'usual' });
  });

  test('refuses unknown classes, other numbers, and a second default', async () => {
    await expect(
      admit(priority(objects), attributes('CREATE', corev1.pods, pod({ priorityClassName: 'absent' }))),
    ).rejects.toThrow('pods "web" is forbidden: no PriorityClass with name absent was found');
    await expect(
      admit(priority(objects), attributes('CREATE', corev1.pods, pod({ priority: 5 }))),
    ).rejects.toThrow('the integer value of priority (5) must not be provided in pod spec');
    objects.put(schedulingv1.priorityClasses, { metadata: { name: 'usual' }, value: 7, globalDefault: true });
    const second = { metadata: { name: 'other' }, value: 8, globalDefault: true };
    await expect(
      admit(priority(objects), attributes('CREATE', schedulingv1.priorityClasses, second)),
    ).rejects.toThrow('PriorityClass usual is already marked as default. Only one default can exist');
  });
});

describe('ServiceAccount', () => {
  const plugin = () => serviceAccount(objects, seededRandom(1));

  test('names the account and mounts its token into every container', async () => {
    const object = pod({ initContainers: [{ name: 'init', image: 'init' }] });
    await admit(plugin(), attributes('CREATE', corev1.pods, object));
    expect(object.spec).toMatchObject({ serviceAccountName: 'default', serviceAccount: 'default' });
    const [volume] = object.spec.volumes ?? [];
    expect(volume?.name).toMatch(/^kube-api-access-[a-z0-9]{5}$/);
    expect(volume?.projected?.sources).toHaveLength(3);
    for (const container of [...object.spec.containers, ...(object.spec.initContainers ?? [])])
      expect(container.volumeMounts).toEqual([
        { name: volume?.name, readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' },
      ]);
  });

  test("the pod's word about the token counts before the account's", async () => {
    objects.put(corev1.serviceAccounts, {
      metadata: { name: 'quiet', namespace: 'default' },
      automountServiceAccountToken: false,
      imagePullSecrets: [{ name: 'registry' }],
    });
    const silent = pod({ serviceAccountName: 'quiet' });
    await admit(plugin(), attributes('CREATE', corev1.pods, silent));
    expect(silent.spec.volumes).toBeUndefined();
    expect(silent.spec.imagePullSecrets).toEqual([{ name: 'registry' }]);
    const loud = pod({ serviceAccountName: 'quiet', automountServiceAccountToken: true });
    await admit(plugin(), attributes('CREATE', corev1.pods, loud));
    expect(loud.spec.volumes).toHaveLength(1);
  });

  test('refuses an account that is not there', async () => {
    await expect(
      admit(plugin(), attributes('CREATE', corev1.pods, pod({ serviceAccountName: 'absent' }))),
    ).rejects.toThrow(
      'pods "web" is forbidden: error looking up service account default/absent: serviceaccount "absent" not found',
    );
  });
});

describe('NodeRestriction', () => {
  const node = { metadata: { name: 'n1', uid: 'u1', labels: { role: 'a' } }, spec: {} };
  const as = (
    operation: AdmissionAttributes['operation'],
    type: ResourceType<KubeObject>,
    object: object | undefined,
    rest: Partial<AdmissionAttributes> = {},
  ) => admit(nodeRestriction(objects), attributes(operation, type, object, { user: kubelet, ...rest }));

  beforeEach(() => {
    objects.put(corev1.nodes, node);
    objects.put(corev1.pods, { ...pod({ nodeName: 'n1' }, { name: 'mine' }) });
    objects.put(corev1.pods, { ...pod({ nodeName: 'n2' }, { name: 'theirs' }) });
  });

  test('a kubelet changes its own Node only, and neither taints nor reserved labels', async () => {
    await as('UPDATE', corev1.nodes, node, { oldObject: node, subresource: 'status' });
    await expect(as('UPDATE', corev1.nodes, { metadata: { name: 'n2' } })).rejects.toThrow(
      'node "n1" is not allowed to modify node "n2"',
    );
    const tainted = { ...node, spec: { taints: [{ key: 'a', effect: 'NoSchedule' }] } };
    await expect(as('UPDATE', corev1.nodes, tainted, { oldObject: node })).rejects.toThrow(
      'node "n1" is not allowed to modify taints',
    );
    const label = (key: string) => ({ ...node, metadata: { ...node.metadata, labels: { [key]: 'x' } } });
    await expect(as('CREATE', corev1.nodes, label('node-role.kubernetes.io/control-plane'))).rejects.toThrow(
      'node "n1" is not allowed to set the following labels: node-role.kubernetes.io/control-plane',
    );
    await as('CREATE', corev1.nodes, label('kubernetes.io/hostname'));
    await as('CREATE', corev1.nodes, label('example.com/rack'));
    await expect(as('CREATE', corev1.nodes, label('a.node-restriction.kubernetes.io/b'))).rejects.toThrow(
      'is not allowed to set the following labels',
    );
  });

  test('a kubelet deletes, evicts and reports its own pods only', async () => {
    await as('DELETE', corev1.pods, undefined, { namespace: 'default', name: 'mine' });
    await expect(
      as('DELETE', corev1.pods, undefined, { namespace: 'default', name: 'theirs' }),
    ).rejects.toThrow('node "n1" can only delete pods with spec.nodeName set to itself');
    const theirs = pod({ nodeName: 'n2' });
    await expect(
      as('UPDATE', corev1.pods, theirs, { subresource: 'status', oldObject: theirs }),
    ).rejects.toThrow('node "n1" can only update pod status for pods with spec.nodeName set to itself');
    await expect(as('UPDATE', corev1.pods, theirs, { oldObject: theirs })).rejects.toThrow(
      'node "n1" can only create and delete mirror pods',
    );
    await expect(as('CREATE', corev1.pods, theirs, { subresource: 'exec' })).rejects.toThrow(
      "only 'status' and 'eviction' are allowed",
    );
  });

  test('a kubelet creates mirror pods of its own that bring in nothing', async () => {
    const owner = { apiVersion: 'v1', kind: 'Node', name: 'n1', uid: 'u1', controller: true };
    const metadata = {
      annotations: { 'kubernetes.io/config.mirror': 'x' },
      ownerReferences: [owner],
    };
    await as('CREATE', corev1.pods, pod({ nodeName: 'n1' }, metadata));
    await expect(as('CREATE', corev1.pods, pod({ nodeName: 'n1' }))).rejects.toThrow(
      'can only create mirror pods',
    );
    await expect(as('CREATE', corev1.pods, pod({ nodeName: 'n2' }, metadata))).rejects.toThrow(
      'can only create pods with spec.nodeName set to itself',
    );
    const secret = pod({ nodeName: 'n1', volumes: [{ name: 's', secret: { secretName: 'x' } }] }, metadata);
    await expect(as('CREATE', corev1.pods, secret)).rejects.toThrow(
      'can not create pods that reference secrets',
    );
    const other = { ...metadata, ownerReferences: [{ ...owner, uid: 'u2' }] };
    await expect(as('CREATE', corev1.pods, pod({ nodeName: 'n1' }, other))).rejects.toThrow('UID mismatch');
  });

  test('everybody else is not held', async () => {
    await as('DELETE', corev1.pods, undefined, { namespace: 'default', name: 'theirs', user: admin });
  });
});

describe('RBACEscalation', () => {
  const jane = userInfo('jane', ['devs']);
  const role = (rule: string, name = 'made') => ({
    metadata: { name, namespace: 'default' },
    rules: [parseRule(rule)],
  });
  const check = (type: ResourceType<KubeObject>, object: object, user = jane) => {
    const rbac = rbacAuthorizer(objects);
    const plugin = rbacEscalation({ objects, rbac, authorizers: [rbac] });
    return admit(plugin, attributes('CREATE', type, object, { user }));
  };

  beforeEach(() => {
    objects.put(rbacv1.roles, role('get list | core | pods', 'held'));
    objects.put(rbacv1.roles, role('* | core | secrets', 'secrets'));
    objects.put(rbacv1.roleBindings, {
      metadata: { name: 'held', namespace: 'default' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'held' },
      subjects: [{ kind: 'User', name: 'jane' }],
    });
  });

  test('roles hold no more than their author does', async () => {
    await check(rbacv1.roles, role('get | core | pods'));
    await expect(check(rbacv1.roles, role('get delete | core | pods'))).rejects.toThrow(
      'roles.rbac.authorization.k8s.io "made" is forbidden: user "jane" (groups=["devs"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}',
    );
    await check(rbacv1.roles, role('* | * | *'), admin);
  });

  test('bindings hand out no more than their author has', async () => {
    const binding = (name: string) => ({
      metadata: { name: 'made', namespace: 'default' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
      subjects: [{ kind: 'User', name: 'jane' }],
    });
    await check(rbacv1.roleBindings, binding('held'));
    await expect(check(rbacv1.roleBindings, binding('secrets'))).rejects.toThrow('is attempting to grant');
    await expect(check(rbacv1.roleBindings, binding('absent'))).rejects.toThrow('"absent" not found');
  });

  test('the verbs escalate and bind lift the rule', async () => {
    objects.put(rbacv1.roles, {
      ...role('get | core | pods', 'held'),
      rules: [parseRule('escalate bind | rbac.authorization.k8s.io | roles')],
    });
    await check(rbacv1.roles, role('* | core | secrets'));
  });
});
