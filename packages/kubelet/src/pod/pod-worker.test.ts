import { corev1 } from '@k8ts/api';
import { SIMULATE_ANNOTATION } from '@k8ts/cri';
import { describe, expect, it } from 'vitest';

import { startTestNode, testContainer, testPod } from '../testing/index.ts';

const simulate = (behaviour: object): { annotations: Record<string, string> } => ({
  annotations: { [SIMULATE_ANNOTATION]: JSON.stringify(behaviour) },
});

describe('the life of a pod', () => {
  it('runs, with the status and the events of upstream', async () => {
    await using node = await startTestNode();
    await node.run(testPod());
    const status = node.status('web');
    expect(status).toMatchObject({
      phase: 'Running',
      observedGeneration: 1,
      hostIP: '192.168.0.1',
      hostIPs: [{ ip: '192.168.0.1' }],
      startTime: '2026-01-01T00:00:00Z',
      qosClass: 'BestEffort',
    });
    expect(status.podIP).toMatch(/^10\./);
    expect(status.podIPs).toEqual([{ ip: status.podIP }]);
    expect(status.conditions?.map(({ type, status: value }) => `${type}=${value}`)).toEqual([
      'PodReadyToStartContainers=True',
      'Initialized=True',
      'Ready=True',
      'ContainersReady=True',
      'PodScheduled=True',
    ]);
    expect(status.containerStatuses).toMatchObject([
      {
        name: 'app',
        ready: true,
        started: true,
        restartCount: 0,
        state: { running: { startedAt: '2026-01-01T00:00:00Z' } },
        containerID: expect.stringMatching(/^simulated:\/\/[0-9a-f]{64}$/) as string,
      },
    ]);
    expect(node.events).toEqual([
      'spec.containers{app}: Normal Pulled Container image "registry.example/app:1" already present on machine and can be accessed by the pod',
      'spec.containers{app}: Normal Created Container created',
      'spec.containers{app}: Normal Started Container started',
    ]);
  });

  it('is deleted from the API only when its containers are gone', async () => {
    await using node = await startTestNode();
    await node.run(testPod({}, simulate({ stopAfter: 12 })));
    await node.delete('web');
    expect(node.pod('web')?.metadata.deletionTimestamp).toBeDefined();
    await node.clock.advance(11_000);
    expect(node.pod('web')).toBeDefined();
    await node.clock.advance(2_000);
    expect(node.pod('web')).toBeUndefined();
    expect(await node.runtime.runtimeService.listPodSandboxes()).toEqual([]);
    expect(node.workers.pods()).toEqual([]);
    expect(node.events.at(-1)).toBe('spec.containers{app}: Normal Killing Stopping container app');
  });

  it('ends faster when a second deletion asks for it', async () => {
    await using node = await startTestNode();
    await node.run(testPod({}, simulate({ stopAfter: 'never' })));
    await node.delete('web', 600);
    await node.clock.advance(5_000);
    await node.delete('web', 3);
    await node.clock.advance(3_500);
    expect(node.pod('web')).toBeUndefined();
  });

  it('is stopped and removed when it disappears from the API', async () => {
    await using node = await startTestNode();
    await node.run(testPod());
    await node.delete('web', 0);
    await node.clock.advance(3_000);
    expect(node.pod('web')).toBeUndefined();
    expect(await node.runtime.runtimeService.listContainers()).toEqual([]);
  });

  it('backs off from crashes for 10 s, 20 s, 40 s … 5 m and forgets after 10 minutes of rest', async () => {
    await using node = await startTestNode();
    await node.run(testPod({}, simulate({ exitAfter: 1, exitCode: 3 })));
    const starts: number[] = [];
    let last = -1;
    for (let second = 0; second < 400; second++) {
      const restarts = node.status('web').containerStatuses?.[0]?.restartCount ?? 0;
      if (restarts !== last) starts.push(second);
      last = restarts;
      await node.clock.advance(1_000);
    }
    // Runs 1 s, then: at once, after 10 s, 20 s, 40 s …
    expect(starts).toEqual([0, 1, 12, 33, 74, 155, 316]);
    const uid = node.pod('web')?.metadata.uid;
    const waiting = node.status('web').containerStatuses?.[0];
    expect(waiting?.state?.waiting).toEqual({
      reason: 'CrashLoopBackOff',
      message: `back-off 5m0s restarting failed container=app pod=web_default(${uid})`,
    });
    expect(waiting?.lastState?.terminated).toMatchObject({ exitCode: 3, reason: 'Error' });
    expect(node.events).toContain(
      `spec.containers{app}: Warning BackOff Back-off restarting failed container app in pod web_default(${uid})`,
    );
  });

  it('is Succeeded or Failed when it does not restart', async () => {
    await using node = await startTestNode();
    await node.run(testPod({ restartPolicy: 'Never' }, { name: 'good', ...simulate({ exitAfter: 1 }) }));
    await node.run(
      testPod(
        { restartPolicy: 'OnFailure' },
        { name: 'retried', ...simulate({ exitAfter: 1, exitCode: 1, times: 1 }) },
      ),
    );
    await node.run(
      testPod({ restartPolicy: 'Never' }, { name: 'bad', ...simulate({ exitAfter: 1, exitCode: 7 }) }),
    );
    await node.clock.advance(5_000);
    expect(node.status('good')).toMatchObject({
      phase: 'Succeeded',
      containerStatuses: [{ state: { terminated: { exitCode: 0, reason: 'Completed' } } }],
    });
    expect(node.status('good').conditions).toContainEqual(
      expect.objectContaining({ type: 'Ready', status: 'False', reason: 'PodCompleted' }),
    );
    expect(node.status('retried')).toMatchObject({
      phase: 'Running',
      containerStatuses: [{ restartCount: 1 }],
    });
    expect(node.status('bad')).toMatchObject({ phase: 'Failed' });
    // Their containers stay for their logs until the pod is deleted.
    expect(await node.runtime.runtimeService.listContainers()).toHaveLength(4);
    await node.delete('good');
    expect(node.pod('good')).toBeUndefined();
  });

  it('starts init containers one after the other, then sidecars, then the rest', async () => {
    await using node = await startTestNode();
    await node.run(
      testPod(
        {
          initContainers: [
            testContainer('first'),
            testContainer('side', {
              restartPolicy: 'Always',
              startupProbe: { exec: { command: ['x'] }, periodSeconds: 1, failureThreshold: 10 },
            }),
            testContainer('second'),
          ],
        },
        simulate({
          containers: { first: { exitAfter: 2 }, side: { readyAfter: 3 }, second: { exitAfter: 1 } },
        }),
      ),
    );
    const started = (): string[] =>
      node.events.flatMap((event) => /\{(\w+)\}: Normal Started/.exec(event)?.[1] ?? []);
    expect(started()).toEqual(['first']);
    expect(node.status('web')).toMatchObject({ phase: 'Pending' });
    expect(node.status('web').containerStatuses?.[0]?.state?.waiting?.reason).toBe('PodInitializing');
    expect(node.status('web').conditions).toContainEqual(
      expect.objectContaining({
        type: 'Initialized',
        status: 'False',
        reason: 'ContainersNotInitialized',
        message: 'containers with incomplete status: [first side second]',
      }),
    );
    await node.clock.advance(2_500);
    expect(started()).toEqual(['first', 'side']);
    await node.clock.advance(3_000);
    expect(started()).toEqual(['first', 'side', 'second']);
    await node.clock.advance(2_000);
    expect(started()).toEqual(['first', 'side', 'second', 'app']);
    expect(node.status('web')).toMatchObject({ phase: 'Running' });
  });

  it('is not started twice by a kubelet that comes back', async () => {
    const first = await startTestNode();
    await first.run(testPod({}, simulate({ stopAfter: 1 })));
    const id = first.status('web').containerStatuses?.[0]?.containerID;
    await first[Symbol.asyncDispose]();
    await using second = await startTestNode({ from: first });
    await second.clock.advance(60_000);
    expect(second.status('web').containerStatuses?.[0]?.containerID).toBe(id);
    expect(await second.runtime.runtimeService.listContainers()).toHaveLength(1);
    expect(second.events).toEqual([]);
  });

  it('ends containers of pods that nobody knows any more', async () => {
    const first = await startTestNode();
    await first.run(testPod());
    await first[Symbol.asyncDispose]();
    await first.api.client.resource(corev1.pods, 'default').delete('web', { gracePeriodSeconds: 0 });
    await using second = await startTestNode({ from: first });
    await second.workers.endOrphans();
    await second.clock.advance(40_000);
    expect(await second.runtime.runtimeService.listPodSandboxes()).toEqual([]);
  });

  it('restarts a container that its liveness probe condemns', async () => {
    await using node = await startTestNode();
    await node.run(
      testPod(
        {
          containers: [
            testContainer('app', {
              livenessProbe: { exec: { command: ['x'] }, periodSeconds: 5, failureThreshold: 2 },
            }),
          ],
        },
        simulate({ aliveFor: 7 }),
      ),
    );
    await node.clock.advance(16_000);
    expect(node.events).toContain(
      'spec.containers{app}: Warning Unhealthy Liveness probe failed: simulated: not alive',
    );
    expect(node.events).toContain(
      'spec.containers{app}: Normal Killing Container app failed liveness probe, will be restarted',
    );
    expect(node.status('web').containerStatuses?.[0]).toMatchObject({
      restartCount: 1,
      state: { running: {} },
    });
  });

  it('is ready when its readiness probe and its readiness gates say so', async () => {
    await using node = await startTestNode();
    await node.run(
      testPod(
        {
          readinessGates: [{ conditionType: 'example.com/in-rotation' }],
          containers: [
            testContainer('app', { readinessProbe: { exec: { command: ['x'] }, periodSeconds: 2 } }),
          ],
        },
        simulate({ readyAfter: 5 }),
      ),
    );
    const ready = (): object | undefined =>
      node.status('web').conditions?.find(({ type }) => type === 'Ready');
    expect(ready()).toMatchObject({
      status: 'False',
      reason: 'ContainersNotReady',
      message: 'containers with unready status: [app]',
    });
    await node.clock.advance(7_000);
    expect(ready()).toMatchObject({
      status: 'False',
      reason: 'ReadinessGatesNotReady',
      message: 'corresponding condition of pod readiness gate "example.com/in-rotation" does not exist.',
    });
    await node.api.client
      .resource(corev1.pods, 'default')
      .patch(
        'web',
        { status: { conditions: [{ type: 'example.com/in-rotation', status: 'True' }] } },
        { type: 'strategic', subresource: 'status' },
      );
    await node.clock.settle();
    expect(ready()).toMatchObject({ status: 'True', lastTransitionTime: '2026-01-01T00:00:07Z' });
  });

  it('says why its image is not there, and tries again', async () => {
    let state: 'missing' | 'pullable' = 'missing';
    await using node = await startTestNode({ images: { stateOf: () => state } });
    await node.run(testPod());
    expect(node.status('web').containerStatuses?.[0]?.state?.waiting?.reason).toBe('ErrImagePull');
    await node.clock.advance(2_000);
    expect(node.status('web').containerStatuses?.[0]?.state?.waiting).toMatchObject({
      reason: 'ImagePullBackOff',
      message: expect.stringMatching(
        /^Back-off pulling image "registry.example\/app:1": ErrImagePull: /,
      ) as string,
    });
    expect(node.events).toContain('spec.containers{app}: Warning Failed Error: ErrImagePull');
    expect(node.events).toContain('spec.containers{app}: Warning Failed Error: ImagePullBackOff');
    state = 'pullable';
    await node.clock.advance(30_000);
    expect(node.status('web').phase).toBe('Running');
    expect(node.events).toContainEqual(
      expect.stringMatching(
        /Normal Pulled Successfully pulled image "registry.example\/app:1" in \S+ \(\S+ including waiting\)\. Image size: \d+ bytes\.$/,
      ),
    );
  });

  it('is failed by its deadline, and refused by admission', async () => {
    await using node = await startTestNode({
      admit: (pod) =>
        pod.metadata.name === 'big' ? { reason: 'OutOfcpu', message: 'Node did not have enough' } : undefined,
    });
    await node.run(testPod({ activeDeadlineSeconds: 20 }));
    await node.run(testPod({}, { name: 'big' }));
    expect(node.status('big')).toMatchObject({
      phase: 'Failed',
      reason: 'OutOfcpu',
      message: 'Pod was rejected: Node did not have enough',
    });
    await node.clock.advance(19_000);
    expect(node.status('web').phase).toBe('Running');
    await node.clock.advance(3_000);
    expect(node.status('web')).toMatchObject({
      phase: 'Failed',
      reason: 'DeadlineExceeded',
      message: 'Pod was active on the node longer than the specified deadline',
    });
  });

  it('stops sidecars after the others, in reverse order', async () => {
    await using node = await startTestNode();
    await node.run(
      testPod(
        {
          initContainers: [
            testContainer('one', { restartPolicy: 'Always' }),
            testContainer('two', { restartPolicy: 'Always' }),
          ],
        },
        simulate({ stopAfter: 2 }),
      ),
    );
    await node.clock.advance(1_000);
    await node.delete('web');
    const finished: string[] = [];
    for (let i = 0; i < 10; i++) {
      await node.clock.advance(1_000);
      for (const container of (await node.runtime.runtimeService.listContainers()) ?? [])
        if (container.state === 'CONTAINER_EXITED' && !finished.includes(container.metadata.name))
          finished.push(container.metadata.name);
    }
    expect(node.pod('web')).toBeUndefined();
    expect(finished.slice(0, 2)).toEqual(['app', 'two']);
  });

  it('gets other resources while it runs, when the node has them', async () => {
    const resources = (cpu: string) => ({ requests: { cpu }, limits: { cpu } });
    await using node = await startTestNode({
      admit: ({ spec }) =>
        spec.containers[0]?.resources?.requests?.['cpu'] === '9'
          ? { reason: 'OutOfcpu', message: "Node didn't have enough resource: cpu" }
          : undefined,
    });
    const resize = (cpu: string): Promise<void> =>
      node.change('web', (pod) => ({
        ...pod,
        spec: { ...pod.spec, containers: [{ ...pod.spec.containers[0]!, resources: resources(cpu) }] },
      }));
    const shown = (): unknown => node.status('web').containerStatuses?.[0]?.resources;
    await node.run(testPod({ containers: [testContainer('app', { resources: resources('1') })] }));
    const id = node.status('web').containerStatuses?.[0]?.containerID;
    await resize('2');
    expect(shown()).toEqual(resources('2'));
    expect(node.status('web').containerStatuses?.[0]?.containerID).toBe(id);
    await resize('9');
    expect(shown()).toEqual(resources('2'));
    expect(node.status('web').conditions).toContainEqual(
      expect.objectContaining({ type: 'PodResizePending', status: 'True', reason: 'Deferred' }),
    );
    await resize('3');
    expect(shown()).toEqual(resources('3'));
    expect(node.status('web').conditions?.map(({ type }) => type)).not.toContain('PodResizePending');
  });

  it('shows a resize only once the containers have it', async () => {
    const resources = (cpu: string) => ({ requests: { cpu }, limits: { cpu } });
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    await using node = await startTestNode({ host: { resize: () => held } });
    const containers = (...cpus: string[]) =>
      cpus.map((cpu, index) => testContainer(`c${index}`, { resources: resources(cpu) }));
    const shown = (): unknown => {
      const { containerStatuses = [], conditions = [] } = node.status('web');
      return {
        resources: containerStatuses.map((status) => status.resources?.limits?.['cpu']),
        allocated: containerStatuses.map((status) => status.allocatedResources?.['cpu']),
        inProgress: conditions.some(
          ({ type, status }) => type === 'PodResizeInProgress' && status === 'True',
        ),
      };
    };
    await node.run(testPod({ containers: containers('1', '2') }));
    expect(shown()).toEqual({ resources: ['1', '2'], allocated: ['1', '2'], inProgress: false });
    await node.change('web', (pod) => ({ ...pod, spec: { ...pod.spec, containers: containers('1', '3') } }));
    expect(shown()).toEqual({ resources: ['1', '2'], allocated: ['1', '3'], inProgress: true });
    release();
    await node.clock.settle();
    expect(shown()).toEqual({ resources: ['1', '3'], allocated: ['1', '3'], inProgress: false });
  });

  it('gets a new container for a resize when its policy wants one', async () => {
    await using node = await startTestNode();
    const container = (memory: string) =>
      testContainer('app', {
        resources: { limits: { memory } },
        resizePolicy: [{ resourceName: 'memory', restartPolicy: 'RestartContainer' }],
      });
    await node.run(testPod({ containers: [container('1Gi')] }));
    await node.change('web', (pod) => ({ ...pod, spec: { ...pod.spec, containers: [container('2Gi')] } }));
    await node.clock.advance(3_000);
    expect(node.status('web').containerStatuses?.[0]).toMatchObject({
      restartCount: 1,
      state: { running: {} },
    });
    expect(node.events).toContain(
      'spec.containers{app}: Normal Killing Container app resize requires restart, will be restarted',
    );
  });
});
