import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { corev1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { GUESTBOOK_ARCHIVE, NODE_NAME, useCluster } from '../support/cluster.ts';
import { PAUSE, podManifest, script } from '../support/manifests.ts';
import { until } from '../support/waiting.ts';

const cluster = useCluster();

const configMap = (name: string, data: Readonly<Record<string, string>>): object => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data,
});
const secret = (name: string, stringData: Readonly<Record<string, string>>): object => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name },
  stringData,
});
const exec = (pod: string, ...command: readonly string[]): Promise<string> =>
  cluster.kubectl.ok('exec', pod, '--', ...command);
const sh = (pod: string, text: string): Promise<string> => exec(pod, 'sh', '-c', text);

describe.concurrent('environment', () => {
  it('values, config maps, secrets, fields and resources', async () => {
    await cluster.apply(configMap('env', { one: '1', two: '2' }), secret('hidden', { password: 's3cret' }));
    const field = (fieldPath: string): object => ({ valueFrom: { fieldRef: { fieldPath } } });
    const output = await cluster.runPod(
      podManifest(
        'environment',
        {
          restartPolicy: 'Never',
          containers: [
            script('env', {
              args: ['ignored'],
              resources: { requests: { cpu: '100m' }, limits: { memory: '64Mi' } },
              envFrom: [
                { configMapRef: { name: 'env' }, prefix: 'MAP_' },
                { secretRef: { name: 'absent', optional: true } },
              ],
              env: [
                { name: 'PLAIN', value: 'plain' },
                { name: 'EXPANDED', value: '$(PLAIN)-$(MAP_one)-$$(PLAIN)' },
                { name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 'hidden', key: 'password' } } },
                { name: 'NAME', ...field('metadata.name') },
                { name: 'LABEL', ...field("metadata.labels['part']") },
                { name: 'NODE', ...field('spec.nodeName') },
                { name: 'POD_IP', ...field('status.podIP') },
                { name: 'ACCOUNT', ...field('spec.serviceAccountName') },
                {
                  name: 'MEMORY',
                  valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } },
                },
                { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'requests.cpu', divisor: '1m' } } },
              ],
            }),
          ],
        },
        { labels: { part: 'env' } },
      ),
    );
    const found = Object.fromEntries(
      output.split('\n').map((line) => line.split(/=(.*)/s) as [string, string]),
    );
    expect(found).toMatchObject({
      PLAIN: 'plain',
      EXPANDED: 'plain-1-$(PLAIN)',
      MAP_one: '1',
      MAP_two: '2',
      PASSWORD: 's3cret',
      NAME: 'environment',
      HOSTNAME: 'environment',
      LABEL: 'env',
      NODE: NODE_NAME,
      ACCOUNT: 'default',
      MEMORY: '64',
      CPU: '100',
      KUBERNETES_SERVICE_HOST: '10.96.0.1',
      KUBERNETES_SERVICE_PORT: '443',
    });
    expect(found['POD_IP']).toBe((await cluster.pod('environment')).status?.podIP);
  });

  it('a container waits for the config map that it names', async () => {
    await cluster.apply(
      podManifest('waits', {
        restartPolicy: 'Never',
        containers: [script('echo $KEY', { envFrom: [{ configMapRef: { name: 'late' } }] })],
      }),
    );
    const waiting = await cluster.untilPod(
      'waits',
      ({ status }) => status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CreateContainerConfigError',
    );
    expect(waiting.status?.containerStatuses?.[0]?.state?.waiting?.message).toBe(
      'configmap "late" not found',
    );
    await cluster.apply(configMap('late', { KEY: 'came' }));
    await cluster.untilPhase('waits', 'Succeeded');
    expect(await cluster.kubectl.ok('logs', 'waits')).toBe('came\n');
  });
});

