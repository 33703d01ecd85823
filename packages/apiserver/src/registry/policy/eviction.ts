/** POST pods/NAME/eviction: deletes a pod unless its disruption budget forbids it (pkg/registry/core/pod/storage/eviction.go). */
import { corev1, policyv1, type Draft, type metav1 } from '@k8ts/api';
import {
  badRequest,
  conflict,
  forbidden,
  formatTime,
  internalError,
  invalid,
  invalidValue,
  isConflict,
  labelSelectorFromObject,
  matchesLabels,
  SelectorError,
  tooManyRequests,
} from '@k8ts/apimachinery';
import { objectResult, type Result } from '../../request/result.ts';
import { setPodCondition } from '../core/pod/conditions.ts';
import type { SpecialHandler, SpecialRequest } from '../special-subresources.ts';
import { updateDisruptionAllowed } from './disruption-condition.ts';

type Pod = corev1.Pod;
type Budget = policyv1.PodDisruptionBudget;

interface Preconditions {
  readonly uid?: string;
  readonly resourceVersion?: string;
}

/** One pod's eviction. */
interface Task {
  readonly request: SpecialRequest;
  readonly options: Draft<metav1.DeleteOptions>;
  readonly preconditions: Preconditions;
  readonly dryRun: boolean;
}

const BUDGET = { group: 'policy', resource: 'poddisruptionbudget' };
const REFUSED = "Cannot evict pod as it would violate the pod's disruption budget.";
const MAX_DISRUPTED_PODS = 2000;
const ATTEMPTS = 20;

export const evictionHandler: SpecialHandler = {
  group: '',
  resource: 'pods',
  subresource: 'eviction',
  async handle(request) {
    const task = await read(request);
    const pod = await evictWithoutBudget(task);
    return pod === undefined ? success() : evictWithinBudget(task, pod);
  },
};

function success(): Result {
  return objectResult({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }, 201);
}

