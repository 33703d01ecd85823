import type { corev1 } from '@k8ts/api';
import { labelSelectorFromObject } from '@k8ts/apimachinery';
import { seededRandom } from '@k8ts/base';
import { describe, expect, test } from 'vitest';
import type { Verdict } from '../contract.ts';
import { alone, Harness, HOSTNAME, node, pod } from '../testing/scheduling-harness.ts';

const place = (harness: Harness, subject: corev1.Pod, nodeName: string): void =>
  harness.state.place(subject, nodeName);

describe('why nodes lose', () => {
  const taint = (effect: 'NoSchedule' | 'NoExecute' | 'PreferNoSchedule') => ({
    taints: [{ key: 'gpu', value: 'yes', effect }],
  });
  const required = (operator: string, values?: string[]): corev1.Affinity => ({
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [
          {
            matchExpressions: [
              { key: 'disk', operator: operator as 'In', ...(values === undefined ? {} : { values }) },
            ],
          },
        ],
      },
    },
  });

  test.each<[string, readonly corev1.Node[], corev1.Pod, string | undefined]>([
    ['no nodes', [], pod(), 'no nodes available to schedule pods'],
    [
      'cordoned',
      [node('a', { unschedulable: true })],
      pod(),
      '0/1 nodes are available: 1 node(s) were unschedulable.',
    ],
    [
      'cordoned, tolerated',
      [node('a', { unschedulable: true })],
      pod({ tolerations: [{ key: 'node.kubernetes.io/unschedulable', operator: 'Exists' }] }),
      undefined,
    ],
    [
      'another node named',
      [node('a')],
      pod({ nodeName: 'b' }),
      "0/1 nodes are available: 1 node(s) didn't match the requested node name.",
    ],
    [
      'tainted',
      [node('a', taint('NoSchedule'))],
      pod(),
      '0/1 nodes are available: 1 node(s) had untolerated taint(s).',
    ],
    [
      'tainted NoExecute',
      [node('a', taint('NoExecute'))],
      pod(),
      '0/1 nodes are available: 1 node(s) had untolerated taint(s).',
    ],
    ['tainted mildly', [node('a', taint('PreferNoSchedule'))], pod(), undefined],
    [
      'tolerated',
      [node('a', taint('NoSchedule'))],
      pod({ tolerations: [{ key: 'gpu', value: 'yes' }] }),
      undefined,
    ],
    [
      'tolerated with another value',
      [node('a', taint('NoSchedule'))],
      pod({ tolerations: [{ key: 'gpu', value: 'no' }] }),
      '0/1 nodes are available: 1 node(s) had untolerated taint(s).',
    ],
    [
      'all tolerated',
      [node('a', taint('NoExecute'))],
      pod({ tolerations: [{ operator: 'Exists' }] }),
      undefined,
    ],
    [
      'selector',
      [node('a', { labels: { disk: 'hdd' } })],
      pod({ nodeSelector: { disk: 'ssd' } }),
      "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
    ],
    [
      'affinity In',
      [node('a', { labels: { disk: 'ssd' } })],
      pod({ affinity: required('In', ['ssd', 'nvme']) }),
      undefined,
    ],
    ['affinity NotIn, label absent', [node('a')], pod({ affinity: required('NotIn', ['ssd']) }), undefined],
    [
      'affinity Gt',
      [node('a', { labels: { disk: '7' } })],
      pod({ affinity: required('Gt', ['5']) }),
      undefined,
    ],
    [
      'affinity Lt',
      [node('a', { labels: { disk: '7' } })],
      pod({ affinity: required('Lt', ['5']) }),
      "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
    ],
    [
      'an empty term matches nothing',
      [node('a')],
      pod({
        affinity: {
          nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{}] } },
        },
      }),
      "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
    ],
    [
      'processor',
      [node('a')],
      pod({ requests: { cpu: '5' } }),
      '0/1 nodes are available: 1 Insufficient cpu.',
    ],
    [
      'processor and memory count both',
      [node('a'), node('b', { cpu: '8' })],
      pod({ requests: { cpu: '5', memory: '9Gi' } }),
      '0/2 nodes are available: 1 Insufficient cpu, 2 Insufficient memory.',
    ],
    [
      'extended resource',
      [node('a')],
      pod({ requests: { 'example.com/gpu': '1' } }),
      '0/1 nodes are available: 1 Insufficient example.com/gpu.',
    ],
    [
      'extended resource there',
      [node('a', { extra: { 'example.com/gpu': '1' } })],
      pod({ requests: { 'example.com/gpu': '1' } }),
      undefined,
    ],
    [
      'different reasons, sorted',
      [node('a', { unschedulable: true }), node('b', taint('NoSchedule')), node('c', { cpu: '1' })],
      pod({ requests: { cpu: '2' } }),
      '0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable.',
    ],
  ])('%s', (_name, nodes, subject, message) => {
    const verdict = new Harness(nodes).decide(subject);
    if (message === undefined) expect(verdict.kind).toBe('assigned');
    else expect(verdict).toMatchObject({ kind: 'unschedulable', message });
  });

  test('a node is full by pods, and free again when one goes', () => {
    const harness = new Harness([node('a', { pods: '1' })]);
    const first = pod();
    harness.schedule(first);
    expect(harness.decide(pod())).toMatchObject({ message: '0/1 nodes are available: 1 Too many pods.' });
    harness.state.remove(first.metadata.uid as string);
    expect(harness.decide(pod()).kind).toBe('assigned');
  });

  test.each([
    [{ hostPort: 80 }, { hostPort: 80 }, false],
    [{ hostPort: 80 }, { hostPort: 81 }, true],
    [{ hostPort: 80, hostIP: '10.0.0.1' }, { hostPort: 80, hostIP: '10.0.0.2' }, true],
    [{ hostPort: 80, hostIP: '10.0.0.1' }, { hostPort: 80 }, false],
    [{ hostPort: 80 }, { hostPort: 80, hostIP: '10.0.0.1' }, false],
  ])('ports %j and %j on one node: %s', (first, second, fits) => {
    const harness = new Harness([node('a')]);
    harness.schedule(pod(first));
    expect(harness.decide(pod(second)).kind).toBe(fits ? 'assigned' : 'unschedulable');
  });
});

