import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { appsv1, corev1 } from '@k8ts/api';
import { seededRandom } from '@k8ts/base';
import type { Client } from '@k8ts/client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { PAUSE, podManifest, script } from '../support/manifests.ts';
import { buildBusybox } from '../support/images.ts';
import { createInstallation, type Installation, type UpProcess } from '../support/installation.ts';
import { until } from '../support/waiting.ts';

const ROUNDS = Math.ceil(Number(process.env['K8TS_CRASH_ROUNDS'] ?? 100) / 20);
const SEED = Number(process.env['K8TS_CRASH_SEED'] ?? 1);
const ARGS = ['--node-name', 'node-1'];

let installation: Installation;
beforeEach(async () => {
  installation = await createInstallation();
  const archive = join(installation.directory, 'busybox.tar');
  await buildBusybox(archive);
  await installation.ok('image', 'import', archive);
});
afterEach(() => installation[Symbol.asyncDispose]());

const apply = (...items: readonly object[]): Promise<string> =>
  installation.kubectl.feed({ apiVersion: 'v1', kind: 'List', items }, 'apply', '-f', '-');

async function kill(up: UpProcess): Promise<void> {
  expect((await up.stop('SIGKILL')).signal).toBe('SIGKILL');
}

/** Pod name → container id and restart count, of the pods that are ready. */
async function running(client: Client): Promise<ReadonlyMap<string, string>> {
  const { items } = await client.resource(corev1.pods, 'default').list();
  return new Map(
    items
      .filter(({ status }) => status?.containerStatuses?.every(({ ready }) => ready) === true)
      .map(({ metadata, status }) => [
        metadata.name,
        (status?.containerStatuses ?? [])
          .map(({ containerID, restartCount }) => `${containerID ?? ''}+${restartCount}`)
          .join(),
      ]),
  );
}

/** What the machine runs, by what it calls itself: a container that was started twice would show. */
function processes(pattern: RegExp): string[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .filter((pid) => {
      try {
        return pattern.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '));
      } catch {
        return false;
      }
    });
}

function web(replicas: number): object {
  const labels = { app: 'web' };
  const serve = 'mkdir /www; hostname > /www/name; exec httpd -f -p 8080 -h /www';
  const readinessProbe = { httpGet: { path: '/name', port: 8080 }, periodSeconds: 1 };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web' },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { terminationGracePeriodSeconds: 1, containers: [script(serve, { readinessProbe })] },
      },
    },
  };
}

const SERVICE = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web' },
  spec: {
    type: 'NodePort',
    clusterIP: '10.96.7.7',
    selector: { app: 'web' },
    ports: [{ port: 80, targetPort: 8080, nodePort: 30123 }],
  },
};

async function answers(url: string): Promise<boolean> {
  return fetch(url, { signal: AbortSignal.timeout(1000) }).then(
    ({ ok }) => ok,
    () => false,
  );
}

