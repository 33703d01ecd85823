import { corev1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { useCluster } from '../../support/cluster.ts';
import { PAUSE, script } from '../../support/manifests.ts';
import { until } from '../../support/waiting.ts';
import { usePods, type Run } from './support.ts';

// Upstream's test/e2e/common/storage, with a shell in the place of its mounttest.

type Volume = NonNullable<corev1.PodSpec['volumes']>[number];
type Source = Omit<Volume, 'name'>;
type Items = readonly { key: string; path: string; mode?: number }[];

const DATA = { 'data-1': 'value-1\n', 'data-2': 'value-2\n', 'data-3': 'value-3\n' };
const configMap = (name: string, data: Readonly<Record<string, string>> = DATA): object => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data,
});
const secret = (
  name: string,
  data: Readonly<Record<string, string>> = DATA,
  namespace = 'default',
): object => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace },
  data: Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  ),
});

const cluster = useCluster();
const pods = usePods(cluster, [
  configMap('map'),
  secret('secret'),
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'other' } },
  secret('secret', { 'data-1': 'of the other namespace\n' }, 'other'),
  { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'binary' }, data: { text: 'text\n' }, binaryData: { 'dump.bin': '3q3++4k=' } }, // prettier-ignore
]);

const sh = (pod: string, text: string): Promise<string> =>
  cluster.kubectl.ok('exec', pod, '-c', 'app', '--', 'sh', '-c', text);

/** One volume at /v. */
function mounting(volume: Source, text: string, prints: Run['prints'], more: Omit<Run, 'prints'> = {}): Run {
  return {
    ...more,
    shell: text,
    container: { ...more.container, volumeMounts: [{ name: 'v', mountPath: '/v' }] },
    spec: { volumes: [{ name: 'v', ...volume }], ...more.spec },
    prints,
  };
}

describe('EmptyDir', () => {
  const memory: Source = { emptyDir: { medium: 'Memory' } };
  const disk: Source = { emptyDir: {} };
  const ANY = /^(tmpfs|(?!tmpfs)\S+)\n/;

  /** A file that a user makes in a volume, with its mode; the volume's file system is seen from inside. */
  function file(uid: number | undefined, mode: string, volume: Source): Run {
    const fileSystem = volume === memory ? 'tmpfs' : '\\S+';
    return mounting(
      volume,
      `umask 0; awk '$2 == "/v" {print $3}' /proc/mounts
       echo mount-tester new file > /v/file && chmod ${mode} /v/file && stat -c '%a %u' /v/file; cat /v/file`,
      new RegExp(`^${fileSystem}\n${Number(mode)} ${uid ?? 0}\nmount-tester new file\n$`),
      uid === undefined ? {} : { spec: { securityContext: { runAsUser: uid } } },
    );
  }
  const modeOf = (volume: Source, fileSystem: RegExp): Run =>
    mounting(
      volume,
      `awk '$2 == "/v" {print $3}' /proc/mounts; stat -c %a /v`,
      new RegExp(`${fileSystem.source}777\n$`),
    );

  it(
    '[sig-storage] EmptyDir volumes volume on tmpfs should have the correct mode [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(modeOf(memory, /^tmpfs\n/)),
  );
  it(
    '[sig-storage] EmptyDir volumes volume on default medium should have the correct mode [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(modeOf(disk, ANY)),
  );
  it(
    '[sig-storage] EmptyDir volumes should support (root,0644,tmpfs) [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(file(undefined, '0644', memory)),
  );
  it(
    '[sig-storage] EmptyDir volumes should support (root,0644,default) [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(file(undefined, '0644', disk)),
  );
  it(
    '[sig-storage] EmptyDir volumes should support (root,0666,tmpfs) [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(file(undefined, '0666', memory)),
  );
  it(
    '[sig-storage] EmptyDir volumes should support (root,0666,default) [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(file(undefined, '0666', disk)),
  );
  it(
    '[sig-storage] EmptyDir volumes should support (root,0777,tmpfs) [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(file(undefined, '0777', memory)),
  );
  it(
    '[sig-storage] EmptyDir volumes should support (root,0777,default) [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(file(undefined, '0777', disk)),
  );
  it(
    '[sig-storage] EmptyDir volumes should support (non-root,0644,tmpfs) [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(file(1001, '0644', memory)),
  );
  it(
    '[sig-storage] EmptyDir volumes should support (non-root,0644,default) [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(file(1001, '0644', disk)),
  );
  it(
    '[sig-storage] EmptyDir volumes should support (non-root,0666,tmpfs) [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(file(1001, '0666', memory)),
  );
  it(
    '[sig-storage] EmptyDir volumes should support (non-root,0666,default) [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(file(1001, '0666', disk)),
  );
  it(
    '[sig-storage] EmptyDir volumes should support (non-root,0777,tmpfs) [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(file(1001, '0777', memory)),
  );
  it(
    '[sig-storage] EmptyDir volumes should support (non-root,0777,default) [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(file(1001, '0777', disk)),
  );

  const shared = pods.pod({
    containers: [
      script(`echo hi there > /v/shared; ${PAUSE}`, { volumeMounts: [{ name: 'v', mountPath: '/v' }] }),
      script(PAUSE, { name: 'second', volumeMounts: [{ name: 'v', mountPath: '/w' }] }),
    ],
    volumes: [{ name: 'v', ...disk }],
  });
  it('[sig-storage] EmptyDir volumes pod should support shared volumes between containers [Conformance]', async () => {
    await cluster.untilReady(shared);
    await until(
      async () =>
        (await cluster.kubectl.run(['exec', shared, '-c', 'second', '--', 'cat', '/w/shared'])).stdout ===
        'hi there\n',
    );
  });

  it(
    '[sig-storage] EmptyDir wrapper volumes should not conflict [Conformance]',
    pods.prints({
      shell: 'cat /s/data-1 /m/data-2',
      container: {
        volumeMounts: [
          { name: 's', mountPath: '/s', readOnly: true },
          { name: 'm', mountPath: '/m' },
        ],
      },
      spec: {
        volumes: [
          { name: 's', secret: { secretName: 'secret' } },
          { name: 'm', configMap: { name: 'map' } },
        ],
      },
      prints: 'value-1\nvalue-2\n',
    }),
  );
});