async function read(request: SpecialRequest): Promise<Task> {
  const { name, namespace } = request;
  const eviction = await request.readBody<policyv1.Eviction>();
  const metadata = (eviction.metadata ??= {} as Draft<policyv1.Eviction>['metadata']);
  if ((metadata.namespace ?? '') === '') metadata.namespace = namespace;
  else if (metadata.namespace !== namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  if (name !== (metadata.name ?? '')) throw badRequest('name in URL does not match name in Eviction object');
  const options = eviction.deleteOptions ?? {};
  if (options.ignoreStoreReadErrorWithClusterBreakingPotential === true)
    throw invalid({ group: 'policy', kind: 'Eviction' }, name, [
      invalidValue(
        'deleteOptions.ignoreStoreReadErrorWithClusterBreakingPotential',
        true,
        'can not be set for pod eviction, try after removing the option',
      ),
    ]);
  await request.admitCreate(eviction);
  const { uid, resourceVersion } = options.preconditions ?? {};
  return {
    request,
    options,
    preconditions: {
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
    dryRun: request.dryRun || (options.dryRun ?? []).length > 0,
  };
}

/** Pods that do not run need no budget. Gives the pod where one must be asked. */
async function evictWithoutBudget(task: Task): Promise<Pod | undefined> {
  const { registry, namespace, name } = task.request;
  const namesVersion = task.preconditions.resourceVersion !== undefined;
  for (let attempt = 1; ; attempt++) {
    const pod = await registry.get(corev1.pods, namespace, name);
    const phase = pod.status?.phase;
    const isOver =
      phase === 'Succeeded' || phase === 'Failed' || pod.metadata.deletionTimestamp !== undefined;
    if (!isOver && phase !== 'Pending') return pod;
    try {
      // A pending pod may start in the meantime, and then needs a budget after all.
      await remove(task, isOver || namesVersion ? undefined : pod.metadata.resourceVersion);
      return undefined;
    } catch (error) {
      if (namesVersion || attempt === ATTEMPTS || !isConflict(error)) throw error;
    }
  }
}

async function evictWithinBudget(task: Task, pod: Pod): Promise<Result> {
  const budgets = await budgetsOf(task, pod);
  if (budgets.length > 1)
    return objectResult(
      {
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        message:
          'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
        code: 500,
      },
      201,
    );
  const [budget] = budgets;
  if (budget === undefined || !isEvictableAsUnhealthy(pod, budget)) {
    if (budget !== undefined) await takeDisruption(task, budget);
    await remove(task, undefined);
    return success();
  }
  try {
    await remove(task, pod.metadata.resourceVersion);
  } catch (error) {
    if (isConflict(error) && task.preconditions.resourceVersion === undefined)
      throw beingProcessed(budget.metadata.name);
    throw error;
  }
  return success();
}

async function budgetsOf({ request }: Task, { metadata }: Pod): Promise<Budget[]> {
  const budgets = await request.registry.list(policyv1.podDisruptionBudgets, metadata.namespace ?? '');
  return budgets.filter(({ spec }) => {
    try {
      return matchesLabels(labelSelectorFromObject(spec?.selector), metadata.labels);
    } catch (error) {
      if (error instanceof SelectorError) return false;
      throw error;
    }
  });
}

/** A pod that is not ready is no loss. */
function isEvictableAsUnhealthy(pod: Pod, { spec, status }: Budget): boolean {
  const isReady = (pod.status?.conditions ?? []).some(
    (condition) => condition.type === 'Ready' && condition.status === 'True',
  );
  if (isReady) return false;
  if (spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow') return true;
  const desired = status?.desiredHealthy ?? 0;
  return (status?.currentHealthy ?? 0) >= desired && desired > 0;
}

function beingProcessed(name: string): Error {
  return tooManyRequests(REFUSED, 10, {
    reason: 'DisruptionBudget',
    message: `The disruption budget ${name} is still being processed by the server.`,
  });
}

/** Counts one disruption, or throws why there may be none. */
async function takeDisruption({ request, dryRun }: Task, { metadata }: Budget): Promise<void> {
  const { registry, namespace, name, clock } = request;
  await registry.update(
    policyv1.podDisruptionBudgets,
    namespace,
    metadata.name,
    (budget) => {
      check(budget);
      const status = budget.status as Draft<policyv1.PodDisruptionBudgetStatus>;
      status.disruptionsAllowed = (status.disruptionsAllowed ?? 0) - 1;
      if (status.disruptionsAllowed === 0) updateDisruptionAllowed(status, clock.now());
      status.disruptedPods = { ...status.disruptedPods, [name]: formatTime(clock.now()) };
    },
    { dryRun },
  );
}

function check(budget: Draft<Budget>): void {
  const { metadata, status } = budget;
  const { name } = metadata;
  if ((status?.observedGeneration ?? 0) < (metadata.generation ?? 0)) throw beingProcessed(name);
  const allowed = status?.disruptionsAllowed ?? 0;
  if (allowed < 0) throw forbidden(BUDGET, name, 'pdb disruptions allowed is negative');
  if (Object.keys(status?.disruptedPods ?? {}).length > MAX_DISRUPTED_PODS)
    throw forbidden(
      BUDGET,
      name,
      'DisruptedPods map too big - too many evictions not confirmed by PDB controller',
    );
  if (allowed === 0)
    throw tooManyRequests(REFUSED, 0, { reason: 'DisruptionBudget', message: whyNot(budget) });
}

function whyNot({ metadata, status }: Draft<Budget>): string {
  const condition = (status?.conditions ?? []).find(({ type }) => type === 'DisruptionAllowed');
  const says = condition?.status === 'False' && condition.message !== '' ? condition : undefined;
  const [needed, healthy] = [status?.desiredHealthy ?? 0, status?.currentHealthy ?? 0];
  const subject = `The disruption budget ${metadata.name}`;
  if (says?.reason === 'SyncFailed')
    return `${subject} does not allow evicting pods currently because it failed sync: ${says.message}`;
  if (healthy <= needed) return `${subject} needs ${needed} healthy pods and has ${healthy} currently`;
  if (says !== undefined)
    return `${subject} does not allow evicting pods currently (${says.reason}): ${says.message}`;
  return `${subject} does not allow evicting pods currently`;
}

/** Says in the pod why it goes, then deletes it. `version`: what the pod must be at. */
async function remove(task: Task, version: string | undefined): Promise<void> {
  const { request, options, dryRun } = task;
  const { registry, namespace, name, clock } = request;
  let preconditions: Preconditions = {
    ...task.preconditions,
    ...(version === undefined ? {} : { resourceVersion: version }),
  };
  if (!dryRun) {
    const updated = await registry.update(corev1.pods, namespace, name, (pod, old) => {
      checkPreconditions(preconditions, old);
      setPodCondition(
        (pod.status ??= {}),
        {
          type: 'DisruptionTarget',
          status: 'True',
          reason: 'EvictionByEvictionAPI',
          message: 'Eviction API: evicting',
        },
        clock.now(),
      );
    });
    const { resourceVersion } = updated.metadata;
    if (resourceVersion === undefined) throw internalError(new Error('the pod has no resourceVersion'));
    if (preconditions.resourceVersion !== undefined) preconditions = { ...preconditions, resourceVersion };
  }
  await registry.delete(corev1.pods, namespace, name, {
    ...(options.gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds: options.gracePeriodSeconds }),
    ...(options.propagationPolicy === undefined ? {} : { propagationPolicy: options.propagationPolicy }),
    preconditions,
    dryRun,
  });
}

function checkPreconditions({ uid, resourceVersion }: Preconditions, { metadata }: Pod): void {
  const POD = { group: '', resource: 'Pod' };
  if (uid && uid !== metadata.uid)
    throw conflict(
      POD,
      metadata.name,
      `the UID in the precondition (${uid}) does not match the UID in record (${metadata.uid}). The object might have been deleted and then recreated`,
    );
  if (resourceVersion && resourceVersion !== metadata.resourceVersion)
    throw conflict(
      POD,
      metadata.name,
      `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${metadata.resourceVersion}). The object might have been modified`,
    );
}
