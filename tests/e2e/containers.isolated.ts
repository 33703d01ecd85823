import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { NODE_NAME, useCluster } from '../support/cluster.ts';
import { PAUSE, podManifest, script } from '../support/manifests.ts';
import { until } from '../support/waiting.ts';

const cluster = useCluster({ args: (directory) => ['--static-pods', join(directory, 'manifests')] });

describe.concurrent('how containers start and end', () => {
  it('restartPolicy Never', async () => {
    const spec = { restartPolicy: 'Never', containers: [script('echo out; exit 3')] };
    expect(await cluster.runPod(podManifest('never', spec))).toBe('out\n');
    expect((await cluster.pod('never')).status).toMatchObject({
      phase: 'Failed',
      containerStatuses: [{ restartCount: 0, state: { terminated: { exitCode: 3, reason: 'Error' } } }],
    });
  });

  it('restartPolicy OnFailure', async () => {
    const container = script('test -e /mark/er && exit 0; touch /mark/er; exit 1', {
      volumeMounts: [{ name: 'mark', mountPath: '/mark' }],
    });
    const volumes = [{ name: 'mark', emptyDir: {} }];
    await cluster.apply(
      podManifest('on-failure', { restartPolicy: 'OnFailure', containers: [container], volumes }),
    );
    expect((await cluster.untilPhase('on-failure', 'Succeeded')).status?.containerStatuses).toMatchObject([
      { restartCount: 1, state: { terminated: { exitCode: 0, reason: 'Completed' } } },
    ]);
  });

  it('a container that ends again and again waits longer and longer', async () => {
    const { kubectl } = cluster;
    await cluster.apply(podManifest('crashing', { containers: [script('echo run; exit 1')] }));
    const pod = await cluster.untilPod(
      'crashing',
      ({ status }) => status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CrashLoopBackOff',
    );
    const { uid } = pod.metadata as { uid: string };
    expect(pod.status).toMatchObject({
      phase: 'Running',
      containerStatuses: [
        {
          ready: false,
          restartCount: 1,
          lastState: { terminated: { exitCode: 1 } },
          state: {
            waiting: {
              message: `back-off 10s restarting failed container=app pod=crashing_default(${uid})`,
            },
          },
        },
      ],
    });
    expect(await cluster.events('crashing')).toContain(
      `BackOff: Back-off restarting failed container app in pod crashing_default(${uid})`,
    );
    expect(await kubectl.ok('logs', 'crashing', '--previous')).toBe('run\n');
    expect(await kubectl.ok('get', 'pod', 'crashing')).toMatch(/^crashing +0\/1 +CrashLoopBackOff /m);
  });

  it('init containers run one after the other, before the others', async () => {
    const { kubectl } = cluster;
    const volumeMounts = [{ name: 'log', mountPath: '/log' }];
    const step = (name: string): ReturnType<typeof script> =>
      script(`sleep 0.2; echo ${name} >> /log/steps`, { name, volumeMounts });
    const spec = {
      restartPolicy: 'Never',
      initContainers: [step('one'), step('two')],
      containers: [script('cat /log/steps', { volumeMounts })],
      volumes: [{ name: 'log', emptyDir: {} }],
    };
    expect(await cluster.runPod(podManifest('inits', spec))).toBe('one\ntwo\n');
    const failing = {
      restartPolicy: 'Never',
      initContainers: [script('exit 5', { name: 'first' })],
      containers: [script('echo never')],
    };
    await cluster.apply(podManifest('init-fails', failing));
    expect((await cluster.untilPhase('init-fails', 'Failed')).status).toMatchObject({
      initContainerStatuses: [{ state: { terminated: { exitCode: 5 } } }],
      containerStatuses: [{ state: { waiting: { reason: 'PodInitializing' } } }],
    });
    expect(await kubectl.ok('get', 'pod', 'init-fails')).toMatch(/^init-fails +0\/1 +Init:Error +0 /m);
  });

  it('a sidecar starts before, and ends after', async () => {
    const { kubectl } = cluster;
    const volumeMounts = [{ name: 'log', mountPath: '/log' }];
    const spec = {
      restartPolicy: 'Never',
      initContainers: [
        script(
          'trap "sleep 0.3; echo sidecar stopped; exit 0" TERM; sleep 0.5; touch /log/up; while :; do sleep 0.1; done',
          {
            name: 'sidecar',
            restartPolicy: 'Always',
            startupProbe: { exec: { command: ['test', '-e', '/log/up'] }, periodSeconds: 1 },
            volumeMounts,
          },
        ),
      ],
      containers: [script('test -e /log/up && echo sidecar was up', { volumeMounts })],
      volumes: [{ name: 'log', emptyDir: {} }],
    };
    await cluster.apply(podManifest('with-sidecar', spec));
    const pod = await cluster.untilPhase('with-sidecar', 'Succeeded', 'Failed');
    expect(pod.status?.phase).toBe('Succeeded');
    expect(await kubectl.ok('logs', 'with-sidecar', '-c', 'app')).toBe('sidecar was up\n');
    expect(await kubectl.ok('logs', 'with-sidecar', '-c', 'sidecar')).toContain('sidecar stopped\n');
  });

  it('termination messages', async () => {
    const containers = [
      script('printf said > /dev/termination-log', { name: 'file' }),
      script('printf other > /tmp/said', { name: 'path', terminationMessagePath: '/tmp/said' }),
      script('echo last words; exit 1', {
        name: 'log',
        terminationMessagePolicy: 'FallbackToLogsOnError',
      }),
    ];
    await runPodOf('messages', containers);
    const pod = await cluster.pod('messages');
    expect(
      Object.fromEntries(
        pod.status?.containerStatuses?.map(({ name, state }) => [name, state?.terminated?.message]) ?? [],
      ),
    ).toEqual({ file: 'said', path: 'other', log: 'last words\n' });
  });

  it('too much memory', async () => {
    const container = script('head -c 200m /dev/zero | tail', { resources: { limits: { memory: '32Mi' } } });
    await cluster.apply(podManifest('greedy', { restartPolicy: 'Never', containers: [container] }));
    expect((await cluster.untilPhase('greedy', 'Failed')).status?.containerStatuses).toMatchObject([
      { state: { terminated: { exitCode: 137, reason: 'OOMKilled' } } },
    ]);
  });

  it('limits are those of the control group', async () => {
    const resources = { limits: { memory: '48Mi', cpu: '250m' } };
    const output = await runPodOf('limited', [
      script(
        'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null ||' +
          ' cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max',
        { resources },
      ),
    ]);
    expect(output).toMatch(/^50331648\n25000( 100000)?\n$/);
    expect((await cluster.pod('limited')).status?.qosClass).toBe('Guaranteed');
  });

  it('hooks', async () => {
    const { kubectl, installation } = cluster;
    const directory = join(installation.directory, 'hooks');
    const volumeMounts = [{ name: 'host', mountPath: '/host' }];
    await cluster.startPod(
      podManifest('hooked', {
        terminationGracePeriodSeconds: 20,
        containers: [
          script('trap "echo stopped >> /host/log; exit 0" TERM; while :; do sleep 0.1; done', {
            volumeMounts,
            lifecycle: {
              postStart: { exec: { command: ['sh', '-c', 'echo started >> /host/log'] } },
              preStop: { exec: { command: ['sh', '-c', 'sleep 0.5; echo stopping >> /host/log'] } },
            },
          }),
        ],
        volumes: [{ name: 'host', hostPath: { path: directory, type: 'DirectoryOrCreate' } }],
      }),
    );
    await kubectl.ok('delete', 'pod', 'hooked');
    expect(await readFile(join(directory, 'log'), 'utf8')).toBe('started\nstopping\nstopped\n');
  });

  it('a postStart hook that fails ends its container', async () => {
    const { kubectl } = cluster;
    const lifecycle = { postStart: { exec: { command: ['sh', '-c', 'exit 7'] } } };
    await cluster.apply(
      podManifest('bad-hook', { restartPolicy: 'Never', containers: [script(PAUSE, { lifecycle })] }),
    );
    await until(
      async () => (await cluster.events('bad-hook')).some((event) => event.startsWith('FailedPostStartHook')),
      30_000,
    );
    await kubectl.ok('delete', 'pod', 'bad-hook', '--now');
  });

  it('a grace period is kept, and then the container is killed', async () => {
    const { kubectl } = cluster;
    const begin = async (name: string): Promise<unknown> =>
      cluster.startPod(
        podManifest(name, { containers: [script('trap "" TERM; echo up; while :; do sleep 0.2; done')] }),
      );
    await begin('stubborn');
    const asked = performance.now();
    await kubectl.ok('delete', 'pod', 'stubborn', '--grace-period=2');
    const took = performance.now() - asked;
    expect(took).toBeGreaterThan(1900);
    expect(took).toBeLessThan(5000);
    await begin('forced');
    const again = performance.now();
    await kubectl.ok('delete', 'pod', 'forced', '--force', '--grace-period=0');
    expect(performance.now() - again).toBeLessThan(2000);
  });
});