/** The four ways to a file: a volume of its own, or a projected one. */
const ownMap = (more: object = {}): Source => ({ configMap: { name: 'map', ...more } });
const ownSecret = (more: object = {}): Source => ({ secret: { secretName: 'secret', ...more } });
const projectedMap = ({ defaultMode, ...more }: { defaultMode?: number; items?: Items } = {}): Source =>
  projected({ configMap: { name: 'map', ...more } }, defaultMode);
const projectedSecret = ({ defaultMode, ...more }: { defaultMode?: number; items?: Items } = {}): Source =>
  projected({ secret: { name: 'secret', ...more } }, defaultMode);

function projected(source: object, defaultMode?: number): Source {
  return {
    projected: { sources: [source], ...(defaultMode === undefined ? {} : { defaultMode }) },
  };
}

const ITEMS: Items = [{ key: 'data-2', path: 'path/to/data-2' }];
const READ_ONLY_ITEMS: Items = [{ key: 'data-2', path: 'path/to/data-2', mode: 0o400 }];
const show = (path: string): string => `cat /v/${path}; stat -Lc %a /v/${path}`;
const consumed = (volume: Source, prints = 'value-1\n644\n', spec: Partial<corev1.PodSpec> = {}): Run =>
  mounting(volume, show('data-1'), prints, { spec });
const mapped = (volume: Source, prints = 'value-2\n644\n', spec: Partial<corev1.PodSpec> = {}): Run =>
  mounting(volume, show('path/to/data-2'), prints, { spec });
const NON_ROOT: Partial<corev1.PodSpec> = { securityContext: { runAsUser: 1000 } };

/** The same source as two volumes of a pod. */
const twice = (volume: Source): Run => ({
  shell: 'cat /one/data-1 /two/data-1',
  container: {
    volumeMounts: [
      { name: 'one', mountPath: '/one', readOnly: true },
      { name: 'two', mountPath: '/two', readOnly: true },
    ],
  },
  spec: {
    volumes: [
      { name: 'one', ...volume },
      { name: 'two', ...volume },
    ],
  },
  prints: 'value-1\nvalue-1\n',
});

