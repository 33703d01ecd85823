import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RuntimeNotFoundError } from '../contract.ts';
import type { ContainerEvent, PodSandboxConfig, Runtime } from '../contract.ts';
import { testContainerConfig, testSandboxConfig } from './pod-configs.ts';
import type { TestContainerOptions } from './pod-configs.ts';

/** What a container of the suite does; each runtime says how it gets one to. */
export type Workload =
  /** Runs until it is stopped, then ends with code 0. */
  | 'runs'
  /** Runs and does not care for the stop signal. */
  | 'ignores-stop'
  /** Ends at once with code 0. */
  | 'completes'
  /** Ends at once with code 3. */
  | 'fails'
  /** Writes `first` and `second`, each a line, and runs. */
  | 'writes';

export interface RuntimeUnderTest extends AsyncDisposable {
  readonly runtime: Runtime;
  /** A present image. */
  readonly image: string;
  workload(workload: Workload): {
    readonly container: TestContainerOptions;
    readonly sandbox?: Partial<PodSandboxConfig>;
  };
  /** Resolves when a started container behaves as its workload says; its process may need a moment. */
  untilReady(containerId: string, workload: Workload): Promise<void>;
  /** The log of a container as text in the CRI format. */
  readLog(containerId: string): Promise<string>;
  /** Lets time pass until the condition holds; throws when it does not in due time. */
  until(condition: () => Promise<boolean> | boolean): Promise<void>;
}

