import { coordinationv1, corev1 } from '@k8ts/api';
import { formatMicroTime, formatTime } from '@k8ts/apimachinery';
import { describe, expect, it } from 'vitest';

import { podGCController } from '../pod-gc-controller.ts';
import { ControllerHarness } from '../testing/controller-harness.ts';
import { nodeLifecycleController } from './controller.ts';
import { taintEvictionController } from './taint-eviction-controller.ts';

interface Cluster extends AsyncDisposable {
  readonly harness: ControllerHarness;
  /** Nodes whose kubelet lives. */
  readonly alive: Set<string>;
  /** Lets time pass, with heartbeats every ten seconds. */
  pass(seconds: number): Promise<void>;
}

/** Nodes `n0` … in zones by turns, all ready. */
async function start(count: number, zones = 1): Promise<Cluster> {
  const names = Array.from({ length: count }, (_, index) => `n${index}`);
  const alive = new Set(names);
  const beat = (harness: ControllerHarness): void => {
    const now = harness.clock.now();
    for (const name of alive) {
      harness.api.seed(coordinationv1.leases, {
        metadata: { name, namespace: 'kube-node-lease' },
        spec: { holderIdentity: name, renewTime: formatMicroTime(now) },
      });
      const node = harness.api.peek(corev1.nodes, name);
      const ready = node?.status?.conditions?.[0];
      if (node === undefined || ready?.status === 'True') continue;
      harness.api.seed(corev1.nodes, {
        ...node,
        status: {
          ...node.status,
          conditions: [
            {
              type: 'Ready',
              status: 'True',
              lastHeartbeatTime: formatTime(now),
              lastTransitionTime: formatTime(now),
            },
          ],
        },
      });
    }
  };
  const harness = await ControllerHarness.start(
    [nodeLifecycleController, taintEvictionController, podGCController],
    {},
    (api, clock) => {
      for (const [index, name] of names.entries())
        api.seed(corev1.nodes, {
          metadata: { name, labels: { 'topology.kubernetes.io/zone': `z${index % zones}` } },
          spec: {},
          status: {
            conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: formatTime(clock.now()) }],
          },
        });
    },
  );
  return {
    harness,
    alive,
    pass: async (seconds) => {
      for (let passed = 0; passed < seconds; passed += 10) {
        beat(harness);
        await harness.clock.advance(Math.min(10, seconds - passed) * 1000);
      }
    },
    [Symbol.asyncDispose]: () => harness[Symbol.asyncDispose](),
  };
}

function pod(name: string, nodeName: string, tolerations: readonly corev1.Toleration[] = []): corev1.Pod {
  return {
    metadata: { name, namespace: 'default' },
    spec: { containers: [], nodeName, tolerations },
    status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
  };
}

const taints = ({ harness }: Cluster, name: string): string[] =>
  (harness.api.peek(corev1.nodes, name)?.spec.taints ?? [])
    .map(({ key, effect }) => `${key.replace('node.kubernetes.io/', '')}:${effect}`)
    .sort();
const ready = ({ harness }: Cluster, name: string) =>
  harness.api.peek(corev1.nodes, name)?.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
const podOf = ({ harness }: Cluster, name: string) => harness.api.peek(corev1.pods, `default/${name}`);
const events = ({ harness }: Cluster) =>
  harness.api.all(corev1.events).map(({ reason, message }) => `${reason ?? ''}: ${message ?? ''}`);

/** What the API server gives every pod (DefaultTolerationSeconds). */
const usual: corev1.Toleration[] = ['not-ready', 'unreachable'].map((key) => ({
  key: `node.kubernetes.io/${key}`,
  operator: 'Exists',
  effect: 'NoExecute',
  tolerationSeconds: 300,
}));

