import type { corev1, Draft } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import { create, update, type Json } from '../../testing/strategy-calls.ts';
import { podStrategy } from './strategy.ts';

const pod = (spec: Json = {}, metadata: Json = {}): Json => ({
  metadata: { name: 'p', namespace: 'default', ...metadata },
  spec: { containers: [{ name: 'c', image: 'nginx' }], ...spec },
});
const container = (fields: Json): Json => pod({ containers: [{ name: 'c', image: 'nginx', ...fields }] });

describe('a new pod', () => {
  test('gets the defaults', async () => {
    const { object, errors, warnings } = await create(
      podStrategy,
      container({
        resources: { limits: { cpu: '2', memory: '1Gi' }, requests: { cpu: '1500m' } },
        ports: [{ containerPort: 80 }],
        livenessProbe: { httpGet: { port: 80 } },
        env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
      }),
    );
    expect(errors).toEqual([]);
    expect(warnings).toEqual([]);
    expect(object.metadata.generation).toBe(1);
    expect(object.spec).toMatchObject({
      restartPolicy: 'Always',
      dnsPolicy: 'ClusterFirst',
      schedulerName: 'default-scheduler',
      terminationGracePeriodSeconds: 30,
      enableServiceLinks: true,
      securityContext: {},
    });
    expect(object.spec.containers[0]).toMatchObject({
      imagePullPolicy: 'Always',
      terminationMessagePath: '/dev/termination-log',
      terminationMessagePolicy: 'File',
      resources: { limits: { cpu: '2', memory: '1Gi' }, requests: { cpu: '1500m', memory: '1Gi' } },
      ports: [{ containerPort: 80, protocol: 'TCP' }],
      livenessProbe: {
        httpGet: { path: '/', port: 80, scheme: 'HTTP' },
        timeoutSeconds: 1,
        periodSeconds: 10,
        successThreshold: 1,
        failureThreshold: 3,
      },
      env: [{ name: 'A', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.name' } } }],
    });
  });

  test.each([
    ['nginx', 'Always'],
    ['nginx:latest', 'Always'],
    ['nginx:1.27', 'IfNotPresent'],
    ['localhost:5000/nginx', 'Always'],
    ['nginx@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef', 'IfNotPresent'],
  ])('image %s is pulled %s', async (image, policy) => {
    const { object } = await create(podStrategy, container({ image }));
    expect(object.spec.containers[0]?.imagePullPolicy).toBe(policy);
  });

  test.each<[string, Json, string]>([
    ['nothing said', {}, 'BestEffort'],
    ['requests', { requests: { cpu: '1' } }, 'Burstable'],
    ['limits of both', { limits: { cpu: '1', memory: '1Gi' } }, 'Guaranteed'],
    ['limits above requests', { limits: { cpu: '2', memory: '1Gi' }, requests: { cpu: '1' } }, 'Burstable'],
  ])('is of the right class with %s', async (_, resources, qosClass) => {
    const { object } = await create(podStrategy, container({ resources }));
    expect(object.status).toEqual({ phase: 'Pending', qosClass });
  });

  test('waits behind its gates', async () => {
    const { object } = await create(podStrategy, pod({ schedulingGates: [{ name: 'a.b/c' }] }));
    expect(object.status?.conditions).toEqual([
      {
        type: 'PodScheduled',
        status: 'False',
        reason: 'SchedulingGated',
        message: 'Scheduling is blocked due to non-empty scheduling gates',
        lastTransitionTime: '2026-01-02T03:04:05Z',
      },
    ]);
  });

  test.each<[string, Json, readonly string[]]>([
    ['no containers', pod({ containers: [] }), ['spec.containers: Required value']],
    [
      'two containers of a name',
      pod({
        containers: [
          { name: 'c', image: 'a' },
          { name: 'c', image: 'b' },
        ],
      }),
      ['spec.containers[1].name: Duplicate value: "c"'],
    ],
    ['no image', container({ image: '' }), ['spec.containers[0].image: Required value']],
    [
      'a restart policy that is none',
      pod({ restartPolicy: 'Sometimes' }),
      [
        'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
      ],
    ],
    [
      'a request above the limit',
      container({ resources: { limits: { cpu: '1' }, requests: { cpu: '2' } } }),
      [
        'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
      ],
    ],
    [
      'a mount without volume',
      container({ volumeMounts: [{ name: 'data', mountPath: '/data' }] }),
      ['spec.containers[0].volumeMounts[0].name: Not found: "data"'],
    ],
    [
      'two kinds of volume in one',
      pod({ volumes: [{ name: 'v', emptyDir: {}, hostPath: { path: '/x' } }] }),
      ['spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type'],
    ],
    [
      'a volume of no kind that names itself badly',
      pod({ volumes: [{ name: 'V', configMap: {} }] }),
      [
        'spec.volumes[0].configMap.name: Required value',
        "spec.volumes[0].name: Invalid value: \"V\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
      ],
    ],
    [
      'a port out of range',
      container({ ports: [{ containerPort: 70000 }] }),
      [
        'spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive',
      ],
    ],
    [
      'host ports that differ from the container ports on the host network',
      pod({
        hostNetwork: true,
        containers: [{ name: 'c', image: 'i', ports: [{ containerPort: 80, hostPort: 81 }] }],
      }),
      [
        'spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true',
      ],
    ],
    [
      'an environment variable without name',
      container({ env: [{ value: 'x' }] }),
      ['spec.containers[0].env[0].name: Required value'],
    ],
    [
      'a probe with two handlers',
      container({ livenessProbe: { tcpSocket: { port: 1 }, exec: { command: ['x'] } } }),
      ['spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type'],
    ],
    [
      'a liveness probe that must succeed twice',
      container({ livenessProbe: { tcpSocket: { port: 1 }, successThreshold: 2 } }),
      ['spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1'],
    ],
    [
      'a toleration of all keys that is no Exists',
      pod({ tolerations: [{ operator: 'Equal', value: 'x' }] }),
      [
        'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means "match all values and all keys"',
      ],
    ],
    [
      'a node name for gates',
      pod({ nodeName: 'n', schedulingGates: [{ name: 'a/b' }] }),
      ['spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared'],
    ],
    [
      'a security context that contradicts itself',
      container({ securityContext: { privileged: true, allowPrivilegeEscalation: false } }),
      [
        'spec.containers[0].securityContext: Invalid value: {"allowPrivilegeEscalation":false,"privileged":true}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true',
      ],
    ],
  ])('is refused with %s', async (_, object, expected) => {
    const { errors } = await create(podStrategy, object);
    expect(
      errors.map((text) => text.replace(/Invalid value: \{.*\}: cannot/, 'Invalid value: {}: cannot')),
    ).toEqual(
      expected.map((text) => text.replace(/Invalid value: \{.*\}: cannot/, 'Invalid value: {}: cannot')),
    );
  });

  test.each<[string, Json, readonly string[]]>([
    [
      'a variable set twice',
      container({
        env: [
          { name: 'A', value: '1' },
          { name: 'A', value: '2' },
        ],
      }),
      ['spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply'],
    ],
    [
      'an old node label',
      pod({ nodeSelector: { 'beta.kubernetes.io/os': 'linux' } }),
      ['spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead'],
    ],
    [
      'a fraction of a byte',
      container({ resources: { limits: { memory: '100m' } } }),
      [
        'spec.containers[0].resources.limits[memory]: fractional byte value "100m" is invalid, must be an integer',
        'spec.containers[0].resources.requests[memory]: fractional byte value "100m" is invalid, must be an integer',
      ],
    ],
    [
      'a name that is no host name',
      pod({}, { name: 'a.b' }),
      [expect.stringMatching(/^metadata\.name: this is used in the Pod's hostname/) as never],
    ],
  ])('warns of %s', async (_, object, expected) => {
    const { errors, warnings } = await create(podStrategy, object);
    expect(errors).toEqual([]);
    expect(warnings).toEqual(expected);
  });
});

describe('an update', () => {
  const stored = async (spec: Json = {}): Promise<corev1.Pod> =>
    (await create(podStrategy, pod(spec))).object;

  test.each<[string, (next: Draft<corev1.Pod>) => void]>([
    ['an image', (next) => ((next.spec.containers[0] as Draft<corev1.Container>).image = 'nginx:2')],
    ['a deadline', (next) => (next.spec.activeDeadlineSeconds = 5)],
    ['one more toleration', (next) => (next.spec.tolerations = [{ key: 'a', operator: 'Exists' }])],
    ['labels', (next) => (next.metadata.labels = { a: 'b' })],
  ])('may change %s', async (_, change) => {
    const { errors } = await update(podStrategy, await stored(), change);
    expect(errors).toEqual([]);
  });

  test('changes of the spec count generations', async () => {
    const old = await stored();
    const { object } = await update(podStrategy, old, (next) => {
      (next.spec.containers[0] as Draft<corev1.Container>).image = 'nginx:2';
    });
    expect(object.metadata.generation).toBe(2);
    const same = await update(podStrategy, old, (next) => {
      next.metadata.labels = { a: 'b' };
    });
    expect(same.object.metadata.generation).toBe(1);
  });

  test('may not change anything else', async () => {
    const { errors } = await update(podStrategy, await stored(), (next) => {
      (next.spec.containers[0] as Draft<corev1.Container>).command = ['x'];
    });
    expect(errors).toHaveLength(1);
    expect(errors[0]).toContain(
      'spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n',
    );
    expect(errors[0]).toMatch(/\+ .*Command: \["x"\]/);
  });

  test('may not add or remove containers', async () => {
    const { errors } = await update(podStrategy, await stored(), (next) => {
      next.spec.containers.push({ name: 'd', image: 'i' });
    });
    expect(errors).toContain('spec.containers: Forbidden: pod updates may not add or remove containers');
  });

  test('status is the status subresource’s, and only that', async () => {
    const old = await stored();
    const change = (next: Draft<corev1.Pod>): void => {
      next.status = { phase: 'Running', qosClass: 'BestEffort' };
      next.spec.activeDeadlineSeconds = 7;
    };
    const plain = await update(podStrategy, old, change);
    expect(plain.object.status?.phase).toBe('Pending');
    const status = await update(podStrategy, old, change, 'status');
    expect(status.errors).toEqual([]);
    expect(status.object.status?.phase).toBe('Running');
    expect(status.object.spec.activeDeadlineSeconds).toBeUndefined();
  });

  test('resize changes cpu and memory, nothing else', async () => {
    const old = (
      await create(podStrategy, container({ resources: { requests: { cpu: '1' }, limits: { cpu: '2' } } }))
    ).object;
    const resized = await update(
      podStrategy,
      old,
      (next) => {
        const first = next.spec.containers[0] as Draft<corev1.Container>;
        first.resources = { requests: { cpu: '1500m' }, limits: { cpu: '2' } };
        first.image = 'other';
      },
      'resize',
    );
    expect(resized.errors).toEqual([]);
    expect(resized.object.spec.containers[0]).toMatchObject({
      image: 'nginx',
      resources: { requests: { cpu: '1500m' } },
    });
    expect(resized.object.metadata.generation).toBe(2);
  });

  test('ephemeral containers come, and stay as they are', async () => {
    const old = await stored();
    const debug = { name: 'debug', image: 'busybox' } as Draft<corev1.EphemeralContainer>;
    const added = await update(
      podStrategy,
      old,
      (next) => {
        next.spec.ephemeralContainers = [debug];
      },
      'ephemeralcontainers',
    );
    expect(added.errors).toEqual([]);
    const removed = await update(
      podStrategy,
      added.object,
      (next) => {
        delete next.spec.ephemeralContainers;
      },
      'ephemeralcontainers',
    );
    expect(removed.errors[0]).toMatch(
      /^spec\.ephemeralContainers: Forbidden: existing ephemeral containers "debug" may not be removed/,
    );
  });
});

test('grace periods', () => {
  const running = {
    spec: { nodeName: 'n', terminationGracePeriodSeconds: 30 },
    status: { phase: 'Running' },
  };
  const grace = (object: unknown, requested?: number): number | undefined =>
    podStrategy.gracePeriod?.(object as corev1.Pod, requested);
  expect(grace(running)).toBe(30);
  expect(grace(running, 5)).toBe(5);
  expect(grace(running, 0)).toBe(0);
  expect(grace({ ...running, spec: {} })).toBe(0);
  expect(grace({ ...running, status: { phase: 'Succeeded' } }, 10)).toBe(0);
});

test('fields that selectors may name', async () => {
  const { object } = await create(podStrategy, pod({ nodeName: 'n', serviceAccountName: 'sa' }));
  expect(podStrategy.selectableFields?.(object)).toEqual({
    'spec.nodeName': 'n',
    'spec.restartPolicy': 'Always',
    'spec.schedulerName': 'default-scheduler',
    'spec.serviceAccountName': 'sa',
    'spec.hostNetwork': 'false',
    'status.phase': 'Pending',
    'status.podIP': '',
    'status.nominatedNodeName': '',
  });
});
