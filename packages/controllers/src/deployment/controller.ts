import { isDeepStrictEqual } from 'node:util';

import type { corev1 } from '@k8ts/api';
import { appsv1 } from '@k8ts/api';
import { SelectorError, isNotFound, labelSelectorFromObject } from '@k8ts/apimachinery';
import type { LabelSelector } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import { controllerOf, objectKey } from '@k8ts/client';

import type { Controller, ControllerContext, ControllerDefinition } from '../contract.ts';
import { eventsRule, rule } from '../permissions.ts';
import { BY_CONTROLLER, orphansOf, podsInformer } from '../pod-indexes.ts';
import { isPodTerminal } from '../pod-state.ts';
import { claimObjects } from '../ref-manager.ts';
import { identityOf } from '../object-identity.ts';
import { ReplicaSets } from './replica-sets.ts';
import {
  activeOnly,
  isRollingUpdate,
  planNewest,
  planOld,
  planScaling,
  wantedReplicas,
  wasScaled,
} from './scaling.ts';
import {
  conditionOf,
  deploymentStatus,
  hasProgressDeadline,
  isComplete,
  newCondition,
  nextProgressCheck,
  rolloutStatus,
  withCondition,
} from './status.ts';

type Deployment = appsv1.Deployment;
type ReplicaSet = appsv1.ReplicaSet;

export const deploymentController: ControllerDefinition = {
  name: 'deployment-controller',
  account: 'deployment-controller',
  permissions: [
    rule(['get', 'list', 'watch', 'update'], ['extensions', 'apps'], ['deployments']),
    rule(['update'], ['extensions', 'apps'], ['deployments/status']),
    rule(['update'], ['extensions', 'apps'], ['deployments/finalizers']),
    rule(
      ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'],
      ['apps', 'extensions'],
      ['replicasets'],
    ),
    rule(['get', 'list', 'watch', 'update'], [''], ['pods']),
    eventsRule,
  ],
  queue: 'deployment',
  workers: 5,
  maxRetries: 15,
  eventSource: 'deployment-controller',
  create: (context) => new DeploymentController(context),
};

class DeploymentController implements Controller {
  readonly #context: ControllerContext;
  readonly #deployments;
  readonly #replicaSets;
  readonly #pods;

