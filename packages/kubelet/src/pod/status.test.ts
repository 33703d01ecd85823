import { describe, expect, it } from 'vitest';

import { runtimeState, testContainer, testPod } from '../testing/index.ts';
import type { StartFailure } from './container-statuses.ts';
import { podStatus, type PodStatusInput } from './status.ts';
import type { Pod, PodSpec, PodStatus } from './types.ts';

function statusOf(
  pod: Pod,
  runs: readonly string[],
  more: Partial<PodStatusInput> = {},
  sandbox = 'ready',
): PodStatus {
  return podStatus({
    pod,
    state: runtimeState(pod, runs, sandbox),
    previous: pod.status ?? {},
    failures: new Map(),
    readiness: { started: () => true, ready: () => true },
    runtimeName: 'test',
    hostIps: ['192.168.0.1'],
    terminal: false,
    ...more,
  });
}

const side = testContainer('side', { restartPolicy: 'Always' });
const PHASES: readonly (readonly [string, Partial<PodSpec>, string[], string, boolean?])[] = [
  ['nothing runs', {}, [], 'Pending'],
  ['a container runs', {}, ['app running'], 'Running'],
  ['it has crashed and will be restarted', {}, ['app exited 1'], 'Running'],
  ['it has succeeded, OnFailure', { restartPolicy: 'OnFailure' }, ['app exited 0'], 'Succeeded'],
  ['it has failed, OnFailure', { restartPolicy: 'OnFailure' }, ['app exited 1'], 'Running'],
  ['it has failed, Never', { restartPolicy: 'Never' }, ['app exited 1'], 'Failed'],
  ['one of two runs', { containers: [testContainer('a'), testContainer('b')] }, ['a running'], 'Pending'],
  [
    'one has failed, one runs, Never',
    { restartPolicy: 'Never', containers: [testContainer('a'), testContainer('b')] },
    ['a exited 1', 'b running'],
    'Running',
  ],
  [
    'both ended, one failed, Never',
    { restartPolicy: 'Never', containers: [testContainer('a'), testContainer('b')] },
    ['a exited 1', 'b exited 0'],
    'Failed',
  ],
  ['an init container runs', { initContainers: [testContainer('i')] }, ['i running'], 'Pending'],
  ['an init container failed, Always', { initContainers: [testContainer('i')] }, ['i exited 1'], 'Pending'],
  [
    'an init container failed, Never',
    { restartPolicy: 'Never', initContainers: [testContainer('i')] },
    ['i exited 1'],
    'Failed',
  ],
  ['initialized', { initContainers: [testContainer('i')] }, ['i exited 0', 'app running'], 'Running'],
  ['only the sidecar runs', { initContainers: [side] }, ['side running'], 'Pending'],
  [
    'the sidecar restarts beside a running container',
    { initContainers: [side] },
    ['side exited 1', 'app running'],
    'Running',
  ],
  ['the node ends it, all succeeded', {}, ['app exited 0'], 'Succeeded', true],
  ['the node ends it, one failed', {}, ['app exited 137'], 'Failed', true],
];

describe('the phase', () => {
  for (const [title, spec, runs, phase, terminal = false] of PHASES)
    it(`is ${phase} when ${title}`, () => {
      expect(statusOf(testPod(spec), runs, { terminal }).phase).toBe(phase);
    });

  it('never leaves an end', () => {
    const pod = { ...testPod(), status: { phase: 'Failed', reason: 'Evicted', message: 'why' } } as Pod;
    expect(statusOf(pod, ['app running'])).toMatchObject({
      phase: 'Failed',
      reason: 'Evicted',
      message: 'why',
    });
  });
});

