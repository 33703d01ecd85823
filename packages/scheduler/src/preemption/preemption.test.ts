import type { corev1, metav1, policyv1 } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import { Harness, HOSTNAME, node, pod } from '../testing/scheduling-harness.ts';

const cpu = (amount: string): { requests: Record<string, string> } => ({ requests: { cpu: amount } });

/** Pods by the node that they are on: `{ a: [pod(…)] }`. */
function cluster(
  nodes: readonly corev1.Node[],
  pods: Readonly<Record<string, readonly corev1.Pod[]>>,
): Harness {
  const harness = new Harness(nodes);
  for (const [name, onNode] of Object.entries(pods))
    for (const each of onNode) harness.state.place(each, name);
  return harness;
}

const high = (init: Parameters<typeof pod>[0] = {}): corev1.Pod =>
  pod({ priority: 100, ...cpu('2'), ...init });
const low = (name: string, init: Parameters<typeof pod>[0] = {}): corev1.Pod =>
  pod({ name, priority: 1, ...cpu('1'), ...init });

const HELPS_NOT = 'Preemption is not helpful for scheduling';

describe('who leaves', () => {
  test('as many as can stay do, the more important first', () => {
    const harness = cluster([node('a')], {
      a: [low('one'), low('two', { priority: 2 }), low('three', { priority: 3, ...cpu('2') })],
    });
    expect(harness.preempt(high())).toEqual({ node: 'a', victims: ['two', 'one'] });
  });

  test('of equals, those that run for a shorter time', () => {
    const harness = cluster([node('a')], {
      a: [
        low('new', { startTime: '2026-01-03T00:00:00Z', ...cpu('2') }),
        low('old', { startTime: '2026-01-01T00:00:00Z', ...cpu('2') }),
      ],
    });
    expect(harness.preempt(high())).toEqual({ node: 'a', victims: ['new'] });
  });

  test('a report of a start is known, though nothing that is counted has changed', () => {
    const [first, second] = [low('first', cpu('2')), low('second', cpu('2'))];
    const harness = cluster([node('a')], { a: [first, second] });
    const started = (subject: corev1.Pod, startTime: string): corev1.Pod => ({
      ...subject,
      status: { startTime },
    });
    harness.state.refresh(started(first, '2026-01-03T00:00:00Z'));
    harness.state.refresh(started(second, '2026-01-02T00:00:00Z'));
    expect(harness.preempt(high())).toEqual({ node: 'a', victims: ['first'] });
    harness.state.refresh(started(first, '2026-01-01T00:00:00Z'));
    expect(harness.preempt(high())).toEqual({ node: 'a', victims: ['second'] });
  });

  test('the node where it hurts least', () => {
    const harness = cluster([node('a'), node('b'), node('c')], {
      a: [low('a1', { priority: 50, ...cpu('4') })],
      b: [low('b1', cpu('2')), low('b2', cpu('2'))],
      c: [low('c1', cpu('1')), low('c2', cpu('1')), low('c3', cpu('2'))],
    });
    expect(harness.preempt(high(cpu('4')))).toEqual({ node: 'b', victims: ['b1', 'b2'] });
    expect(harness.preempt(high(cpu('4')))).toEqual({ node: 'b', victims: ['b1', 'b2'] }); // kept
    harness.state.remove('c3');
    harness.state.place(low('c4', { priority: 99, ...cpu('2') }), 'c');
    harness.state.place(low('b3', { priority: 60, ...cpu('2') }), 'b');
    expect(harness.preempt(high(cpu('4')))).toEqual({ node: 'a', victims: ['a1'] });
  });

  test('pods of no lower priority stay', () => {
    const harness = cluster([node('a')], { a: [low('equal', { priority: 100, ...cpu('3') }), low('less')] });
    expect(harness.preempt(high())).toBe('preemption: 0/1 nodes are available: 1 Insufficient cpu.');
  });

  test('whoever has the host port, and nobody else', () => {
    const harness = cluster([node('a')], {
      a: [low('holder', { hostPort: 80, hostIP: '10.0.0.1' }), low('other', { hostPort: 81 })],
    });
    expect(harness.preempt(high({ hostPort: 80, ...cpu('1') }))).toEqual({ node: 'a', victims: ['holder'] });
    // What was asked has changed nothing.
    expect(harness.decide(pod({ hostPort: 80 }))).toMatchObject({ kind: 'unschedulable' });
    expect(harness.decide(pod({ hostPort: 82 }))).toMatchObject({ kind: 'assigned' });
  });

  test('extended resources count as others do', () => {
    const extra = { 'example.com/foo': '3' };
    const foo = { requests: { 'example.com/foo': '2' } };
    const harness = cluster([node('a', { extra })], {
      a: [low('one', foo), low('two', { priority: 2, ...foo })],
    });
    harness.state.remove('two');
    expect(harness.preempt(high(foo))).toEqual({ node: 'a', victims: ['one'] });
  });
});

