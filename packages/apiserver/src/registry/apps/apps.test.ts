import type { appsv1, Draft } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import { create, update, type Json } from '../testing/strategy-calls.ts';
import { controllerRevisionStrategy } from './controller-revision.ts';
import { daemonSetStrategy } from './daemon-set.ts';
import { deploymentStrategy } from './deployment.ts';
import { replicaSetStrategy } from './replica-set.ts';
import { statefulSetStrategy } from './stateful-set.ts';

const workload = (spec: Json = {}, metadata: Json = {}): Json => ({
  metadata: { name: 'w', namespace: 'default', ...metadata },
  spec: {
    selector: { matchLabels: { app: 'a' } },
    template: {
      metadata: { labels: { app: 'a' } },
      spec: { containers: [{ name: 'c', image: 'nginx:1' }] },
    },
    ...spec,
  },
});

describe('deployments', () => {
  test('defaults', async () => {
    const { object, errors } = await create(deploymentStrategy, workload());
    expect(errors).toEqual([]);
    expect(object.spec).toMatchObject({
      replicas: 1,
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '25%', maxSurge: '25%' } },
    });
    expect(object.metadata.generation).toBe(1);
    expect(object.status).toEqual({});
  });

  test.each<[string, Json, readonly string[]]>([
    [
      'no selector',
      workload({ selector: undefined }),
      [
        'spec.selector: Required value',
        'spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not match template `labels`',
      ],
    ],
    [
      'an empty selector',
      workload({ selector: {} }),
      ['spec.selector: Invalid value: {}: empty selector is invalid for deployment'],
    ],
    [
      'other labels',
      workload({ selector: { matchLabels: { app: 'b' } } }),
      [
        'spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not match template `labels`',
      ],
    ],
    [
      'fewer than no replicas',
      workload({ replicas: -1 }),
      ['spec.replicas: Invalid value: -1: must be greater than or equal to 0'],
    ],
    [
      'no room to roll',
      workload({ strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 0 } } }),
      ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0'],
    ],
    [
      'a share above all',
      workload({ strategy: { rollingUpdate: { maxUnavailable: '101%' } } }),
      ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%'],
    ],
    [
      'a share that is none',
      workload({ strategy: { rollingUpdate: { maxSurge: 'x' } } }),
      [
        "spec.strategy.rollingUpdate.maxSurge: Invalid value: \"x\": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
      ],
    ],
    [
      'rolling while recreating',
      workload({ strategy: { type: 'Recreate', rollingUpdate: {} } }),
      ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
    ],
    [
      'a strategy that is none',
      workload({ strategy: { type: 'X' } }),
      [
        'spec.strategy: Unsupported value: {"Type":"X","RollingUpdate":null}: supported values: "Recreate", "RollingUpdate"',
      ],
    ],
    [
      'a deadline that is too short',
      workload({ progressDeadlineSeconds: 5, minReadySeconds: 5 }),
      ['spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds'],
    ],
    [
      'pods that end',
      workload({
        template: {
          metadata: { labels: { app: 'a' } },
          spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'i' }] },
        },
      }),
      ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
    ],
    [
      'a template without containers',
      workload({ template: { metadata: { labels: { app: 'a' } }, spec: { containers: [] } } }),
      ['spec.template.spec.containers: Required value'],
    ],
  ])('are refused with %s', async (_, object, expected) => {
    expect((await create(deploymentStrategy, object)).errors).toEqual(expected);
  });

  test('generations count changes of spec and annotations', async () => {
    const old = (await create(deploymentStrategy, workload())).object;
    const generation = async (change: (next: Draft<appsv1.Deployment>) => void): Promise<unknown> =>
      (await update(deploymentStrategy, old, change)).object.metadata.generation;
    expect(await generation((next) => (next.spec.replicas = 2))).toBe(2);
    expect(await generation((next) => (next.metadata.annotations = { a: 'b' }))).toBe(2);
    expect(await generation((next) => (next.metadata.labels = { a: 'b' }))).toBe(1);
    expect(await generation((next) => (next.status = { replicas: 2 }))).toBe(1);
  });

  test('the selector stays', async () => {
    const old = (await create(deploymentStrategy, workload())).object;
    const { errors } = await update(deploymentStrategy, old, (next) => {
      next.spec.selector = { matchLabels: { app: 'b' } };
      next.spec.template.metadata = { labels: { app: 'b' } };
    });
    expect(errors).toEqual(['spec.selector: Invalid value: {"matchLabels":{"app":"b"}}: field is immutable']);
  });

  test('status', async () => {
    const old = (await create(deploymentStrategy, workload({}, { labels: { l: '1' } }))).object;
    const { object, errors } = await update(
      deploymentStrategy,
      { ...old, status: { collisionCount: 2 } },
      (next) => {
        next.status = { replicas: 1, readyReplicas: 2, availableReplicas: 3, collisionCount: 1 };
        next.metadata.labels = { l: '2' };
        next.spec.replicas = 9;
      },
      'status',
    );
    expect(errors).toEqual([
      'status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas',
      'status.availableReplicas: Invalid value: 3: cannot be greater than status.replicas',
      'status.availableReplicas: Invalid value: 3: cannot be greater than readyReplicas',
      'status.collisionCount: Invalid value: 1: cannot be decremented',
    ]);
    expect(object.spec.replicas).toBe(1);
    expect(object.metadata.labels).toEqual({ l: '1' });
  });

  test('names that are no host names', async () => {
    const { warnings } = await create(deploymentStrategy, workload({}, { name: 'a.b' }));
    expect(warnings[0]).toMatch(
      /^metadata\.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: \[must not contain dots\]$/,
    );
  });

  test('scale', async () => {
    const { object } = await create(
      deploymentStrategy,
      workload({
        selector: {
          matchLabels: { app: 'a' },
          matchExpressions: [{ key: 'b', operator: 'DoesNotExist' }],
        },
      }),
    );
    expect(deploymentStrategy.scale?.selector(object)).toBe('app=a,!b');
    expect(deploymentStrategy.scale?.replicas(object)).toBe(1);
  });
});

