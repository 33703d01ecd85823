import { corev1, storagev1 } from '@k8ts/api';
import type { New } from '@k8ts/api';
import { describe, expect, test } from 'vitest';

import { ControllerHarness } from '../testing/controller-harness.ts';
import { persistentVolumeBinderController } from './controller.ts';

type Claim = corev1.PersistentVolumeClaim;
type Volume = corev1.PersistentVolume;

const claim = (name: string, spec: Partial<Claim['spec']> = {}, metadata: object = {}): Claim => ({
  metadata: { name, namespace: 'default', uid: `uid-${name}`, ...metadata },
  spec: {
    accessModes: ['ReadWriteOnce'],
    storageClassName: '',
    resources: { requests: { storage: '1Gi' } },
    ...spec,
  },
  status: { phase: 'Pending' },
});
const volume = (name: string, spec: Partial<Volume['spec']> = {}, metadata: object = {}): Volume => ({
  metadata: { name, ...metadata },
  spec: {
    capacity: { storage: '1Gi' },
    accessModes: ['ReadWriteOnce'],
    persistentVolumeReclaimPolicy: 'Retain',
    hostPath: { path: '/data' },
    ...spec,
  },
  status: { phase: 'Pending' },
});
const storageClass = (
  name: string,
  init: Partial<storagev1.StorageClass> = {},
): New<storagev1.StorageClass> => ({
  metadata: { name },
  provisioner: 'example.com/disks',
  volumeBindingMode: 'Immediate',
  ...init,
});

interface World {
  readonly claims?: readonly Claim[];
  readonly volumes?: readonly Volume[];
  readonly classes?: readonly New<storagev1.StorageClass>[];
  readonly pods?: readonly corev1.Pod[];
}

/** What the binder makes of it in a minute. */
async function settled({
  claims = [],
  volumes = [],
  classes = [],
  pods = [],
}: World): Promise<ControllerHarness> {
  const harness = await ControllerHarness.start([persistentVolumeBinderController], {}, (api) => {
    for (const each of classes) api.seed(storagev1.storageClasses, each as storagev1.StorageClass);
    for (const each of volumes) api.seed(corev1.persistentVolumes, each);
    for (const each of claims) api.seed(corev1.persistentVolumeClaims, each);
    for (const each of pods) api.seed(corev1.pods, each);
  });
  await harness.clock.advance(60_000);
  return harness;
}

const claimOf = (harness: ControllerHarness, name = 'data'): Promise<Claim> =>
  harness.api.client.resource(corev1.persistentVolumeClaims, 'default').get(name);
const volumeOf = (harness: ControllerHarness, name = 'pv'): Promise<Volume> =>
  harness.api.client.resource(corev1.persistentVolumes).get(name);
async function events(harness: ControllerHarness): Promise<string[]> {
  const { items } = await harness.api.client.resource(corev1.events).list();
  return [
    ...new Set(items.map(({ type, reason, message }) => `${type ?? ''} ${reason ?? ''} ${message ?? ''}`)),
  ];
}

