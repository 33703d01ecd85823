import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { corev1 } from '@k8ts/api';
import { realClock, seededRandom, silentLogger, sleep } from '@k8ts/base';
import { FakeApi } from '@k8ts/client/testing';
import { type EmbeddedRuntime, importImageArchive, openOciRuntime } from '@k8ts/cri';
import { BUSYBOX_IMAGE, buildBusyboxArchive, loopbackNetwork } from '@k8ts/cri/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type Kubelet, startKubelet } from './kubelet.ts';
import { readLogFile } from './logs/cri-log-reader.ts';
import type { Container, Pod, PodSpec } from './pod/types.ts';
import { testPod } from './testing/pods.ts';
import { until } from './testing/until.ts';

let directory: string;
let runtime: EmbeddedRuntime;
let kubelet: Kubelet;
const api = new FakeApi();
const CGROUP_ROOT = `kubelet-test-${process.pid}`;

const pods = () => api.client.resource(corev1.pods, 'default');
const podOf = (name: string): Pod | undefined => api.peek(corev1.pods, `default/${name}`);
const phase = (name: string): string | undefined => podOf(name)?.status?.phase;
const script = (text: string, more: Partial<Container> = {}): Container => ({
  name: 'app',
  image: BUSYBOX_IMAGE,
  imagePullPolicy: 'Never',
  command: ['sh', '-c', text],
  ...more,
});

async function start(): Promise<Kubelet> {
  const started = await startKubelet({
    client: api.client,
    runtime,
    nodeName: 'node-1',
    clock: realClock,
    random: seededRandom(3),
    logger: silentLogger,
    rootDir: join(directory, 'kubelet'),
    nodeIps: ['192.168.7.1'],
    clusterDns: ['10.96.0.10'],
    cgroupRoot: CGROUP_ROOT,
  });
  await started.ready();
  return started;
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'k8ts-kubelet-'));
  runtime = await openOciRuntime({
    dataDir: join(directory, 'data'),
    runDir: join(directory, 'run'),
    network: loopbackNetwork(),
    clock: realClock,
    logger: silentLogger,
  });
  const archive = join(directory, 'busybox.tar');
  await buildBusyboxArchive(archive);
  await importImageArchive(runtime.images, archive);
  kubelet = await start();
});