/** A pod that runs on, with a volume for each of the names at /NAME. */
const watching = (volumes: Readonly<Record<string, Source>>, metadata: Run['metadata'] = {}): string =>
  pods.pod(
    {
      containers: [
        script(PAUSE, {
          volumeMounts: Object.keys(volumes).map((name) => ({ name, mountPath: `/${name}` })),
        }),
      ],
      volumes: Object.entries(volumes).map(([name, source]) => ({ name, ...source })),
    },
    metadata,
  );
/** Waits for the kubelet to bring a change to the volume. */
const untilShown = (pod: string, path: string, content: string | undefined): Promise<void> =>
  until(async () => {
    const { code, stdout } = await cluster.kubectl.run(['exec', pod, '--', 'cat', path]);
    return content === undefined ? code !== 0 : code === 0 && stdout === content;
  }, 50_000);

/** Three objects that need not exist: one is deleted, one changed, one made, and the volumes of a pod follow. */
function optionalUpdates(
  kind: 'configMaps' | 'secrets',
  prefix: string,
  source: (name: string) => Source,
): () => Promise<void> {
  const named = (what: string): string => `${prefix}-${what}`;
  const pod = watching({ del: source(named('del')), upd: source(named('upd')), add: source(named('add')) });
  const make = kind === 'configMaps' ? configMap : secret;
  return async () => {
    await cluster.untilReady(pod);
    expect(await sh(pod, 'ls /del /upd /add')).toBe('/add:\n\n/del:\n\n/upd:\n');
    await cluster.apply(
      make(named('del'), { 'data-1': 'value-1' }),
      make(named('upd'), { 'data-1': 'value-1' }),
    );
    await Promise.all([untilShown(pod, '/del/data-1', 'value-1'), untilShown(pod, '/upd/data-1', 'value-1')]);
    await cluster.client
      .resource<corev1.ConfigMap | corev1.Secret>(corev1[kind], 'default')
      .delete(named('del'));
    await cluster.apply(
      make(named('upd'), { 'data-3': 'value-3' }),
      make(named('add'), { 'data-1': 'value-1' }),
    );
    await Promise.all([
      untilShown(pod, '/del/data-1', undefined),
      untilShown(pod, '/upd/data-3', 'value-3'),
      untilShown(pod, '/upd/data-1', undefined),
      untilShown(pod, '/add/data-1', 'value-1'),
    ]);
  };
}

describe('ConfigMap', () => {
  it(
    '[sig-storage] ConfigMap should be consumable from pods in volume [NodeConformance] [Conformance]',
    pods.prints(consumed(ownMap())),
  );
  it(
    '[sig-storage] ConfigMap should be consumable from pods in volume with defaultMode set [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(consumed(ownMap({ defaultMode: 0o400 }), 'value-1\n400\n')),
  );
  it(
    '[sig-storage] ConfigMap should be consumable from pods in volume as non-root [NodeConformance] [Conformance]',
    pods.prints(consumed(ownMap(), undefined, NON_ROOT)),
  );
  it(
    '[sig-storage] ConfigMap should be consumable from pods in volume with mappings [NodeConformance] [Conformance]',
    pods.prints(mapped(ownMap({ items: ITEMS }))),
  );
  it(
    '[sig-storage] ConfigMap should be consumable from pods in volume with mappings and Item mode set [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(mapped(ownMap({ items: READ_ONLY_ITEMS }), 'value-2\n400\n')),
  );
  it(
    '[sig-storage] ConfigMap should be consumable from pods in volume with mappings as non-root [NodeConformance] [Conformance]',
    pods.prints(mapped(ownMap({ items: ITEMS }), undefined, NON_ROOT)),
  );
  it(
    '[sig-storage] ConfigMap should be consumable in multiple volumes in the same pod [NodeConformance] [Conformance]',
    pods.prints(twice(ownMap())),
  );
  const live = watching({ v: { configMap: { name: 'own-live' } } });
  it('[sig-storage] ConfigMap updates should be reflected in volume [NodeConformance] [Conformance]', async () => {
    await cluster.apply(configMap('own-live', { 'data-1': 'value-1' }));
    await cluster.untilReady(live);
    expect(await sh(live, 'cat /v/data-1')).toBe('value-1');
    await cluster.apply(configMap('own-live', { 'data-1': 'value-2' }));
    await untilShown(live, '/v/data-1', 'value-2');
  });
  it(
    '[sig-storage] ConfigMap optional updates should be reflected in volume [NodeConformance] [Conformance]',
    optionalUpdates('configMaps', 'map-own', (name) => ({ configMap: { name, optional: true } })),
  );
  it(
    '[sig-storage] ConfigMap binary data should be reflected in volume [NodeConformance] [Conformance]',
    pods.prints(
      mounting(
        { configMap: { name: 'binary' } },
        'cat /v/text; hexdump -C /v/dump.bin',
        /^text\n00000000 {2}de ad fe fb 89 {2}/,
      ),
    ),
  );
});

