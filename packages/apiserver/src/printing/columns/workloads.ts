/** Columns of the groups apps, batch, autoscaling and policy. */
import type { appsv1, autoscalingv2, batchv1, policyv1 } from '@k8ts/api';
import type { Column } from '../contract.ts';
import {
  ageColumn,
  boolText,
  column,
  formatLabels,
  formatSelector,
  nameColumn,
  selectorText,
  templateColumns,
  wideColumn,
} from '../cells.ts';
import { humanDuration, timeSince } from '../human-duration.ts';

const SELECTOR = 'Labels of the pods that belong to it.';

export const deploymentColumns: readonly Column<appsv1.Deployment>[] = [
  nameColumn,
  column(
    'Ready',
    'string',
    'How many of the wanted pods are ready.',
    ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec?.replicas ?? 0}`,
  ),
  column(
    'Up-to-date',
    'string',
    'Pods of the newest template.',
    (object) => object.status?.updatedReplicas ?? 0,
  ),
  column(
    'Available',
    'string',
    'Pods ready for long enough.',
    (object) => object.status?.availableReplicas ?? 0,
  ),
  ageColumn,
  ...templateColumns<appsv1.Deployment>((object) => object.spec?.template),
  wideColumn('Selector', 'string', SELECTOR, (object) => selectorText(object.spec?.selector) ?? '<invalid>'),
];

export const replicaSetColumns: readonly Column<appsv1.ReplicaSet>[] = [
  nameColumn,
  column('Desired', 'integer', 'How many pods are wanted.', (object) => object.spec?.replicas ?? 0),
  column('Current', 'integer', 'How many pods there are.', (object) => object.status?.replicas ?? 0),
  column('Ready', 'integer', 'How many pods are ready.', (object) => object.status?.readyReplicas ?? 0),
  ageColumn,
  ...templateColumns<appsv1.ReplicaSet>((object) => object.spec?.template),
  wideColumn('Selector', 'string', SELECTOR, (object) => formatSelector(object.spec?.selector)),
];

export const statefulSetColumns: readonly Column<appsv1.StatefulSet>[] = [
  nameColumn,
  column(
    'Ready',
    'string',
    'How many of the wanted pods are ready.',
    ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec?.replicas ?? 0}`,
  ),
  ageColumn,
  ...templateColumns<appsv1.StatefulSet>((object) => object.spec?.template),
];

export const daemonSetColumns: readonly Column<appsv1.DaemonSet>[] = [
  nameColumn,
  column(
    'Desired',
    'integer',
    'Nodes that should run a pod.',
    (object) => object.status?.desiredNumberScheduled ?? 0,
  ),
  column(
    'Current',
    'integer',
    'Nodes that run a pod.',
    (object) => object.status?.currentNumberScheduled ?? 0,
  ),
  column('Ready', 'integer', 'Nodes whose pod is ready.', (object) => object.status?.numberReady ?? 0),
  column(
    'Up-to-date',
    'integer',
    'Nodes with the newest pod.',
    (object) => object.status?.updatedNumberScheduled ?? 0,
  ),
  column(
    'Available',
    'integer',
    'Nodes whose pod is ready for long enough.',
    (object) => object.status?.numberAvailable ?? 0,
  ),
  column('Node Selector', 'string', 'Labels of the nodes that it is for.', (object) =>
    formatLabels(object.spec?.template?.spec?.nodeSelector),
  ),
  ageColumn,
  ...templateColumns<appsv1.DaemonSet>((object) => object.spec?.template),
  wideColumn('Selector', 'string', SELECTOR, (object) => formatSelector(object.spec?.selector)),
];

function controllerOf({ metadata }: appsv1.ControllerRevision): string {
  const owner = (metadata.ownerReferences ?? []).find((reference) => reference.controller === true);
  if (owner === undefined) return '<none>';
  const slash = owner.apiVersion.indexOf('/');
  const group = slash < 0 ? '' : `.${owner.apiVersion.slice(0, slash)}`;
  return `${`${owner.kind}${group}`.toLowerCase()}/${owner.name}`;
}

export const controllerRevisionColumns: readonly Column<appsv1.ControllerRevision>[] = [
  nameColumn,
  column('Controller', 'string', 'The object whose state it keeps.', controllerOf),
  column('Revision', 'string', 'Its place in the history.', (object) => object.revision ?? 0),
  ageColumn,
];

function jobStatus({ metadata, status }: batchv1.Job): string {
  const holds = (type: string): boolean =>
    (status?.conditions ?? []).find((condition) => condition.type === type)?.status === 'True';
  if (holds('Complete')) return 'Complete';
  if (holds('Failed')) return 'Failed';
  if (metadata.deletionTimestamp !== undefined) return 'Terminating';
  if (holds('Suspended')) return 'Suspended';
  if (holds('FailureTarget')) return 'FailureTarget';
  return holds('SuccessCriteriaMet') ? 'SuccessCriteriaMet' : 'Running';
}

