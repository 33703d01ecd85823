import { corev1 } from '@k8ts/api';
import type { Draft, KubeObject, ResourceType } from '@k8ts/api';
import { beforeEach, describe, expect, test } from 'vitest';
import { userInfo } from '../../authentication/well-known-users.ts';
import { createObjectTable, type ObjectTable } from '../../testing/object-table.ts';
import type { AdmissionAttributes } from '../contract.ts';
import { limitRanger } from './limit-ranger.ts';

type Item = corev1.LimitRangeItem;
type Resources = corev1.ResourceRequirements;

let objects: ObjectTable;
beforeEach(() => {
  objects = createObjectTable();
});

function limit(...limits: readonly Item[]): void {
  objects.put(corev1.limitRanges, { metadata: { name: 'l', namespace: 'a' }, spec: { limits } });
}

function podOf(
  containers: readonly Resources[],
  { init = [], whole }: { init?: readonly (Resources & { sidecar?: true })[]; whole?: Resources } = {},
): Draft<corev1.Pod> {
  const pod: corev1.Pod = {
    metadata: { name: 'p', namespace: 'a' },
    spec: {
      containers: containers.map((resources, i) => ({ name: `c${i}`, image: 'i', resources })),
      initContainers: init.map(({ sidecar, ...resources }, i) => ({
        name: `i${i}`,
        image: 'i',
        resources,
        ...(sidecar === true ? { restartPolicy: 'Always' as const } : {}),
      })),
      ...(whole === undefined ? {} : { resources: whole }),
    },
  };
  return structuredClone(pod) as Draft<corev1.Pod>;
}