describe('a node that falls silent', () => {
  it('is marked, tainted, its pods are taken out of service and after five minutes evicted', async () => {
    await using cluster = await start(3);
    const { harness, alive, pass } = cluster;
    harness.api.seed(corev1.pods, pod('p', 'n0', usual));
    await pass(60);
    expect(events(cluster)).toContain('RegisteredNode: Registered Node n0 in Controller');
    alive.delete('n0');
    await pass(30);
    expect(ready(cluster, 'n0')).toBe('True');
    await pass(40);
    expect(ready(cluster, 'n0')).toBe('Unknown');
    expect(taints(cluster, 'n0')).toEqual(['unreachable:NoExecute', 'unreachable:NoSchedule']);
    expect(podOf(cluster, 'p')?.status?.conditions).toMatchObject([{ type: 'Ready', status: 'False' }]);
    expect(events(cluster)).toContain('NodeNotReady: Node n0 status is now: NodeNotReady');
    expect(events(cluster)).toContain('NodeNotReady: Node is not ready');
    await pass(240);
    expect(podOf(cluster, 'p')?.metadata.deletionTimestamp).toBeUndefined();
    await pass(60);
    expect(podOf(cluster, 'p')?.metadata.deletionTimestamp).toBeDefined();
    const target = podOf(cluster, 'p')?.status?.conditions?.find(({ type }) => type === 'DisruptionTarget');
    expect(target).toMatchObject({
      status: 'True',
      reason: 'DeletionByTaintManager',
      message: 'Taint manager: deleting due to NoExecute taint',
    });
    expect(events(cluster)).toContain('TaintManagerEviction: Marking for deletion Pod default/p');
    expect([taints(cluster, 'n1'), taints(cluster, 'n2')]).toEqual([[], []]);
  });

  it('keeps its pods when it comes back in time', async () => {
    await using cluster = await start(3);
    const { harness, alive, pass } = cluster;
    harness.api.seed(corev1.pods, pod('p', 'n0', usual));
    await pass(30);
    alive.delete('n0');
    await pass(120);
    expect(taints(cluster, 'n0')).toHaveLength(2);
    alive.add('n0');
    await pass(400);
    expect(taints(cluster, 'n0')).toEqual([]);
    expect(podOf(cluster, 'p')?.metadata.deletionTimestamp).toBeUndefined();
    expect(events(cluster)).toContain('TaintManagerEviction: Cancelling deletion of Pod default/p');
  });

  it('one after the other, so that a fault of many is not answered by moving everything', async () => {
    await using cluster = await start(20, 1);
    const { alive, pass } = cluster;
    await pass(30);
    for (const name of ['n0', 'n1', 'n2', 'n3', 'n4']) alive.delete(name);
    const tainted = () =>
      ['n0', 'n1', 'n2', 'n3', 'n4'].filter((name) => taints(cluster, name).includes('unreachable:NoExecute'))
        .length;
    await pass(60);
    expect(tainted()).toBeGreaterThanOrEqual(1);
    expect(tainted()).toBeLessThanOrEqual(2);
    await pass(20);
    expect(tainted()).toBeLessThanOrEqual(4);
    await pass(60);
    expect(tainted()).toBe(5);
  });

  it('with most of a small zone: nothing is evicted there', async () => {
    await using cluster = await start(10, 2);
    const { alive, pass } = cluster;
    await pass(30);
    const lost = ['n0', 'n2', 'n4', 'n6'];
    for (const name of lost) alive.delete(name);
    await pass(300);
    expect(lost.map((name) => ready(cluster, name))).toEqual(['Unknown', 'Unknown', 'Unknown', 'Unknown']);
    const executed = lost.filter((name) => taints(cluster, name).includes('unreachable:NoExecute'));
    expect(executed.length).toBeLessThanOrEqual(1);
    expect(taints(cluster, 'n0')).toContain('unreachable:NoSchedule');
  });

  it('with all others: it is us who are cut off, and nothing is evicted', async () => {
    await using cluster = await start(4, 2);
    const { harness, alive, pass } = cluster;
    harness.api.seed(corev1.pods, pod('p', 'n0', []));
    await pass(30);
    const names = [...alive];
    alive.clear();
    await pass(600);
    for (const name of names) expect(taints(cluster, name)).toEqual(['unreachable:NoSchedule']);
    expect(podOf(cluster, 'p')?.metadata.deletionTimestamp).toBeUndefined();
    for (const name of names) alive.add(name);
    await pass(60);
    for (const name of names) expect(taints(cluster, name)).toEqual([]);
  });
});