function jobCompletions({ spec, status }: batchv1.Job): string {
  const succeeded = status?.succeeded ?? 0;
  if (spec?.completions !== undefined) return `${succeeded}/${spec.completions}`;
  const parallelism = spec?.parallelism ?? 0;
  return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`;
}

function jobDuration({ status }: batchv1.Job, now: number): string {
  if (status?.startTime === undefined) return '';
  const end = status.completionTime === undefined ? now : Date.parse(status.completionTime);
  return humanDuration(end - Date.parse(status.startTime));
}

export const jobColumns: readonly Column<batchv1.Job>[] = [
  nameColumn,
  column('Status', 'string', 'How far it is.', jobStatus),
  column('Completions', 'string', 'Pods that succeeded, of those that must.', jobCompletions),
  column('Duration', 'string', 'How long it takes, or took.', jobDuration),
  ageColumn,
  ...templateColumns<batchv1.Job>((object) => object.spec?.template),
  wideColumn('Selector', 'string', SELECTOR, (object) => formatSelector(object.spec?.selector)),
];

export const cronJobColumns: readonly Column<batchv1.CronJob>[] = [
  nameColumn,
  column('Schedule', 'string', 'When it runs, in cron’s notation.', (object) => object.spec?.schedule ?? ''),
  column(
    'Timezone',
    'string',
    'The time zone of the schedule.',
    (object) => object.spec?.timeZone ?? '<none>',
  ),
  column('Suspend', 'boolean', 'Whether it is paused.', (object) => boolText(object.spec?.suspend)),
  column('Active', 'integer', 'Jobs that run now.', (object) => (object.status?.active ?? []).length),
  column('Last Schedule', 'string', 'When it ran last.', ({ status }, now) =>
    status?.lastScheduleTime === undefined ? '<none>' : timeSince(status.lastScheduleTime, now),
  ),
  ageColumn,
  ...templateColumns<batchv1.CronJob>((object) => object.spec?.jobTemplate?.spec?.template),
  wideColumn('Selector', 'string', SELECTOR, (object) =>
    formatSelector(object.spec?.jobTemplate?.spec?.selector),
  ),
];

export const podDisruptionBudgetColumns: readonly Column<policyv1.PodDisruptionBudget>[] = [
  nameColumn,
  column('Min Available', 'string', 'Pods that must stay available.', (object) =>
    String(object.spec?.minAvailable ?? 'N/A'),
  ),
  column('Max Unavailable', 'string', 'Pods that may be unavailable.', (object) =>
    String(object.spec?.maxUnavailable ?? 'N/A'),
  ),
  column(
    'Allowed Disruptions',
    'integer',
    'Pods that may be evicted now.',
    (object) => object.status?.disruptionsAllowed ?? 0,
  ),
  ageColumn,
];

type MetricSpec = autoscalingv2.MetricSpec;
type MetricStatus = autoscalingv2.MetricStatus;
interface Target {
  readonly value?: string;
  readonly averageValue?: string;
  readonly averageUtilization?: number;
}

const percent = (value: number | undefined, otherwise: string): string =>
  value === undefined ? otherwise : `${value}%`;

function metricText(spec: MetricSpec, status: MetricStatus | undefined): string {
  switch (spec.type) {
    case 'External':
      return valueText(spec.external?.target, status?.external?.current);
    case 'Object':
      return valueText(spec.object?.target, status?.object?.current);
    case 'Pods':
      return `${status?.pods?.current?.averageValue ?? '<unknown>'}/${spec.pods?.target?.averageValue ?? '0'}`;
    case 'Resource':
      return utilizationText(spec.resource?.name ?? '', spec.resource?.target, status?.resource?.current);
    case 'ContainerResource':
      return utilizationText(
        spec.containerResource?.name ?? '',
        spec.containerResource?.target,
        status?.containerResource?.current,
      );
    default:
      return '<unknown type>';
  }
}

function valueText(target: Target | undefined, current: Target | undefined): string {
  return target?.averageValue !== undefined
    ? `${current?.averageValue ?? '<unknown>'}/${target.averageValue} (avg)`
    : `${current?.value ?? '<unknown>'}/${target?.value ?? '0'}`;
}

function utilizationText(name: string, target: Target | undefined, current: Target | undefined): string {
  return target?.averageValue !== undefined
    ? `${name}: ${current?.averageValue ?? '<unknown>'}/${target.averageValue}`
    : `${name}: ${percent(current?.averageUtilization, '<unknown>')}/${percent(target?.averageUtilization, '<auto>')}`;
}

const SHOWN_METRICS = 2;

function metricsText({ spec, status }: autoscalingv2.HorizontalPodAutoscaler): string {
  const metrics = spec?.metrics ?? [];
  if (metrics.length === 0) return '<none>';
  const shown = metrics
    .slice(0, SHOWN_METRICS)
    .map((metric, position) => metricText(metric, status?.currentMetrics?.[position]))
    .join(', ');
  return metrics.length > SHOWN_METRICS ? `${shown} + ${metrics.length - SHOWN_METRICS} more...` : shown;
}

export const horizontalPodAutoscalerColumns: readonly Column<autoscalingv2.HorizontalPodAutoscaler>[] = [
  nameColumn,
  column(
    'Reference',
    'string',
    'What it scales.',
    ({ spec }) => `${spec?.scaleTargetRef?.kind ?? ''}/${spec?.scaleTargetRef?.name ?? ''}`,
  ),
  column('Targets', 'string', 'What is measured, and the goal.', metricsText),
  column('MinPods', 'string', 'The fewest pods.', (object) => String(object.spec?.minReplicas ?? '<unset>')),
  column('MaxPods', 'string', 'The most pods.', (object) => object.spec?.maxReplicas ?? 0),
  column('Replicas', 'string', 'Pods there are.', (object) => object.status?.currentReplicas ?? 0),
  ageColumn,
];