describe('which node wins', () => {
  test('the emptier one', () => {
    const harness = new Harness([node('a'), node('b')]);
    place(harness, pod({ requests: { cpu: '2', memory: '4Gi' } }), 'a');
    expect(harness.schedule(pod({ requests: { cpu: '1', memory: '1Gi' } }))).toBe('b');
  });

  test('the one without a mild taint, though it is fuller', () => {
    const harness = new Harness([
      node('a', { taints: [{ key: 'k', effect: 'PreferNoSchedule' }] }),
      node('b'),
    ]);
    place(harness, pod({ requests: { cpu: '2' } }), 'b');
    expect(harness.schedule(pod({ requests: { cpu: '100m' } }))).toBe('b');
  });

  test('the preferred one', () => {
    const harness = new Harness([node('a'), node('b', { labels: { disk: 'ssd' } })]);
    const preference = { matchExpressions: [{ key: 'disk', operator: 'Exists' as const }] };
    const affinity = {
      nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 50, preference }] },
    };
    place(harness, pod({ requests: { cpu: '1' } }), 'b');
    expect(harness.schedule(pod({ affinity }))).toBe('b');
  });

  test('replicas of one controller go to different hosts and zones', () => {
    const selector = labelSelectorFromObject({ matchLabels: { app: 'web' } });
    const harness = new Harness(
      ['a', 'b', 'c', 'd'].map((name, i) =>
        node(name, { labels: { 'topology.kubernetes.io/zone': i < 2 ? 'z1' : 'z2' } }),
      ),
      { ...alone, selectorOf: () => selector },
    );
    const chosen = [1, 2, 3, 4].map(() => harness.schedule(pod({ labels: { app: 'web' } })));
    expect(new Set(chosen).size).toBe(4);
    const zoneOf = (name: string): string => ('ab'.includes(name) ? 'z1' : 'z2');
    expect(zoneOf(chosen[0] as string)).not.toBe(zoneOf(chosen[1] as string));
  });

  test('nodes that change are seen, and those that went are not chosen', () => {
    const harness = new Harness([node('a')]);
    const wants = pod({ requests: { cpu: '6' } });
    expect(harness.decide(wants).kind).toBe('unschedulable');
    harness.state.putNode(node('a', { cpu: '8' }));
    expect(harness.decide(wants)).toMatchObject({ node: 'a' });
    harness.state.removeNode('a');
    expect(harness.decide(wants)).toMatchObject({ message: 'no nodes available to schedule pods' });
    for (let i = 0; i < 200; i++)
      harness.state.putNode(node(`n${String(i)}`, { cpu: i === 150 ? '8' : '1' }));
    expect(harness.decide(wants)).toMatchObject({ node: 'n150', feasible: 1 });
  });
});

