import type { appsv1 } from '@k8ts/api';
import { formatTime } from '@k8ts/apimachinery';

import { milliseconds } from '../pod-state.ts';
import { availableReplicas, maxUnavailable, totalReplicas, wantedReplicas } from './scaling.ts';

type Deployment = appsv1.Deployment;
type ReplicaSet = appsv1.ReplicaSet;
type Condition = appsv1.DeploymentCondition;

const MAX_INT32 = 2 ** 31 - 1;

export function hasProgressDeadline({ spec }: Deployment): boolean {
  return spec.progressDeadlineSeconds !== undefined && spec.progressDeadlineSeconds !== MAX_INT32;
}

export function conditionOf(
  conditions: readonly Condition[] | undefined,
  type: string,
): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

export function newCondition(
  type: Condition['type'],
  status: Condition['status'],
  reason: string,
  message: string,
  now: number,
): Condition {
  const time = formatTime(now);
  return { type, status, lastUpdateTime: time, lastTransitionTime: time, reason, message };
}

/** Puts a condition in; one with the same status and reason stays as it is. Returns `conditions` itself then. */
export function withCondition(conditions: readonly Condition[], condition: Condition): readonly Condition[] {
  const known = conditionOf(conditions, condition.type);
  if (known?.status === condition.status && known.reason === condition.reason) return conditions;
  const since = known?.status === condition.status ? known.lastTransitionTime : condition.lastTransitionTime;
  return [
    ...withoutCondition(conditions, condition.type),
    { ...condition, ...(since === undefined ? {} : { lastTransitionTime: since }) },
  ];
}

function withoutCondition(conditions: readonly Condition[], type: string): readonly Condition[] {
  return conditions.some((condition) => condition.type === type)
    ? conditions.filter((condition) => condition.type !== type)
    : conditions;
}

/** What the ReplicaSets add up to, with the Available condition; the others are kept. */
export function deploymentStatus(
  deployment: Deployment,
  all: readonly ReplicaSet[],
  newest: ReplicaSet | undefined,
  now: number,
): appsv1.DeploymentStatus {
  const available = availableReplicas(all);
  const minAvailable = wantedReplicas(deployment) - maxUnavailable(deployment);
  const conditions = withCondition(
    deployment.status?.conditions ?? [],
    available >= minAvailable
      ? newCondition(
          'Available',
          'True',
          'MinimumReplicasAvailable',
          'Deployment has minimum availability.',
          now,
        )
      : newCondition(
          'Available',
          'False',
          'MinimumReplicasUnavailable',
          'Deployment does not have minimum availability.',
          now,
        ),
  );
  const sum = (count: (status: appsv1.ReplicaSetStatus) => number | undefined): number =>
    all.reduce((total, { status }) => total + ((status && count(status)) ?? 0), 0);
  const terminating = all.every(({ status }) => status?.terminatingReplicas !== undefined)
    ? sum((status) => status.terminatingReplicas)
    : undefined;
  const { generation } = deployment.metadata;
  const collisionCount = deployment.status?.collisionCount;
  return {
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    ...positive(
      'replicas',
      sum((status) => status.replicas),
    ),
    ...positive('updatedReplicas', newest?.status?.replicas ?? 0),
    ...positive(
      'readyReplicas',
      sum((status) => status.readyReplicas),
    ),
    ...positive('availableReplicas', available),
    ...positive('unavailableReplicas', totalReplicas(all) - available),
    ...(terminating === undefined ? {} : { terminatingReplicas: terminating }),
    conditions,
    ...(collisionCount === undefined ? {} : { collisionCount }),
  };
}

/** The API leaves zeros out. */
function positive<K extends string>(name: K, value: number): { readonly [P in K]?: number } {
  return value > 0 ? ({ [name]: value } as { [P in K]: number }) : {};
}

/** All that is wanted is there, available, and of the newest template; nothing else is left. */
export function isComplete(deployment: Deployment, status: appsv1.DeploymentStatus | undefined): boolean {
  const wanted = wantedReplicas(deployment);
  return (
    (status?.updatedReplicas ?? 0) === wanted &&
    (status?.replicas ?? 0) === wanted &&
    (status?.availableReplicas ?? 0) === wanted &&
    (status?.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0)
  );
}

