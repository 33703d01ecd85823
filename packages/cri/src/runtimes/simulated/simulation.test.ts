import { VirtualClock } from '@k8ts/base';
import { describe, expect, it } from 'vitest';
import type { ContainerStatus } from '../../contract.ts';
import { testContainerConfig, testSandboxConfig } from '../../testing/pod-configs.ts';
import { describeRuntimeContract } from '../../testing/runtime-contract.ts';
import type { Workload } from '../../testing/runtime-contract.ts';
import { SIMULATE_ANNOTATION } from './behaviour.ts';
import type { SimulatedBehaviour } from './behaviour.ts';
import { createSimulatedRuntime, createSimulation } from './simulation.ts';
import type { SimulatedRuntime } from './simulation.ts';

const WORKLOADS: Readonly<Record<Workload, SimulatedBehaviour>> = {
  runs: {},
  'ignores-stop': { stopAfter: 'never' },
  completes: { exitAfter: 0 },
  fails: { exitAfter: 0, exitCode: 3 },
  writes: { log: ['first', 'second'] },
};

describeRuntimeContract('simulated', async () => {
  const clock = new VirtualClock();
  const runtime = createSimulatedRuntime({ clock });
  return {
    runtime,
    image: 'docker.io/library/busybox:latest',
    workload: (workload) => ({
      container: {},
      sandbox: { annotations: { [SIMULATE_ANNOTATION]: JSON.stringify(WORKLOADS[workload]) } },
    }),
    untilReady: async () => undefined,
    readLog: async (id) => {
      let text = '';
      for await (const line of runtime.logs.read(id, { follow: false })) text += line;
      return text;
    },
    until: (condition) => clock.advanceUntil(condition, 60_000),
    [Symbol.asyncDispose]: () => runtime[Symbol.asyncDispose](),
  };
});

async function startOne(
  runtime: SimulatedRuntime,
  behaviour: SimulatedBehaviour | string,
  attempt = 0,
): Promise<string> {
  const text = typeof behaviour === 'string' ? behaviour : JSON.stringify(behaviour);
  const sandbox = testSandboxConfig('pod', { annotations: { [SIMULATE_ANNOTATION]: text } });
  const sandboxId = await runtime.runtimeService.runPodSandbox(sandbox);
  const config = testContainerConfig('main', 'nginx', { attempt, env: { KIND: 'test' } });
  const id = await runtime.runtimeService.createContainer(sandboxId, config, sandbox);
  await runtime.runtimeService.startContainer(id);
  return id;
}