/** Runs a pod of these containers to its end; the log of the first. */
function runPodOf(
  name: string,
  containers: Parameters<typeof podManifest>[1]['containers'],
  more: Partial<Parameters<typeof podManifest>[1]> = {},
): Promise<string> {
  return cluster.runPod(podManifest(name, { restartPolicy: 'Never', containers, ...more }));
}

describe.concurrent('probes', () => {
  it('readiness by exec, back and forth', async () => {
    const { kubectl } = cluster;
    const readinessProbe = {
      exec: { command: ['cat', '/tmp/ready'] },
      periodSeconds: 1,
      failureThreshold: 1,
    };
    await cluster.startPod(
      podManifest('ready', { containers: [script(`touch /tmp/ready; ${PAUSE}`, { readinessProbe })] }),
    );
    await kubectl.ok('exec', 'ready', '--', 'rm', '/tmp/ready');
    await kubectl.ok('wait', 'pod/ready', '--for=condition=Ready=false', '--timeout=15s');
    expect((await cluster.events('ready')).join('\n')).toContain(
      "Unhealthy: Readiness probe failed: cat: can't open '/tmp/ready': No such file or directory",
    );
    await kubectl.ok('exec', 'ready', '--', 'touch', '/tmp/ready');
    await kubectl.ok('wait', 'pod/ready', '--for=condition=Ready', '--timeout=15s');
  });

  it('liveness by HTTP restarts', async () => {
    const { kubectl } = cluster;
    const livenessProbe = {
      httpGet: { path: '/healthy', port: 8080 },
      periodSeconds: 1,
      failureThreshold: 1,
    };
    const serve = 'mkdir /www; echo ok > /www/healthy; exec httpd -f -p 8080 -h /www';
    await cluster.startPod(
      podManifest('live', {
        containers: [script(serve, { livenessProbe: { ...livenessProbe, initialDelaySeconds: 1 } })],
      }),
    );
    await kubectl.ok('exec', 'live', '--', 'rm', '/www/healthy');
    await cluster.untilPod('live', ({ status }) => status?.containerStatuses?.[0]?.restartCount === 1);
    const seen = await cluster.events('live');
    expect(seen).toContain('Unhealthy: Liveness probe failed: HTTP probe failed with statuscode: 404');
    expect(seen).toContain('Killing: Container app failed liveness probe, will be restarted');
  });

  it('readiness by TCP, with a startup probe before', async () => {
    await cluster.apply(
      podManifest('starting', {
        containers: [
          script('sleep 2; exec httpd -f -p 9000', {
            startupProbe: { tcpSocket: { port: 9000 }, periodSeconds: 1, failureThreshold: 20 },
            readinessProbe: { tcpSocket: { port: 9000 }, periodSeconds: 1 },
            livenessProbe: { tcpSocket: { port: 9000 }, periodSeconds: 1, failureThreshold: 1 },
          }),
        ],
      }),
    );
    const running = await cluster.untilPhase('starting', 'Running');
    expect(running.status?.containerStatuses?.[0]).toMatchObject({ started: false, ready: false });
    const ready = await cluster.untilPod(
      'starting',
      ({ status }) => status?.containerStatuses?.[0]?.ready === true,
    );
    expect(ready.status?.containerStatuses?.[0]).toMatchObject({ started: true, restartCount: 0 });
  });
});

