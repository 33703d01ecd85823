import { describe, expect, it } from 'vitest';

import { runtimeState, testContainer, testPod } from '../testing/index.ts';
import { createBackOff, createCrashLoopBackOff } from './back-off.ts';
import { backOffKey, planPod, type PodPlan, type ProbeVerdict } from './plan.ts';
import type { Pod, PodSpec } from './types.ts';

const probe = { exec: { command: ['x'] } };
const init = (...names: string[]): Partial<PodSpec> => ({
  initContainers: names.map((name) => testContainer(name)),
});
const sidecar = (name: string, more: object = {}): ReturnType<typeof testContainer> =>
  testContainer(name, { restartPolicy: 'Always', ...more });

interface Case {
  readonly it: string;
  readonly spec?: Partial<PodSpec>;
  readonly metadata?: Partial<Pod['metadata']>;
  readonly runs: readonly string[];
  readonly sandbox?: 'none' | 'dead';
  readonly liveness?: Readonly<Record<string, ProbeVerdict>>;
  readonly startup?: Readonly<Record<string, ProbeVerdict>>;
  /** In the words of `described`. */
  readonly does: string;
}

/** `sandbox`, `kill pod`, `kill app (why)`, `start app`, `wait app`. */
function described(plan: PodPlan): string {
  return [
    ...(plan.killPod && !plan.createSandbox ? ['kill pod'] : []),
    ...(plan.createSandbox ? [`sandbox ${plan.attempt}`] : []),
    ...plan.containersToKill.map(({ container, message }) => `kill ${container.name} (${message})`),
    ...plan.containersToStart.map(({ container }) => `start ${container.name}`),
    ...plan.backingOff.map(({ container, remaining }) => `wait ${container.name} ${remaining / 1000}s`),
  ].join(', ');
}

