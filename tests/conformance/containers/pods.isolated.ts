import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { authenticationv1, corev1 } from '@k8ts/api';
import { loadKubeconfig } from '@k8ts/client';
import { startTestRegistry, type TestRegistry } from '@k8ts/cri/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';

import { NODE_NAME, useCluster } from '../../support/cluster.ts';
import { PAUSE, podManifest, script } from '../../support/manifests.ts';
import { until } from '../../support/waiting.ts';
import { usePods } from './support.ts';

// Upstream's test/e2e/common/node, test/e2e/auth and test/e2e/storage: pods that take their time, and what they are given.

// Upstream waits for the usual back-off, minutes; what it demands of the count does not depend on it.
const cluster = useCluster({ args: () => ['--max-container-restart-period', '1'] });
const pods = usePods(cluster, [
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'mount-test' } },
]);
const cat = (pod: string, path: string): Promise<string> =>
  cluster.kubectl.ok('exec', pod, '-c', 'app', '--', 'cat', path);

const alive = pods.pod({ containers: [script(`echo container is alive; ${PAUSE}`)] });

describe.concurrent('Pods', () => {
  interface Received {
    readonly protocol: string;
    readonly messages: readonly Buffer[];
    readonly binary: boolean;
  }
  /** What comes over a WebSocket until the server closes it. */
  async function received(path: string, ...protocols: readonly string[]): Promise<Received> {
    const { server, ca, cert, key } = (await loadKubeconfig({ path: cluster.installation.kubeconfig }))
      .transport;
    const url = `${server.replace(/^http/, 'ws')}/api/v1/namespaces/default/pods/${path}`;
    const websocket = new WebSocket(url, [...protocols], { ca, cert, key });
    const messages: Buffer[] = [];
    let binary = true;
    websocket.on('message', (data: Buffer, isBinary: boolean) => {
      messages.push(data);
      binary = isBinary;
    });
    await once(websocket, 'close');
    return { protocol: websocket.protocol, messages, binary };
  }
  const decoded = (base64: string): string => Buffer.from(base64, 'base64').toString();

  it('[sig-node] Pods should support remote command execution over websockets [NodeConformance] [Conformance]', async () => {
    await cluster.untilReady(alive);
    const exec = (...protocols: readonly string[]): Promise<Received> =>
      received(
        `${alive}/exec?stderr=1&stdout=1&container=app&command=echo&command=remote%20execution%20test`,
        ...protocols,
      );
    /** The first byte is the channel; on others than that of standard output there may be messages that are empty. */
    const output = (messages: readonly Buffer[]): string => {
      const full = messages.filter((message) => message.length > 1);
      expect(full.map((message) => message[0])).toEqual(full.map(() => 1));
      return full.map((message) => message.subarray(1).toString()).join('');
    };
    const { messages, protocol } = await exec('channel.k8s.io');
    expect(protocol).toBe('channel.k8s.io');
    expect(output(messages)).toBe('remote execution test\n');
    expect(output((await exec()).messages)).toBe('remote execution test\n');
    const texts = await exec('base64.channel.k8s.io');
    expect(texts).toMatchObject({ protocol: 'base64.channel.k8s.io', binary: false });
    const full = texts.messages.map(String).filter((message) => message.length > 1);
    expect(full.map((message) => message[0] + decoded(message.slice(1))).join('')).toBe(
      '1remote execution test\n',
    );
  });

  it('[sig-node] Pods should support retrieving logs from the container over websockets [NodeConformance] [Conformance]', async () => {
    await cluster.untilReady(alive);
    await until(async () => (await cluster.kubectl.ok('logs', alive)) !== '');
    const log = (...protocols: readonly string[]): Promise<Received> =>
      received(`${alive}/log?container=app`, ...protocols);
    for (const protocols of [['binary.k8s.io'], []]) {
      const { messages, protocol, binary } = await log(...protocols);
      expect(protocol).toBe(protocols[0] ?? '');
      expect(binary).toBe(true);
      expect(Buffer.concat(messages).toString()).toBe('container is alive\n');
    }
    const texts = await log('base64.binary.k8s.io');
    expect(texts).toMatchObject({ protocol: 'base64.binary.k8s.io', binary: false });
    expect(texts.messages.map((message) => decoded(String(message))).join('')).toBe('container is alive\n');
  });

  const failing = pods.pod({
    containers: [
      script(
        `mkdir /www; echo ok > /www/healthz; httpd -p 8080 -h /www; (sleep 1; rm /www/healthz) & ${PAUSE}`,
        {
          livenessProbe: {
            httpGet: { path: '/healthz', port: 8080 },
            initialDelaySeconds: 1,
            periodSeconds: 1,
            failureThreshold: 1,
          },
        },
      ),
    ],
  });
  it('[sig-node] Probing container should have monotonically increasing restart count [NodeConformance] [Conformance]', async () => {
    const seen: number[] = [];
    await cluster.untilPod(
      failing,
      ({ status }) => {
        const count = status?.containerStatuses?.[0]?.restartCount ?? 0;
        if (count !== seen.at(-1)) seen.push(count);
        return count >= 5;
      },
      55_000,
    );
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(5);
    expect((await cluster.events(failing)).join('\n')).toMatch(
      /Unhealthy: Liveness probe failed: HTTP probe failed with statuscode: 404/,
    );
  });
});