/** What is said against it. */
function run(
  object: object,
  resource: ResourceType<KubeObject> = corev1.pods,
  rest: Partial<AdmissionAttributes> = {},
): string | undefined {
  const plugin = limitRanger(objects);
  const attributes: AdmissionAttributes = {
    operation: 'CREATE',
    resource,
    subresource: '',
    namespace: 'a',
    name: 'p',
    user: userInfo('admin', ['system:masters']),
    object: object as Draft<KubeObject>,
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
  if (!plugin.handles(resource, attributes.subresource)) return undefined;
  try {
    void plugin.admit?.(attributes);
    void plugin.validate?.(attributes);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

const both = (requests: string, limits: string): Resources => ({
  requests: { cpu: requests },
  limits: { cpu: limits },
});

describe('LimitRanger', () => {
  test('sets what containers do not say, and says so', () => {
    limit({
      type: 'Container',
      default: { cpu: '100m', memory: '1Gi' },
      defaultRequest: { memory: '512Mi', cpu: '50m' },
    });
    const pod = podOf([{}, { requests: { cpu: '10m' }, limits: { memory: '2Gi' } }], {
      init: [both('1m', '2m')],
    });
    pod.metadata.annotations = { own: 'x' };
    expect(run(pod)).toBeUndefined();
    const resources = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].map(
      (each) => each.resources,
    );
    expect(resources).toEqual([
      { requests: { cpu: '50m', memory: '512Mi' }, limits: { cpu: '100m', memory: '1Gi' } },
      { requests: { cpu: '10m', memory: '512Mi' }, limits: { cpu: '100m', memory: '2Gi' } },
      { requests: { cpu: '1m', memory: '512Mi' }, limits: { cpu: '2m', memory: '1Gi' } },
    ]);
    expect(pod.metadata.annotations).toEqual({
      own: 'x',
      'kubernetes.io/limit-ranger':
        'LimitRanger plugin set: cpu, memory request for container c0; cpu, memory limit for container c0; memory request for container c1; cpu limit for container c1; memory request for init container i0; memory limit for init container i0',
    });
  });

  test('leaves alone what lacks nothing', () => {
    limit(
      { type: 'Container', default: { cpu: '1' }, defaultRequest: { cpu: '1' } },
      { type: 'Pod', max: { cpu: '9' } },
    );
    const pod = podOf([both('1', '1')]);
    const before = structuredClone(pod);
    expect(run(pod)).toBeUndefined();
    expect(pod).toEqual(before);
  });

  test.each<[Item, Draft<corev1.Pod>, string | undefined]>([
    [{ type: 'Container', min: { cpu: '100m' } }, podOf([both('100m', '200m')]), undefined],
    [
      { type: 'Container', min: { cpu: '100m' } },
      podOf([{}]),
      'minimum cpu usage per Container is 100m.  No request is specified',
    ],
    [
      { type: 'Container', min: { cpu: '100m' } },
      podOf([both('50m', '100m')]),
      'minimum cpu usage per Container is 100m, but request is 50m',
    ],
    [
      { type: 'Container', min: { cpu: '100m' } },
      podOf([both('100m', '50m')]),
      'minimum cpu usage per Container is 100m, but limit is 50m',
    ],
    [{ type: 'Container', max: { cpu: '1' } }, podOf([both('1', '1')]), undefined],
    [
      { type: 'Container', max: { cpu: '1' } },
      podOf([both('1', '2')]),
      'maximum cpu usage per Container is 1, but limit is 2',
    ],
    [
      { type: 'Container', max: { cpu: '1' } },
      podOf([{ requests: { cpu: '1' } }]),
      'maximum cpu usage per Container is 1.  No limit is specified',
    ],
    [
      { type: 'Container', max: { cpu: '1' } },
      podOf([both('2', '1')]),
      'maximum cpu usage per Container is 1, but request is 2',
    ],
    [
      { type: 'Container', max: { cpu: '1' } },
      podOf([both('1', '1')], { init: [both('1', '2')] }),
      'maximum cpu usage per Container is 1, but limit is 2',
    ],
    [{ type: 'Container', maxLimitRequestRatio: { cpu: '2' } }, podOf([both('1', '2')]), undefined],
    [
      { type: 'Container', maxLimitRequestRatio: { cpu: '1500m' } },
      podOf([both('3', '5')]),
      'cpu max limit to request ratio per Container is 1500m, but provided ratio is 1.666667',
    ],
    [
      { type: 'Container', maxLimitRequestRatio: { cpu: '2' } },
      podOf([both('0', '5')]),
      'cpu max limit to request ratio per Container is 2, but no request is specified or request is 0',
    ],
    [
      { type: 'Container', maxLimitRequestRatio: { cpu: '2' } },
      podOf([{ requests: { cpu: '1' } }]),
      'cpu max limit to request ratio per Container is 2, but no limit is specified or limit is 0',
    ],
    [
      { type: 'Container', min: { memory: '1Gi', cpu: '1' } },
      podOf([{}, {}]),
      '[minimum cpu usage per Container is 1.  No request is specified, minimum memory usage per Container is 1Gi.  No request is specified]',
    ],
    [{ type: 'Pod', max: { cpu: '2' } }, podOf([both('1', '1'), both('1', '1')]), undefined],
    [
      { type: 'Pod', max: { cpu: '2' } },
      podOf([both('1', '1'), both('1', '1500m')]),
      'maximum cpu usage per Pod is 2, but limit is 2500m',
    ],
    [
      { type: 'Pod', max: { cpu: '2' } },
      podOf([both('1', '1')], { init: [both('1', '3')] }),
      'maximum cpu usage per Pod is 2, but limit is 3',
    ],
    [
      { type: 'Pod', max: { cpu: '2' } },
      podOf([both('1', '1')], { init: [{ ...both('1', '2'), sidecar: true }] }),
      'maximum cpu usage per Pod is 2, but limit is 3',
    ],
    [
      { type: 'Pod', max: { cpu: '2' } },
      podOf([both('1', '1')], { whole: { limits: { cpu: '4' } } }),
      'maximum cpu usage per Pod is 2, but limit is 4',
    ],
    [
      { type: 'Pod', maxLimitRequestRatio: { cpu: '2' } },
      podOf([both('1', '1'), both('1', '4')]),
      'cpu max limit to request ratio per Pod is 2, but provided ratio is 2.500000',
    ],
    [{ type: 'PersistentVolumeClaim', min: { storage: '1Gi' } }, podOf([{}]), undefined],
  ])('%j', (item, pod, expected) => {
    limit(item);
    expect(run(pod)).toBe(expected === undefined ? undefined : `pods "p" is forbidden: ${expected}`);
  });

  test.each([
    ['2Gi', undefined],
    ['512Mi', 'minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 512Mi'],
    ['6Gi', 'maximum storage usage per PersistentVolumeClaim is 5Gi, but request is 6Gi'],
    [
      undefined,
      '[minimum storage usage per PersistentVolumeClaim is 1Gi.  No request is specified, maximum storage usage per PersistentVolumeClaim is 5Gi.  No request is specified]',
    ],
  ])('a claim of %s', (storage, expected) => {
    limit(
      { type: 'PersistentVolumeClaim', min: { storage: '1Gi' }, max: { storage: '5Gi' } },
      { type: 'Container', max: { cpu: '1' } },
    );
    const claim = {
      metadata: { name: 'p', namespace: 'a' },
      spec: { resources: { requests: storage === undefined ? {} : { storage } } },
    };
    const message =
      expected === undefined ? undefined : `persistentvolumeclaims "p" is forbidden: ${expected}`;
    expect(run(claim, corev1.persistentVolumeClaims)).toBe(message);
    expect(run(claim, corev1.persistentVolumeClaims, { operation: 'UPDATE', oldObject: claim })).toBe(
      message,
    );
  });

  test('looks at a pod when it is created and when it is resized, unless it is being deleted', () => {
    limit({ type: 'Container', max: { cpu: '1' } });
    const large = podOf([both('1', '2')]);
    const old = podOf([both('1', '1')]);
    const change = { operation: 'UPDATE', oldObject: old } as const;
    expect(run(large, corev1.pods, change)).toBeUndefined();
    expect(run(large, corev1.pods, { ...change, subresource: 'status' })).toBeUndefined();
    expect(run(large, corev1.pods, { ...change, subresource: 'resize' })).toContain('maximum cpu usage');
    const leaving = { ...old, metadata: { ...old.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
    expect(run(large, corev1.pods, { ...change, subresource: 'resize', oldObject: leaving })).toBeUndefined();
    expect(run(large, corev1.pods, { namespace: 'b' })).toBeUndefined();
  });
});