describe('Projected configMap', () => {
  it(
    '[sig-storage] Projected configMap should be consumable from pods in volume [NodeConformance] [Conformance]',
    pods.prints(consumed(projectedMap())),
  );
  it(
    '[sig-storage] Projected configMap should be consumable from pods in volume with defaultMode set [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(consumed(projectedMap({ defaultMode: 0o400 }), 'value-1\n400\n')),
  );
  it(
    '[sig-storage] Projected configMap should be consumable from pods in volume as non-root [NodeConformance] [Conformance]',
    pods.prints(consumed(projectedMap(), undefined, NON_ROOT)),
  );
  it(
    '[sig-storage] Projected configMap should be consumable from pods in volume with mappings [NodeConformance] [Conformance]',
    pods.prints(mapped(projectedMap({ items: ITEMS }))),
  );
  it(
    '[sig-storage] Projected configMap should be consumable from pods in volume with mappings and Item mode set [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(mapped(projectedMap({ items: READ_ONLY_ITEMS }), 'value-2\n400\n')),
  );
  it(
    '[sig-storage] Projected configMap should be consumable from pods in volume with mappings as non-root [NodeConformance] [Conformance]',
    pods.prints(mapped(projectedMap({ items: ITEMS }), undefined, NON_ROOT)),
  );
  it(
    '[sig-storage] Projected configMap should be consumable in multiple volumes in the same pod [NodeConformance] [Conformance]',
    pods.prints(twice(projectedMap())),
  );
  const live = watching({ v: projected({ configMap: { name: 'projected-live' } }) });
  it('[sig-storage] Projected configMap updates should be reflected in volume [NodeConformance] [Conformance]', async () => {
    await cluster.apply(configMap('projected-live', { 'data-1': 'value-1' }));
    await cluster.untilReady(live);
    expect(await sh(live, 'cat /v/data-1')).toBe('value-1');
    await cluster.apply(configMap('projected-live', { 'data-1': 'value-2' }));
    await untilShown(live, '/v/data-1', 'value-2');
  });
  it(
    '[sig-storage] Projected configMap optional updates should be reflected in volume [NodeConformance] [Conformance]',
    optionalUpdates('configMaps', 'map-projected', (name) =>
      projected({ configMap: { name, optional: true } }),
    ),
  );
});

describe('Secrets', () => {
  it(
    '[sig-storage] Secrets should be consumable from pods in volume [NodeConformance] [Conformance]',
    pods.prints(consumed(ownSecret())),
  );
  it(
    '[sig-storage] Secrets should be consumable from pods in volume with defaultMode set [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(consumed(ownSecret({ defaultMode: 0o400 }), 'value-1\n400\n')),
  );
  it(
    '[sig-storage] Secrets should be consumable from pods in volume as non-root with defaultMode and fsGroup set [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(
      consumed(ownSecret({ defaultMode: 0o440 }), 'value-1\n440\n', {
        securityContext: { runAsUser: 1000, fsGroup: 1001 },
      }),
    ),
  );
  it(
    '[sig-storage] Secrets should be consumable from pods in volume with mappings [NodeConformance] [Conformance]',
    pods.prints(mapped(ownSecret({ items: ITEMS }))),
  );
  it(
    '[sig-storage] Secrets should be consumable from pods in volume with mappings and Item Mode set [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(mapped(ownSecret({ items: READ_ONLY_ITEMS }), 'value-2\n400\n')),
  );
  it(
    '[sig-storage] Secrets should be consumable in multiple volumes in a pod [NodeConformance] [Conformance]',
    pods.prints(twice(ownSecret())),
  );
  // There is one of the same name in another namespace: see the objects above.
  it(
    '[sig-storage] Secrets should be able to mount in a volume regardless of a different secret existing with same name in different namespace [NodeConformance] [Conformance]',
    pods.prints(consumed(ownSecret())),
  );
  it(
    '[sig-storage] Secrets optional updates should be reflected in volume [NodeConformance] [Conformance]',
    optionalUpdates('secrets', 'secret-own', (name) => ({ secret: { secretName: name, optional: true } })),
  );
});