describe('nobody leaves', () => {
  const full = { a: [low('one', cpu('4'))] };
  test.each<[string, corev1.Node, corev1.Pod, string]>([
    [
      'for a pod that says so',
      node('a'),
      high({ preemptionPolicy: 'Never' }),
      'preemption: not eligible due to preemptionPolicy=Never.',
    ],
    ['on a cordoned node', node('a', { unschedulable: true }), high(), HELPS_NOT],
    ['on a tainted node', node('a', { taints: [{ key: 'k', effect: 'NoSchedule' }] }), high(), HELPS_NOT],
    ['where a selector does not match', node('a'), high({ nodeSelector: { disk: 'ssd' } }), HELPS_NOT],
    ['for more than the node has', node('a'), high(cpu('5')), HELPS_NOT],
    ['for what the node has not', node('a'), high({ requests: { 'example.com/foo': '1' } }), HELPS_NOT],
    [
      'for a pod of the same priority',
      node('a'),
      high({ priority: 1 }),
      'No preemption victims found for incoming pod',
    ],
  ])('%s', (_title, on, subject, reason) => {
    const message = reason.startsWith('preemption:')
      ? reason
      : `preemption: 0/1 nodes are available: 1 ${reason}.`;
    expect(cluster([on], full).preempt(subject)).toBe(message);
  });

  test('and every node says why', () => {
    const harness = cluster([node('a'), node('b'), node('c', { unschedulable: true }), node('d')], {
      a: [high(cpu('4'))],
      b: [high(cpu('4'))],
      d: [high(cpu('3')), low('two')],
    });
    expect(harness.preempt(high())).toBe(
      'preemption: 0/4 nodes are available: 1 Insufficient cpu, 1 Preemption is not helpful for scheduling, ' +
        '2 No preemption victims found for incoming pod.',
    );
  });

  test('while those who must leave are leaving', () => {
    const harness = cluster([node('a'), node('b')], { a: [low('one', cpu('4'))], b: [high(cpu('4'))] });
    const subject = high();
    expect(harness.preempt(subject)).toEqual({ node: 'a', victims: ['one'] });
    harness.state.nominations.nominate(subject, 'a');
    const WAITS = 'preemption: not eligible due to a terminating pod on the nominated node.';

    harness.leaving.add('one');
    expect(harness.preempt(subject)).toBe(WAITS);
    harness.leaving.clear();
    const leaving = (reason: string): corev1.Pod => ({
      ...low('one', cpu('4')),
      metadata: { name: 'one', namespace: 'default', uid: 'one', deletionTimestamp: '2026-01-01T00:00:00Z' },
      status: { conditions: [{ type: 'DisruptionTarget', status: 'True', reason }] },
    });
    harness.state.refresh(leaving('PreemptionByScheduler'));
    expect(harness.preempt(subject)).toBe(WAITS);
    // Somebody else deletes it: it may take long, and others may be asked.
    harness.state.refresh(leaving('EvictionByEvictionAPI'));
    expect(harness.preempt(subject)).toEqual({ node: 'a', victims: ['one'] });
    // It would wait in vain there.
    harness.state.refresh(leaving('PreemptionByScheduler'));
    harness.state.putNode(node('a', { unschedulable: true }));
    harness.state.place(low('two', cpu('4')), 'c');
    harness.state.putNode(node('c'));
    expect(harness.preempt(subject)).toEqual({ node: 'c', victims: ['two'] });
  });
});