describe('simulated behaviour', () => {
  it.each<[SimulatedBehaviour, number, Partial<ContainerStatus>]>([
    [{ exitAfter: 5, exitCode: 1 }, 4999, { state: 'CONTAINER_RUNNING' }],
    [{ exitAfter: 5, exitCode: 1 }, 5000, { state: 'CONTAINER_EXITED', exitCode: 1, reason: 'Error' }],
    [{ exitAfter: 5, oomKilled: true }, 5000, { exitCode: 137, signal: 9, reason: 'OOMKilled' }],
    [{ exitAfter: 5, times: 0 }, 60_000, { state: 'CONTAINER_RUNNING' }],
    [{ exitAfter: 5, containers: { main: { exitAfter: null } } }, 60_000, { state: 'CONTAINER_RUNNING' }],
    [{ containers: { other: { exitAfter: 1 } } }, 60_000, { state: 'CONTAINER_RUNNING' }],
    [{ exitAfter: 5, cases: [{ attempt: 1, exitCode: 1 }, { exitCode: 2 }] }, 5000, { exitCode: 2 }],
    [{ exitAfter: 5, cases: [{ attempt: 0, exitCode: 1 }, { exitCode: 2 }] }, 5000, { exitCode: 1 }],
    [{ exitAfter: 5, cases: [{ env: { NO_SUCH: '1' }, exitCode: 1 }] }, 5000, { exitCode: 0 }],
    [
      { exitAfter: 5, cases: [{ env: { KIND: 'test' }, exitAfter: null }] },
      5000,
      { state: 'CONTAINER_RUNNING' },
    ],
  ])('%j after %d ms', async (behaviour, milliseconds, expected) => {
    const clock = new VirtualClock();
    const runtime = createSimulatedRuntime({ clock });
    const id = await startOne(runtime, behaviour);
    await clock.advance(milliseconds);
    expect(await runtime.runtimeService.containerStatus(id)).toMatchObject(expected);
  });

  it.each([
    ['{', /is not JSON/],
    ['[]', /is not an object/],
    ['{"exitAfter": "5"}', /exitAfter must be seconds/],
    [
      '{"containers": {"main": {"exitCode": 256}}}',
      /\.containers\.main\.exitCode must be a number from 0 to 255/,
    ],
    ['{"toString": 1}', /unknown field "toString"/],
    ['{"cases": {}}', /\.cases is not a list/],
    ['{"cases": [{"env": {"A": 1}}]}', /\.cases\[0\]\.env must be an object of texts/],
    ['{"cases": [{"cases": []}]}', /\.cases\[0\] has an unknown field "cases"/],
    ['{"logEvery": {"seconds": 0, "line": ""}}', /logEvery must be/],
    ['{"exec": {"rm": {"ready": 0}}}', /exec must be an object of {stdout, stderr, exitCode, ready}/],
  ])('refuses %s', async (text, message) => {
    const runtime = createSimulatedRuntime({ clock: new VirtualClock() });
    await expect(startOne(runtime, text)).rejects.toThrow(message);
  });

  it('fails to start as asked', async () => {
    const runtime = createSimulatedRuntime({ clock: new VirtualClock() });
    await expect(startOne(runtime, { startError: 'no such file' })).rejects.toThrow('no such file');
    const [container] = await runtime.runtimeService.listContainers();
    expect(await runtime.runtimeService.containerStatus(container?.id ?? '')).toMatchObject({
      state: 'CONTAINER_EXITED',
      exitCode: 128,
      reason: 'StartError',
    });
  });

  it('answers probes by its age', async () => {
    const clock = new VirtualClock();
    const runtime = createSimulatedRuntime({ clock });
    const id = await startOne(runtime, { readyAfter: 2, aliveFor: 10 });
    const probe = async (purpose: 'readiness' | 'liveness'): Promise<boolean> =>
      (await runtime.probes.probe(id, purpose)).success;
    expect([await probe('readiness'), await probe('liveness')]).toEqual([false, true]);
    await clock.advance(2000);
    expect([await probe('readiness'), await probe('liveness')]).toEqual([true, true]);
    await clock.advance(8000);
    expect([await probe('readiness'), await probe('liveness')]).toEqual([false, false]);
  });

  it('is ready or not as the last command said', async () => {
    const clock = new VirtualClock();
    const runtime = createSimulatedRuntime({ clock });
    const exec = { rm: { ready: false }, touch: { ready: true } };
    const id = await startOne(runtime, { readyAfter: 2, exec });
    const answers = async (command: string): Promise<boolean[]> => {
      await runtime.runtimeService.execSync(id, [command], 1);
      const probes = (['readiness', 'startup', 'liveness'] as const).map((purpose) =>
        runtime.probes.probe(id, purpose),
      );
      return (await Promise.all(probes)).map(({ success }) => success);
    };
    expect(await answers('touch')).toEqual([true, false, true]);
    await clock.advance(2000);
    expect(await answers('rm')).toEqual([false, true, true]);
    expect(await answers('true')).toEqual([false, true, true]);
    expect(await answers('touch')).toEqual([true, true, true]);
  });

  it('follows a log until the container ends', async () => {
    const clock = new VirtualClock(Date.UTC(2026, 0, 1));
    const runtime = createSimulatedRuntime({ clock });
    const id = await startOne(runtime, {
      log: ['hello'],
      logEvery: { seconds: 1, line: 'tick' },
      exitAfter: 2.5,
    });
    const lines: string[] = [];
    const reading = (async () => {
      for await (const line of runtime.logs.read(id, { follow: true })) lines.push(line);
    })();
    await clock.advance(1000);
    expect(lines).toHaveLength(2);
    await clock.advance(10_000);
    await reading;
    expect(lines).toEqual([
      '2026-01-01T00:00:00.000000000Z stdout F hello\n',
      '2026-01-01T00:00:01.000000000Z stdout F tick\n',
      '2026-01-01T00:00:02.000000000Z stdout F tick\n',
    ]);
  });

  it('stops within the grace when it takes its time, and is killed when that is too long', async () => {
    const clock = new VirtualClock();
    const runtime = createSimulatedRuntime({ clock });
    for (const [grace, exitCode, took] of [
      [30, 7, 3000],
      [2, 137, 2000],
    ] as const) {
      const id = await startOne(runtime, { stopAfter: 3, stopExitCode: 7 });
      const begun = clock.now();
      void runtime.runtimeService.stopContainer(id, grace);
      await clock.advance(60_000);
      const status = await runtime.runtimeService.containerStatus(id);
      expect([status.exitCode, status.finishedAt - begun]).toEqual([exitCode, took]);
    }
  });
});