describe('Projected secret', () => {
  it(
    '[sig-storage] Projected secret should be consumable from pods in volume [NodeConformance] [Conformance]',
    pods.prints(consumed(projectedSecret())),
  );
  it(
    '[sig-storage] Projected secret should be consumable from pods in volume with defaultMode set [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(consumed(projectedSecret({ defaultMode: 0o400 }), 'value-1\n400\n')),
  );
  it(
    '[sig-storage] Projected secret should be consumable from pods in volume as non-root with defaultMode and fsGroup set [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(
      consumed(projectedSecret({ defaultMode: 0o440 }), 'value-1\n440\n', {
        securityContext: { runAsUser: 1000, fsGroup: 1001 },
      }),
    ),
  );
  it(
    '[sig-storage] Projected secret should be consumable from pods in volume with mappings [NodeConformance] [Conformance]',
    pods.prints(mapped(projectedSecret({ items: ITEMS }))),
  );
  it(
    '[sig-storage] Projected secret should be consumable from pods in volume with mappings and Item Mode set [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(mapped(projectedSecret({ items: READ_ONLY_ITEMS }), 'value-2\n400\n')),
  );
  it(
    '[sig-storage] Projected secret should be consumable in multiple volumes in a pod [NodeConformance] [Conformance]',
    pods.prints(twice(projectedSecret())),
  );
  it(
    '[sig-storage] Projected secret optional updates should be reflected in volume [NodeConformance] [Conformance]',
    optionalUpdates('secrets', 'secret-projected', (name) => projected({ secret: { name, optional: true } })),
  );
});

/** The files of a downward API volume, in one of its own or a projected one. */
type Downward = (items: readonly object[], defaultMode?: number) => Source;
const ownDownward: Downward = (items, defaultMode) =>
  ({ downwardAPI: { items, ...(defaultMode === undefined ? {} : { defaultMode }) } }) as Source;
const projectedDownward: Downward = (items, defaultMode) =>
  projected({ downwardAPI: { items } }, defaultMode);
const fieldFile = (path: string, fieldPath: string, more: object = {}): object => ({
  path,
  fieldRef: { fieldPath },
  ...more,
});
const NAME_FILE = fieldFile('data', 'metadata.name');
const podName = (mode: number) => (pod: corev1.Pod) => `${pod.metadata.name}${mode}\n`;
/** A file with a resource of the container, which has or has not limits. */
function resourceFile(source: Downward, resource: string, prints: Run['prints'], limited = true): Run {
  const resources = { requests: { memory: '32Mi', cpu: '250m' }, limits: { memory: '64Mi', cpu: '1250m' } };
  return mounting(
    source([{ path: 'data', resourceFieldRef: { containerName: 'app', resource } }]),
    'cat /v/data',
    prints,
    {
      container: limited ? { resources } : {},
    },
  );
}
/** What the node has for pods, as the file says it: whole cores, bytes. */
async function allocatable(resource: 'cpu' | 'memory'): Promise<string> {
  const [node] = (await cluster.client.resource(corev1.nodes, undefined).list()).items;
  const quantity = String(node?.status?.allocatable?.[resource]);
  const [, number, unit] = /^(\d+)(\D*)$/.exec(quantity) as unknown as [string, string, string];
  const factor = { '': 1, m: 0.001, Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3 }[unit] as number;
  return String(Math.ceil(Number(number) * factor));
}
/** Labels or annotations that change, in a file. */
function followed(source: Downward, part: 'labels' | 'annotations'): () => Promise<void> {
  const pod = watching(
    { v: source([fieldFile('data', `metadata.${part}`)]) },
    { [part]: { key1: 'value1', key2: 'value2' } },
  );
  return async () => {
    await cluster.untilReady(pod);
    expect(await sh(pod, 'cat /v/data')).toContain('key1="value1"\nkey2="value2"');
    const patch = { metadata: { [part]: { key3: 'value3' } } };
    await cluster.client.resource(corev1.pods, 'default').patch(pod, patch, { type: 'merge' });
    await until(async () => (await sh(pod, 'cat /v/data')).includes('key3="value3"'), 50_000);
  };
}