describe('rules between pods', () => {
  const app = (name: string): metav1.LabelSelector => ({ matchLabels: { app: name } });
  const avoids = (name: string): corev1.Affinity => ({
    podAntiAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: HOSTNAME, labelSelector: app(name) }],
    },
  });

  test('whom a pod avoids has to leave', () => {
    const harness = cluster([node('a')], {
      a: [low('friend'), low('foe', { labels: { app: 'x' }, ...cpu('100m') })],
    });
    const subject = high({ affinity: avoids('x') });
    expect(harness.preempt(subject)).toEqual({ node: 'a', victims: ['foe'] });
    expect(harness.preempt(subject)).toEqual({ node: 'a', victims: ['foe'] });
  });

  test('and who avoids it', () => {
    const harness = cluster([node('a'), node('b')], {
      a: [low('hermit', { affinity: avoids('x') })],
      b: [high({ affinity: avoids('x') })],
    });
    const subject = high({ labels: { app: 'x' } });
    expect(harness.preempt(subject)).toEqual({ node: 'a', victims: ['hermit'] });
    harness.state.remove('hermit');
    expect(harness.decide(subject)).toMatchObject({ kind: 'assigned', node: 'a' });
  });

  test('what was found holds no longer when somebody comes elsewhere who avoids it, and again when they go', () => {
    const inZone = (name: string): corev1.Node => node(name, { labels: { zone: '1' } });
    const affinity: corev1.Affinity = {
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: 'zone', labelSelector: app('x') }],
      },
    };
    const harness = cluster([inZone('a'), inZone('b')], {
      a: [low('low', cpu('4'))],
      b: [high({ name: 'rival', ...cpu('4') })],
    });
    // A term that does not speak of the pod is no reason to forget anything.
    harness.state.place(high({ affinity: avoids('y'), ...cpu('0') }), 'b');
    const subject = high({ labels: { app: 'x' } });
    const found = { node: 'a', victims: ['low'] };
    expect(harness.preempt(subject)).toEqual(found);
    harness.state.place(high({ name: 'hermit', affinity, ...cpu('0') }), 'b');
    expect(harness.preempt(subject)).toBe(
      "preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 node(s) didn't satisfy existing pods anti-affinity rules.",
    );
    harness.state.remove('hermit');
    expect(harness.preempt(subject)).toEqual(found);
  });

  test('nobody leaves whom it wants to be with', () => {
    const affinity: corev1.Affinity = {
      podAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: HOSTNAME, labelSelector: app('x') }],
      },
    };
    const harness = cluster([node('a')], { a: [low('mate', { labels: { app: 'x' }, ...cpu('4') })] });
    expect(harness.preempt(high({ affinity }))).toBe(
      "preemption: 0/1 nodes are available: 1 node(s) didn't match pod affinity rules.",
    );
  });

  test('a skew is made good as well', () => {
    // A pod of higher priority in one zone, three lower ones in the other: room for one is made by one of them, but the
    // skew is right only without two (upstream's "validates proper pods are preempted").
    const zone = (name: string) => node(name, { labels: { zone: name }, extra: { 'example.com/foo': '10' } });
    const foo = (amount: string, name: string, priority: number) =>
      pod({ name, priority, labels: { app: 'x' }, requests: { 'example.com/foo': amount } });
    const harness = cluster([zone('a'), zone('b')], {
      a: [foo('9', 'high', 1000)],
      b: [foo('3', 'low-1', 1), foo('3', 'low-2', 1), foo('3', 'low-3', 1)],
    });
    const medium = foo('3', 'medium', 100);
    const subject: corev1.Pod = {
      ...medium,
      spec: {
        ...medium.spec,
        topologySpreadConstraints: [
          { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector: app('x') },
        ],
      },
    };
    expect(harness.preempt(subject)).toMatchObject({ node: 'b', victims: { length: 2 } });
    expect(harness.preempt(subject)).toMatchObject({ node: 'b', victims: { length: 2 } });
  });
});

describe('PodDisruptionBudgets', () => {
  const budget = (
    disruptionsAllowed: number,
    disruptedPods: Record<string, string> = {},
    selector: metav1.LabelSelector = { matchLabels: { app: 'x' } },
  ): policyv1.PodDisruptionBudget => ({
    metadata: { name: 'budget', namespace: 'default' },
    spec: { selector },
    status: {
      disruptionsAllowed,
      disruptedPods,
      currentHealthy: 0,
      desiredHealthy: 0,
      expectedPods: 0,
    },
  });
  const guarded = { labels: { app: 'x' } };

  test('nodes are preferred where all budgets are kept', () => {
    const harness = cluster([node('a'), node('b')], {
      a: [low('guarded', { ...guarded, ...cpu('4') })],
      b: [low('important', { priority: 99, ...cpu('4') })],
    });
    harness.budgets = [budget(0)];
    expect(harness.preempt(high())).toEqual({ node: 'b', victims: ['important'] });
    harness.budgets = [budget(1)];
    expect(harness.preempt(high())).toEqual({ node: 'a', victims: ['guarded'] });
    // Counted already by the API server; selecting nothing.
    harness.budgets = [budget(0, { guarded: '2026-01-01T00:00:00Z' }), budget(0, {}, {})];
    expect(harness.preempt(high())).toEqual({ node: 'a', victims: ['guarded'] });
    harness.budgets = [{ ...budget(0), metadata: { name: 'budget', namespace: 'elsewhere' } }];
    expect(harness.preempt(high())).toEqual({ node: 'a', victims: ['guarded'] });
  });

  test('the guarded stay before the more important', () => {
    const harness = cluster([node('a')], {
      a: [low('guarded', { ...guarded, ...cpu('2') }), low('important', { priority: 99, ...cpu('2') })],
    });
    harness.budgets = [budget(0)];
    expect(harness.preempt(high())).toEqual({ node: 'a', victims: ['important'] });
    harness.budgets = [];
    expect(harness.preempt(high())).toEqual({ node: 'a', victims: ['guarded'] });
  });

  test('a budget is broken if there is no other way', () => {
    const harness = cluster([node('a')], {
      a: [low('one', { ...guarded, ...cpu('2') }), low('two', { ...guarded, priority: 2, ...cpu('2') })],
    });
    harness.budgets = [budget(1)];
    expect(harness.preempt(high(cpu('4')))).toEqual({ node: 'a', victims: ['two', 'one'] });
  });
});

