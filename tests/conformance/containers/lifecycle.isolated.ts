import { corev1, nodev1 } from '@k8ts/api';
import { realClock, sleep } from '@k8ts/base';
import { describe, expect, it } from 'vitest';

import { GUESTBOOK_ARCHIVE, useCluster } from '../../support/cluster.ts';
import { PAUSE, podManifest, script } from '../../support/manifests.ts';
import { until } from '../../support/waiting.ts';
import { NODE, usePods } from './support.ts';

// Upstream's test/e2e/common/node: what happens to containers while they run.

type Container = corev1.PodSpec['containers'][number];
type Probe = NonNullable<Container['livenessProbe']>;

/** Writes down every path that it is asked for, before it answers. */
const HANDLER = `require('http').createServer((request, response) => { console.log(request.url); response.end('ok'); })
  .listen(8080); process.on('SIGTERM', () => process.exit(0));`;
/** Says "serving" to gRPC health checks: on port 5000, as HTTP/2 without TLS. */
const GRPC_HEALTH = `require('http2').createServer().on('stream', (stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(Buffer.from([0, 0, 0, 0, 2, 8, 1]));
  }).listen(5000); process.on('SIGTERM', () => process.exit(0));`;

const cluster = useCluster({ archives: [GUESTBOOK_ARCHIVE] });
const pods = usePods(cluster);
const handler = pods.pod({
  containers: [
    {
      name: 'app',
      image: 'guestbook:1',
      command: [NODE, '-e', HANDLER],
      readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
    },
  ],
});
const grpcServer = (livenessProbe: Probe): Container => ({
  name: 'app',
  image: 'guestbook:1',
  command: [NODE, '-e', GRPC_HEALTH],
  livenessProbe,
});

const restarts = ({ status }: corev1.Pod): number => status?.containerStatuses?.[0]?.restartCount ?? 0;
const readiness = ({ status }: corev1.Pod) => status?.conditions?.find(({ type }) => type === 'Ready');

describe('Probing container', () => {
  const quick: Probe = { periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 5, initialDelaySeconds: 3 };
  const HEALTH = { exec: { command: ['cat', '/tmp/health'] } };
  const web = (more: string): string =>
    `mkdir /www; echo ok > /www/healthz; (${more}) & exec httpd -f -p 8080 -h /www`;

  const restarted = (container: Container) => {
    const name = pods.pod({ containers: [container] });
    return async () => {
      await cluster.untilPod(name, (pod) => restarts(pod) >= 1, 50_000);
      expect((await cluster.events(name)).join('\n')).toMatch(
        /Unhealthy: Liveness probe failed: [^]*Killing: Container app failed liveness probe, will be restarted/,
      );
    };
  };
  /** Healthy for many times as long as it would take the probe to end it. */
  const kept = (container: Container) => {
    const name = pods.pod({ containers: [container] });
    return async () => {
      const pod = await cluster.untilReady(name);
      const started = Date.parse(String(pod.status?.containerStatuses?.[0]?.state?.running?.startedAt));
      await sleep(realClock, started + 20_000 - Date.now());
      expect(restarts(await cluster.pod(name))).toBe(0);
    };
  };

  it(
    '[sig-node] Probing container should be restarted with a exec "cat /tmp/health" liveness probe [NodeConformance] [Conformance]',
    restarted(
      script('echo ok >/tmp/health; sleep 5; rm -f /tmp/health; exec sleep 600', {
        livenessProbe: { ...quick, ...HEALTH },
      }),
    ),
  );
  it(
    '[sig-node] Probing container should be restarted with a /healthz http liveness probe [NodeConformance] [Conformance]',
    restarted(
      script(web('sleep 5; rm /www/healthz'), {
        livenessProbe: { ...quick, httpGet: { path: '/healthz', port: 8080 } },
      }),
    ),
  );
  it(
    '[sig-node] Probing container should be restarted with a GRPC liveness probe [NodeConformance] [Conformance]',
    restarted(grpcServer({ ...quick, grpc: { port: 2333 } })),
  );
  it(
    '[sig-node] Probing container should *not* be restarted with a exec "cat /tmp/health" liveness probe [NodeConformance] [Conformance]',
    kept(script(`echo ok >/tmp/health; ${PAUSE}`, { livenessProbe: { ...quick, ...HEALTH } })),
  );
  it(
    '[sig-node] Probing container should *not* be restarted with a /healthz http liveness probe [NodeConformance] [Conformance]',
    kept(
      script(web('true'), {
        livenessProbe: { ...quick, failureThreshold: 5, httpGet: { path: '/healthz', port: 8080 } },
      }),
    ),
  );
  it(
    '[sig-node] Probing container should *not* be restarted with a tcp:8080 liveness probe [NodeConformance] [Conformance]',
    kept(script(web('true'), { livenessProbe: { ...quick, tcpSocket: { port: 8080 } } })),
  );
  it(
    '[sig-node] Probing container should *not* be restarted with a GRPC liveness probe [NodeConformance] [Conformance]',
    kept(grpcServer({ ...quick, grpc: { port: 5000 } })),
  );

  const delayed = pods.pod({
    containers: [
      script(PAUSE, {
        readinessProbe: { exec: { command: ['true'] }, initialDelaySeconds: 10, periodSeconds: 1 },
      }),
    ],
  });
  it('[sig-node] Probing container with readiness probe should not be ready before initial delay and never restart [NodeConformance] [Conformance]', async () => {
    const pod = await cluster.untilReady(delayed);
    const started = Date.parse(String(pod.status?.containerStatuses?.[0]?.state?.running?.startedAt));
    // Times are whole seconds.
    expect(Date.parse(String(readiness(pod)?.lastTransitionTime)) - started).toBeGreaterThanOrEqual(9000);
    expect(restarts(pod)).toBe(0);
  });

  const never = pods.pod({
    containers: [
      script(PAUSE, {
        readinessProbe: { exec: { command: ['false'] }, periodSeconds: 1, failureThreshold: 1 },
      }),
    ],
  });
  it('[sig-node] Probing container with readiness probe that fails should never be ready and never restart [NodeConformance] [Conformance]', async () => {
    const { status } = await cluster.untilPhase(never, 'Running');
    const created = Date.parse(String(status?.startTime));
    await sleep(realClock, created + 20_000 - Date.now());
    const pod = await cluster.pod(never);
    expect(readiness(pod)).toMatchObject({ status: 'False', reason: 'ContainersNotReady' });
    // It has not been ready before either.
    expect(Date.parse(String(readiness(pod)?.lastTransitionTime)) - created).toBeLessThanOrEqual(2000);
    expect(restarts(pod)).toBe(0);
  });
});