describe('Downward API volume', () => {
  it(
    '[sig-storage] Downward API volume should provide podname only [NodeConformance] [Conformance]',
    pods.prints(mounting(ownDownward([NAME_FILE]), show('data'), podName(644))),
  );
  it(
    '[sig-storage] Downward API volume should set DefaultMode on files [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(mounting(ownDownward([NAME_FILE], 0o400), show('data'), podName(400))),
  );
  it(
    '[sig-storage] Downward API volume should set mode on item file [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(mounting(ownDownward([{ ...NAME_FILE, mode: 0o400 }]), show('data'), podName(400))),
  );
  it(
    '[sig-storage] Downward API volume should update labels on modification [NodeConformance] [Conformance]',
    followed(ownDownward, 'labels'),
  );
  it(
    '[sig-storage] Downward API volume should update annotations on modification [NodeConformance] [Conformance]',
    followed(ownDownward, 'annotations'),
  );
  it(
    "[sig-storage] Downward API volume should provide container's cpu limit [NodeConformance] [Conformance]",
    pods.prints(resourceFile(ownDownward, 'limits.cpu', '2')),
  );
  it(
    "[sig-storage] Downward API volume should provide container's memory limit [NodeConformance] [Conformance]",
    pods.prints(resourceFile(ownDownward, 'limits.memory', '67108864')),
  );
  it(
    "[sig-storage] Downward API volume should provide container's cpu request [NodeConformance] [Conformance]",
    pods.prints(resourceFile(ownDownward, 'requests.cpu', '1')),
  );
  it(
    "[sig-storage] Downward API volume should provide container's memory request [NodeConformance] [Conformance]",
    pods.prints(resourceFile(ownDownward, 'requests.memory', '33554432')),
  );
  it(
    '[sig-storage] Downward API volume should provide node allocatable (cpu) as default cpu limit if the limit is not set [NodeConformance] [Conformance]',
    nodeDefault(ownDownward, 'cpu'),
  );
  it(
    '[sig-storage] Downward API volume should provide node allocatable (memory) as default memory limit if the limit is not set [NodeConformance] [Conformance]',
    nodeDefault(ownDownward, 'memory'),
  );
});

describe('Projected downwardAPI', () => {
  it(
    '[sig-storage] Projected downwardAPI should provide podname only [NodeConformance] [Conformance]',
    pods.prints(mounting(projectedDownward([NAME_FILE]), show('data'), podName(644))),
  );
  it(
    '[sig-storage] Projected downwardAPI should set DefaultMode on files [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(mounting(projectedDownward([NAME_FILE], 0o400), show('data'), podName(400))),
  );
  it(
    '[sig-storage] Projected downwardAPI should set mode on item file [LinuxOnly] [NodeConformance] [Conformance]',
    pods.prints(mounting(projectedDownward([{ ...NAME_FILE, mode: 0o400 }]), show('data'), podName(400))),
  );
  it(
    '[sig-storage] Projected downwardAPI should update labels on modification [NodeConformance] [Conformance]',
    followed(projectedDownward, 'labels'),
  );
  it(
    '[sig-storage] Projected downwardAPI should update annotations on modification [NodeConformance] [Conformance]',
    followed(projectedDownward, 'annotations'),
  );
  it(
    "[sig-storage] Projected downwardAPI should provide container's cpu limit [NodeConformance] [Conformance]",
    pods.prints(resourceFile(projectedDownward, 'limits.cpu', '2')),
  );
  it(
    "[sig-storage] Projected downwardAPI should provide container's memory limit [NodeConformance] [Conformance]",
    pods.prints(resourceFile(projectedDownward, 'limits.memory', '67108864')),
  );
  it(
    "[sig-storage] Projected downwardAPI should provide container's cpu request [NodeConformance] [Conformance]",
    pods.prints(resourceFile(projectedDownward, 'requests.cpu', '1')),
  );
  it(
    "[sig-storage] Projected downwardAPI should provide container's memory request [NodeConformance] [Conformance]",
    pods.prints(resourceFile(projectedDownward, 'requests.memory', '33554432')),
  );
  it(
    '[sig-storage] Projected downwardAPI should provide node allocatable (cpu) as default cpu limit if the limit is not set [NodeConformance] [Conformance]',
    nodeDefault(projectedDownward, 'cpu'),
  );
  it(
    '[sig-storage] Projected downwardAPI should provide node allocatable (memory) as default memory limit if the limit is not set [NodeConformance] [Conformance]',
    nodeDefault(projectedDownward, 'memory'),
  );
});