describe.concurrent('security contexts', () => {
  const IDS = 'id -u; id -g; id -G';

  it('users and groups', async () => {
    const securityContext = { runAsUser: 1000, runAsGroup: 3000, supplementalGroups: [4000], fsGroup: 5000 };
    expect(await runPodOf('user', [script(IDS)], { securityContext })).toBe('1000\n3000\n3000 4000 5000\n');
  });

  it('a root file system that cannot be written', async () => {
    const securityContext = { readOnlyRootFilesystem: true };
    expect(
      await runPodOf('read-only', [
        script('touch /x 2>&1; touch /dev/shm/y && echo shm', { securityContext }),
      ]),
    ).toBe('touch: /x: Read-only file system\nshm\n');
  });

  it('capabilities', async () => {
    const show = 'grep CapEff /proc/self/status';
    const capability = async (name: string, securityContext: object): Promise<bigint> => {
      const text = await runPodOf(name, [script(show, { securityContext })]);
      return BigInt(`0x${text.split('\t')[1]?.trim() ?? ''}`);
    };
    const CHOWN = 1n << 0n;
    const NET_ADMIN = 1n << 12n;
    const NET_BIND_SERVICE = 1n << 10n;
    const byDefault = await capability('caps-default', {});
    expect(byDefault & CHOWN).toBe(CHOWN);
    expect(byDefault & NET_ADMIN).toBe(0n);
    expect(await capability('caps-none', { capabilities: { drop: ['ALL'] } })).toBe(0n);
    expect(await capability('caps-one', { capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] } })).toBe(
      NET_BIND_SERVICE,
    );
    expect((await capability('caps-privileged', { privileged: true })) & NET_ADMIN).toBe(NET_ADMIN);
  });

  it('no new privileges', async () => {
    const securityContext = { allowPrivilegeEscalation: false };
    expect(await runPodOf('no-new', [script('grep NoNewPrivs /proc/self/status', { securityContext })])).toBe(
      'NoNewPrivs:\t1\n',
    );
  });

  it('runAsNonRoot refuses root', async () => {
    const { kubectl } = cluster;
    const securityContext = { runAsNonRoot: true };
    await cluster.apply(podManifest('rootless', { containers: [script(PAUSE)], securityContext }));
    const pod = await cluster.untilPod(
      'rootless',
      ({ status }) => status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CreateContainerConfigError',
    );
    expect(pod.status?.containerStatuses?.[0]?.state?.waiting?.message).toBe(
      `container has runAsNonRoot and image will run as root (pod: "rootless_default(${pod.metadata.uid ?? ''})", container: app)`,
    );
    await kubectl.ok('delete', 'pod', 'rootless');
  });
});