describe.concurrent('volumes', () => {
  it('of config maps and secrets follow them; a subPath does not', async () => {
    const { client } = cluster;
    await cluster.apply(configMap('conf', { 'a.txt': 'first', 'b.txt': 'b' }), secret('keys', { key: 'k1' }));
    await cluster.startPod(
      podManifest('mounted', {
        containers: [
          script(PAUSE, {
            volumeMounts: [
              { name: 'conf', mountPath: '/conf' },
              { name: 'conf', mountPath: '/one.txt', subPath: 'a.txt' },
              { name: 'keys', mountPath: '/keys', readOnly: true },
            ],
          }),
        ],
        volumes: [
          {
            name: 'conf',
            configMap: {
              name: 'conf',
              items: [
                { key: 'a.txt', path: 'sub/a.txt', mode: 0o440 },
                { key: 'a.txt', path: 'a.txt' },
              ],
            },
          },
          { name: 'keys', secret: { secretName: 'keys', defaultMode: 0o400 } },
        ],
      }),
    );
    expect(
      await sh(
        'mounted',
        'cat /conf/sub/a.txt /one.txt /keys/key; stat -Lc %a /conf/sub/a.txt /keys/key; ls /conf',
      ),
    ).toBe('firstfirstk1440\n400\na.txt\nsub\n');
    expect(await sh('mounted', 'touch /keys/x 2>&1 || true')).toContain('Read-only file system');
    await client
      .resource(corev1.configMaps, 'default')
      .patch('conf', { data: { 'a.txt': 'second' } }, { type: 'merge' });
    await client
      .resource(corev1.secrets, 'default')
      .patch('keys', { stringData: { key: 'k2' } }, { type: 'merge' });
    await until(async () => (await sh('mounted', 'cat /conf/sub/a.txt /keys/key')) === 'secondk2', 30_000);
    expect(await exec('mounted', 'cat', '/one.txt')).toBe('first');
  });

  it('projected, with labels that change', async () => {
    await cluster.apply(configMap('part', { key: 'from-map' }), secret('other', { pass: 'from-secret' }));
    await cluster.startPod(
      podManifest(
        'projected',
        {
          containers: [script(PAUSE, { volumeMounts: [{ name: 'all', mountPath: '/all' }] })],
          volumes: [
            {
              name: 'all',
              projected: {
                sources: [
                  { configMap: { name: 'part' } },
                  { secret: { name: 'other', items: [{ key: 'pass', path: 'secret/pass' }] } },
                  {
                    downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] },
                  },
                  { serviceAccountToken: { path: 'token', audience: 'somebody', expirationSeconds: 600 } },
                ],
              },
            },
          ],
        },
        { labels: { tier: 'one' } },
      ),
    );
    expect(await sh('projected', 'cat /all/key /all/secret/pass /all/labels')).toBe(
      'from-mapfrom-secrettier="one"',
    );
    const token = (await exec('projected', 'cat', '/all/token')).split('.')[1] ?? '';
    expect(JSON.parse(Buffer.from(token, 'base64url').toString())).toMatchObject({
      aud: ['somebody'],
      'kubernetes.io': { pod: { name: 'projected' } },
    });
    await cluster.kubectl.ok('label', 'pod', 'projected', 'tier=two', '--overwrite');
    await until(async () => (await exec('projected', 'cat', '/all/labels')) === 'tier="two"', 30_000);
  });

  it('emptyDir, shared by containers, on disk and in memory', async () => {
    const volumeMounts = [
      { name: 'disk', mountPath: '/disk' },
      { name: 'memory', mountPath: '/memory' },
    ];
    await cluster.startPod(
      podManifest('empty', {
        containers: [
          script(`echo shared > /disk/file; ${PAUSE}`, { name: 'one', volumeMounts }),
          script(PAUSE, { name: 'two', volumeMounts }),
        ],
        volumes: [
          { name: 'disk', emptyDir: {} },
          { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '8Mi' } },
        ],
      }),
    );
    expect(
      await cluster.kubectl.ok(
        'exec',
        'empty',
        '-c',
        'two',
        '--',
        'sh',
        '-c',
        'cat /disk/file; df -k /memory | tail -1',
      ),
    ).toMatch(/^shared\ntmpfs +8192 /);
  });

  it('hostPath, with subPath and its checks', async () => {
    const { installation } = cluster;
    const path = join(installation.directory, 'host');
    await cluster.runPod(
      podManifest('host', {
        restartPolicy: 'Never',
        containers: [
          script('echo written > /data/file', {
            volumeMounts: [{ name: 'host', mountPath: '/data', subPathExpr: 'of-$(NAME)' }],
            env: [{ name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
          }),
        ],
        volumes: [{ name: 'host', hostPath: { path, type: 'DirectoryOrCreate' } }],
      }),
    );
    expect(await readFile(join(path, 'of-host/file'), 'utf8')).toBe('written\n');
    await cluster.apply(
      podManifest('no-host', {
        containers: [script(PAUSE, { volumeMounts: [{ name: 'host', mountPath: '/data' }] })],
        volumes: [{ name: 'host', hostPath: { path: join(path, 'absent'), type: 'Directory' } }],
      }),
    );
    await until(
      async () => (await cluster.events('no-host')).some((event) => event.startsWith('FailedMount: ')),
      30_000,
    );
    expect((await cluster.events('no-host')).join('\n')).toContain('hostPath type check failed');
  });
});

describe('the service account of a pod', () => {
  it('speaks with the API by name, and may what it may', async () => {
    const { kubectl } = cluster;
    await cluster.installation.ok('image', 'import', GUESTBOOK_ARCHIVE);
    const ask = (path: string): string =>
      `const { readFileSync } = require('fs');
       const token = readFileSync('/var/run/secrets/kubernetes.io/serviceaccount/token', 'utf8');
       fetch('https://kubernetes.default.svc${path}', { headers: { authorization: 'Bearer ' + token } })
         .then(async (r) => console.log(r.status, (await r.json()).kind), (e) => console.log(e.cause));`;
    const run = (name: string, path: string): Promise<string> =>
      cluster.runPod(
        podManifest(name, {
          restartPolicy: 'Never',
          containers: [
            {
              name: 'app',
              image: 'guestbook:1',
              command: ['/usr/local/bin/node', '-e', ask(path)],
              env: [
                {
                  name: 'NODE_EXTRA_CA_CERTS',
                  value: '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt',
                },
              ],
            },
          ],
        }),
      );
    expect(await run('asks', '/api/v1/namespaces/default/pods')).toBe('403 Status\n');
    await kubectl.ok(
      'create',
      'rolebinding',
      'viewer',
      '--clusterrole=view',
      '--serviceaccount=default:default',
    );
    expect(await run('asks-again', '/api/v1/namespaces/default/pods')).toBe('200 PodList\n');
    expect(await run('asks-for-more', '/api/v1/namespaces/default/secrets')).toBe('403 Status\n');
  });
});