/** What every runtime must do; the kubelet relies on no more. */
export function describeRuntimeContract(name: string, open: () => Promise<RuntimeUnderTest>): void {
  describe(`runtime contract: ${name}`, () => {
    let subject: RuntimeUnderTest;
    let pods = 0;
    beforeAll(async () => {
      subject = await open();
    }, 60_000);
    afterAll(async () => {
      await subject?.[Symbol.asyncDispose]();
    }, 60_000);

    const service = (): Runtime['runtimeService'] => subject.runtime.runtimeService;

    /** A pod of one started container. */
    async function start(
      workload: Workload,
      options: TestContainerOptions = {},
    ): Promise<{ sandboxId: string; id: string }> {
      const { container, sandbox } = subject.workload(workload);
      const sandboxConfig = testSandboxConfig(`pod-${pods++}`, sandbox);
      const sandboxId = await service().runPodSandbox(sandboxConfig);
      const config = testContainerConfig('main', subject.image, { ...container, ...options });
      const id = await service().createContainer(sandboxId, config, sandboxConfig);
      await service().startContainer(id);
      await subject.untilReady(id, workload);
      return { sandboxId, id };
    }

    async function untilState(id: string, state: string): Promise<void> {
      await subject.until(async () => (await service().containerStatus(id)).state === state);
    }

    it('is ready and says which runtime it is', async () => {
      const { conditions } = await service().status();
      expect(conditions.map(({ type, status }) => [type, status])).toEqual([
        ['RuntimeReady', true],
        ['NetworkReady', true],
      ]);
      expect((await service().version()).runtimeApiVersion).toBe('v1');
    });

    it('runs a pod through its whole life', async () => {
      const events: ContainerEvent['type'][] = [];
      const sandboxConfig = testSandboxConfig('life', {
        ...subject.workload('runs').sandbox,
        labels: { app: 'life' },
      });
      const sandboxId = await service().runPodSandbox(sandboxConfig);
      using _ = service().onContainerEvent((event) => {
        if (event.podSandboxId === sandboxId) events.push(event.type);
      });
      const sandbox = await service().podSandboxStatus(sandboxId);
      expect(sandbox).toMatchObject({
        id: sandboxId,
        state: 'SANDBOX_READY',
        metadata: sandboxConfig.metadata,
        labels: { app: 'life' },
        namespaces: { network: 'POD', pid: 'CONTAINER', ipc: 'POD' },
      });
      expect(sandbox.ips).toHaveLength(1);

      const config = testContainerConfig('main', subject.image, subject.workload('runs').container);
      const id = await service().createContainer(sandboxId, config, sandboxConfig);
      expect(await service().containerStatus(id)).toMatchObject({
        id,
        sandboxId,
        state: 'CONTAINER_CREATED',
        startedAt: 0,
        finishedAt: 0,
        image: subject.image,
      });
      await service().startContainer(id);
      const running = await service().containerStatus(id);
      expect(running.state).toBe('CONTAINER_RUNNING');
      expect(running.startedAt).toBeGreaterThanOrEqual(running.createdAt);
      await subject.untilReady(id, 'runs');

      await service().stopContainer(id, 10);
      const stopped = await service().containerStatus(id);
      expect(stopped).toMatchObject({ state: 'CONTAINER_EXITED', exitCode: 0, reason: 'Completed' });
      expect(stopped.finishedAt).toBeGreaterThanOrEqual(running.startedAt);

      await service().stopPodSandbox(sandboxId);
      expect((await service().podSandboxStatus(sandboxId)).state).toBe('SANDBOX_NOTREADY');
      await service().removeContainer(id);
      await service().removePodSandbox(sandboxId);
      expect(await service().listPodSandboxes({ id: sandboxId })).toEqual([]);
      expect(await service().listContainers({ podSandboxId: sandboxId })).toEqual([]);
      expect(events).toEqual([
        'CONTAINER_CREATED_EVENT',
        'CONTAINER_STARTED_EVENT',
        'CONTAINER_STOPPED_EVENT',
        'CONTAINER_DELETED_EVENT',
      ]);
    });

    it.each([
      ['completes', 0, 'Completed'],
      ['fails', 3, 'Error'],
    ] as const)('tells how a container that %s ended', async (workload, exitCode, reason) => {
      const { sandboxId, id } = await start(workload);
      await untilState(id, 'CONTAINER_EXITED');
      expect(await service().containerStatus(id)).toMatchObject({ exitCode, reason });
      await service().removePodSandbox(sandboxId);
    });

    it('kills a container that ignores the stop signal when its grace is over', async () => {
      const { sandboxId, id } = await start('ignores-stop');
      const stopping = service().stopContainer(id, 1);
      await untilState(id, 'CONTAINER_EXITED');
      await stopping;
      expect(await service().containerStatus(id)).toMatchObject({ exitCode: 137, reason: 'Error' });
      await service().removePodSandbox(sandboxId);
    });

    it('stops and removes twice without harm, also what it does not know', async () => {
      const { sandboxId, id } = await start('runs');
      await Promise.all([service().stopContainer(id, 5), service().stopContainer(id, 5)]);
      await service().stopContainer(id, 5);
      await service().removeContainer(id);
      await service().removeContainer(id);
      await service().stopPodSandbox(sandboxId);
      await service().stopPodSandbox(sandboxId);
      await service().removePodSandbox(sandboxId);
      await service().removePodSandbox(sandboxId);
      await service().stopContainer('0'.repeat(64), 1);
      await service().removePodSandbox('0'.repeat(64));
    });

    it('ends what still runs when the sandbox is stopped, and removes it with the sandbox', async () => {
      const { sandboxId, id } = await start('ignores-stop');
      await service().stopPodSandbox(sandboxId);
      expect(await service().containerStatus(id)).toMatchObject({ state: 'CONTAINER_EXITED', exitCode: 137 });
      await service().removePodSandbox(sandboxId);
      await expect(service().containerStatus(id)).rejects.toThrow(RuntimeNotFoundError);
    });

    it('runs many pods at once, and none of them after its sandbox was stopped', async () => {
      const starting = Array.from({ length: 6 }, async (_, index) => {
        const { container, sandbox } = subject.workload('runs');
        const sandboxConfig = testSandboxConfig(`crowd-${index}`, sandbox);
        const sandboxId = await service().runPodSandbox(sandboxConfig);
        const config = testContainerConfig('main', subject.image, container);
        const id = await service().createContainer(sandboxId, config, sandboxConfig);
        // Half of them are stopped while their container is on its way.
        const started = service()
          .startContainer(id)
          .catch((error: Error) => error.message);
        if (index % 2 === 1) {
          await service().stopPodSandbox(sandboxId);
          await started;
        } else {
          expect(await started).toBeUndefined();
        }
        return { sandboxId, id, state: (await service().containerStatus(id)).state };
      });
      const pods = await Promise.all(starting);
      for (const [index, { state }] of pods.entries()) {
        if (index % 2 === 0) expect(state).toBe('CONTAINER_RUNNING');
        else expect(state).not.toBe('CONTAINER_RUNNING');
      }
      await Promise.all(pods.map(({ sandboxId }) => service().removePodSandbox(sandboxId)));
    });

    it('refuses what makes no sense', async () => {
      await expect(service().podSandboxStatus('0'.repeat(64))).rejects.toThrow(RuntimeNotFoundError);
      await expect(service().containerStatus('0'.repeat(64))).rejects.toThrow(RuntimeNotFoundError);
      await expect(service().startContainer('0'.repeat(64))).rejects.toThrow(RuntimeNotFoundError);
      const { sandboxId, id } = await start('runs');
      await expect(service().startContainer(id)).rejects.toThrow('CONTAINER_RUNNING');
      await service().stopContainer(id, 5);
      await expect(service().execSync(id, ['true'], 5)).rejects.toThrow('CONTAINER_EXITED');
      await service().removePodSandbox(sandboxId);
    });

    it('lists by id, state, sandbox and labels', async () => {
      const one = await start('runs', { labels: { suite: 'lists', which: 'one' } });
      const two = await start('completes', { labels: { suite: 'lists', which: 'two' } });
      await untilState(two.id, 'CONTAINER_EXITED');
      const ids = async (
        filter: Parameters<ReturnType<typeof service>['listContainers']>[0],
      ): Promise<string[]> => (await service().listContainers(filter)).map(({ id }) => id).sort();
      expect(await ids({ labelSelector: { suite: 'lists' } })).toEqual([one.id, two.id].sort());
      expect(await ids({ labelSelector: { suite: 'lists', which: 'two' } })).toEqual([two.id]);
      expect(await ids({ labelSelector: { suite: 'lists' }, state: 'CONTAINER_RUNNING' })).toEqual([one.id]);
      expect(await ids({ podSandboxId: one.sandboxId })).toEqual([one.id]);
      expect(await ids({ id: two.id })).toEqual([two.id]);
      expect((await service().listPodSandboxes({ id: one.sandboxId }))[0]?.state).toBe('SANDBOX_READY');
      await service().removePodSandbox(one.sandboxId);
      await service().removePodSandbox(two.sandboxId);
    });

    it('keeps the log in the CRI format', async () => {
      const { sandboxId, id } = await start('writes');
      await subject.until(async () => (await subject.readLog(id)).split('\n').length > 2);
      expect(await subject.readLog(id)).toMatch(/^\S+Z? stdout F first\n\S+ stdout F second\n$/);
      await service().removePodSandbox(sandboxId);
    });

    it('runs commands in a container', async () => {
      const { sandboxId, id } = await start('runs', { env: { GREETING: 'good morning' } });
      const run = async (...command: string[]): Promise<[string, number]> => {
        const { stdout, exitCode } = await service().execSync(id, command, 10);
        return [stdout.toString(), exitCode];
      };
      expect(await run('echo', 'hello', 'there')).toEqual(['hello there\n', 0]);
      expect(await run('true')).toEqual(['', 0]);
      expect((await run('false'))[1]).toBe(1);
      expect((await run('env'))[0]).toContain('GREETING=good morning\n');
      await service().removePodSandbox(sandboxId);
    });

    it('kills a command that takes too long', async () => {
      const { sandboxId, id } = await start('runs');
      let failure: Error | undefined;
      void service()
        .execSync(id, ['sleep', '30'], 1)
        .catch((error: Error) => (failure = error));
      await subject.until(() => failure !== undefined);
      expect(failure?.name).toBe('ExecTimeoutError');
      await service().removePodSandbox(sandboxId);
    });

    it('connects the streams of a command', async () => {
      const { sandboxId, id } = await start('runs');
      const stdin = new PassThrough();
      const stdout = new PassThrough();
      let output = '';
      stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
      const ended = service().exec(
        id,
        { command: ['cat'], tty: false },
        { stdin, stdout },
        new AbortController().signal,
      );
      stdin.write('through and ');
      await subject.until(() => output === 'through and ');
      stdin.end('through');
      expect(await ended).toEqual({ exitCode: 0 });
      expect(output).toBe('through and through');
      await service().removePodSandbox(sandboxId);
    });

    it('ends a command when its client goes away', async () => {
      const { sandboxId, id } = await start('runs');
      const controller = new AbortController();
      let ended = false;
      void service()
        .exec(id, { command: ['cat'], tty: false }, { stdin: new PassThrough() }, controller.signal)
        .then(
          () => (ended = true),
          () => (ended = true),
        );
      controller.abort(new Error('the client has gone'));
      await subject.until(() => ended);
      await service().removePodSandbox(sandboxId);
    });

    it('measures a running container', async () => {
      const { sandboxId, id } = await start('runs');
      const stats = await service().containerStats(id);
      expect(stats).toMatchObject({ id, metadata: { name: 'main', attempt: 0 } });
      expect(stats.memoryUsageBytes).toBeGreaterThan(0);
      expect(stats.memoryWorkingSetBytes).toBeLessThanOrEqual(stats.memoryUsageBytes);
      expect(
        (await service().listContainerStats({ podSandboxId: sandboxId })).map((each) => each.id),
      ).toEqual([id]);
      expect((await service().podSandboxStats(sandboxId)).containers).toHaveLength(1);
      await service().removePodSandbox(sandboxId);
    });

    it('knows its images', async () => {
      const { imageService } = subject.runtime;
      const image = await imageService.imageStatus(subject.image);
      expect(image?.id).toMatch(/^sha256:[0-9a-f]{64}$/);
      expect((await imageService.listImages()).map(({ id }) => id)).toContain(image?.id);
      expect(await imageService.imageStatus(image?.id ?? '')).toMatchObject({ id: image?.id });
      await expect(imageService.pullImage('Not A Name')).rejects.toMatchObject({
        reason: 'InvalidImageName',
      });
    });
  });
}
