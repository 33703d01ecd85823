import { corev1 } from '@k8ts/api';
import { formatTime, isNotFound } from '@k8ts/apimachinery';
import { errorMessage, every, Scope } from '@k8ts/base';
import type { Clock, Logger, Metrics, Random } from '@k8ts/base';
import type { Client, EventRecorder, InformerFactory } from '@k8ts/client';
import { ClusterState, sameDemands, uidOf } from './cluster-state/cluster-state.ts';
import type { ClusterEvent, Plugin, Verdict } from './contract.ts';
import { SchedulingCycle } from './cycle.ts';
import { createSchedulerMetrics } from './metrics.ts';
import { defaultPlugins } from './plugin-registry.ts';
import { SchedulingQueue, isGated } from './queue/scheduling-queue.ts';
import type { QueuedPod } from './queue/scheduling-queue.ts';
import { createWorkloadLookup } from './workload-lookup.ts';

export interface SchedulerOptions {
  readonly client: Client;
  readonly informers: InformerFactory;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Pods with this `spec.schedulerName` are ours. */
  readonly schedulerName?: string;
  readonly plugins?: readonly Plugin[];
}

/** The event loop is given back after so many milliseconds of deciding. */
const SLICE = 4;
/** Bindings under way at once; more would only wait in the API server. */
const MAX_BINDINGS = 256;

/**
 * Finds nodes for pods. Deciding is done one pod after another, on a state that counts a pod on its node as soon as it
 * is decided; binding goes on beside it. Starts the informers; stops when disposed.
 */