describe('replica sets', () => {
  test('defaults and selectable fields', async () => {
    const { object, errors } = await create(replicaSetStrategy, workload());
    expect(errors).toEqual([]);
    expect(object.spec.replicas).toBe(1);
    expect(object.status).toEqual({ replicas: 0 });
    expect(replicaSetStrategy.selectableFields?.(object)).toEqual({ 'status.replicas': '0' });
  });
});

describe('stateful sets', () => {
  const claim = {
    metadata: { name: 'data' },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  };

  test('defaults; claim templates count as volumes', async () => {
    const { object, errors } = await create(
      statefulSetStrategy,
      workload({
        serviceName: 's',
        volumeClaimTemplates: [claim],
        template: {
          metadata: { labels: { app: 'a' } },
          spec: {
            containers: [{ name: 'c', image: 'i', volumeMounts: [{ name: 'data', mountPath: '/d' }] }],
          },
        },
      }),
    );
    expect(errors).toEqual([]);
    expect(object.spec).toMatchObject({
      podManagementPolicy: 'OrderedReady',
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
      persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
      replicas: 1,
      revisionHistoryLimit: 10,
    });
    expect(object.spec.volumeClaimTemplates?.[0]).toMatchObject({
      spec: { volumeMode: 'Filesystem' },
      status: { phase: 'Pending' },
    });
  });

  test.each<[string, Json, readonly string[]]>([
    [
      'a policy that is none',
      workload({ podManagementPolicy: 'X' }),
      ["spec.podManagementPolicy: Invalid value: \"X\": must be 'OrderedReady' or 'Parallel'"],
    ],
    [
      'an empty selector',
      workload({ selector: {} }),
      ['spec.selector: Invalid value: {}: empty selector is invalid for statefulset'],
    ],
    [
      'nothing that may be unavailable',
      workload({ updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0 } } }),
      ['spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0'],
    ],
  ])('are refused with %s', async (_, object, expected) => {
    expect((await create(statefulSetStrategy, object)).errors).toEqual(expected);
  });

  test('most of the spec stays', async () => {
    const old = (await create(statefulSetStrategy, workload({ serviceName: 's' }))).object;
    const allowed = await update(statefulSetStrategy, old, (next) => {
      next.spec.replicas = 4;
      next.spec.minReadySeconds = 3;
    });
    expect(allowed.errors).toEqual([]);
    const { errors } = await update(statefulSetStrategy, old, (next) => {
      next.spec.serviceName = 'other';
    });
    expect(errors).toEqual([
      "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
    ]);
  });
});

describe('daemon sets', () => {
  test('count the generations of their template', async () => {
    const { object, errors } = await create(daemonSetStrategy, workload());
    const label = 'deprecated.daemonset.template.generation';
    expect(errors).toEqual([]);
    expect(object.metadata.annotations).toEqual({ [label]: '1' });
    expect(object.spec.updateStrategy).toEqual({
      type: 'RollingUpdate',
      rollingUpdate: { maxUnavailable: 1, maxSurge: 0 },
    });
    const limited = await update(daemonSetStrategy, object, (next) => {
      next.spec.minReadySeconds = 1;
      next.metadata.annotations = {};
    });
    expect(limited.object.metadata).toMatchObject({ generation: 2, annotations: { [label]: '1' } });
    const changed = await update(daemonSetStrategy, object, (next) => {
      next.spec.template.spec = { containers: [{ name: 'c', image: 'nginx:2' }] };
    });
    expect(changed.object.metadata).toMatchObject({ generation: 2, annotations: { [label]: '2' } });
  });

  test.each<[string, Json, readonly string[]]>([
    [
      'surge and unavailability',
      workload({ updateStrategy: { rollingUpdate: { maxUnavailable: 1, maxSurge: 1 } } }),
      [
        'spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero',
      ],
    ],
    [
      'neither',
      workload({ updateStrategy: { rollingUpdate: { maxUnavailable: 0 } } }),
      ['spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0'],
    ],
  ])('are refused with %s', async (_, object, expected) => {
    expect((await create(daemonSetStrategy, object)).errors).toEqual(expected);
  });
});

test('controller revisions hold an object, for good', async () => {
  const revision = { metadata: { name: 'r' }, data: { a: 1 }, revision: 1 };
  const { object, errors } = await create(controllerRevisionStrategy, revision);
  expect(errors).toEqual([]);
  expect(
    (await create(controllerRevisionStrategy, { metadata: { name: 'r' }, revision: -1 })).errors,
  ).toEqual([
    'revision: Invalid value: -1: must be greater than or equal to 0',
    'data: Required value: data is mandatory',
  ]);
  const { errors: changed } = await update(controllerRevisionStrategy, object, (next) => {
    next.data = { a: 2 };
  });
  expect(changed).toEqual(['data: Invalid value: {"a":2}: field is immutable']);
});