describe('static pods', () => {
  const file = (): string => join(cluster.installation.directory, 'manifests/web.yaml');

  it('run, and are shown by mirrors', async () => {
    const { kubectl } = cluster;
    await mkdir(join(file(), '..'), { recursive: true });
    await writeFile(file(), JSON.stringify(podManifest('web', { containers: [script(PAUSE)] })));
    const name = `web-${NODE_NAME}`;
    await until(async () => (await kubectl.run(['get', 'pod', name])).code === 0, 30_000);
    await kubectl.ok('wait', `pod/${name}`, '--for=condition=Ready', '--timeout=20s');
    const { containerID } = (await cluster.pod(name)).status?.containerStatuses?.[0] ?? {};
    expect((await cluster.pod(name)).metadata.annotations).toHaveProperty(['kubernetes.io/config.mirror']);

    // A mirror that is deleted comes back, and its container runs on.
    await kubectl.ok('delete', 'pod', name, '--force', '--grace-period=0');
    await until(async () => (await kubectl.run(['get', 'pod', name])).code === 0, 30_000);
    const again = await cluster.untilPod(
      name,
      ({ status }) => status?.containerStatuses?.[0]?.ready === true,
    );
    expect(again.status?.containerStatuses?.[0]?.containerID).toBe(containerID);

    await rm(file());
    await until(async () => (await kubectl.run(['get', 'pod', name])).code !== 0, 30_000);
  });
});