describe('topologySpreadConstraints', () => {
  const zoned = (zone: string) => ({ labels: { zone } });
  const spread = (rest: Partial<corev1.TopologySpreadConstraint> = {}): corev1.TopologySpreadConstraint[] => [
    {
      maxSkew: 1,
      topologyKey: 'zone',
      whenUnsatisfiable: 'DoNotSchedule',
      labelSelector: { matchLabels: { app: 'web' } },
      ...rest,
    },
  ];
  const web = (rest: Partial<corev1.TopologySpreadConstraint> = {}) =>
    pod({ labels: { app: 'web' }, topologySpreadConstraints: spread(rest) });

  test('keep domains within the skew', () => {
    const harness = new Harness([
      node('a', zoned('1')),
      node('b', zoned('2')),
      node('c', zoned('2')),
      node('d'),
    ]);
    const zones = Array.from({ length: 6 }, () => (harness.schedule(web()) === 'a' ? '1' : '2'));
    expect(zones.filter((zone) => zone === '1')).toHaveLength(3);
    harness.state.removeNode('a');
    // Only zone 2 is left; a single domain is never skewed.
    expect(['b', 'c']).toContain(harness.schedule(web()));
  });

  test('a domain that is too full refuses, and missing labels do too', () => {
    const harness = new Harness([
      node('a', zoned('1')),
      node('b', { ...zoned('2'), unschedulable: true }),
      node('c'),
    ]);
    harness.schedule(web());
    expect(harness.decide(web())).toMatchObject({
      message:
        "0/3 nodes are available: 1 node(s) didn't match pod topology spread constraints, 1 node(s) didn't match pod topology spread constraints (missing required label), 1 node(s) were unschedulable.",
    });
  });

  test('minDomains counts missing domains as empty', () => {
    const harness = new Harness([node('a', zoned('1'))]);
    harness.schedule(web({ minDomains: 2 }));
    expect(harness.decide(web({ minDomains: 2 })).kind).toBe('unschedulable');
    expect(harness.decide(web()).kind).toBe('assigned');
  });
});

describe('affinity between pods', () => {
  const term = (app: string): corev1.PodAffinityTerm => ({
    labelSelector: { matchLabels: { app } },
    topologyKey: HOSTNAME,
  });
  const away = (app: string): corev1.Affinity => ({
    podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term(app)] },
  });
  const near = (app: string): corev1.Affinity => ({
    podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term(app)] },
  });

  test('pods that avoid their like get a node each', () => {
    const harness = new Harness([node('a'), node('b')]);
    const db = () => pod({ labels: { app: 'db' }, affinity: away('db') });
    const first = db();
    const taken = [harness.schedule(first), harness.schedule(db())];
    expect(new Set(taken).size).toBe(2);
    expect(harness.decide(db())).toMatchObject({
      message: "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.",
    });
    harness.state.remove(first.metadata.uid as string);
    expect(harness.schedule(db())).toBe(taken[0]);
  });

  test('what is on a node already keeps others away', () => {
    const harness = new Harness([node('a')]);
    harness.schedule(pod({ labels: { app: 'db' }, affinity: away('web') }));
    expect(harness.decide(pod({ labels: { app: 'web' } }))).toMatchObject({
      message: "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules.",
    });
    expect(harness.decide(pod({ labels: { app: 'other' } })).kind).toBe('assigned');
  });

  test('pods that want to be together are; the first goes anywhere', () => {
    const harness = new Harness([node('a'), node('b')]);
    const first = harness.schedule(pod({ labels: { app: 'group' }, affinity: near('group') }));
    for (let i = 0; i < 3; i++)
      expect(harness.schedule(pod({ labels: { app: 'group' }, affinity: near('group') }))).toBe(first);
    expect(harness.decide(pod({ affinity: near('absent') }))).toMatchObject({
      message: "0/2 nodes are available: 2 node(s) didn't match pod affinity rules.",
    });
  });

  test('a preference is a preference', () => {
    const harness = new Harness([node('a'), node('b')]);
    place(harness, pod({ labels: { app: 'cache' } }), 'b');
    const affinity = {
      podAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm: term('cache') }],
      },
    };
    expect(harness.schedule(pod({ affinity }))).toBe('b');
  });
});