  constructor(context: ControllerContext) {
    this.#context = context;
    const { informers, queue } = context;
    this.#deployments = informers.of(appsv1.deployments);
    this.#replicaSets = informers.of(appsv1.replicaSets);
    this.#replicaSets.addIndex('deployment', (replicaSet) => [
      controllerOf(replicaSet)?.uid ?? orphansOf(replicaSet.metadata.namespace ?? ''),
    ]);
    this.#pods = podsInformer(informers);

    const enqueue = (deployment: Deployment | undefined): void => {
      if (deployment !== undefined) queue.add(objectKey(deployment));
    };
    this.#deployments.addHandler({ added: enqueue, updated: enqueue, deleted: enqueue });
    const enqueueOwners = (replicaSet: ReplicaSet): void => {
      if (controllerOf(replicaSet) !== undefined) enqueue(this.#ownerOf(replicaSet));
      else if (replicaSet.metadata.deletionTimestamp === undefined)
        for (const deployment of this.#deployments.lister.list(replicaSet.metadata.namespace ?? ''))
          enqueue(deployment);
    };
    this.#replicaSets.addHandler({
      added: enqueueOwners,
      updated: (replicaSet, previous) => {
        if (replicaSet.metadata.resourceVersion === previous.metadata.resourceVersion) return;
        if (controllerOf(previous)?.uid !== controllerOf(replicaSet)?.uid) enqueue(this.#ownerOf(previous));
        enqueueOwners(replicaSet);
      },
      deleted: (replicaSet) => enqueue(this.#ownerOf(replicaSet)),
    });
    // A Deployment that recreates waits for the last of its old pods.
    this.#pods.addHandler({
      deleted: (pod) => {
        const owner = controllerOf(pod);
        if (owner?.kind !== 'ReplicaSet') return;
        const replicaSet = this.#replicaSets.lister.get(pod.metadata.namespace ?? '', owner.name);
        const deployment = replicaSet === undefined ? undefined : this.#ownerOf(replicaSet);
        if (deployment !== undefined && !isRollingUpdate(deployment)) enqueue(deployment);
      },
    });
  }

  #ownerOf(replicaSet: ReplicaSet): Deployment | undefined {
    const owner = controllerOf(replicaSet);
    if (owner?.kind !== 'Deployment') return undefined;
    const deployment = this.#deployments.lister.get(replicaSet.metadata.namespace ?? '', owner.name);
    return deployment?.metadata.uid === owner.uid ? deployment : undefined;
  }

  async reconcile(key: string): Promise<void> {
    const deployment = this.#deployments.lister.byKey(key);
    if (deployment === undefined) return;
    const selector = this.#selectorOf(deployment);
    if (selector === undefined) return;
    if (selector.requirements.length === 0) {
      await this.#refuseToSelectAll(deployment);
      return;
    }
    const owned = await this.#claim(deployment, selector);
    const sets = new ReplicaSets(this.#context, deployment, owned, (namespace, name) =>
      this.#replicaSets.lister.get(namespace, name),
    );
    if (deployment.metadata.deletionTimestamp !== undefined) {
      await sets.sync(false);
      await this.#writeStatus(sets, deploymentStatus);
      return;
    }
    await this.#notePause(sets);
    if (deployment.spec.paused === true) return this.#scale(sets);
    await sets.sync(false);
    if (wasScaled(sets.deployment, sets.all)) return this.#scale(sets);
    return isRollingUpdate(deployment) ? this.#roll(sets) : this.#recreate(sets);
  }

  #selectorOf(deployment: Deployment): LabelSelector | undefined {
    try {
      return labelSelectorFromObject(deployment.spec.selector);
    } catch (error) {
      if (!(error instanceof SelectorError)) throw error;
      this.#context.logger.warn('invalid selector', {
        key: objectKey(deployment),
        error: errorMessage(error),
      });
      return undefined;
    }
  }

  async #refuseToSelectAll(deployment: Deployment): Promise<void> {
    this.#context.recorder.event(
      identityOf(deployment, appsv1.deployments),
      'Warning',
      'SelectingAll',
      'This deployment is selecting all pods. A non-empty selector is required.',
    );
    const { generation = 0, namespace } = deployment.metadata;
    if ((deployment.status?.observedGeneration ?? 0) >= generation) return;
    await this.#context.client
      .resource(appsv1.deployments, namespace)
      .updateStatus({ ...deployment, status: { ...deployment.status, observedGeneration: generation } });
  }

  #claim(deployment: Deployment, selector: LabelSelector): Promise<ReplicaSet[]> {
    const { uid = '', namespace = '' } = deployment.metadata;
    const { lister } = this.#replicaSets;
    return claimObjects({
      client: this.#context.client,
      owner: deployment,
      ownerType: appsv1.deployments,
      type: appsv1.replicaSets,
      selector,
      objects: [...lister.byIndex('deployment', uid), ...lister.byIndex('deployment', orphansOf(namespace))],
    });
  }

  /** A pause stops the clock of the progress deadline; going on starts it anew. */
  async #notePause(sets: ReplicaSets): Promise<void> {
    const { deployment } = sets;
    if (!hasProgressDeadline(deployment)) return;
    const conditions = deployment.status?.conditions ?? [];
    const current = conditionOf(conditions, 'Progressing');
    if (current?.reason === 'ProgressDeadlineExceeded') return; // a failure is not covered up
    const paused = deployment.spec.paused === true;
    if (paused === (current?.reason === 'DeploymentPaused')) return;
    const [reason, message] = paused
      ? ['DeploymentPaused', 'Deployment is paused']
      : ['DeploymentResumed', 'Deployment is resumed'];
    const condition = newCondition('Progressing', 'Unknown', reason, message, this.#context.clock.now());
    await sets.updateDeployment({
      ...deployment,
      status: { ...deployment.status, conditions: withCondition(conditions, condition) },
    });
  }

  /** Paused, or scaled: sizes follow the Deployment's, but no version replaces another. */
  async #scale(sets: ReplicaSets): Promise<void> {
    await sets.sync(false);
    for (const { replicaSet, replicas } of planScaling(sets.deployment, sets.newest, sets.old))
      await sets.scale(replicaSet, replicas);
    if (sets.deployment.spec.paused === true) await sets.cleanup();
    await this.#writeStatus(sets, deploymentStatus);
  }

  async #roll(sets: ReplicaSets): Promise<void> {
    const newest = await sets.sync(true);
    if (newest !== undefined) {
      const up = planNewest(sets.deployment, sets.all, newest);
      if (up !== undefined) await sets.scale(up.replicaSet, up.replicas);
      else {
        // One direction at a time: what becomes unavailable is known only after the cache has seen it.
        for (const { replicaSet, replicas } of planOld(sets.deployment, sets.old, newest))
          await sets.scale(replicaSet, replicas);
      }
    }
    await this.#finish(sets);
  }

  async #recreate(sets: ReplicaSets): Promise<void> {
    const active = activeOnly(sets.old);
    for (const replicaSet of active) await sets.scale(replicaSet, 0);
    if (active.length === 0 && !this.#oldPodsRun(sets)) {
      const newest = await sets.sync(true);
      if (newest !== undefined) await sets.scale(newest, wantedReplicas(sets.deployment));
    }
    await this.#finish(sets);
  }

  /** Old and new must not run side by side, so terminating pods count as well. */
  #oldPodsRun(sets: ReplicaSets): boolean {
    return (
      sets.old.some(({ status }) => (status?.replicas ?? 0) > 0) ||
      sets.old.some(({ metadata }) =>
        this.#pods.lister
          .byIndex(BY_CONTROLLER, metadata.uid ?? '')
          .some((pod: corev1.Pod) => !isPodTerminal(pod)),
      )
    );
  }

  async #finish(sets: ReplicaSets): Promise<void> {
    if (isComplete(sets.deployment, sets.deployment.status)) await sets.cleanup();
    const { clock, queue } = this.#context;
    const written = await this.#writeStatus(sets, rolloutStatus);
    const check = nextProgressCheck(sets.deployment, written, clock.now());
    if (check !== undefined) queue.addAfter(objectKey(sets.deployment), check);
  }

  async #writeStatus(sets: ReplicaSets, compute: typeof deploymentStatus): Promise<appsv1.DeploymentStatus> {
    const status = compute(sets.deployment, sets.all, sets.newest, this.#context.clock.now());
    if (isDeepStrictEqual(sets.deployment.status, status)) return status;
    try {
      await sets.updateDeployment({ ...sets.deployment, status });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    return status;
  }
}
