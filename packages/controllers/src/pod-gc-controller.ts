import { corev1 } from '@k8ts/api';
import { isNotFound } from '@k8ts/apimachinery';
import { errorMessage, every } from '@k8ts/base';

import type { Controller, ControllerContext, ControllerDefinition } from './contract.ts';
import { isNodeReady } from './node-lifecycle/node-state.ts';
import { rule } from './permissions.ts';
import { disruptionTarget, patchPodStatus } from './pod-conditions.ts';
import type { ConditionChange } from './pod-conditions.ts';
import { podsInformer } from './pod-indexes.ts';
import { isPodTerminal, isPodTerminating } from './pod-state.ts';

const PERIOD = 20_000;
/** A node that is not in the cache may be a new one: this long before the server is asked whether it exists. */
const QUARANTINE = 40_000;
const DEFAULT_THRESHOLD = 12_500;
const OUT_OF_SERVICE = 'node.kubernetes.io/out-of-service';

type Reason = 'out-of-service' | 'terminated' | 'orphaned' | 'unscheduled';

/** Deletes pods that nobody else will: of nodes that are gone, finished ones beyond a number, and others left over. */
export const podGCController: ControllerDefinition = {
  name: 'pod-garbage-collector-controller',
  account: 'pod-garbage-collector',
  permissions: [
    rule(['list', 'watch', 'delete'], [''], ['pods']),
    rule(['get', 'list', 'watch'], [''], ['nodes']),
    rule(['patch'], [''], ['pods/status']),
  ],
  queue: 'orphaned_pods_nodes',
  workers: 1,
  maxRetries: undefined,
  eventSource: 'pod-garbage-collector-controller',
  create: createPodGC,
};

function createPodGC(context: ControllerContext): Controller {
  const { client, informers, clock, logger, metrics, options } = context;
  const threshold = options.terminatedPodThreshold ?? DEFAULT_THRESHOLD;
  const pods = podsInformer(informers);
  const nodes = informers.of(corev1.nodes);
  const deletions = metrics.counter({
    name: 'pod_gc_collector_force_delete_pods_total',
    help: 'Number of pods that are being forcefully deleted since the Pod GC Controller started.',
    labels: ['namespace', 'reason'],
  });
  const failures = metrics.counter({
    name: 'pod_gc_collector_force_delete_pod_errors_total',
    help: 'Number of errors encountered when forcefully deleting the pods since the Pod GC Controller started.',
    labels: ['namespace', 'reason'],
  });
  /** Unknown nodes that pods are on, and since when they have been missed. */
  const missing = new Map<string, number>();

  const collect = async (
    victims: readonly corev1.Pod[],
    reason: Reason,
    condition?: ConditionChange,
  ): Promise<void> => {
    for (const pod of victims) {
      const { namespace = '', name, uid } = pod.metadata;
      deletions.increment([namespace, reason]);
      try {
        // Without a kubelet nobody else would ever say that it no longer runs.
        if (!isPodTerminal(pod))
          await patchPodStatus(
            client,
            pod,
            { phase: 'Failed', ...(condition === undefined ? {} : { condition }) },
            clock.now(),
          );
        await client.resource(corev1.pods, namespace).delete(name, {
          gracePeriodSeconds: 0,
          ...(uid === undefined ? {} : { preconditions: { uid } }),
        });
        logger.info('deleted a pod', { pod: `${namespace}/${name}`, reason });
      } catch (error) {
        if (isNotFound(error)) continue;
        failures.increment([namespace, reason]);
        logger.warn('a pod could not be deleted', {
          pod: `${namespace}/${name}`,
          reason,
          error: errorMessage(error),
        });
      }
    }
  };

  /** Nodes that pods are on and that are gone for certain. */
  const goneNodes = async (all: readonly corev1.Pod[]): Promise<Set<string>> => {
    const gone = new Set<string>();
    const now = clock.monotonic();
    const referenced = new Set(all.map(({ spec }) => spec.nodeName ?? ''));
    for (const name of missing.keys())
      if (!referenced.has(name) || nodes.lister.byKey(name) !== undefined) missing.delete(name);
    for (const name of referenced) {
      if (name === '' || nodes.lister.byKey(name) !== undefined) continue;
      const since = missing.get(name);
      if (since === undefined) missing.set(name, now);
      else if (now - since >= QUARANTINE && !(await nodeExists(name))) gone.add(name);
    }
    return gone;
  };
  const nodeExists = async (name: string): Promise<boolean> => {
    try {
      await client.resource(corev1.nodes).get(name);
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      logger.warn('a node could not be read', { node: name, error: errorMessage(error) });
      return true; // not knowing is no reason to delete anything
    }
  };

  const sweep = async (): Promise<void> => {
    const all = pods.lister.list();
    if (threshold > 0) {
      const finished = all.filter(isPodTerminal);
      if (finished.length > threshold)
        await collect(finished.sort(evictedThenOldest).slice(0, finished.length - threshold), 'terminated');
    }
    const outOfService = all.filter((pod) => {
      const node = isPodTerminating(pod) ? nodes.lister.byKey(pod.spec.nodeName ?? '') : undefined;
      if (node === undefined || isNodeReady(node)) return false;
      return node.spec.taints?.some(({ key }) => key === OUT_OF_SERVICE) === true;
    });
    await collect(outOfService.sort(evictedThenOldest), 'out-of-service');
    const gone = await goneNodes(all);
    await collect(
      all.filter(({ spec }) => gone.has(spec.nodeName ?? '')),
      'orphaned',
      disruptionTarget('DeletionByPodGC', 'PodGC: node no longer exists'),
    );
    await collect(
      all.filter((pod) => isPodTerminating(pod) && !pod.spec.nodeName),
      'unscheduled',
    );
  };

  return {
    reconcile: () => Promise.resolve(), // all work is done by the sweep
    run: async (signal) => {
      await sweep();
      await every(clock, PERIOD, signal, sweep);
    },
  };
}

function evictedThenOldest(a: corev1.Pod, b: corev1.Pod): number {
  const evicted = ({ status }: corev1.Pod): boolean =>
    status?.phase === 'Failed' && status.reason === 'Evicted';
  if (evicted(a) !== evicted(b)) return evicted(a) ? -1 : 1;
  const [aTime = '', bTime = ''] = [a.metadata.creationTimestamp, b.metadata.creationTimestamp];
  if (aTime !== bTime) return aTime < bTime ? -1 : 1;
  return a.metadata.name < b.metadata.name ? -1 : 1;
}
