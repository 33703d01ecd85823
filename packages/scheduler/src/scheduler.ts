import { corev1, policyv1 } from '@k8ts/api';
import { isNotFound } from '@k8ts/apimachinery';
import { errorMessage, every, Scope } from '@k8ts/base';
import type { Clock, Logger, Metrics, Random } from '@k8ts/base';
import type { Client, EventRecorder, InformerFactory } from '@k8ts/client';
import { ClusterState, sameDemands } from './cluster-state/cluster-state.ts';
import { podPriority, uidOf } from './cluster-state/pod-info.ts';
import type { ClusterEvent, Plugin, Verdict } from './contract.ts';
import { SchedulingCycle } from './cycle.ts';
import { createSchedulerMetrics } from './metrics.ts';
import { defaultPlugins } from './plugin-registry.ts';
import { podIdentity, podName } from './pod-identity.ts';
import { patchPodStatus } from './pod-status.ts';
import type { PodStatusChange } from './pod-status.ts';
import { observeDisruptionBudgets } from './preemption/disruption-budgets.ts';
import { PreemptionExecutor } from './preemption/executor.ts';
import { Preemption } from './preemption/preemption.ts';
import { SchedulingQueue, isGated } from './queue/scheduling-queue.ts';
import type { QueuedPod } from './queue/scheduling-queue.ts';
import { PodGoneError, VolumeBinder } from './volumes/volume-binder.ts';
import type { VolumeReservation } from './volumes/volume-binder.ts';
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
/** An event's text is cut off here (events.k8s.io, NoteLengthLimit). */
const MAX_EVENT_MESSAGE = 1024;

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
  const volumes = new VolumeBinder({
    client,
    informers,
    clock,
    onChange: (whom) => queue.onEvent('VolumeChanged', whom),
  });
  const state = new ClusterState(workloads, volumes);
  const cycle = new SchedulingCycle(plugins, state, random);
  workloads.subscribe(() => {
    cycle.forgetClasses();
    queue.onEvent('WorkloadChanged');
  });

  const nodes = informers.of(corev1.nodes);
  const pods = informers.of(corev1.pods);
  const budgets = scope.use(observeDisruptionBudgets(informers.of(policyv1.podDisruptionBudgets)));
  const { nominations } = state;
  const statusWriter = { client, clock, random, signal: scope.signal };
  const executor = new PreemptionExecutor({ ...statusWriter, events, logger, metrics, nominations });
  const preemption = new Preemption({
    state,
    random,
    budgets,
    isBeingPreempted: (uid) => executor.isBeingPreempted(uid),
  });

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
      deleted({ metadata: { name = '' } }) {
        state.removeNode(name);
        // Who was promised room there waits for nothing now.
        queue.onEvent('AssignedPodDeleted', (pod) => nominations.nodeOf(uidOf(pod)) === name);
      },
    }),
  );

  /** A pod waits for a node no more that was promised to it: others who had to leave it room may have it. */
  const withdrawn = (pod: corev1.Pod): void =>
    queue.onEvent('AssignedPodDeleted', (other) => podPriority(other) <= podPriority(pod));
  const forget = (pod: corev1.Pod): void => {
    queue.delete(uidOf(pod));
    executor.forget(uidOf(pod));
    if (nominations.delete(uidOf(pod)) !== undefined) withdrawn(pod);
    if (state.remove(uidOf(pod))) queue.onEvent('AssignedPodDeleted');
  };
  const observe = (pod: corev1.Pod, event: ClusterEvent, before?: corev1.Pod): void => {
    if (hasEnded(pod)) {
      forget(pod); // what has ended takes nothing from its node
    } else if (pod.spec.nodeName) {
      queue.delete(uidOf(pod));
      const promised = nominations.nodeOf(uidOf(pod));
      state.place(pod, pod.spec.nodeName);
      queue.onEvent(event);
      if (promised !== undefined && promised !== pod.spec.nodeName) withdrawn(pod);
    } else if (pod.metadata.deletionTimestamp === undefined) {
      if (pod.spec.schedulerName === schedulerName) wait(pod, before);
    } else {
      queue.delete(uidOf(pod));
      if (nominations.delete(uidOf(pod)) !== undefined) withdrawn(pod);
    }
  };
  const wait = (pod: corev1.Pod, before: corev1.Pod | undefined): void => {
    const uid = uidOf(pod);
    queue.put(pod);
    if (state.has(uid)) return; // decided for a node, though the API server does not know yet
    const promised = nominations.nodeOf(uid);
    nominations.observe(pod, before);
    if (promised !== undefined && promised !== nominations.nodeOf(uid)) withdrawn(pod);
  };
  scope.use(
    pods.addHandler({
      added: (pod) => observe(pod, 'AssignedPodAdded'),
      updated: (pod, before) => {
        const settled = pod.spec.nodeName !== undefined && pod.spec.nodeName === before.spec.nodeName;
        if (!settled || hasEnded(pod) !== hasEnded(before) || !sameDemands(pod, before))
          observe(pod, before.spec.nodeName ? 'AssignedPodChanged' : 'AssignedPodAdded', before);
        else state.refresh(pod); // a status report of a pod on its node concerns only who may be preempted
      },
      deleted: forget,
    }),
  );

  const bindings = new Set<Promise<void>>();
  const waitingForVolumes = new Set<Promise<void>>();
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
      try {
        tryPreemption(entry, verdict.message);
      } catch (error) {
        logger.error('preemption failed', { pod: podName(pod), error: errorMessage(error) });
        track(reportUnschedulable(pod, verdict.message));
      }
      return;
    }
    const promised = nominations.nodeOf(uidOf(pod));
    state.place(pod, verdict.node);
    if (promised !== undefined && promised !== verdict.node) withdrawn(pod);
    const node = nodes.lister.byKey(verdict.node);
    const reservation = node === undefined ? undefined : volumes.reserve(pod, node);
    if (reservation === undefined) track(bind(entry, verdict.node));
    else trackVolumes(bindVolumes(entry, verdict.node, reservation));
  }

  /** Upstream's PostFilter: nobody has room for the pod; it may be that others have to leave. */
  function tryPreemption(entry: QueuedPod, message: string): void {
    const { pod } = entry;
    if (state.nodes.size === 0) {
      nominations.delete(uidOf(pod));
      track(reportUnschedulable(pod, message, ''));
      return;
    }
    metrics.attemptedPreemption();
    const result = cycle.preempt(pod, preemption);
    if (result.kind === 'refused') {
      const cleared = result.clearsNomination ? '' : undefined;
      if (cleared === '' && nominations.delete(uidOf(pod)) !== undefined) withdrawn(pod);
      track(reportUnschedulable(pod, `${message} ${result.message}`, cleared));
      return;
    }
    nominations.nominate(pod, result.node);
    const execution = executor.execute(pod, result.node, result.victims);
    if (execution !== undefined) {
      queue.hold(entry);
      track(execution.then((succeeded) => queue.release(entry, !succeeded)));
    }
    track(reportUnschedulable(pod, message, result.node));
  }

  function track(work: Promise<void>): void {
    const tracked: Promise<void> = work.finally(() => {
      bindings.delete(tracked);
      oneBound();
    });
    bindings.add(tracked);
  }

  /** Those who wait for their volumes, for minutes perhaps, keep nobody else from being bound. */
  function trackVolumes(work: Promise<void>): void {
    const tracked: Promise<void> = work.finally(() => waitingForVolumes.delete(tracked));
    waitingForVolumes.add(tracked);
  }

  async function bindVolumes(entry: QueuedPod, node: string, reservation: VolumeReservation): Promise<void> {
    const { pod } = entry;
    const isWanted = (): boolean => {
      const { namespace = '', name } = pod.metadata;
      const now = pods.lister.get(namespace, name);
      return now?.metadata.uid === pod.metadata.uid && now?.metadata.deletionTimestamp === undefined;
    };
    try {
      await reservation.bind(isWanted, scope.signal);
    } catch (error) {
      // A claim that is gone is no reason to forget the pod.
      const cause = isNotFound(error) ? new Error(errorMessage(error)) : error;
      await notBound(entry, node, cause, `running PreBind plugin "VolumeBinding": ${errorMessage(error)}`);
      return;
    }
    track(bind(entry, node));
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
        podIdentity(pod),
        'Normal',
        'Scheduled',
        `Successfully assigned ${podName(pod)} to ${node}`,
      );
      metrics.scheduled(clock.monotonic() - entry.added);
    } catch (error) {
      await notBound(entry, node, error, `binding rejected: ${errorMessage(error)}`);
    }
  }

  async function notBound(entry: QueuedPod, node: string, error: unknown, message: string): Promise<void> {
    const { pod } = entry;
    if (scope.signal.aborted) return;
    if (state.remove(uidOf(pod))) queue.onEvent('AssignedPodDeleted');
    if (isNotFound(error) || error instanceof PodGoneError) {
      queue.delete(uidOf(pod));
      return;
    }
    logger.warn('binding failed', { pod: podName(pod), node, error: errorMessage(error) });
    queue.delayRetry(entry);
    events.event(podIdentity(pod), 'Warning', 'FailedScheduling', message);
    await writeStatus(entry.pod, { nominatedNodeName: '' });
  }

  async function reportUnschedulable(
    pod: corev1.Pod,
    message: string,
    nominatedNodeName?: string,
  ): Promise<void> {
    events.event(podIdentity(pod), 'Warning', 'FailedScheduling', truncated(message));
    await writeStatus(pod, {
      condition: { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message },
      ...(nominatedNodeName === undefined ? undefined : { nominatedNodeName }),
    });
  }

  async function writeStatus(pod: corev1.Pod, change: PodStatusChange): Promise<void> {
    try {
      await patchPodStatus(statusWriter, pod, change);
    } catch (error) {
      if (!isNotFound(error) && !scope.signal.aborted)
        logger.warn('status not written', { pod: podName(pod), error: errorMessage(error) });
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
      await Promise.allSettled(waitingForVolumes);
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

function truncated(message: string): string {
  const suffix = ' ...';
  return message.length <= MAX_EVENT_MESSAGE
    ? message
    : message.slice(0, MAX_EVENT_MESSAGE - suffix.length) + suffix;
}