describe('containers outlive k8ts', () => {
  it(`are found again after each of ${ROUNDS} kills, not started again; Services and logs go on`, async () => {
    let up = await installation.up(...ARGS);
    let client = await installation.client();
    const count = 'trap "exit 0" TERM; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.1; done';
    const volumes = [{ name: 'memory', emptyDir: { medium: 'Memory' } }];
    const volumeMounts = [{ name: 'memory', mountPath: '/memory' }];
    await apply(
      web(2),
      SERVICE,
      podManifest('counter', { containers: [script(count, { volumeMounts })], volumes }),
    );
    await until(async () => (await running(client)).size === 3, 30_000);
    await until(() => answers('http://127.0.0.1:30123/name'));
    const before = await running(client);
    await until(() => processes(/^httpd -f|^sh -c trap/).length === 3, 5_000);
    const workloads = processes(/^httpd -f|^sh -c trap/).sort();

    for (let round = 0; round < ROUNDS; round++) {
      await kill(up);
      // Nobody is there any more, and what it set up works on.
      expect(await answers('http://127.0.0.1:30123/name')).toBe(true);
      expect(await answers('http://10.96.7.7/name')).toBe(true);
      up = await installation.up(...ARGS);
      client = await installation.client();
      await until(async () => (await running(client)).size === 3, 30_000);
      expect(await running(client)).toEqual(before);
      // A child that is about to run something else, or answers one request, still bears its parent's name for a moment.
      await until(
        () =>
          processes(/^httpd -f|^sh -c trap/)
            .sort()
            .join() === workloads.join(),
        5_000,
      );
      expect(await answers('http://127.0.0.1:30123/name')).toBe(true);
    }

    // No line of the log is missing, and new ones come.
    const lines = (await installation.kubectl.ok('logs', 'counter')).trimEnd().split('\n');
    expect(lines).toEqual(lines.map((_, i) => `line ${i + 1}`));
    await using follow = installation.kubectl.start('logs', '-f', '--tail=1', 'counter');
    await follow.until(new RegExp(`line ${lines.length + 5}\n`));
    await installation.kubectl.ok('exec', 'counter', '--', 'true');

    expect((await up.stop()).code).toBe(0);
    expect(installation.leftovers()).toEqual({});
  }, 180_000);

  it(`are as many as wanted after ${ROUNDS} kills while they are started and stopped (seed ${SEED})`, async () => {
    const random = seededRandom(SEED);
    let up = await installation.up(...ARGS);
    await apply(web(1), SERVICE);
    for (let round = 0; round < ROUNDS; round++) {
      const client = await installation.client();
      const replicas = 1 + Math.floor(random() * 5);
      const patch = { spec: { replicas, template: { metadata: { annotations: { round: String(round) } } } } };
      await client.resource(appsv1.deployments, 'default').patch('web', patch, { type: 'merge' });
      await new Promise((resolve) => setTimeout(resolve, random() * 700));
      await kill(up);
      up = await installation.up(...ARGS);
    }
    const client = await installation.client();
    await client
      .resource(appsv1.deployments, 'default')
      .patch('web', { spec: { replicas: 3 } }, { type: 'merge' });
    await installation.kubectl.ok('rollout', 'status', 'deployment/web', '--timeout=25s');
    const pods = (): Promise<number> =>
      client
        .resource(corev1.pods, 'default')
        .list()
        .then(({ items }) => items.length);
    await until(async () => (await pods()) === 3, 30_000);
    await until(() => processes(/^httpd -f/).length === 3, 30_000);
    await until(() => answers('http://127.0.0.1:30123/name'));
    expect((await up.stop()).code).toBe(0);
    expect(installation.leftovers()).toEqual({});
  }, 180_000);

  it('end when they are told to, though k8ts was killed before', async () => {
    const up = await installation.up(...ARGS);
    const client = await installation.client();
    const volumes: corev1.Volume[] = [
      { name: 'memory', emptyDir: { medium: 'Memory' } },
      { name: 'host', hostPath: { path: join(installation.directory, 'host'), type: 'DirectoryOrCreate' } },
    ];
    const volumeMounts = [
      { name: 'memory', mountPath: '/memory' },
      { name: 'host', mountPath: '/host', subPath: 'inside' },
    ];
    await apply(
      web(1),
      podManifest('mounting', {
        containers: [script(`echo kept > /host/file; ${PAUSE}`, { volumeMounts })],
        volumes,
      }),
    );
    await until(async () => (await running(client)).size === 2, 30_000);
    await kill(up);
    expect(installation.leftovers()).not.toEqual({});
    expect(await installation.ok('down')).toContain('removing what the cluster left on this machine');
    expect(installation.leftovers()).toEqual({});
    // With the same data they are all there again, in new containers.
    const second = await installation.up(...ARGS);
    const again = await installation.client();
    await until(async () => (await running(again)).size === 2, 30_000);
    await kill(second);
    await installation.ok('reset');
    expect(installation.leftovers()).toEqual({});
    expect(existsSync(installation.dataDir)).toBe(false);
    expect(await readFile(installation.kubeconfig, 'utf8')).not.toContain('k8ts');
    expect(await readFile(join(installation.directory, 'host/inside/file'), 'utf8')).toBe('kept\n');
  }, 120_000);
});

describe('a start or stop that is killed', () => {
  it.each([30, 100, 170, 240, 300, 360, 420, 480, 560, 650, 800])(
    'after %i ms of a start is cleaned up by down',
    async (delay) => {
      const up = installation.launch(...ARGS);
      await new Promise((resolve) => setTimeout(resolve, delay));
      await kill(up);
      await installation.ok('down');
      expect(installation.leftovers()).toEqual({});
    },
  );

  it.each(['SIGINT', 'SIGTERM'] as const)('%s while it starts leaves nothing', async (signal) => {
    for (const delay of [150, 300, 450, 600]) {
      const up = installation.launch(...ARGS);
      await new Promise((resolve) => setTimeout(resolve, delay));
      const { code, stderr } = await up.stop(signal);
      if (code === 1)
        expect(stderr).toMatch(new RegExp(`^error: stopped by ${signal} while it started\n$`, 'm'));
      else if (delay > 300) expect(code).toBe(0); // it was faster
      expect(installation.leftovers()).toEqual({});
    }
  });

  it.each([20, 100, 200, 300])('a stop after %i ms', async (delay) => {
    const up = await installation.up(...ARGS);
    const client = await installation.client();
    await apply(web(2));
    await until(async () => (await running(client)).size === 2, 30_000);
    process.kill(up.pid, 'SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, delay));
    await up.stop('SIGKILL');
    await installation.ok('down');
    expect(installation.leftovers()).toEqual({});
  });
});
