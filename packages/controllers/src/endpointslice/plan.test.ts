import type { corev1, discoveryv1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { planSlices } from './plan.ts';
import type { SlicesPlan } from './plan.ts';

const service = (
  spec: Partial<corev1.ServiceSpec> = {},
  labels?: Record<string, string>,
): corev1.Service => ({
  metadata: { name: 'web', namespace: 'default', uid: 's', ...(labels === undefined ? {} : { labels }) },
  spec: {
    clusterIP: '10.0.0.1',
    ipFamilies: ['IPv4'],
    selector: { app: 'web' },
    ports: [{ port: 80, targetPort: 8080, protocol: 'TCP' }],
    ...spec,
  },
});

interface PodFacts {
  readonly ips?: readonly string[];
  readonly ready?: boolean;
  readonly terminating?: boolean;
  readonly phase?: corev1.PodPhase;
  readonly node?: string;
  readonly spec?: Partial<corev1.PodSpec>;
}

function pod(index: number, facts: PodFacts = {}): corev1.Pod {
  const {
    ips = [`10.1.${index >> 8}.${index & 255}`],
    ready = true,
    terminating = false,
    node = 'n1',
  } = facts;
  return {
    metadata: {
      name: `p${index}`,
      namespace: 'default',
      uid: `u${index}`,
      ...(terminating ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
    },
    spec: { containers: [], nodeName: node, ...facts.spec },
    status: {
      phase: facts.phase ?? 'Running',
      podIP: ips[0] ?? '',
      podIPs: ips.map((ip) => ({ ip })),
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    },
  };
}

const pods = (from: number, to: number): corev1.Pod[] =>
  Array.from({ length: to - from }, (_, offset) => pod(from + offset));

const node = (name: string): corev1.Node | undefined =>
  name === 'gone'
    ? undefined
    : { metadata: { name, labels: { 'topology.kubernetes.io/zone': `zone-of-${name}` } }, spec: {} };

function plan(
  its: corev1.Service,
  members: readonly corev1.Pod[],
  existing: readonly discoveryv1.EndpointSlice[] = [],
  maxEndpoints = 100,
): SlicesPlan {
  return planSlices({ service: its, pods: members, node, existing, maxEndpoints });
}

/** Carries a plan out. */
let serial = 0;
function apply(
  existing: readonly discoveryv1.EndpointSlice[],
  changes: SlicesPlan,
): discoveryv1.EndpointSlice[] {
  const gone = new Set([...changes.delete, ...changes.update].map(({ metadata }) => metadata.name));
  return [
    ...existing.filter(({ metadata }) => !gone.has(metadata.name)),
    ...changes.update,
    ...changes.create.map((slice) => ({
      ...slice,
      metadata: { ...slice.metadata, name: `web-${serial++}` },
    })),
  ];
}

const counts = (slices: readonly discoveryv1.EndpointSlice[]): number[] =>
  slices.map(({ endpoints = [] }) => endpoints.length).sort((a, b) => b - a);
const writes = (changes: SlicesPlan): string =>
  `${changes.create.length} ${changes.update.length} ${changes.delete.length}`;

describe('an endpoint', () => {
  const only = (its: corev1.Service, one: corev1.Pod) => plan(its, [one]).create[0]?.endpoints?.[0];

  it('has everything clients choose by', () => {
    expect(only(service(), pod(1, { spec: { hostname: 'one', subdomain: 'web' } }))).toEqual({
      addresses: ['10.1.0.1'],
      conditions: { ready: true, serving: true, terminating: false },
      hostname: 'one',
      targetRef: { kind: 'Pod', namespace: 'default', name: 'p1', uid: 'u1' },
      nodeName: 'n1',
      zone: 'zone-of-n1',
    });
  });

  it.each<[string, PodFacts, boolean, [ready: boolean, serving: boolean, terminating: boolean] | undefined]>([
    ['ready', {}, false, [true, true, false]],
    ['not ready', { ready: false }, false, [false, false, false]],
    ['not ready, published nevertheless', { ready: false }, true, [true, false, false]],
    ['terminating', { terminating: true }, false, [false, true, true]],
    ['terminating and no longer serving', { terminating: true, ready: false }, false, [false, false, true]],
    ['terminating, published nevertheless', { terminating: true }, true, [true, true, true]],
    ['finished', { phase: 'Succeeded' }, true, undefined],
    ['without an address yet', { ips: [] }, true, undefined],
  ])('of a pod that is %s', (_, facts, publishNotReadyAddresses, expected) => {
    const endpoint = only(service({ publishNotReadyAddresses }), pod(1, facts));
    const conditions = expected && { ready: expected[0], serving: expected[1], terminating: expected[2] };
    expect(endpoint?.conditions).toEqual(conditions);
  });

  it.each<[string | undefined, discoveryv1.EndpointHints | undefined]>([
    [undefined, undefined],
    ['PreferClose', { forZones: [{ name: 'zone-of-n1' }] }],
    ['PreferSameZone', { forZones: [{ name: 'zone-of-n1' }] }],
    ['PreferSameNode', { forZones: [{ name: 'zone-of-n1' }], forNodes: [{ name: 'n1' }] }],
  ])('hints at near clients for %s', (trafficDistribution, hints) => {
    const its = service(trafficDistribution === undefined ? {} : { trafficDistribution });
    expect(only(its, pod(1))?.hints).toEqual(hints);
  });
});

describe('slices', () => {
  it('carry the labels of the Service and say whose they are', () => {
    const [slice] = plan(service({}, { team: 'a', 'kubernetes.io/service-name': 'forged' }), [pod(1)]).create;
    expect(slice?.metadata).toEqual({
      generateName: 'web-',
      namespace: 'default',
      labels: {
        team: 'a',
        'kubernetes.io/service-name': 'web',
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
      },
      ownerReferences: [
        {
          apiVersion: 'v1',
          kind: 'Service',
          name: 'web',
          uid: 's',
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    });
    expect(slice?.ports).toEqual([{ name: '', protocol: 'TCP', port: 8080 }]);
  });

  it('of a headless Service say so, and need no ports', () => {
    const { ports: _, ...headless } = service({ clusterIP: 'None' }).spec ?? {};
    const [slice] = plan({ ...service(), spec: headless }, [pod(1)]).create;
    expect(slice?.metadata.labels).toMatchObject({ 'service.kubernetes.io/headless': '' });
    expect(slice?.ports).toEqual([]);
    expect(slice?.endpoints).toHaveLength(1);
  });

  it('hold at most so many endpoints', () => {
    expect(counts(apply([], plan(service(), pods(0, 250))))).toEqual([100, 100, 50]);
  });

  it('are one per address family', () => {
    const dual = service({ ipFamilies: ['IPv6', 'IPv4'] });
    const { create } = plan(dual, [pod(1, { ips: ['10.1.0.1', 'fd00::1'] }), pod(2)]);
    expect(
      create.map(({ addressType, endpoints = [] }) => [addressType, endpoints.map((one) => one.addresses)]),
    ).toEqual([
      ['IPv6', [['fd00::1']]],
      ['IPv4', [['10.1.0.1'], ['10.1.0.2']]],
    ]);
  });

  it('are one per set of ports, where a name means different numbers', () => {
    const named = (number: number): Partial<corev1.PodSpec> => ({
      containers: [{ name: 'c', ports: [{ name: 'http', containerPort: number, protocol: 'TCP' }] }],
    });
    const its = service({ ports: [{ port: 80, targetPort: 'http', protocol: 'TCP', name: 'web' }] });
    const { create } = plan(its, [
      pod(1, { spec: named(80) }),
      pod(2, { spec: named(8080) }),
      pod(3, { spec: named(80) }),
    ]);
    expect(create.map(({ ports, endpoints }) => [ports?.[0]?.port, endpoints?.length])).toEqual([
      [80, 2],
      [8080, 1],
    ]);
  });

  it('finds named ports of sidecars', () => {
    const spec: Partial<corev1.PodSpec> = {
      initContainers: [
        {
          name: 's',
          restartPolicy: 'Always',
          ports: [{ name: 'http', containerPort: 15_001, protocol: 'TCP' }],
        },
      ],
    };
    const its = service({ ports: [{ port: 80, targetPort: 'http', protocol: 'TCP' }] });
    expect(plan(its, [pod(1, { spec })]).create[0]?.ports?.[0]?.port).toBe(15_001);
  });

  it('leave out a pod whose node is unknown, unless all are to be published', () => {
    const lost = pod(1, { node: 'gone' });
    expect(plan(service(), [lost, pod(2)])).toMatchObject({
      withoutNode: [lost],
      create: [{ endpoints: [{}] }],
    });
    const published = plan(service({ publishNotReadyAddresses: true }), [lost]);
    expect(published.withoutNode).toEqual([]);
    expect(published.create[0]?.endpoints).toHaveLength(1);
  });
});

describe('changes', () => {
  const settled = (members: readonly corev1.Pod[], maxEndpoints = 100) =>
    apply([], plan(service(), members, [], maxEndpoints));

  it('are none when nothing changed', () => {
    const existing = settled(pods(0, 250));
    expect(writes(plan(service(), pods(0, 250), existing))).toBe('0 0 0');
    const empty = settled([]);
    expect(counts(empty)).toEqual([0]);
    expect(writes(plan(service(), [], empty))).toBe('0 0 0');
  });

  it.each<[string, corev1.Pod[], corev1.Pod[], string, number[]]>([
    ['a pod more goes into the slice that it fills best', pods(0, 150), pods(0, 151), '0 1 0', [100, 51]],
    ['a pod less is one update', pods(0, 150), pods(1, 150), '0 1 0', [99, 50]],
    [
      'new ones go where something changes anyway',
      pods(0, 150),
      [...pods(1, 150), pod(300)],
      '0 1 0',
      [100, 50],
    ],
    ['more than fits makes a slice', pods(0, 100), pods(0, 120), '1 0 0', [100, 20]],
    ['an empty slice is deleted', pods(0, 120), pods(0, 100), '0 0 1', [100]],
    ['the last pod leaves an empty slice', pods(0, 1), [], '0 1 0', [0]],
    ['the first pod uses the empty slice', [], pods(0, 1), '0 1 0', [1]],
  ])('%s', (_, before, after, expected, sizes) => {
    const existing = settled(before);
    const changes = plan(service(), after, existing);
    expect(writes(changes)).toBe(expected);
    expect(counts(apply(existing, changes))).toEqual(sizes);
  });

  it('update an endpoint in place when its pod changes', () => {
    const existing = settled(pods(0, 3));
    const changes = plan(service(), [pod(0), pod(1, { ready: false }), pod(2)], existing);
    expect(changes.update[0]?.endpoints?.map(({ conditions }) => conditions?.ready)).toEqual([
      true,
      false,
      true,
    ]);
    expect(changes.update[0]?.metadata.name).toBe(existing[0]?.metadata.name);
  });

  it('follow the labels of the Service', () => {
    const existing = settled(pods(0, 3));
    const changes = plan(service({}, { team: 'b' }), pods(0, 3), existing);
    expect(writes(changes)).toBe('0 1 0');
    expect(changes.update[0]?.metadata.labels).toMatchObject({ team: 'b' });
  });

  it('do not touch slices of an earlier Service of the same name, but delete them', () => {
    const existing = settled(pods(0, 3)).map((slice) => ({
      ...slice,
      metadata: {
        ...slice.metadata,
        ownerReferences: [{ apiVersion: 'v1', kind: 'Service', name: 'web', uid: 'old' }],
      },
    }));
    expect(writes(plan(service(), pods(0, 3), existing))).toBe('1 0 1');
  });

  it('change the family with the Service', () => {
    const existing = settled([pod(1, { ips: ['10.1.0.1', 'fd00::1'] })]);
    const changes = plan(
      service({ ipFamilies: ['IPv6'] }),
      [pod(1, { ips: ['10.1.0.1', 'fd00::1'] })],
      existing,
    );
    expect(writes(changes)).toBe('1 0 1');
  });

  it('never lose or double an endpoint, whatever comes and goes', () => {
    let state = 12345;
    const random = (limit: number): number => (state = (state * 1103515245 + 12345) % 2 ** 31) % limit;
    let existing: discoveryv1.EndpointSlice[] = [];
    for (let round = 0; round < 200; round++) {
      const members = pods(0, 60)
        .filter(() => random(3) > 0)
        .map((one, index) => pod(Number(one.metadata.name.slice(1)), { ready: (index + round) % 4 > 0 }));
      existing = apply(existing, plan(service(), members, existing, 7));
      const placed = existing.flatMap(({ endpoints = [] }) =>
        endpoints.map(({ targetRef }) => targetRef?.name),
      );
      expect(placed.sort()).toEqual(members.map(({ metadata }) => metadata.name).sort());
      expect(Math.max(0, ...counts(existing))).toBeLessThanOrEqual(7);
      expect(writes(plan(service(), members, existing, 7))).toBe('0 0 0');
    }
  });
});