describe('ImageVolume', () => {
  let registry: TestRegistry;
  let directory: string;
  beforeAll(async () => {
    registry = await startTestRegistry();
    directory = await mkdtemp(join(tmpdir(), 'k8ts-image-volume-'));
  });
  afterAll(async () => {
    await registry?.[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });
  /** An image of one layer with these files; the tag names it from now on. */
  async function publish(tag: string, files: Readonly<Record<string, string>>): Promise<string> {
    const root = await mkdtemp(join(directory, 'root-'));
    for (const [path, text] of Object.entries(files)) {
      await mkdir(join(root, path, '..'), { recursive: true });
      await writeFile(join(root, path), text);
    }
    const tar = execFileSync('tar', ['-C', root, '-c', '.']);
    const diffId = `sha256:${createHash('sha256').update(tar).digest('hex')}`;
    const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
    const config = registry.putBlob(
      JSON.stringify({ architecture, os: 'linux', rootfs: { type: 'layers', diff_ids: [diffId] } }),
    );
    const oci = 'application/vnd.oci.image';
    registry.putManifest(
      'kitten',
      `${oci}.manifest.v1+json`,
      {
        schemaVersion: 2,
        mediaType: `${oci}.manifest.v1+json`,
        config: { mediaType: `${oci}.config.v1+json`, ...config },
        layers: [{ mediaType: `${oci}.layer.v1.tar`, ...registry.putBlob(tar) }],
      },
      tag,
    );
    return `${registry.host}/kitten:${tag}`;
  }

  it('[sig-node] ImageVolume should succeed with pod and pull policy of Always [LinuxOnly] [MinimumKubeletVersion:1.35] [Conformance]', async () => {
    const reference = await publish('1.0', { 'data.json': 'old' });
    await cluster.installation.ok('image', 'pull', reference);
    // Always: what the registry has now, not what the node has already.
    await publish('1.0', {
      'data.json': '{"image":"kitten.jpg"}',
      'etc/os-release': 'NAME="Alpine Linux"\n',
    });
    await cluster.startPod(
      podManifest('image-volume', {
        containers: [script(PAUSE, { volumeMounts: [{ name: 'volume', mountPath: '/volume' }] })],
        volumes: [{ name: 'volume', image: { reference, pullPolicy: 'Always' } }],
      }),
    );
    expect(await cat('image-volume', '/volume/data.json')).toContain('kitten.jpg');
    expect(await cat('image-volume', '/volume/etc/os-release')).toContain('Alpine Linux');
    expect(await cluster.kubectl.fails('exec', 'image-volume', '--', 'touch', '/volume/new')).toMatch(
      /Read-only file system/,
    );
  });
});

describe('ServiceAccounts', () => {
  const mounted = pods.pod({
    serviceAccountName: 'mount-test',
    restartPolicy: 'Never',
    containers: [script(PAUSE)],
  });
  it('[sig-auth] ServiceAccounts should mount an API token into pods [Conformance]', async () => {
    await cluster.untilReady(mounted);
    const read = (file: string): Promise<string> =>
      cat(mounted, `/var/run/secrets/kubernetes.io/serviceaccount/${file}`);
    const rootCA = await cluster.client.resource(corev1.configMaps, 'default').get('kube-root-ca.crt');
    expect(rootCA.data?.['ca.crt']).toContain('BEGIN CERTIFICATE');
    expect(await read('ca.crt')).toBe(rootCA.data?.['ca.crt']);
    expect(await read('namespace')).toBe('default');
    const { status } = await cluster.client
      .resource(authenticationv1.tokenReviews)
      .create({ metadata: {}, spec: { token: await read('token') } });
    expect(status?.error).toBeUndefined();
    expect(status).toMatchObject({
      authenticated: true,
      user: {
        username: 'system:serviceaccount:default:mount-test',
        groups: expect.arrayContaining([
          'system:authenticated',
          'system:serviceaccounts',
          'system:serviceaccounts:default',
        ]) as unknown,
      },
    });
  });

  it(
    '[sig-auth] ServiceAccounts should mount projected service account token [Conformance]',
    pods.prints({
      shell: 'cat /test-volume/token',
      container: { volumeMounts: [{ name: 'v', mountPath: '/test-volume', readOnly: true }] },
      spec: {
        volumes: [
          {
            name: 'v',
            projected: { sources: [{ serviceAccountToken: { path: 'token', expirationSeconds: 3600 } }] },
          },
        ],
      },
      prints: /^[\w=-]+\.[\w=-]+\.[\w.+/=-]+$/,
    }),
  );
});

describe('EmptyDir wrapper volumes', () => {
  const volumes = Array.from({ length: 50 }, (_, index) => `racey-configmap-${index}`);
  const labels = { name: 'wrapped-volume-race' };
  /** Five pods with all fifty volumes, at once. */
  const controller = (name: string): object => ({
    apiVersion: 'v1',
    kind: 'ReplicationController',
    metadata: { name },
    spec: {
      replicas: 5,
      selector: labels,
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 0,
          dnsPolicy: 'Default',
          affinity: {
            nodeAffinity: {
              requiredDuringSchedulingIgnoredDuringExecution: {
                nodeSelectorTerms: [
                  {
                    matchExpressions: [
                      { key: 'kubernetes.io/hostname', operator: 'In', values: [NODE_NAME] },
                    ],
                  },
                ],
              },
            },
          },
          containers: [
            script(PAUSE, {
              volumeMounts: volumes.map((volume, index) => ({
                name: volume,
                mountPath: `/etc/config-${index}`,
              })),
            }),
          ],
          volumes: volumes.map((volume) => ({
            name: volume,
            configMap: { name: volume, items: [{ key: 'data-1', path: 'data-1' }] },
          })),
        },
      },
    },
  });
  const running = async (): Promise<readonly corev1.Pod[]> => {
    const labelSelector = `name=${labels.name}`;
    return (await cluster.client.resource(corev1.pods, 'default').list({ labelSelector })).items;
  };

  it('[sig-storage] EmptyDir wrapper volumes should not cause race condition when used for configmaps [Serial] [Conformance]', async () => {
    await cluster.apply(
      ...volumes.map((name) => ({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name },
        data: { 'data-1': 'value-1' },
      })),
    );
    for (const round of ['race-1', 'race-2', 'race-3']) {
      await cluster.apply(controller(round));
      await until(async () => {
        const found = await running();
        return found.length === 5 && found.every(({ status }) => status?.phase === 'Running');
      }, 30_000);
      for (const { metadata } of await running())
        expect(await cat(metadata.name, '/etc/config-49/data-1')).toBe('value-1');
      await cluster.kubectl.ok('delete', 'rc', round, '--cascade=foreground');
      await until(async () => (await running()).length === 0, 30_000);
    }
  });
});