afterAll(async () => {
  await kubelet.takeDown(1);
  await kubelet[Symbol.asyncDispose]();
  await runtime.destroyAll();
  await runtime[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

/** Runs the container to its end and gives its log. */
async function runToEnd(name: string, container: Container, more: Partial<PodSpec> = {}): Promise<string> {
  await pods().create(testPod({ restartPolicy: 'Never', containers: [container], ...more }, { name }));
  await until(() => phase(name) === 'Succeeded' || phase(name) === 'Failed', 15_000);
  return log(name);
}

async function log(name: string): Promise<string> {
  const id = podOf(name)?.status?.containerStatuses?.[0]?.containerID?.split('://')[1] ?? '';
  const { logPath } = await runtime.runtimeService.containerStatus(id);
  const options = {
    follow: false,
    timestamps: false,
    since: undefined,
    tail: undefined,
    limitBytes: undefined,
    stream: undefined,
  };
  let text = '';
  for await (const piece of readLogFile(
    logPath,
    { clock: realClock, options, signal: new AbortController().signal },
    async () => false,
  ))
    text += piece.toString();
  return text;
}

describe('with real containers', () => {
  it('gives names, environment, files and users as asked', async () => {
    api.seed(corev1.configMaps, {
      metadata: { name: 'conf', namespace: 'default' },
      data: { key: 'value', other: 'x' },
    });
    const output = await runToEnd(
      'inspect',
      script(
        'id -u; id -g; id -G; hostname; cat /conf/key; echo; cat /one; echo; echo $GREETING; head -n 1 /etc/hosts; cat /etc/resolv.conf; stat -c %a:%g /scratch; touch /nope 2>/dev/null || echo readonly; mount | grep " /mem " | grep -c tmpfs; ls /sub',
        {
          env: [{ name: 'GREETING', value: 'hello' }],
          securityContext: { runAsUser: 1000, runAsGroup: 2000, readOnlyRootFilesystem: true },
          volumeMounts: [
            { name: 'conf', mountPath: '/conf' },
            { name: 'conf', mountPath: '/one', subPath: 'key' },
            { name: 'scratch', mountPath: '/scratch' },
            { name: 'scratch', mountPath: '/sub', subPathExpr: 'dir/$(GREETING)' },
            { name: 'mem', mountPath: '/mem' },
          ],
        },
      ),
      {
        securityContext: { fsGroup: 3000, supplementalGroups: [4000] },
        volumes: [
          { name: 'conf', configMap: { name: 'conf' } },
          { name: 'scratch', emptyDir: {} },
          { name: 'mem', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
        ],
      },
    );
    expect(output.split('\n')).toEqual([
      '1000',
      '2000',
      '2000 3000 4000',
      'inspect',
      'value',
      'value',
      'hello',
      '# Kubernetes-managed hosts file.',
      expect.stringMatching(
        /^search default\.svc\.cluster\.local svc\.cluster\.local cluster\.local/,
      ) as string,
      'nameserver 10.96.0.10',
      'options ndots:5',
      '2777:3000',
      'readonly',
      '1',
      '',
    ]);
  });

  it('reports how containers end', async () => {
    await runToEnd('good', script('echo -n done > /dev/termination-log'));
    expect(podOf('good')?.status).toMatchObject({
      phase: 'Succeeded',
      containerStatuses: [{ state: { terminated: { exitCode: 0, reason: 'Completed', message: 'done' } } }],
    });
    await runToEnd(
      'bad',
      script('echo a line; echo the reason; exit 4', { terminationMessagePolicy: 'FallbackToLogsOnError' }),
    );
    expect(podOf('bad')?.status).toMatchObject({
      phase: 'Failed',
      containerStatuses: [
        { state: { terminated: { exitCode: 4, reason: 'Error', message: 'a line\nthe reason\n' } } },
      ],
    });
    await runToEnd(
      'greedy',
      script('yes | tr \\\\n x | head -c 300000000 | sort > /dev/null', {
        resources: { limits: { memory: '24Mi' } },
      }),
    );
    expect(podOf('greedy')?.status?.containerStatuses?.[0]?.state?.terminated).toMatchObject({
      reason: 'OOMKilled',
      exitCode: 137,
    });
  });

  it('refuses to run as root what must not', async () => {
    await pods().create(
      testPod(
        { containers: [script('true', { securityContext: { runAsNonRoot: true } })] },
        { name: 'rootless' },
      ),
    );
    await until(
      () =>
        podOf('rootless')?.status?.containerStatuses?.[0]?.state?.waiting?.reason ===
        'CreateContainerConfigError',
    );
    expect(podOf('rootless')?.status?.containerStatuses?.[0]?.state?.waiting?.message).toBe(
      `container has runAsNonRoot and image will run as root (pod: "rootless_default(${podOf('rootless')?.metadata.uid})", container: app)`,
    );
    await pods().delete('rootless');
    await until(() => phase('rootless') === undefined);
  });

  it('runs hooks and probes by exec, and stops within the grace period', async () => {
    await pods().create(
      testPod(
        {
          terminationGracePeriodSeconds: 5,
          volumes: [{ name: 'shared', emptyDir: {} }],
          containers: [
            script('trap "exit 0" TERM; touch /shared/up; while :; do sleep 0.1; done', {
              volumeMounts: [{ name: 'shared', mountPath: '/shared' }],
              lifecycle: {
                postStart: { exec: { command: ['sh', '-c', 'echo started > /shared/hook'] } },
                preStop: { exec: { command: ['sh', '-c', 'echo stopping > /shared/stop; sleep 0.3'] } },
              },
              readinessProbe: { exec: { command: ['cat', '/shared/up', '/shared/hook'] }, periodSeconds: 1 },
            }),
          ],
        },
        { name: 'hooked' },
      ),
    );
    await until(() => podOf('hooked')?.status?.containerStatuses?.[0]?.ready === true, 10_000);
    const begun = realClock.monotonic();
    await pods().delete('hooked');
    await until(() => phase('hooked') === undefined, 8_000);
    expect(realClock.monotonic() - begun).toBeGreaterThan(300);
    expect(realClock.monotonic() - begun).toBeLessThan(4_000);
  });

  it('is found again by a kubelet that was killed, and leaves nothing when it goes', async () => {
    await pods().create(
      testPod(
        {
          volumes: [{ name: 'mem', emptyDir: { medium: 'Memory' } }],
          containers: [
            script('trap "exit 0" TERM; while :; do sleep 0.1; done', {
              volumeMounts: [{ name: 'mem', mountPath: '/mem' }],
              resources: {
                requests: { cpu: '100m', memory: '16Mi' },
                limits: { cpu: '500m', memory: '32Mi' },
              },
            }),
          ],
        },
        { name: 'lasting' },
      ),
    );
    await until(() => phase('lasting') === 'Running', 10_000);
    const uid = podOf('lasting')?.metadata.uid ?? '';
    const id = podOf('lasting')?.status?.containerStatuses?.[0]?.containerID;
    const v1 = existsSync('/sys/fs/cgroup/memory');
    const cgroup = v1
      ? `/sys/fs/cgroup/memory/${CGROUP_ROOT}/burstable/pod${uid}`
      : `/sys/fs/cgroup/${CGROUP_ROOT}/burstable/pod${uid}`;
    const limit = await readFile(join(cgroup, v1 ? 'memory.limit_in_bytes' : 'memory.max'), 'utf8');
    expect(Number(limit)).toBe(32 * 1024 * 1024);
    await kubelet[Symbol.asyncDispose]();
    kubelet = await start();
    await sleep(realClock, 300);
    expect(podOf('lasting')?.status?.containerStatuses?.[0]?.containerID).toBe(id);
    await pods().delete('lasting', { gracePeriodSeconds: 1 });
    await until(() => phase('lasting') === undefined, 10_000);
    await until(async () => !(await readdir(join(directory, 'kubelet', 'pods'))).includes(uid));
    expect(existsSync(cgroup)).toBe(false);
    expect(await readFile('/proc/mounts', 'utf8')).not.toContain(uid);
  });
});