export function startScheduler(options: SchedulerOptions): AsyncDisposable {
  const { client, informers, events, clock, random, logger } = options;
  const schedulerName = options.schedulerName ?? 'default-scheduler';
  const plugins = options.plugins ?? defaultPlugins;
  const metrics = createSchedulerMetrics(options.metrics, schedulerName);
  const scope = new Scope();
  const queue = new SchedulingQueue({ clock, plugins });
  const workloads = createWorkloadLookup(informers);
  const state = new ClusterState(workloads);
  const cycle = new SchedulingCycle(plugins, state, random);
  workloads.subscribe(() => {
    cycle.forgetClasses();
    queue.onEvent('WorkloadChanged');
  });

  const nodes = informers.of(corev1.nodes);
  const pods = informers.of(corev1.pods);

  scope.use(
    nodes.addHandler({
      added(node) {
        state.putNode(node);
        queue.onEvent('NodeAdded');
      },
      updated(node, before) {
        if (!changesScheduling(node, before)) return;
        state.putNode(node);
        queue.onEvent('NodeChanged');
      },
      deleted: (node) => state.removeNode(node.metadata.name ?? ''),
    }),
  );

  const forget = (pod: corev1.Pod): void => {
    queue.delete(uidOf(pod));
    if (state.remove(uidOf(pod))) queue.onEvent('AssignedPodDeleted');
  };
  const observe = (pod: corev1.Pod, event: ClusterEvent): void => {
    if (hasEnded(pod)) {
      forget(pod); // what has ended takes nothing from its node
    } else if (pod.spec.nodeName) {
      queue.delete(uidOf(pod));
      state.place(pod, pod.spec.nodeName);
      queue.onEvent(event);
    } else if (pod.metadata.deletionTimestamp === undefined) {
      if (pod.spec.schedulerName === schedulerName) queue.put(pod);
    } else {
      queue.delete(uidOf(pod));
    }
  };
  scope.use(
    pods.addHandler({
      added: (pod) => observe(pod, 'AssignedPodAdded'),
      updated: (pod, before) => {
        // A status report of a pod on its node concerns nobody here.
        const settled = pod.spec.nodeName !== undefined && pod.spec.nodeName === before.spec.nodeName;
        if (!settled || hasEnded(pod) !== hasEnded(before) || !sameDemands(pod, before))
          observe(pod, before.spec.nodeName ? 'AssignedPodChanged' : 'AssignedPodAdded');
      },
      deleted: forget,
    }),
  );

  const bindings = new Set<Promise<void>>();
  let oneBound = (): void => undefined;

  const run = async (): Promise<void> => {
    informers.start();
    await informers.waitForSync(scope.signal);
    let sliceEnd = clock.monotonic() + SLICE;
    for (;;) {
      const entry = queue.tryTake() ?? (await queue.take());
      if (entry === undefined) return;
      scheduleOne(entry);
      if (bindings.size >= MAX_BINDINGS)
        await new Promise<void>((resolve) => {
          oneBound = resolve;
        });
      if (clock.monotonic() >= sliceEnd) {
        await clock.yield();
        sliceEnd = clock.monotonic() + SLICE;
      }
    }
  };

  function scheduleOne(entry: QueuedPod): void {
    const { pod } = entry;
    if (isGated(pod)) return; // a gate cannot come back; only a lost update brings us here
    const started = clock.monotonic();
    let verdict: Verdict;
    try {
      verdict = cycle.decide(pod);
    } catch (error) {
      logger.error('pod could not be judged', { pod: podName(pod), error: errorMessage(error) });
      queue.delayRetry(entry);
      return;
    }
    metrics.attempted(
      verdict.kind === 'assigned' ? 'scheduled' : 'unschedulable',
      clock.monotonic() - started,
    );
    if (verdict.kind === 'unschedulable') {
      queue.park(entry, verdict.refusedBy);
      track(reportUnschedulable(pod, verdict.message));
      return;
    }
    state.place(pod, verdict.node);
    track(bind(entry, verdict.node));
  }

  function track(work: Promise<void>): void {
    const tracked: Promise<void> = work.finally(() => {
      bindings.delete(tracked);
      oneBound();
    });
    bindings.add(tracked);
  }

  async function bind(entry: QueuedPod, node: string): Promise<void> {
    const { pod } = entry;
    const { name = '', namespace = '', uid } = pod.metadata;
    try {
      await client.resource(corev1.pods, namespace).createSubresource(name, 'binding', {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { name, namespace, ...(uid === undefined ? {} : { uid }) },
        target: { kind: 'Node', name: node },
      });
      queue.delete(uidOf(pod));
      events.event(
        identityOf(pod),
        'Normal',
        'Scheduled',
        `Successfully assigned ${podName(pod)} to ${node}`,
      );
      metrics.scheduled(clock.monotonic() - entry.added);
    } catch (error) {
      if (scope.signal.aborted) return;
      if (state.remove(uidOf(pod))) queue.onEvent('AssignedPodDeleted');
      if (isNotFound(error)) {
        queue.delete(uidOf(pod));
        return;
      }
      logger.warn('binding failed', { pod: podName(pod), node, error: errorMessage(error) });
      queue.delayRetry(entry);
      events.event(
        identityOf(pod),
        'Warning',
        'FailedScheduling',
        `binding rejected: ${errorMessage(error)}`,
      );
    }
  }

  async function reportUnschedulable(pod: corev1.Pod, message: string): Promise<void> {
    events.event(identityOf(pod), 'Warning', 'FailedScheduling', message);
    const present = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');
    if (present?.status === 'False' && present.reason === 'Unschedulable' && present.message === message)
      return;
    const condition: corev1.PodCondition = {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message,
      lastTransitionTime:
        present?.status === 'False' && present.lastTransitionTime !== undefined
          ? present.lastTransitionTime
          : formatTime(clock.now()),
    };
    const { name = '', namespace = '', uid } = pod.metadata;
    try {
      await client
        .resource(corev1.pods, namespace)
        .patch(
          name,
          { metadata: { uid }, status: { conditions: [condition] } },
          { type: 'strategic', subresource: 'status' },
        );
    } catch (error) {
      if (!isNotFound(error) && !scope.signal.aborted)
        logger.warn('condition not written', { pod: podName(pod), error: errorMessage(error) });
    }
  }

  scope.defer(() => queue.close());
  scope.run(run(), (error) => logger.error('scheduler ended', { error: errorMessage(error) }));
  const gauges = options.metrics.gauge({
    name: 'scheduler_pending_pods',
    help: 'Number of pending pods, by the queue type.',
    labels: ['queue'],
  });
  const reportPending = (): void => {
    for (const [name, count] of Object.entries(queue.counts)) gauges.set(count, [name]);
  };
  scope.run(every(clock, 10_000, scope.signal, reportPending));
  return {
    async [Symbol.asyncDispose]() {
      await scope[Symbol.asyncDispose]();
      await Promise.allSettled(bindings);
    },
  };
}

/** Of a node's changes only these make a difference for pods; heartbeats do not. */
function changesScheduling(now: corev1.Node, before: corev1.Node): boolean {
  const relevant = (node: corev1.Node): string =>
    JSON.stringify([
      node.spec?.unschedulable,
      node.spec?.taints,
      node.metadata.labels,
      node.status?.allocatable,
    ]);
  return now.spec !== before.spec ||
    now.metadata.labels !== before.metadata.labels ||
    now.status !== before.status
    ? relevant(now) !== relevant(before)
    : false;
}

function hasEnded({ status }: corev1.Pod): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed';
}

function podName({ metadata }: corev1.Pod): string {
  return `${metadata.namespace ?? ''}/${metadata.name ?? ''}`;
}

function identityOf({ metadata }: corev1.Pod): Parameters<EventRecorder['event']>[0] {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    namespace: metadata.namespace ?? '',
    name: metadata.name ?? '',
    uid: metadata.uid ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
  };
}