describe('a claim without a volume', () => {
  test('gets the smallest that fits, and both sides say so', async () => {
    await using harness = await settled({
      claims: [claim('data')],
      volumes: [
        volume('large', { capacity: { storage: '9Gi' } }),
        volume('pv', { capacity: { storage: '2Gi' } }),
        volume('small', { capacity: { storage: '1Mi' } }),
      ],
    });
    const bound = await claimOf(harness);
    expect(bound.spec.volumeName).toBe('pv');
    expect(bound.metadata.annotations).toEqual({
      'pv.kubernetes.io/bind-completed': 'yes',
      'pv.kubernetes.io/bound-by-controller': 'yes',
    });
    expect(bound.status).toEqual({
      phase: 'Bound',
      accessModes: ['ReadWriteOnce'],
      capacity: { storage: '2Gi' },
    });
    const pv = await volumeOf(harness);
    expect(pv.spec?.claimRef).toMatchObject({ namespace: 'default', name: 'data', uid: 'uid-data' });
    expect(pv.metadata.annotations).toEqual({ 'pv.kubernetes.io/bound-by-controller': 'yes' });
    expect(pv.status?.phase).toBe('Bound');
    expect((await volumeOf(harness, 'large')).status?.phase).toBe('Available');
  });

  test('shares no volume with another claim', async () => {
    await using harness = await settled({
      claims: ['a', 'b', 'c'].map((name) => claim(name)),
      volumes: [volume('one'), volume('two')],
    });
    const bound = await Promise.all(['a', 'b', 'c'].map((name) => claimOf(harness, name)));
    expect(bound.map(({ spec }) => spec.volumeName ?? '-').sort()).toEqual(['-', 'one', 'two']);
    expect(harness.api.requests.filter((request) => request.startsWith('PUT'))).toHaveLength(2 + 2 * 4);
  });

  test.each<[string, Partial<Claim['spec']>, Partial<Volume['spec']>, boolean, object?]>([
    ['of the same class', { storageClassName: 'a' }, { storageClassName: 'a' }, true],
    ['of another class', {}, { storageClassName: 'a' }, false],
    ['with more access modes', {}, { accessModes: ['ReadWriteOnce', 'ReadWriteMany'] }, true],
    ['without the access mode', {}, { accessModes: ['ReadOnlyMany'] }, false],
    ['of another mode', { volumeMode: 'Block' }, {}, false],
    ['of the same mode', { volumeMode: 'Block' }, { volumeMode: 'Block' }, true],
    ['with other attributes', { volumeAttributesClassName: 'fast' }, {}, false],
    ['with the labels', { selector: { matchLabels: { a: 'b' } } }, {}, true, { labels: { a: 'b' } }],
    ['without the labels', { selector: { matchLabels: { a: 'b' } } }, {}, false],
    ['promised to it', {}, { claimRef: { namespace: 'default', name: 'data' } }, true],
    ['promised to another', {}, { claimRef: { namespace: 'default', name: 'other' } }, false],
  ])('and a volume %s', async (_what, claimSpec, volumeSpec, fits, metadata = {}) => {
    await using harness = await settled({
      claims: [claim('data', claimSpec)],
      volumes: [volume('pv', volumeSpec, metadata)],
      classes: [storageClass('a')],
    });
    expect((await claimOf(harness)).status?.phase).toBe(fits ? 'Bound' : 'Pending');
  });

  test('and without a class says so', async () => {
    await using harness = await settled({ claims: [claim('data')] });
    expect(await events(harness)).toEqual([
      'Normal FailedBinding no persistent volumes available for this claim and no storage class is set',
    ]);
  });

  test('gets the default class when there is one', async () => {
    const { storageClassName: _none, ...spec } = claim('data').spec;
    const annotations = { 'storageclass.kubernetes.io/is-default-class': 'true' };
    await using harness = await settled({
      claims: [{ ...claim('data'), spec }],
      classes: [{ ...storageClass('standard'), metadata: { name: 'standard', annotations } }],
    });
    expect((await claimOf(harness)).spec.storageClassName).toBe('standard');
  });

  test('is handed to the provisioner of its class', async () => {
    await using harness = await settled({
      claims: [claim('data', { storageClassName: 'disks' })],
      classes: [storageClass('disks')],
    });
    expect((await claimOf(harness)).metadata.annotations).toEqual({
      'volume.beta.kubernetes.io/storage-provisioner': 'example.com/disks',
      'volume.kubernetes.io/storage-provisioner': 'example.com/disks',
    });
    expect(await events(harness)).toEqual([
      "Normal ExternalProvisioning Waiting for a volume to be created either by the external provisioner 'example.com/disks' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.",
    ]);
  });

  test.each([
    [[], 'WaitForFirstConsumer waiting for first consumer to be created before binding'],
    [['web'], 'WaitForPodScheduled waiting for pod web to be scheduled'],
    [['web', 'app'], 'WaitForPodScheduled waiting for pods app,web to be scheduled'],
  ])('waits for its consumers %j', async (names, said) => {
    await using harness = await settled({
      claims: [claim('data', { storageClassName: 'late' })],
      volumes: [volume('pv', { storageClassName: 'late' })],
      classes: [storageClass('late', { volumeBindingMode: 'WaitForFirstConsumer' })],
      pods: names.map((name) => ({
        metadata: { name, namespace: 'default' },
        spec: {
          containers: [{ name: 'c' }],
          volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }],
        },
      })),
    });
    expect((await claimOf(harness)).status?.phase).toBe('Pending');
    expect(await events(harness)).toEqual([`Normal ${said}`]);
  });
});