describe('taint eviction', () => {
  const taintNode = ({ harness }: Cluster, name: string, ...keys: string[]) =>
    harness.api.client
      .resource(corev1.nodes)
      .patch(
        name,
        { spec: { taints: keys.map((key) => ({ key, effect: 'NoExecute' })) } },
        { type: 'merge' },
      );

  it('deletes at once what does not tolerate, later what does for a time, and never what does for ever', async () => {
    await using cluster = await start(3);
    const { harness, pass } = cluster;
    harness.api.seed(corev1.pods, pod('none', 'n0'));
    harness.api.seed(
      corev1.pods,
      pod('some', 'n0', [{ key: 'k', operator: 'Exists', tolerationSeconds: 60 }]),
    );
    harness.api.seed(corev1.pods, pod('all', 'n0', [{ operator: 'Exists' }]));
    harness.api.seed(corev1.pods, pod('elsewhere', 'n1'));
    await pass(10);
    await taintNode(cluster, 'n0', 'k');
    const deleted = () =>
      ['none', 'some', 'all', 'elsewhere'].filter(
        (name) => podOf(cluster, name)?.metadata.deletionTimestamp !== undefined,
      );
    await pass(10);
    expect(deleted()).toEqual(['none']);
    await pass(60);
    expect(deleted()).toEqual(['none', 'some']);
    await pass(300);
    expect(deleted()).toEqual(['none', 'some']);
  });

  it('does not count anew when another taint comes', async () => {
    await using cluster = await start(3);
    const { harness, pass } = cluster;
    harness.api.seed(corev1.pods, pod('p', 'n0', [{ operator: 'Exists', tolerationSeconds: 60 }]));
    await taintNode(cluster, 'n0', 'k');
    await pass(40);
    await taintNode(cluster, 'n0', 'k', 'l');
    await pass(30);
    expect(podOf(cluster, 'p')?.metadata.deletionTimestamp).toBeDefined();
  });
});

describe('pod garbage collector', () => {
  it('deletes the pods of nodes that are gone', async () => {
    await using cluster = await start(2);
    const { harness, alive, pass } = cluster;
    harness.api.seed(corev1.pods, pod('lost', 'n0'));
    harness.api.seed(corev1.pods, pod('kept', 'n1'));
    await pass(30);
    alive.delete('n0');
    await harness.api.client.resource(corev1.nodes).delete('n0');
    await pass(30);
    expect(podOf(cluster, 'lost')).toBeDefined(); // it might be a node that is not known yet
    await pass(60);
    expect(podOf(cluster, 'lost')).toBeUndefined();
    expect(podOf(cluster, 'kept')).toBeDefined();
    expect(events(cluster)).toContain('RemovingNode: Removing Node n0 from Controller');
    expect(await harness.metrics.text()).toContain(
      'pod_gc_collector_force_delete_pods_total{namespace="default",reason="orphaned"} 1',
    );
  });

  it('finishes terminating pods that have no node, or whose node is out of service', async () => {
    await using cluster = await start(2);
    const { harness, alive, pass } = cluster;
    const deleting = { deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: 30 };
    const of = (name: string, node: string): corev1.Pod => {
      const one = pod(name, node);
      return { ...one, metadata: { ...one.metadata, ...deleting } };
    };
    harness.api.seed(corev1.pods, of('unscheduled', ''));
    harness.api.seed(corev1.pods, of('stuck', 'n0'));
    harness.api.seed(corev1.pods, of('stopping', 'n1'));
    alive.delete('n0');
    await pass(90);
    expect(podOf(cluster, 'unscheduled')).toBeUndefined();
    expect(podOf(cluster, 'stuck')).toBeDefined();
    await harness.api.client.resource(corev1.nodes).patch(
      'n0',
      {
        spec: {
          taints: [{ key: 'node.kubernetes.io/out-of-service', value: 'nodeshutdown', effect: 'NoExecute' }],
        },
      },
      { type: 'merge' },
    );
    await pass(60);
    expect(podOf(cluster, 'stuck')).toBeUndefined();
    expect(podOf(cluster, 'stopping')).toBeDefined();
  });

  it('keeps so many finished pods, evicted and old ones going first', async () => {
    await using harness = await ControllerHarness.start(
      [podGCController],
      { terminatedPodThreshold: 2 },
      (api) => {
        const finished = (name: string, minute: number, reason?: string): corev1.Pod => ({
          metadata: { name, namespace: 'default', creationTimestamp: `2026-01-01T00:0${minute}:00Z` },
          spec: { containers: [] },
          status: { phase: 'Failed', ...(reason === undefined ? {} : { reason }) },
        });
        for (const [index, name] of ['a', 'b', 'c', 'd'].entries())
          api.seed(corev1.pods, finished(name, index, name === 'd' ? 'Evicted' : undefined));
      },
    );
    await harness.clock.advance(1000);
    expect(harness.api.all(corev1.pods).map(({ metadata }) => metadata.name)).toEqual(['b', 'c']);
  });
});