describe.concurrent('Container Lifecycle Hook', () => {
  const asked = (path: string) =>
    until(async () => (await cluster.kubectl.ok('logs', handler)).split('\n').includes(path), 30_000);
  const handlerIP = async (): Promise<string> => String((await cluster.untilReady(handler)).status?.podIP);
  /** The hook that asks the handler, in the container or by the kubelet. */
  const hook = (kind: 'exec' | 'http', ip: string, path: string) =>
    kind === 'exec'
      ? { exec: { command: ['sh', '-c', `wget -qO- http://${ip}:8080${path}`] } }
      : { httpGet: { host: ip, port: 8080, path } };
  const calls = (when: 'postStart' | 'preStop', kind: 'exec' | 'http') => async () => {
    const name = `${when}-${kind}`.toLowerCase();
    const path = `/echo?msg=${name}`;
    const lifecycle = { [when]: hook(kind, await handlerIP(), path) };
    await cluster.startPod(
      podManifest(name, { terminationGracePeriodSeconds: 15, containers: [script(PAUSE, { lifecycle })] }),
    );
    if (when === 'postStart') await asked(path);
    await cluster.kubectl.ok('delete', 'pod', name);
    await asked(path);
  };
  it(
    '[sig-node] Container Lifecycle Hook when create a pod with lifecycle hook should execute poststart exec hook properly [NodeConformance] [Conformance]',
    calls('postStart', 'exec'),
  );
  it(
    '[sig-node] Container Lifecycle Hook when create a pod with lifecycle hook should execute poststart http hook properly [NodeConformance] [Conformance]',
    calls('postStart', 'http'),
  );
  it(
    '[sig-node] Container Lifecycle Hook when create a pod with lifecycle hook should execute prestop exec hook properly [NodeConformance] [Conformance]',
    calls('preStop', 'exec'),
  );
  it(
    '[sig-node] Container Lifecycle Hook when create a pod with lifecycle hook should execute prestop http hook properly [NodeConformance] [Conformance]',
    calls('preStop', 'http'),
  );
  it('[sig-node] PreStop should call prestop when killing a pod [Conformance]', async () => {
    const lifecycle = { preStop: hook('exec', await handlerIP(), '/write?prestop') };
    await cluster.startPod(podManifest('tester', { containers: [script('sleep 600', { lifecycle })] }));
    expect((await cluster.kubectl.ok('logs', handler)).split('\n')).not.toContain('/write?prestop');
    await cluster.client.resource(corev1.pods, 'default').delete('tester');
    await asked('/write?prestop');
  });
});