/** More of the new, or fewer of the old, or more that are ready, than last time. */
function isProgressing(deployment: Deployment, next: appsv1.DeploymentStatus): boolean {
  const last = deployment.status ?? {};
  const old = ({ replicas = 0, updatedReplicas = 0 }: appsv1.DeploymentStatus): number =>
    replicas - updatedReplicas;
  return (
    (next.updatedReplicas ?? 0) > (last.updatedReplicas ?? 0) ||
    old(next) < old(last) ||
    (next.readyReplicas ?? 0) > (last.readyReplicas ?? 0) ||
    (next.availableReplicas ?? 0) > (last.availableReplicas ?? 0)
  );
}

function isTimedOut(deployment: Deployment, conditions: readonly Condition[], now: number): boolean {
  const condition = conditionOf(conditions, 'Progressing');
  if (condition === undefined || condition.reason === 'NewReplicaSetAvailable') return false;
  if (condition.reason === 'ProgressDeadlineExceeded') return true;
  return now > progressDeadline(deployment, condition);
}

function progressDeadline({ spec }: Deployment, condition: Condition): number {
  return (milliseconds(condition.lastUpdateTime) ?? 0) + (spec.progressDeadlineSeconds ?? 0) * 1000;
}

/**
 * The status during a roll-out: `deploymentStatus` with the conditions Progressing (complete, going on, or stuck beyond the
 * deadline) and ReplicaFailure.
 */
export function rolloutStatus(
  deployment: Deployment,
  all: readonly ReplicaSet[],
  newest: ReplicaSet | undefined,
  now: number,
): appsv1.DeploymentStatus {
  const status = deploymentStatus(deployment, all, newest, now);
  let conditions = status.conditions ?? [];
  const current = conditionOf(deployment.status?.conditions, 'Progressing');
  // A finished roll-out stays finished while pods come and go; only a new one is measured.
  const wasComplete =
    (status.replicas ?? 0) === (status.updatedReplicas ?? 0) && current?.reason === 'NewReplicaSetAvailable';
  const who =
    newest === undefined
      ? `Deployment "${deployment.metadata.name}"`
      : `ReplicaSet "${newest.metadata.name}"`;
  if (!hasProgressDeadline(deployment)) conditions = withoutCondition(conditions, 'Progressing');
  else if (!wasComplete) {
    if (isComplete(deployment, status))
      conditions = withCondition(
        conditions,
        newCondition(
          'Progressing',
          'True',
          'NewReplicaSetAvailable',
          `${who} has successfully progressed.`,
          now,
        ),
      );
    else if (isProgressing(deployment, status)) {
      const progress = newCondition(
        'Progressing',
        'True',
        'ReplicaSetUpdated',
        `${who} is progressing.`,
        now,
      );
      const since = current?.status === 'True' ? current.lastTransitionTime : undefined;
      // Unlike other conditions this one is renewed for the same reason: its update time is what the deadline counts from.
      conditions = [
        ...withoutCondition(conditions, 'Progressing'),
        { ...progress, ...(since === undefined ? {} : { lastTransitionTime: since }) },
      ];
    } else if (isTimedOut(deployment, conditions, now))
      conditions = withCondition(
        conditions,
        newCondition(
          'Progressing',
          'False',
          'ProgressDeadlineExceeded',
          `${who} has timed out progressing.`,
          now,
        ),
      );
  }
  const failure = replicaFailure(all, newest);
  conditions =
    failure === undefined
      ? withoutCondition(conditions, 'ReplicaFailure')
      : withCondition(conditions, failure);
  return { ...status, conditions };
}

/** A failure of the newest ReplicaSet comes before those of the old. */
function replicaFailure(all: readonly ReplicaSet[], newest: ReplicaSet | undefined): Condition | undefined {
  const failures = (newest === undefined ? all : [newest, ...all]).flatMap(
    ({ status }) => status?.conditions ?? [],
  );
  const failure = failures.find(({ type }) => type === 'ReplicaFailure');
  if (failure === undefined) return undefined;
  const { lastTransitionTime } = failure;
  return {
    ...failure,
    type: 'ReplicaFailure',
    ...(lastTransitionTime === undefined ? {} : { lastUpdateTime: lastTransitionTime }),
  };
}

/**
 * Milliseconds until the progress has to be looked at again; undefined when that is not needed. A second later than the
 * deadline, since times in conditions are in whole seconds.
 */
export function nextProgressCheck(
  deployment: Deployment,
  status: appsv1.DeploymentStatus,
  now: number,
): number | undefined {
  const current = conditionOf(deployment.status?.conditions, 'Progressing');
  if (!hasProgressDeadline(deployment) || current === undefined) return undefined;
  if (isComplete(deployment, status) || current.reason === 'ProgressDeadlineExceeded') return undefined;
  return Math.max(1000, progressDeadline(deployment, current) - now + 1000);
}
