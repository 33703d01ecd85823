import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { appsv1, corev1 } from '@k8ts/api';
import type { Client, ResourceClient } from '@k8ts/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { buildBusybox } from '../support/images.ts';
import { createInstallation, type Installation, type UpProcess } from '../support/installation.ts';
import { PAUSE, podManifest, script } from '../support/manifests.ts';
import { until } from '../support/waiting.ts';

let installation: Installation;
let up: UpProcess;
let client: Client;
const start = async (): Promise<void> => {
  up = await installation.up('--node-name', 'node-1');
  client = await installation.client();
};
beforeAll(async () => {
  installation = await createInstallation();
  await start();
  const busybox = join(installation.directory, 'busybox.tar');
  await buildBusybox(busybox);
  await installation.ok('image', 'import', busybox);
});
afterAll(async () => {
  await using _installation = installation;
  const { code, stderr } = await up.stop();
  expect(code, stderr).toBe(0);
  expect(installation.leftovers()).toEqual({});
});

const root = (): string => join(installation.dataDir, 'volumes');
const directories = (): Promise<string[]> => readdir(root()).catch(() => []);
const claims = (): ResourceClient<corev1.PersistentVolumeClaim> =>
  client.resource(corev1.persistentVolumeClaims, 'default');
const volumes = (): ResourceClient<corev1.PersistentVolume> => client.resource(corev1.persistentVolumes);
const sh = (pod: string, text: string): Promise<string> =>
  installation.kubectl.ok('exec', pod, '--', 'sh', '-c', text);
const apply = (manifest: object): Promise<string> =>
  installation.kubectl.feed(manifest, 'apply', '-f', '-').then(String);
const isReady = async (name: string): Promise<boolean> => {
  const { items } = await client.resource(corev1.pods, 'default').list();
  const pod = items.find(({ metadata }) => metadata.name === name);
  return (
    pod?.metadata.deletionTimestamp === undefined &&
    pod?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true
  );
};
const template = {
  metadata: { name: 'data' },
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
};
const statefulSet = (name: string): object => ({
  apiVersion: 'apps/v1',
  kind: 'StatefulSet',
  metadata: { name },
  spec: {
    serviceName: name,
    replicas: 2,
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: {
        terminationGracePeriodSeconds: 5,
        securityContext: { fsGroup: 2000, runAsUser: 1000 },
        containers: [
          script(PAUSE, {
            volumeMounts: [
              { name: 'data', mountPath: '/data' },
              { name: 'data', mountPath: '/part', subPath: 'part', readOnly: true },
            ],
          }),
        ],
      },
    },
    volumeClaimTemplates: [template],
  },
});

describe('a StatefulSet with claims', () => {
  it('keeps its data for its pods, its claims when it goes, and nothing when the claims go', async () => {
    await apply(statefulSet('db'));
    await until(() => isReady('db-1'), 60_000);
    await sh('db-0', 'echo kept > /data/file; echo part > /data/part/file');
    expect(await sh('db-0', 'cat /part/file; stat -c %g /data /data/file; touch /part/x 2>&1 || true')).toBe(
      'part\n2000\n2000\ntouch: /part/x: Read-only file system\n',
    );
    expect(await sh('db-1', 'ls /data')).toBe('part\n');
    await installation.kubectl.ok('delete', 'pod', 'db-0');
    await until(() => isReady('db-0'), 60_000);
    expect(await sh('db-0', 'cat /data/file')).toBe('kept\n');

    // The process is killed while a pod is being replaced: the next one goes on with it.
    await installation.kubectl.ok('delete', 'pod', 'db-0', '--wait=false');
    await up.stop('SIGKILL');
    await start();
    await until(() => isReady('db-0'), 60_000);
    expect(await sh('db-0', 'cat /data/file')).toBe('kept\n');

    await client.resource(appsv1.statefulSets, 'default').delete('db');
    await until(
      async () => (await client.resource(corev1.pods, 'default').list()).items.length === 0,
      60_000,
    );
    const left = (await claims().list()).items;
    expect(left.map(({ metadata, status }) => [metadata.name, status?.phase])).toEqual([
      ['data-db-0', 'Bound'],
      ['data-db-1', 'Bound'],
    ]);
    expect((await directories()).toSorted()).toEqual(left.map(({ spec }) => spec.volumeName).toSorted());
    const kept = left[0]?.spec.volumeName ?? '';
    expect(await readFile(join(root(), kept, 'file'), 'utf8')).toBe('kept\n');

    // What the data points to is not the volume's.
    const outside = join(installation.directory, 'outside');
    await mkdir(outside);
    await writeFile(join(outside, 'file'), 'mine');
    await symlink(outside, join(root(), kept, 'link'));
    await claims().deleteCollection();
    await until(async () => (await volumes().list()).items.length === 0, 60_000);
    expect(await directories()).toEqual([]);
    expect(await readFile(join(outside, 'file'), 'utf8')).toBe('mine');
  });
});

