import { lstat, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { coordinationv1, corev1 } from '@k8ts/api';
import { realClock, seededRandom, silentLogger } from '@k8ts/base';
import { FakeApi } from '@k8ts/client/testing';
import { createSimulatedRuntime, type SimulatedRuntime } from '@k8ts/cri';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { type Kubelet, startKubelet } from './kubelet.ts';
import type { KubeletOptions } from './kubelet-options.ts';
import { testContainer, testPod } from './testing/pods.ts';
import { until } from './testing/until.ts';

let directory: string;
let api: FakeApi;
let runtime: SimulatedRuntime;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kubelet-test-'));
  api = new FakeApi();
  runtime = createSimulatedRuntime({ clock: realClock });
});

afterEach(async () => {
  await runtime[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

async function start(more: Partial<KubeletOptions> = {}): Promise<Kubelet> {
  const kubelet = await startKubelet({
    client: api.client,
    runtime,
    nodeName: 'node-1',
    clock: realClock,
    random: seededRandom(7),
    logger: silentLogger,
    rootDir: directory,
    nodeIps: ['192.168.7.1'],
    clusterDns: ['10.96.0.10'],
    ...more,
  });
  await kubelet.ready();
  return kubelet;
}

const pods = () => api.client.resource(corev1.pods, 'default');
const phase = (name: string): string | undefined => api.peek(corev1.pods, `default/${name}`)?.status?.phase;

describe('a kubelet', () => {
  it('registers its node, reports it and holds its lease', async () => {
    await using _kubelet = await start({ labels: { zone: 'a' } });
    const node = api.peek(corev1.nodes, 'node-1');
    expect(node).toMatchObject({
      metadata: { labels: { zone: 'a', 'kubernetes.io/hostname': 'node-1' } },
      status: {
        addresses: [
          { type: 'InternalIP', address: '192.168.7.1' },
          { type: 'Hostname', address: 'node-1' },
        ],
        daemonEndpoints: { kubeletEndpoint: { Port: 10250 } },
      },
    });
    expect(node?.status?.conditions?.at(-1)).toMatchObject({
      type: 'Ready',
      status: 'True',
      reason: 'KubeletReady',
    });
    await until(() => api.peek(coordinationv1.leases, 'kube-node-lease/node-1') !== undefined);
    expect(api.peek(coordinationv1.leases, 'kube-node-lease/node-1')).toMatchObject({
      metadata: { ownerReferences: [{ kind: 'Node', name: 'node-1', uid: node?.metadata.uid }] },
      spec: { holderIdentity: 'node-1', leaseDurationSeconds: 40 },
    });
  });

  it('runs a pod with its volumes, environment and names, and takes all back', async () => {
    api.seed(corev1.configMaps, {
      metadata: { name: 'settings', namespace: 'default' },
      data: { colour: 'red', 'app.conf': 'a=1\n' },
    });
    api.seed(corev1.secrets, {
      metadata: { name: 'password', namespace: 'default' },
      data: { word: Buffer.from('hush').toString('base64') },
    });
    api.seed(corev1.services, {
      metadata: { name: 'db', namespace: 'default' },
      spec: { clusterIP: '10.96.0.7', ports: [{ port: 5432 }] },
    });
    await using kubelet = await start();
    await pods().create(
      testPod(
        {
          subdomain: 'sub',
          hostAliases: [{ ip: '10.1.2.3', hostnames: ['foo', 'bar'] }],
          volumes: [
            { name: 'conf', configMap: { name: 'settings' } },
            {
              name: 'info',
              downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] },
            },
            { name: 'scratch', emptyDir: {} },
          ],
          containers: [
            testContainer('app', {
              command: ['/bin/app', '--user=$(WORD)', '$$(WORD)'],
              env: [
                { name: 'WORD', valueFrom: { secretKeyRef: { name: 'password', key: 'word' } } },
                { name: 'WHERE', valueFrom: { fieldRef: { fieldPath: 'status.hostIP' } } },
                { name: 'BOTH', value: '$(WHERE)/$(DB_SERVICE_HOST)/$(NONE)' },
              ],
              envFrom: [{ prefix: 'S_', configMapRef: { name: 'settings' } }],
              volumeMounts: [
                { name: 'conf', mountPath: '/conf' },
                { name: 'scratch', mountPath: '/tmp' },
              ],
            }),
          ],
        },
        { labels: { app: 'web' } },
      ),
    );
    await until(() => phase('web') === 'Running');
    const uid = api.peek(corev1.pods, 'default/web')?.metadata.uid ?? '';
    const podDirectory = join(directory, 'pods', uid);
    const conf = join(podDirectory, 'volumes', 'kubernetes.io~configmap', 'conf');
    expect(await readFile(join(conf, 'colour'), 'utf8')).toBe('red');
    expect((await lstat(join(conf, 'colour'))).isSymbolicLink()).toBe(true);
    expect(await readFile(join(podDirectory, 'volumes/kubernetes.io~downward-api/info/labels'), 'utf8')).toBe(
      'app="web"',
    );
    const podIp = api.peek(corev1.pods, 'default/web')?.status?.podIP;
    expect(await readFile(join(podDirectory, 'etc-hosts'), 'utf8')).toContain(
      `${podIp}\tweb.sub.default.svc.cluster.local\tweb\n\n# Entries added by HostAliases.\n10.1.2.3\tfoo\tbar\n`,
    );
    // A new value appears in the volume without a restart.
    await api.client
      .resource(corev1.configMaps, 'default')
      .patch('settings', { data: { colour: 'blue' } }, { type: 'merge' });
    await until(async () => (await readFile(join(conf, 'colour'), 'utf8')) === 'blue');

    await pods().delete('web');
    await until(() => phase('web') === undefined);
    await until(async () => (await readdir(join(directory, 'pods'))).length === 0);
    await until(async () => (await readdir(join(directory, 'pod-logs'))).length === 0);
    await until(() => kubelet.served.pods().length === 0);
  });

  it('waits for what a pod refers to, and says so', async () => {
    await using _kubelet = await start();
    await pods().create(testPod({ volumes: [{ name: 'conf', configMap: { name: 'late' } }] }));
    await until(() =>
      api
        .all(corev1.events)
        .some(
          ({ reason, message }) =>
            reason === 'FailedMount' &&
            message === 'MountVolume.SetUp failed for volume "conf" : configmap "late" not found',
        ),
    );
    expect(phase('web')).toBe('Pending');
    await api.client
      .resource(corev1.configMaps, 'default')
      .create({ metadata: { name: 'late', namespace: 'default' } });
    await until(() => phase('web') === 'Running', 1_000);
  });

  it('runs static pods and shows them in the API by mirrors', async () => {
    const manifests = join(directory, 'manifests');
    await using _kubelet = await start({ staticPodPath: manifests });
    await writeFile(
      join(manifests, 'etcd.yaml'),
      'apiVersion: v1\nkind: Pod\nmetadata: {name: etcd}\nspec:\n  containers: [{name: etcd, image: "etcd:3"}]\n',
    );
    await until(() => phase('etcd-node-1') === 'Running');
    const mirror = api.peek(corev1.pods, 'default/etcd-node-1');
    expect(mirror?.metadata.annotations?.['kubernetes.io/config.source']).toBe('file');
    expect(mirror?.metadata.annotations?.['kubernetes.io/config.mirror']).toBeDefined();
    expect(mirror?.metadata.ownerReferences).toMatchObject([{ kind: 'Node', name: 'node-1' }]);
    // Who deletes the mirror gets another one; the containers go on.
    const id = mirror?.status?.containerStatuses?.[0]?.containerID;
    await pods().delete('etcd-node-1', { gracePeriodSeconds: 0 });
    await until(() => {
      const again = api.peek(corev1.pods, 'default/etcd-node-1');
      return (
        again !== undefined &&
        again.metadata.uid !== mirror?.metadata.uid &&
        again.status?.phase === 'Running'
      );
    });
    expect(api.peek(corev1.pods, 'default/etcd-node-1')?.status?.containerStatuses?.[0]?.containerID).toBe(
      id,
    );
    await rm(join(manifests, 'etcd.yaml'));
    await until(() => phase('etcd-node-1') === undefined);
    await until(async () => (await runtime.runtimeService.listPodSandboxes()).length === 0);
  });

  it('leaves its pods when it stops, finds them again, and takes them down when told to', async () => {
    const first = await start();
    await pods().create(testPod());
    await until(() => phase('web') === 'Running');
    await first[Symbol.asyncDispose]();
    expect(await runtime.runtimeService.listContainers()).toHaveLength(1);
    await using second = await start();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await runtime.runtimeService.listContainers()).toHaveLength(1);
    await second.takeDown(1);
    expect(await runtime.runtimeService.listPodSandboxes()).toEqual([]);
    expect(await readdir(join(directory, 'pods'))).toEqual([]);
    expect(phase('web')).toBe('Running');
  });
});