const CASES: readonly Case[] = [
  // Nothing there yet
  { it: 'makes sandbox and containers', runs: [], sandbox: 'none', does: 'sandbox 0, start app' },
  {
    it: 'begins with the first init container',
    spec: init('a', 'b'),
    runs: [],
    sandbox: 'none',
    does: 'sandbox 0, start a',
  },
  { it: 'keeps what runs', runs: ['app running'], does: '' },
  // Restart policies
  { it: 'restarts what has ended: Always', runs: ['app exited 0'], does: 'start app' },
  {
    it: 'does not restart success: OnFailure',
    spec: { restartPolicy: 'OnFailure' },
    runs: ['app exited 0'],
    does: 'kill pod',
  },
  {
    it: 'restarts failure: OnFailure',
    spec: { restartPolicy: 'OnFailure' },
    runs: ['app exited 1'],
    does: 'start app',
  },
  {
    it: 'restarts nothing: Never',
    spec: { restartPolicy: 'Never' },
    runs: ['app exited 1'],
    does: 'kill pod',
  },
  {
    it: "obeys a container's own policy and rules before the pod's",
    spec: {
      restartPolicy: 'Never',
      containers: [
        testContainer('always', { restartPolicy: 'Always' }),
        testContainer('rule', {
          restartPolicy: 'Never',
          restartPolicyRules: [{ action: 'Restart', exitCodes: { operator: 'In', values: [42] } }],
        }),
        testContainer('other', {
          restartPolicy: 'Never',
          restartPolicyRules: [{ action: 'Restart', exitCodes: { operator: 'NotIn', values: [42] } }],
        }),
      ],
    },
    runs: ['always exited 0', 'rule exited 42', 'other exited 42'],
    does: 'start always, start rule',
  },
  {
    it: 'does not restart in a pod that is deleted',
    metadata: { deletionTimestamp: 'now' },
    runs: ['app exited 1'],
    does: 'kill pod',
  },
  { it: 'restarts what was created and never started', runs: ['app created'], does: 'start app' },
  {
    it: 'kills what is in an unknown state before it starts it anew',
    runs: ['app unknown'],
    does: 'kill app (Container is in "unknown" state, try killing it before restart), start app',
  },
  // Sandboxes
  { it: 'replaces a dead sandbox', runs: ['app exited 0'], sandbox: 'dead', does: 'sandbox 1, start app' },
  {
    it: 'does not replace it for Never',
    spec: { restartPolicy: 'Never' },
    runs: ['app exited 1'],
    sandbox: 'dead',
    does: 'kill pod',
  },
  {
    it: 'does not replace it when all have succeeded',
    spec: { restartPolicy: 'OnFailure' },
    runs: ['app exited 0'],
    sandbox: 'dead',
    does: 'kill pod',
  },
  {
    it: 'runs init containers again in a new sandbox',
    spec: init('a'),
    runs: ['a exited 0', 'app exited 0'],
    sandbox: 'dead',
    does: 'sandbox 1, start a',
  },
  // Init containers
  { it: 'waits for a running init container', spec: init('a', 'b'), runs: ['a running'], does: '' },
  { it: 'goes on with the next init container', spec: init('a', 'b'), runs: ['a exited 0'], does: 'start b' },
  {
    it: 'starts the containers after the last one',
    spec: init('a', 'b'),
    runs: ['a exited 0', 'b exited 0'],
    does: 'start app',
  },
  {
    it: 'retries a failed init container',
    spec: init('a', 'b'),
    runs: ['a exited 0', 'b exited 1'],
    does: 'start b',
  },
  {
    it: 'gives the pod up: Never',
    spec: { ...init('a'), restartPolicy: 'Never' },
    runs: ['a exited 1'],
    does: 'kill pod',
  },
  {
    it: 'does not run init containers again whose remains were removed',
    spec: init('a', 'b'),
    runs: ['app running'],
    does: '',
  },
  {
    it: 'looks at the last init container when earlier ones were removed',
    spec: init('a', 'b'),
    runs: ['b exited 0'],
    does: 'start app',
  },
  // Sidecars
  {
    it: 'goes on once a sidecar runs',
    spec: { initContainers: [sidecar('s'), testContainer('a')] },
    runs: ['s running'],
    does: 'start a',
  },
  {
    it: "waits for a sidecar's startup probe",
    spec: { initContainers: [sidecar('s', { startupProbe: probe })] },
    runs: ['s running'],
    does: '',
  },
  {
    it: 'goes on when it has succeeded',
    spec: { initContainers: [sidecar('s', { startupProbe: probe })] },
    runs: ['s running'],
    startup: { 's-0': 'Success' },
    does: 'start app',
  },
  {
    it: 'restarts a sidecar that failed to start up',
    spec: { initContainers: [sidecar('s', { startupProbe: probe })] },
    runs: ['s running'],
    startup: { 's-0': 'Failure' },
    does: 'kill s (Init container s failed startup probe), start s',
  },
  {
    it: 'restarts a sidecar that has ended, whatever the policy',
    spec: { restartPolicy: 'Never', initContainers: [sidecar('s')] },
    runs: ['s exited 0', 'app running'],
    does: 'start s',
  },
  {
    it: 'starts a sidecar anew that was removed',
    spec: { initContainers: [sidecar('s')] },
    runs: ['app running'],
    does: 'start s',
  },
  {
    it: 'restarts a sidecar that its liveness probe condemns',
    spec: { initContainers: [sidecar('s', { livenessProbe: probe })] },
    runs: ['s running', 'app running'],
    liveness: { 's-0': 'Failure' },
    does: 'kill s (Init container s failed liveness probe), start s',
  },
  {
    it: 'is over when only sidecars run',
    spec: { restartPolicy: 'Never', initContainers: [sidecar('s')] },
    runs: ['s running', 'app exited 0'],
    does: 'kill pod',
  },
  // Probes
  {
    it: 'restarts what is not alive',
    runs: ['app running'],
    liveness: { 'app-0': 'Failure' },
    does: 'kill app (Container app failed liveness probe, will be restarted), start app',
  },
  {
    it: 'restarts what does not start up',
    runs: ['app running'],
    startup: { 'app-0': 'Failure' },
    does: 'kill app (Container app failed startup probe, will be restarted), start app',
  },
  {
    it: 'kills without a restart: Never',
    spec: { restartPolicy: 'Never' },
    runs: ['app running'],
    liveness: { 'app-0': 'Failure' },
    does: 'kill pod, kill app (Container app failed liveness probe)',
  },
  // Ephemeral containers
  {
    it: 'starts an ephemeral container beside a hanging initialization',
    spec: { ...init('a'), ephemeralContainers: [{ name: 'debug', image: 'x' }] },
    runs: ['a running'],
    does: 'start debug',
  },
  {
    it: 'never restarts one',
    spec: { ephemeralContainers: [{ name: 'debug', image: 'x' }] },
    runs: ['app running', 'debug exited 1'],
    does: '',
  },
];