/** Without limits of its own, a container may use what the node has. */
function nodeDefault(source: Downward, resource: 'cpu' | 'memory'): () => Promise<void> {
  let expected = '';
  const test = pods.prints(resourceFile(source, `limits.${resource}`, () => expected, false));
  return async () => {
    expected = await allocatable(resource);
    await test();
  };
}

describe('Projected combined', () => {
  it(
    '[sig-storage] Projected combined should project all components that make up the projection API [Projection] [NodeConformance] [Conformance]',
    pods.prints(
      mounting(
        {
          projected: {
            sources: [
              { downwardAPI: { items: [{ path: 'podname', fieldRef: { fieldPath: 'metadata.name' } }] } },
              { secret: { name: 'secret', items: [{ key: 'data-1', path: 'secret-data' }] } },
              { configMap: { name: 'map', items: [{ key: 'data-2', path: 'configmap-data' }] } },
            ],
          },
        },
        'cat /v/podname; echo; cat /v/secret-data /v/configmap-data',
        (pod) => `${pod.metadata.name}\nvalue-1\nvalue-2\n`,
      ),
    ),
  );
});

describe('Subpath', () => {
  /** A file of a volume, mounted alone, read again and again as upstream does. */
  function subPath(volume: Source, path: string, prints: Run['prints'], mountPath = '/file'): Run {
    return {
      shell: `i=0; while [ $i -lt 20 ]; do cat ${mountPath} > /tmp/now && { [ $i = 0 ] || cmp /tmp/now /tmp/first; } || exit 1; [ $i != 0 ] || cp /tmp/now /tmp/first; sleep 0.1; i=$((i+1)); done; cat /tmp/now`,
      container: { volumeMounts: [{ name: 'v', mountPath, subPath: path }] },
      spec: { volumes: [{ name: 'v', ...volume }] },
      prints,
    };
  }
  it(
    '[sig-storage] Subpath Atomic writer volumes should support subpaths with secret pod [Conformance]',
    pods.prints(subPath(ownSecret(), 'data-1', 'value-1\n')),
  );
  it(
    '[sig-storage] Subpath Atomic writer volumes should support subpaths with configmap pod [Conformance]',
    pods.prints(subPath(ownMap(), 'data-1', 'value-1\n')),
  );
  it(
    '[sig-storage] Subpath Atomic writer volumes should support subpaths with downward pod [Conformance]',
    pods.prints(
      subPath(
        ownDownward([fieldFile('downward/podname', 'metadata.name')]),
        'downward/podname',
        (pod) => pod.metadata.name,
      ),
    ),
  );
  it(
    '[sig-storage] Subpath Atomic writer volumes should support subpaths with projected pod [Conformance]',
    pods.prints(subPath(projectedMap({ items: ITEMS }), 'path/to/data-2', 'value-2\n')),
  );
  it(
    '[sig-storage] Subpath Atomic writer volumes should support subpaths with configmap pod with mountPath of existing file [Conformance]',
    pods.prints(subPath(ownMap(), 'data-1', 'value-1\n', '/etc/passwd')),
  );
});