describe('volumes that are no volumes of ours', () => {
  it('keep their directory, whatever they are called', async () => {
    const victim = join(installation.directory, 'victim');
    await mkdir(victim);
    for (const name of ['foreign', 'pvc-00000000-0000-4000-8000-000000000000']) {
      await volumes().create({
        metadata: { name, annotations: { 'pv.kubernetes.io/provisioned-by': 'k8ts.io/local-path' } },
        spec: {
          capacity: { storage: '1Gi' },
          accessModes: ['ReadWriteOnce'],
          persistentVolumeReclaimPolicy: 'Delete',
          local: { path: victim },
          claimRef: { namespace: 'default', name: 'gone', uid: 'gone' },
          nodeAffinity: {
            required: {
              nodeSelectorTerms: [
                {
                  matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: ['node-1'] }],
                },
              ],
            },
          },
        },
      });
      await until(async () => (await volumes().get(name)).status?.phase === 'Failed', 30_000);
      expect(existsSync(victim)).toBe(true);
      await volumes().delete(name);
    }
  });

  it('what was made and not said is swept at the next start; what holds data is left', async () => {
    const [empty, full] = ['1', '2'].map((digit) =>
      join(root(), `pvc-${digit}0000000-0000-4000-8000-000000000000`),
    );
    await mkdir(empty as string, { recursive: true });
    await mkdir(join(full as string, 'data'), { recursive: true });
    await up.stop('SIGKILL');
    await start();
    await until(() => Promise.resolve(!existsSync(empty as string)), 30_000);
    expect(existsSync(join(full as string, 'data'))).toBe(true);
  });
});

describe('a pod whose claim has no volume', () => {
  it('that names its node says what it waits for', async () => {
    await apply({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      ...template,
      metadata: { name: 'nothing' },
      spec: { ...template.spec, storageClassName: '' },
    });
    await apply(
      podManifest('waits', {
        nodeName: 'node-1',
        containers: [script(PAUSE, { volumeMounts: [{ name: 'data', mountPath: '/data' }] })],
        volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'nothing' } }],
      }),
    );
    await until(async () => {
      const { items } = await client.resource(corev1.events, 'default').list();
      return items.some(
        ({ reason, message }) => reason === 'FailedMount' && message?.includes('PVC is not bound') === true,
      );
    }, 30_000);
    await installation.kubectl.ok('delete', 'pod', 'waits');
    await claims().delete('nothing');
  });

  it('whose volume is gone from the disk says so', async () => {
    const path = join(installation.directory, 'absent');
    await volumes().create({
      metadata: { name: 'absent' },
      spec: {
        capacity: { storage: '1Gi' },
        accessModes: ['ReadWriteOnce'],
        storageClassName: 'by-hand',
        local: { path },
        nodeAffinity: {
          required: {
            nodeSelectorTerms: [
              { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: ['node-1'] }] },
            ],
          },
        },
      },
    });
    await claims().create({
      metadata: { name: 'by-hand' },
      spec: { ...template.spec, accessModes: ['ReadWriteOnce'], storageClassName: 'by-hand' },
    });
    await apply(
      podManifest('absent', {
        containers: [script(PAUSE, { volumeMounts: [{ name: 'data', mountPath: '/data' }] })],
        volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'by-hand' } }],
      }),
    );
    const said = `MountVolume.NewMounter initialization failed for volume "absent" : path "${path}" does not exist`;
    await until(async () => {
      const { items } = await client.resource(corev1.events, 'default').list();
      return items.some(({ reason, message }) => reason === 'FailedMount' && message === said);
    }, 30_000);
    await mkdir(path);
    await until(() => isReady('absent'), 60_000);
    await installation.kubectl.ok('delete', 'pod', 'absent');
    await claims().delete('by-hand');
    await until(async () => (await volumes().get('absent')).status?.phase === 'Released', 30_000);
    await volumes().delete('absent');
  });
});