describe('a claim that names its volume', () => {
  const naming = (spec: Partial<Claim['spec']> = {}, metadata: object = {}): Claim =>
    claim('data', { volumeName: 'pv', ...spec }, metadata);

  test('is bound without the mark that a controller chose', async () => {
    await using harness = await settled({ claims: [naming()], volumes: [volume('pv')] });
    const bound = await claimOf(harness);
    expect(bound.status?.phase).toBe('Bound');
    expect(bound.metadata.annotations).toEqual({ 'pv.kubernetes.io/bind-completed': 'yes' });
  });

  test('waits until it is there', async () => {
    await using harness = await settled({ claims: [naming()] });
    expect((await claimOf(harness)).status?.phase).toBe('Pending');
    await harness.api.client.resource(corev1.persistentVolumes).create(volume('pv'));
    await harness.clock.advance(20_000);
    expect((await claimOf(harness)).status?.phase).toBe('Bound');
  });

  test.each<[Partial<Claim['spec']>, Partial<Volume['spec']>, string]>([
    [{}, { capacity: { storage: '1Mi' } }, 'requested PV is too small'],
    [{}, { storageClassName: 'a' }, 'storageClassName does not match'],
    [{ volumeMode: 'Block' }, {}, 'incompatible volumeMode'],
    [{}, { accessModes: ['ReadOnlyMany'] }, 'incompatible accessMode'],
    [{ volumeAttributesClassName: 'x' }, {}, 'volumeAttributesClassName does not match'],
  ])('is refused: %j, %j', async (claimSpec, volumeSpec, problem) => {
    await using harness = await settled({ claims: [naming(claimSpec)], volumes: [volume('pv', volumeSpec)] });
    expect(await events(harness)).toEqual([
      `Warning VolumeMismatch Cannot bind to requested volume "pv": ${problem}`,
    ]);
    expect((await volumeOf(harness)).status?.phase).toBe('Available');
  });

  test('that is bound to another one', async () => {
    await using harness = await settled({
      claims: [claim('first', { volumeName: 'pv' }), naming()],
      volumes: [volume('pv', { claimRef: { namespace: 'default', name: 'first', uid: 'uid-first' } })],
    });
    expect((await claimOf(harness)).status?.phase).toBe('Pending');
    expect(await events(harness)).toEqual([
      'Warning FailedBinding volume "pv" already bound to a different claim.',
    ]);
  });
});

describe('a bound claim', () => {
  const completed = { annotations: { 'pv.kubernetes.io/bind-completed': 'yes' } };
  test.each<[string, World, string]>([
    [
      'whose volume is gone',
      { claims: [claim('data', { volumeName: 'pv' }, completed)] },
      'ClaimLost Bound claim has lost its PersistentVolume. Data on the volume is lost!',
    ],
    [
      'that names no volume any more',
      { claims: [claim('data', {}, completed)] },
      'ClaimLost Bound claim has lost reference to PersistentVolume. Data on the volume is lost!',
    ],
    [
      'whose volume belongs to another',
      {
        claims: [
          claim('data', { volumeName: 'pv' }, completed),
          claim('other', { volumeName: 'pv' }, completed),
        ],
        volumes: [volume('pv', { claimRef: { namespace: 'default', name: 'other', uid: 'uid-other' } })],
      },
      'ClaimMisbound Two claims are bound to the same volume, this one is bound incorrectly',
    ],
  ])('%s is lost', async (_what, world, said) => {
    await using harness = await settled(world);
    expect((await claimOf(harness)).status?.phase).toBe('Lost');
    expect(await events(harness)).toEqual([`Warning ${said}`]);
  });
});

describe('the volume of a claim that is gone', () => {
  const left = (spec: Partial<Volume['spec']>, metadata: object = {}): Volume =>
    volume('pv', { claimRef: { namespace: 'default', name: 'data', uid: 'old' }, ...spec }, metadata);

  test.each<[Partial<Volume['spec']>, object, string, string[]]>([
    [{ persistentVolumeReclaimPolicy: 'Retain' }, {}, 'Released', []],
    [
      { persistentVolumeReclaimPolicy: 'Recycle' },
      {},
      'Failed',
      ['Warning VolumeFailedRecycle No recycler plugin found for the volume!'],
    ],
    [
      { persistentVolumeReclaimPolicy: 'Delete' },
      {},
      'Failed',
      [
        'Warning VolumeFailedDelete error getting deleter volume plugin for volume "pv": no deletable volume plugin matched',
      ],
    ],
    [
      { persistentVolumeReclaimPolicy: 'Delete' },
      { annotations: { 'pv.kubernetes.io/provisioned-by': 'example.com/disks' } },
      'Released',
      [],
    ],
  ])('%j %j is %s', async (spec, metadata, phase, said) => {
    // A claim of the same name is another one.
    await using harness = await settled({ claims: [claim('data')], volumes: [left(spec, metadata)] });
    expect((await volumeOf(harness)).status?.phase).toBe(phase);
    const about = (await events(harness)).filter((line) => !line.includes('FailedBinding'));
    expect(about).toEqual(said);
  });

  test('is free again when its claim found another one', async () => {
    await using harness = await settled({
      claims: [claim('data', { volumeName: 'other' }, { uid: 'old' })],
      volumes: [
        left({}, { annotations: { 'pv.kubernetes.io/bound-by-controller': 'yes' } }),
        volume('other', {}),
      ],
    });
    const free = await volumeOf(harness);
    expect(free.status?.phase).toBe('Available');
    expect(free.spec?.claimRef).toBeUndefined();
  });
});
