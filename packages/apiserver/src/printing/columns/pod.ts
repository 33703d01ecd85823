/** Columns of pods (printPod): the STATUS column says what a pod's containers are up to, in one word. */
import type { corev1 } from '@k8ts/api';
import type { Column, TableRowCondition } from '../contract.ts';
import { ageColumn, column, nameColumn, wideColumn } from '../cells.ts';
import { timeSince } from '../human-duration.ts';

type Pod = corev1.Pod;
type Terminated = NonNullable<NonNullable<corev1.ContainerStatus['state']>['terminated']>;

interface PodSummary {
  readonly ready: string;
  readonly status: string;
  readonly restarts: number;
  /** When the container that restarted last had ended, as a time stamp; empty when unknown. */
  readonly lastRestart: string;
}

// One pod fills three columns in a row; the last summary is kept for them. Objects are immutable.
const summaries = new WeakMap<Pod, PodSummary>();

function summarizePod(pod: Pod): PodSummary {
  let summary = summaries.get(pod);
  if (summary === undefined) summaries.set(pod, (summary = computeSummary(pod)));
  return summary;
}

function computeSummary(pod: Pod): PodSummary {
  const { spec = { containers: [] }, status = {} } = pod;
  const sidecars = new Set<string>();
  for (const container of spec.initContainers ?? [])
    if (container.restartPolicy === 'Always') sidecars.add(container.name);

  const total = (spec.containers?.length ?? 0) + sidecars.size;
  let ready = 0;
  let reason: string = status.reason || status.phase || '';
  for (const condition of status.conditions ?? [])
    if (condition.type === 'PodScheduled' && condition.reason === 'SchedulingGated')
      reason = 'SchedulingGated';

  const all = new RestartCount();
  const ofSidecars = new RestartCount();
  let initializing = false;
  for (const [position, container] of (status.initContainerStatuses ?? []).entries()) {
    all.add(container);
    const isSidecar = sidecars.has(container.name);
    if (isSidecar) ofSidecars.add(container);
    const { terminated, waiting } = container.state ?? {};
    if (terminated !== undefined && (terminated.exitCode ?? 0) === 0) continue;
    if (isSidecar && container.started === true) {
      if (container.ready) ready++;
      continue;
    }
    initializing = true;
    if (terminated !== undefined) reason = `Init:${endReason(terminated)}`;
    else if (waiting?.reason && waiting.reason !== 'PodInitializing') reason = `Init:${waiting.reason}`;
    else reason = `Init:${position}/${spec.initContainers?.length ?? 0}`;
    break;
  }

  let restarts = all;
  if (!initializing || conditionIsTrue(status, 'Initialized')) {
    restarts = ofSidecars;
    let hasRunning = false;
    let errorReason = '';
    for (const container of (status.containerStatuses ?? []).toReversed()) {
      restarts.add(container);
      const { terminated, waiting, running } = container.state ?? {};
      if (waiting?.reason) {
        reason = waiting.reason;
      } else if (terminated !== undefined) {
        reason = endReason(terminated);
        if ((terminated.exitCode ?? 0) !== 0) errorReason = reason;
      } else if (container.ready && running !== undefined) {
        hasRunning = true;
        ready++;
      }
    }
    if (reason === 'Completed') {
      if (hasRunning && conditionIsTrue(status, 'Ready')) reason = 'Running';
      else if (errorReason !== '') reason = errorReason;
      else if (hasRunning) reason = 'NotReady';
    }
  }
  if (pod.metadata.deletionTimestamp !== undefined) {
    if (status.reason === 'NodeLost') reason = 'Unknown';
    else if (status.phase !== 'Failed' && status.phase !== 'Succeeded') reason = 'Terminating';
  }
  return { ready: `${ready}/${total}`, status: reason, restarts: restarts.count, lastRestart: restarts.last };
}

class RestartCount {
  count = 0;
  last = '';

  add(container: corev1.ContainerStatus): void {
    this.count += container.restartCount ?? 0;
    const finished = container.lastState?.terminated?.finishedAt ?? '';
    if (finished > this.last) this.last = finished;
  }
}

function endReason({ reason, signal, exitCode }: Terminated): string {
  return reason || (signal ? `Signal:${signal}` : `ExitCode:${exitCode ?? 0}`);
}

function conditionIsTrue(status: corev1.PodStatus, type: string): boolean {
  return (status.conditions ?? []).find((condition) => condition.type === type)?.status === 'True';
}

function readinessGates(pod: Pod): string {
  const gates = pod.spec?.readinessGates ?? [];
  if (gates.length === 0) return '<none>';
  const open = gates.filter((gate) => conditionIsTrue(pod.status ?? {}, gate.conditionType)).length;
  return `${open}/${gates.length}`;
}

const none = (value: string | undefined): string => value || '<none>';

export const podColumns: readonly Column<Pod>[] = [
  nameColumn,
  column('Ready', 'string', 'How many of its containers are ready.', (pod) => summarizePod(pod).ready),
  column(
    'Status',
    'string',
    'What its containers are up to, in one word.',
    (pod) => summarizePod(pod).status,
  ),
  column('Restarts', 'string', 'How often its containers were restarted, and when last.', (pod, now) => {
    const { restarts, lastRestart } = summarizePod(pod);
    return restarts !== 0 && lastRestart !== ''
      ? `${restarts} (${timeSince(lastRestart, now)} ago)`
      : `${restarts}`;
  }),
  ageColumn,
  wideColumn('IP', 'string', 'Address of the pod in the pod network.', (pod) =>
    none(pod.status?.podIPs?.[0]?.ip ?? pod.status?.podIP),
  ),
  wideColumn('Node', 'string', 'Node that the pod was assigned to.', (pod) => none(pod.spec?.nodeName)),
  wideColumn('Nominated Node', 'string', 'Node that is being made free for the pod.', (pod) =>
    none(pod.status?.nominatedNodeName),
  ),
  wideColumn(
    'Readiness Gates',
    'string',
    'How many of the extra conditions for readiness hold.',
    readinessGates,
  ),
];

const SUCCEEDED: readonly TableRowCondition[] = [
  { type: 'Completed', status: 'True', reason: 'Succeeded', message: 'The pod has completed successfully.' },
];
const FAILED: readonly TableRowCondition[] = [
  { type: 'Completed', status: 'True', reason: 'Failed', message: 'The pod failed.' },
];

export function podRowConditions(pod: Pod): readonly TableRowCondition[] | undefined {
  const phase = pod.status?.phase;
  return phase === 'Succeeded' ? SUCCEEDED : phase === 'Failed' ? FAILED : undefined;
}