test('the kept evaluation agrees with one made anew, over a random history', () => {
  const seed = 20260101;
  const random = seededRandom(seed);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
  const labelSelector = { matchLabels: { app: 'x' } };
  const rules: readonly Partial<corev1.PodSpec>[] = [
    {},
    {},
    {
      topologySpreadConstraints: [
        { maxSkew: 2, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector },
      ],
    },
    {
      topologySpreadConstraints: [
        {
          maxSkew: 3,
          minDomains: 3,
          topologyKey: 'zone',
          whenUnsatisfiable: 'DoNotSchedule',
          nodeTaintsPolicy: 'Honor',
          labelSelector,
        },
        { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'ScheduleAnyway', labelSelector },
        { maxSkew: 1, topologyKey: HOSTNAME, whenUnsatisfiable: 'ScheduleAnyway', labelSelector },
      ],
    },
    {
      affinity: {
        podAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: 'zone', labelSelector }],
        },
        podAntiAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            { weight: 7, podAffinityTerm: { topologyKey: HOSTNAME, labelSelector } },
          ],
        },
      },
    },
    {
      affinity: {
        podAntiAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [
            { topologyKey: HOSTNAME, labelSelector: { matchLabels: { app: 'y' } } },
          ],
        },
      },
    },
  ];
  const nodes = new Map<string, corev1.Node>();
  const placed = new Map<string, { pod: corev1.Pod; node: string }>();
  const harness = new Harness([]);
  const cost = (result: ReturnType<Harness['preempt']>) =>
    typeof result === 'string' ? result : result.victims.map((uid) => placed.get(uid)?.pod.spec.priority);
  for (let step = 0; step < 1500; step++) {
    const action = random();
    if (action < 0.15 || nodes.size === 0) {
      const fresh = node(`n${String(Math.floor(random() * 80))}`, {
        cpu: pick(['1', '2', '4']),
        // Some are in no zone.
        labels: random() < 0.1 ? {} : { zone: pick(['1', '2', '3']) },
        unschedulable: random() < 0.1,
        ...(random() < 0.2 ? { taints: [{ key: 'k', effect: 'NoSchedule' as const }] } : {}),
      });
      nodes.set(fresh.metadata.name, fresh);
      harness.state.putNode(fresh);
    } else if (action < 0.2) {
      const gone = pick([...nodes.keys()]);
      nodes.delete(gone);
      harness.state.removeNode(gone);
    } else if (action < 0.35 && placed.size > 0) {
      const uid = pick([...placed.keys()]);
      placed.delete(uid);
      harness.state.remove(uid);
    } else if (action < 0.45 && placed.size > 0) {
      // Seen again, with other labels or as it was.
      const [uid, { pod: before, node: name }] = pick([...placed]);
      const after = { ...before, metadata: { ...before.metadata, labels: { app: pick(['x', 'y']) } } };
      placed.set(uid, { pod: after, node: name });
      harness.state.place(after, name);
    } else {
      const subject = pod({
        labels: { app: pick(['x', 'y']) },
        requests: { cpu: pick(['100m', '500m', '1']) },
        priority: pick([0, 0, 0, 1, 2]),
        ...pick(rules),
      });
      const anew = new Harness([...nodes.values()]);
      for (const entry of placed.values()) if (nodes.has(entry.node)) place(anew, entry.pod, entry.node);
      const [kept, fresh] = [harness.decide(subject), anew.decide(subject)];
      const comparable = (verdict: Verdict) =>
        verdict.kind === 'assigned' ? [verdict.feasible, verdict.score] : [verdict.message];
      const where = `seed ${String(seed)}, step ${String(step)}`;
      expect(comparable(kept), where).toEqual(comparable(fresh));
      if (kept.kind === 'unschedulable' && nodes.size > 0) {
        // Asking who might leave changes nothing, so this is asked of both histories as well.
        const [asked, askedAnew] = [harness.preempt(subject), anew.preempt(subject)];
        expect(cost(asked), where).toEqual(cost(askedAnew));
      }
      if (kept.kind === 'assigned') {
        place(harness, subject, kept.node);
        placed.set(subject.metadata.uid as string, { pod: subject, node: kept.node });
      }
    }
  }
});