describe.concurrent('Ephemeral Containers', () => {
  const debug = (name: string, text: string) => ({ ...script(text), name, targetContainerName: 'app' });
  const add = (pod: string, container: object) =>
    cluster.client
      .resource(corev1.pods, 'default')
      .patch(
        pod,
        { spec: { ephemeralContainers: [container] } },
        { type: 'strategic', subresource: 'ephemeralcontainers' },
      );
  const untilLogged = (pod: string, container: string, text: string) =>
    until(
      async () => (await cluster.kubectl.run(['logs', pod, '-c', container])).stdout.includes(text),
      30_000,
    );
  const first = pods.pod({ containers: [script(PAUSE)] });
  const second = pods.pod({ containers: [script(PAUSE)] });

  it('[sig-node] Ephemeral Containers [NodeConformance] will start an ephemeral container in an existing pod [Conformance]', async () => {
    await cluster.untilReady(first);
    await add(first, debug('debugger', `echo polo; ${PAUSE}`));
    await untilLogged(first, 'debugger', 'polo');
  });
  it('[sig-node] Ephemeral Containers [NodeConformance] should update the ephemeral containers in an existing pod [Conformance]', async () => {
    const resource = cluster.client.resource(corev1.pods, 'default');
    await cluster.untilReady(second);
    const patched = await add(second, debug('debugger1', `echo polo; ${PAUSE}`));
    expect(patched.spec.ephemeralContainers?.map(({ name }) => name)).toEqual(['debugger1']);
    await untilLogged(second, 'debugger1', 'polo');
    await until(async () => {
      const pod = await resource.get(second);
      const ephemeralContainers = [
        ...(pod.spec.ephemeralContainers ?? []),
        debug('debugger2', `echo marco; ${PAUSE}`),
      ];
      const replaced = { ...pod, spec: { ...pod.spec, ephemeralContainers } };
      return resource.updateSubresource(second, 'ephemeralcontainers', replaced as never).then(
        () => true,
        (error: unknown) => {
          if (/has been modified/.test(String(error))) return false;
          throw error;
        },
      );
    });
    expect((await resource.get(second)).spec.ephemeralContainers?.map(({ name }) => name)).toEqual([
      'debugger1',
      'debugger2',
    ]);
    await untilLogged(second, 'debugger2', 'marco');
  });
});

describe.concurrent('RuntimeClass', () => {
  const podOf = (name: string, runtimeClassName: string): object =>
    podManifest(name, { runtimeClassName, containers: [script(PAUSE)] });
  const refused = async (runtimeClass: string): Promise<void> => {
    const { code, stderr } = await cluster.kubectl.run(['create', '-f', '-'], {
      stdin: JSON.stringify(podOf(`of-${runtimeClass}`, runtimeClass)),
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(/\(Forbidden\).*pod rejected: RuntimeClass "[a-z]+" not found/);
  };
  const runtimeClass = (name: string, more: object = {}): object => ({
    apiVersion: 'node.k8s.io/v1',
    kind: 'RuntimeClass',
    metadata: { name },
    handler: 'runc',
    ...more,
  });
  const scheduled = (name: string) =>
    cluster.untilPod(
      name,
      ({ status }) =>
        status?.conditions?.some(({ type, status: is }) => type === 'PodScheduled' && is === 'True') ?? false,
    );

  it('[sig-node] RuntimeClass should reject a Pod requesting a non-existent RuntimeClass [NodeConformance] [Conformance]', () =>
    refused('nonexistent'));
  it('[sig-node] RuntimeClass should reject a Pod requesting a deleted RuntimeClass [NodeConformance] [Conformance]', async () => {
    const classes = cluster.client.resource(nodev1.runtimeClasses, undefined);
    await cluster.apply(runtimeClass('deleted'));
    await classes.delete('deleted');
    await until(
      async () => !(await classes.list()).items.some(({ metadata }) => metadata.name === 'deleted'),
    );
    await refused('deleted');
  });
  it('[sig-node] RuntimeClass should schedule a Pod requesting a RuntimeClass without PodOverhead [NodeConformance] [Conformance]', async () => {
    await cluster.apply(runtimeClass('light'), podOf('light', 'light'));
    expect((await scheduled('light')).spec.overhead).toBeUndefined();
  });
  it('[sig-node] RuntimeClass should schedule a Pod requesting a RuntimeClass and initialize its Overhead [NodeConformance] [Conformance]', async () => {
    await cluster.apply(runtimeClass('heavy', { overhead: { podFixed: { cpu: '10m', memory: '1Mi' } } }));
    await cluster.apply(podOf('heavy', 'heavy'));
    expect((await scheduled('heavy')).spec.overhead).toEqual({ cpu: '10m', memory: '1Mi' });
  });
});