describe('the plan for a pod', () => {
  for (const { it: title, spec, metadata, runs, sandbox, liveness = {}, startup = {}, does } of CASES)
    it(title, () => {
      const pod = testPod(spec, metadata);
      const plan = planPod({
        pod,
        state: runtimeState(pod, runs, sandbox ?? 'ready'),
        probes: { liveness: (id) => liveness[id], startup: (id) => startup[id] },
        backOff: createBackOff(10_000, 300_000),
        now: 20_000,
        resized: () => undefined,
      });
      expect(described(plan)).toBe(does);
    });

  it('replaces a container whose image has changed', () => {
    const before = testPod();
    const after = testPod({ containers: [testContainer('app', { image: 'other' })], restartPolicy: 'Never' });
    const plan = planPod({
      pod: after,
      state: runtimeState(before, ['app running']),
      probes: { liveness: () => undefined, startup: () => undefined },
      backOff: createBackOff(10_000, 300_000),
      now: 20_000,
      resized: () => undefined,
    });
    expect(described(plan)).toBe('kill app (Container app definition changed, will be restarted), start app');
  });

  it('lets crashed containers wait, counted from their end; others are not held up', () => {
    const pod = testPod({ containers: [testContainer('app'), testContainer('other')] });
    const backOff = createBackOff(10_000, 300_000);
    backOff.next(backOffKey(pod, pod.spec.containers[0]!), 0, 0);
    backOff.next(backOffKey(pod, pod.spec.containers[0]!), 10_000, 10_000);
    const plan = planPod({
      pod,
      state: runtimeState(pod, ['app exited 1 @18', 'other exited 1 @18']),
      probes: { liveness: () => undefined, startup: () => undefined },
      backOff,
      now: 20_000,
      resized: () => undefined,
    });
    expect(described(plan)).toBe('start other, wait app 18s');
    expect(plan.containersToStart[0]).toMatchObject({ restartCount: 2, lastFinishedAt: 18_000 });
  });
});

describe('back-off', () => {
  it('doubles to its maximum and starts anew after twice that', () => {
    const backOff = createBackOff(10, 300);
    const delays: number[] = [];
    for (let i = 0, now = 0; i < 8; i++, now += 50) {
      backOff.next('k', now, now);
      delays.push(backOff.delay('k'));
    }
    expect(delays).toEqual([10, 20, 40, 80, 160, 300, 300, 300]);
    expect(backOff.remaining('k', 400, 450)).toBe(250);
    expect(backOff.remaining('k', 400, 700)).toBeUndefined();
    // It ran for more than 600 after its last start at 350: that was no crash loop.
    expect(backOff.remaining('k', 951, 951)).toBeUndefined();
    backOff.next('k', 951, 951);
    expect(backOff.delay('k')).toBe(10);
  });

  it.each<[number | undefined, readonly number[]]>([
    [undefined, [10, 20, 40, 80, 160, 300, 300]],
    [60, [10, 20, 40, 60, 60, 60, 60]],
    [5, [5, 5, 5, 5, 5, 5, 5]],
  ])('of containers with a maximum of %s s', (maximum, expected) => {
    const backOff = createCrashLoopBackOff(maximum === undefined ? undefined : maximum * 1000);
    const delays = expected.map((_, i) => {
      backOff.next('k', i * 400_000, i * 400_000);
      return backOff.delay('k') / 1000;
    });
    expect(delays).toEqual(expected);
    backOff.next('k', expected.length * 400_000 + 600_000, 0);
    expect(backOff.delay('k')).toBe((expected[0] as number) * 1000);
  });
});