describe('nominated pods', () => {
  test('hold their place against their equals, but not against the more important', () => {
    const harness = cluster([node('a')], { a: [low('one', cpu('2'))] });
    harness.state.nominations.nominate(high(), 'a');
    expect(harness.decide(pod({ priority: 100, ...cpu('1') }))).toMatchObject({
      kind: 'unschedulable',
      message: '0/1 nodes are available: 1 Insufficient cpu.',
    });
    expect(harness.decide(pod(cpu('1')))).toMatchObject({ kind: 'unschedulable' });
    expect(harness.decide(pod({ priority: 101, ...cpu('1') }))).toMatchObject({ kind: 'assigned' });
  });

  test('take their own place first, even if another is better', () => {
    const harness = new Harness([node('a'), node('b')]);
    harness.state.place(low('one'), 'a');
    const subject = high();
    expect(harness.decide(subject)).toMatchObject({ node: 'b' });
    harness.state.nominations.nominate(subject, 'a');
    expect(harness.decide(subject)).toMatchObject({ node: 'a', feasible: 1 });
    harness.state.place(high(cpu('3')), 'a');
    expect(harness.decide(subject)).toMatchObject({ node: 'b' });
  });

  test('make the next one ask others', () => {
    const harness = cluster([node('a'), node('b')], {
      a: [low('a1', cpu('3')), low('a2')],
      b: [low('b1', { priority: 2, ...cpu('3') }), low('b2', { priority: 2 })],
    });
    const first = high(cpu('3'));
    expect(harness.preempt(first)).toEqual({ node: 'a', victims: ['a1'] });
    harness.state.nominations.nominate(first, 'a');
    expect(harness.preempt(high(cpu('3')))).toEqual({ node: 'b', victims: ['b1'] });
  });

  test('are avoided by those who avoid them, once they are nominated', () => {
    const harness = new Harness([node('a'), node('b')]);
    const affinity: corev1.Affinity = {
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [
          { topologyKey: HOSTNAME, labelSelector: { matchLabels: { app: 'x' } } },
        ],
      },
    };
    const waiting = high({ affinity });
    harness.state.nominations.nominate(waiting, 'a');
    const subject = pod({ labels: { app: 'x' } });
    expect(harness.decide(subject)).toMatchObject({ node: 'b' });
    harness.state.nominations.delete(waiting.metadata.uid as string);
    harness.state.place(low('one'), 'b');
    expect(harness.decide(subject)).toMatchObject({ node: 'a' });
    expect(harness.state.antiAffinity.size).toBe(0);
  });

  test('whoever needs a nominated pod does not count on it', () => {
    const harness = new Harness([node('a')]);
    harness.state.nominations.nominate(high({ labels: { app: 'x' } }), 'a');
    const affinity: corev1.Affinity = {
      podAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [
          { topologyKey: HOSTNAME, labelSelector: { matchLabels: { app: 'x' } } },
        ],
      },
    };
    expect(harness.decide(pod({ affinity }))).toMatchObject({
      message: "0/1 nodes are available: 1 node(s) didn't match pod affinity rules.",
    });
  });

  test('updates that do not know of a nomination yet leave it; those that take it away do', () => {
    const { nominations } = new Harness([node('a')]).state;
    const plain = high();
    const nominated = (nominatedNodeName: string): corev1.Pod => ({
      ...plain,
      status: { nominatedNodeName },
    });
    const uid = plain.metadata.uid as string;
    nominations.nominate(plain, 'a');
    nominations.observe(plain, plain);
    expect(nominations.nodeOf(uid)).toBe('a');
    nominations.observe(nominated('b'), plain);
    expect([nominations.nodeOf(uid), nominations.on('a').length, nominations.on('b').length]).toEqual([
      'b',
      0,
      1,
    ]);
    nominations.observe(plain, nominated('b'));
    expect([nominations.nodeOf(uid), nominations.size]).toEqual([undefined, 0]);
  });
});
