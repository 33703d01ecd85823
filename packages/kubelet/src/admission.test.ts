import { describe, expect, it } from 'vitest';

import { admitPod } from './admission.ts';
import type { Node, Pod, PodSpec } from './pod/types.ts';
import { podAmounts } from './resources/amounts.ts';
import {
  containerResources,
  cpuQuota,
  cpuShares,
  cpuWeight,
  oomScoreAdjust,
  podCgroupResources,
} from './resources/linux-resources.ts';
import { testContainer, testPod } from './testing/index.ts';

const node: Node = {
  metadata: { name: 'node-1', labels: { zone: 'a', size: '5' } },
  spec: {
    taints: [
      { key: 'gone', effect: 'NoExecute' },
      { key: 'full', effect: 'NoSchedule' },
    ],
  },
  status: { allocatable: { cpu: '4', memory: '8Gi', pods: '3' } },
};
const tolerations = [{ operator: 'Exists' as const }];
const requests = (cpu: string, name = 'app') => testContainer(name, { resources: { requests: { cpu } } });
const verdict = (spec: Partial<PodSpec>, activePods: Pod[] = [], metadata = {}): string | undefined => {
  const ending = admitPod({
    pod: testPod({ tolerations, ...spec }, metadata),
    node,
    activePods,
    os: 'linux',
  });
  return ending === undefined ? undefined : `${ending.reason}: ${ending.message}`;
};
const other = (name: string, spec: Partial<PodSpec> = {}): Pod => testPod(spec, { name });

describe('admission by the node', () => {
  it('counts resources and pods', () => {
    expect(
      verdict({ containers: [requests('2')] }, [other('a', { containers: [requests('2')] })]),
    ).toBeUndefined();
    expect(verdict({ containers: [requests('2500m')] }, [other('a', { containers: [requests('2')] })])).toBe(
      "OutOfcpu: Node didn't have enough resource: cpu, requested: 2500, used: 2000, capacity: 4000",
    );
    expect(verdict({}, [other('a'), other('b'), other('c')])).toBe(
      "OutOfpods: Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3",
    );
    const extended = testContainer('app', { resources: { requests: { 'example.com/gpu': '1' } } });
    expect(verdict({ containers: [extended] })).toBeUndefined();
    // What the pod holds already is not counted against it.
    expect(
      verdict({ containers: [requests('3')] }, [testPod({ containers: [requests('3')] })]),
    ).toBeUndefined();
  });

  it('looks at selectors, ports, taints and the system', () => {
    expect(verdict({ nodeSelector: { zone: 'b' } })).toBe(
      "NodeAffinity: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
    );
    const port = (hostIP?: string) =>
      testContainer('app', { ports: [{ containerPort: 80, hostPort: 80, ...(hostIP ? { hostIP } : {}) }] });
    expect(verdict({ containers: [port()] }, [other('a', { containers: [port()] })])).toBe(
      "NodePorts: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
    );
    expect(
      verdict({ containers: [port('1.1.1.1')] }, [other('a', { containers: [port('2.2.2.2')] })]),
    ).toBeUndefined();
    expect(verdict({ tolerations: [] })).toBe(
      "TaintToleration: Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate",
    );
    expect(verdict({ tolerations: [{ key: 'gone', operator: 'Equal', value: '' }] })).toBeUndefined();
    expect(verdict({ os: { name: 'windows' } })).toMatch(/^PodOSNotSupported/);
    expect(verdict({}, [], { labels: { 'kubernetes.io/os': 'windows' } })).toMatch(
      /^PodOSSelectorNodeLabelDoesNotMatch/,
    );
  });
});

describe('amounts', () => {
  it('of a pod are its containers and sidecars, or its largest init container', () => {
    const pod = testPod({
      containers: [requests('1'), requests('500m', 'b')],
      initContainers: [
        { ...requests('200m', 'side'), restartPolicy: 'Always' },
        requests('3', 'big'),
        { ...requests('1', 'late'), restartPolicy: 'Always' },
      ],
      overhead: { cpu: '10m' },
    });
    // max(1.5 + 0.2 + 1, 3 + 0.2) + 0.01
    expect(podAmounts(pod, 'requests')).toEqual({ cpu: 3210 });
  });
});

describe('what the kernel is told', () => {
  it('is shares, quota and weight', () => {
    expect([0, 1, 10, 500, 2000, 1e9].map(cpuShares)).toEqual([2, 2, 10, 512, 2048, 262_144]);
    expect([0, 5, 500, 2000].map(cpuQuota)).toEqual([undefined, 1000, 50_000, 200_000]);
    expect([2, 1024, 262_144].map(cpuWeight)).toEqual([1, 39, 10_000]);
  });

  it('is the order in which memory is taken back', () => {
    const score = (resources: object, spec: Partial<PodSpec> = {}): number => {
      const pod = testPod({ containers: [testContainer('app', { resources })], ...spec });
      return oomScoreAdjust(pod, pod.spec.containers[0]!, 1000 * 1024 * 1024);
    };
    expect(score({})).toBe(1000);
    expect(score({ limits: { cpu: '1', memory: '1Gi' } })).toBe(-997);
    expect(score({ requests: { memory: '100Mi' } })).toBe(900);
    expect(score({ requests: { memory: '1' } })).toBe(999);
    expect(score({ requests: { memory: '2000Mi' } })).toBe(3);
    expect(score({}, { priority: 2_000_000_000 })).toBe(-997);
  });

  it('is limits for a container, and for a pod where every container has one', () => {
    const limited = testContainer('app', {
      resources: { requests: { cpu: '100m' }, limits: { cpu: '1', memory: '64Mi' } },
    });
    expect(containerResources(testPod({ containers: [limited] }), limited, 1e9)).toMatchObject({
      cpuShares: 102,
      cpuPeriod: 100_000,
      cpuQuota: 100_000,
      memoryLimitInBytes: 64 * 1024 * 1024,
    });
    expect(podCgroupResources(testPod({ containers: [limited, { ...limited, name: 'b' }] }))).toEqual({
      cpuShares: 204,
      cpuQuota: 200_000,
      memoryLimit: 128 * 1024 * 1024,
    });
    expect(podCgroupResources(testPod({ containers: [limited, testContainer('b')] }))).toMatchObject({
      cpuQuota: undefined,
      memoryLimit: undefined,
    });
  });
});