describe('container statuses', () => {
  it('wait for their creation or for initialization', () => {
    expect(statusOf(testPod(), []).containerStatuses?.[0]?.state).toEqual({
      waiting: { reason: 'ContainerCreating' },
    });
    const pod = testPod({ initContainers: [testContainer('i')] });
    expect(statusOf(pod, ['i running']).containerStatuses?.[0]?.state).toEqual({
      waiting: { reason: 'PodInitializing' },
    });
  });

  it('say why a start failed, with the run before as the last state', () => {
    const failures = new Map<string, StartFailure>([
      ['app', { reason: 'CrashLoopBackOff', message: 'back-off' }],
    ]);
    expect(statusOf(testPod(), ['app exited 2'], { failures }).containerStatuses?.[0]).toMatchObject({
      state: { waiting: { reason: 'CrashLoopBackOff', message: 'back-off' } },
      lastState: { terminated: { exitCode: 2, reason: 'Error', containerID: 'test://app-0' } },
      ready: false,
      started: false,
    });
  });

  it('count restarts and keep the last end', () => {
    expect(statusOf(testPod(), ['app exited 2', 'app running']).containerStatuses?.[0]).toMatchObject({
      restartCount: 1,
      state: { running: {} },
      lastState: { terminated: { exitCode: 2 } },
    });
  });

  it('infer the end of a container that the runtime has lost', () => {
    const before = statusOf(testPod(), ['app running']);
    expect(statusOf({ ...testPod(), status: before }, []).containerStatuses?.[0]).toMatchObject({
      restartCount: 1,
      lastState: { terminated: { exitCode: 137, reason: 'ContainerStatusUnknown' } },
    });
  });

  it('take finished init containers that were removed as completed', () => {
    const pod = testPod({ initContainers: [testContainer('i')] });
    expect(statusOf(pod, ['app running']).initContainerStatuses?.[0]).toMatchObject({
      ready: true,
      state: { terminated: { reason: 'Completed', exitCode: 0 } },
    });
  });

  it('are ordered by name, init containers as in the spec', () => {
    const pod = testPod({
      containers: [testContainer('z'), testContainer('a')],
      initContainers: [testContainer('y'), testContainer('b')],
    });
    const status = statusOf(pod, []);
    expect(status.containerStatuses?.map(({ name }) => name)).toEqual(['a', 'z']);
    expect(status.initContainerStatuses?.map(({ name }) => name)).toEqual(['y', 'b']);
  });

  it('show the mounts', () => {
    const pod = testPod({
      containers: [
        testContainer('app', {
          volumeMounts: [
            { name: 'v', mountPath: '/v', readOnly: true },
            { name: 'w', mountPath: '/w' },
          ],
        }),
      ],
    });
    expect(statusOf(pod, ['app running']).containerStatuses?.[0]?.volumeMounts).toEqual([
      { name: 'v', mountPath: '/v', readOnly: true, recursiveReadOnly: 'Disabled' },
      { name: 'w', mountPath: '/w' },
    ]);
  });
});

describe('conditions', () => {
  const conditionsOf = (status: PodStatus): Record<string, string> =>
    Object.fromEntries(
      (status.conditions ?? []).map(({ type, status: value, reason = '', message = '' }) => [
        type,
        [value, reason, message].filter(Boolean).join(' | '),
      ]),
    );

  it('name what is not ready', () => {
    const pod = testPod({ containers: [testContainer('a'), testContainer('b')] });
    const status = statusOf(pod, ['a running', 'b running'], {
      readiness: { started: () => true, ready: ({ name }) => name === 'a' },
    });
    expect(conditionsOf(status)).toEqual({
      PodReadyToStartContainers: 'True',
      Initialized: 'True',
      Ready: 'False | ContainersNotReady | containers with unready status: [b]',
      ContainersReady: 'False | ContainersNotReady | containers with unready status: [b]',
      PodScheduled: 'True',
    });
  });

  it('end with the pod', () => {
    const pod = testPod({ restartPolicy: 'Never', initContainers: [testContainer('i')] });
    expect(conditionsOf(statusOf(pod, ['i exited 0', 'app exited 0']))).toMatchObject({
      Initialized: 'True | PodCompleted',
      Ready: 'False | PodCompleted',
      ContainersReady: 'False | PodCompleted',
    });
    expect(conditionsOf(statusOf(pod, ['i exited 0', 'app exited 1']))).toMatchObject({
      Ready: 'False | PodFailed',
    });
  });

  it('know no sandbox, no start of containers', () => {
    expect(conditionsOf(statusOf(testPod(), [], {}, 'none'))['PodReadyToStartContainers']).toBe('False');
  });

  it('of others are kept', () => {
    const pod = { ...testPod(), status: { conditions: [{ type: 'example.com/x', status: 'True' }] } } as Pod;
    expect(conditionsOf(statusOf(pod, []))['example.com/x']).toBe('True');
  });
});

describe('addresses', () => {
  it("are the sandbox's, or the node's in its network", () => {
    expect(statusOf(testPod(), ['app running'])).toMatchObject({
      podIP: '10.0.0.9',
      podIPs: [{ ip: '10.0.0.9' }],
      hostIP: '192.168.0.1',
    });
    expect(statusOf(testPod({ hostNetwork: true }), [])).toMatchObject({ podIP: '192.168.0.1' });
  });
});

describe('quality of service', () => {
  const qos = (...resources: object[]): string | undefined =>
    statusOf(
      testPod({ containers: resources.map((one, i) => testContainer(`c${i}`, { resources: one })) }),
      [],
    ).qosClass;
  it('follows requests and limits', () => {
    expect(qos({})).toBe('BestEffort');
    expect(qos({ limits: { cpu: '1', memory: '1Gi' } })).toBe('Guaranteed');
    expect(qos({ limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '500m' } })).toBe('Burstable');
    expect(qos({ limits: { cpu: '1', memory: '1Gi' } }, {})).toBe('Burstable');
    expect(qos({ requests: { memory: '1Mi' } })).toBe('Burstable');
  });
});