describe('simulated images', () => {
  it('are present, pullable or missing as configured', async () => {
    const clock = new VirtualClock();
    const runtime = createSimulatedRuntime({
      clock,
      images: {
        pullSeconds: 3,
        stateOf: (image) =>
          image.startsWith('docker.io/library/far')
            ? 'pullable'
            : image.includes('gone')
              ? 'missing'
              : 'present',
      },
    });
    const { imageService } = runtime;
    expect((await imageService.imageStatus('near'))?.repoTags).toEqual(['docker.io/library/near:latest']);
    expect(await imageService.imageStatus('far:1')).toBeUndefined();
    const pulled = imageService.pullImage('far:1');
    await clock.advance(3000);
    const id = await pulled;
    expect((await imageService.imageStatus('far:1'))?.id).toBe(id);
    await imageService.removeImage('far:1');
    expect(await imageService.imageStatus('far:1')).toBeUndefined();
    const missing = expect(imageService.pullImage('gone')).rejects.toThrow(
      'docker.io/library/gone:latest: not found',
    );
    await clock.advance(3000);
    await missing;
  });
});

describe('many simulated nodes', () => {
  it('have addresses and ids of their own', async () => {
    const simulation = createSimulation({ clock: new VirtualClock() });
    const addresses = new Set<string>();
    const ids = new Set<string>();
    for (let node = 0; node < 300; node++) {
      const { runtimeService } = simulation.addNode();
      for (let pod = 0; pod < 3; pod++) {
        const id = await runtimeService.runPodSandbox(testSandboxConfig(`pod-${pod}`));
        ids.add(id);
        addresses.add((await runtimeService.podSandboxStatus(id)).ips[0] ?? '');
      }
    }
    expect([addresses.size, ids.size]).toEqual([900, 900]);
    expect([...addresses].slice(0, 4)).toEqual(['10.128.0.2', '10.128.0.3', '10.128.0.4', '10.128.1.2']);
  });

  it('take their range from the cluster and reuse addresses late', async () => {
    const runtime = createSimulatedRuntime({ clock: new VirtualClock() });
    await runtime.runtimeService.updateRuntimeConfig?.({ podCidr: '10.1.2.0/29' });
    const address = async (): Promise<[string, string]> => {
      const id = await runtime.runtimeService.runPodSandbox(testSandboxConfig('pod'));
      return [id, (await runtime.runtimeService.podSandboxStatus(id)).ips[0] ?? ''];
    };
    const [first, one] = await address();
    await runtime.runtimeService.removePodSandbox(first);
    const others = [(await address())[1], (await address())[1]];
    expect([one, ...others]).toEqual(['10.1.2.2', '10.1.2.3', '10.1.2.4']);
    for (let i = 0; i < 3; i++) await address();
    await expect(address()).rejects.toThrow('no IP addresses available');
  });
});
