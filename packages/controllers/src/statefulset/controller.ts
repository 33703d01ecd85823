import { isDeepStrictEqual } from 'node:util';

import { appsv1, corev1 } from '@k8ts/api';
import {
  SelectorError,
  isAlreadyExists,
  isNotFound,
  labelSelectorFromObject,
  matchesLabels,
} from '@k8ts/apimachinery';
import type { LabelSelector } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import { controllerOf, objectKey } from '@k8ts/client';

import type { Controller, ControllerContext, ControllerDefinition } from '../contract.ts';
import { syncHistory, trimHistory } from '../controller-revisions.ts';
import { isNamespaceTerminating } from '../namespace-terminating.ts';
import { eventsRule, rule } from '../permissions.ts';
import { BY_CONTROLLER, orphansOf, podsInformer } from '../pod-indexes.ts';
import { claimObjects } from '../ref-manager.ts';
import { nextAvailability } from '../replicaset/plan.ts';
import { identityOf } from '../object-identity.ts';
import {
  claimOwners,
  claimsOf,
  hasIdentity,
  isStaleClaim,
  ordinalOf,
  podName,
  podOf,
  revisionOf,
  withIdentity,
} from './identity.ts';
import { planStatefulSet, statefulStatus } from './plan.ts';
import type { StatefulAction, StatefulState } from './plan.ts';

const HASH_LABEL = 'controller.kubernetes.io/hash';

export const statefulSetController: ControllerDefinition = {
  name: 'statefulset-controller',
  account: 'statefulset-controller',
  permissions: [
    rule(['list', 'watch'], [''], ['pods']),
    rule(['get', 'list', 'watch'], ['apps'], ['statefulsets']),
    rule(['update'], ['apps'], ['statefulsets/status']),
    rule(['update'], ['apps'], ['statefulsets/finalizers']),
    rule(['get', 'create', 'delete', 'update', 'patch'], [''], ['pods']),
    rule(['get', 'create', 'delete', 'update', 'patch', 'list', 'watch'], ['apps'], ['controllerrevisions']),
    rule(['get', 'create', 'list', 'watch'], [''], ['persistentvolumeclaims']),
    rule(['update', 'delete'], [''], ['persistentvolumeclaims']),
    rule(['update'], [''], ['pods/finalizers']),
    eventsRule,
  ],
  queue: 'statefulset',
  workers: 5,
  maxRetries: undefined,
  eventSource: 'statefulset-controller',
  create: (context) => new StatefulSetController(context),
};

class StatefulSetController implements Controller {
  readonly #context: ControllerContext;
  readonly #sets;
  readonly #revisions;
  readonly #claims;
  readonly #pods;

  constructor(context: ControllerContext) {
    this.#context = context;
    const { informers, queue } = context;
    this.#sets = informers.of(appsv1.statefulSets);
    this.#revisions = informers.of(appsv1.controllerRevisions);
    this.#revisions.addIndex(BY_CONTROLLER, (revision) => [
      controllerOf(revision)?.uid ?? orphansOf(revision.metadata.namespace ?? ''),
    ]);
    this.#claims = informers.of(corev1.persistentVolumeClaims);
    this.#pods = podsInformer(informers);
    const enqueue = (set: appsv1.StatefulSet | undefined): void => {
      if (set !== undefined) queue.add(objectKey(set));
    };
    this.#sets.addHandler({ added: enqueue, updated: enqueue, deleted: enqueue });
    const enqueueOwners = (pod: corev1.Pod): void => {
      if (controllerOf(pod) !== undefined) {
        enqueue(this.#ownerOf(pod));
        return;
      }
      for (const set of this.#sets.lister.list(pod.metadata.namespace ?? '')) {
        const selector = this.#selectorOf(set);
        if (selector !== undefined && matchesLabels(selector, pod.metadata.labels)) enqueue(set);
      }
    };
    this.#pods.addHandler({
      added: enqueueOwners,
      updated: (pod, previous) => {
        if (controllerOf(pod)?.uid !== controllerOf(previous)?.uid) enqueue(this.#ownerOf(previous));
        enqueueOwners(pod);
      },
      deleted: (pod) => enqueue(this.#ownerOf(pod)),
    });
    // A pod waits for a claim that is still on its way out.
    this.#claims.addHandler({
      deleted: (claim) => {
        for (const set of this.#sets.lister.list(claim.metadata.namespace ?? ''))
          if ((set.spec.volumeClaimTemplates ?? []).length > 0) enqueue(set);
      },
    });
  }

  #ownerOf(pod: corev1.Pod): appsv1.StatefulSet | undefined {
    const reference = controllerOf(pod);
    if (reference?.kind !== 'StatefulSet') return undefined;
    const owner = this.#sets.lister.get(pod.metadata.namespace ?? '', reference.name);
    return owner?.metadata.uid === reference.uid ? owner : undefined;
  }

  #selectorOf(set: appsv1.StatefulSet): LabelSelector | undefined {
    try {
      return labelSelectorFromObject(set.spec.selector);
    } catch (error) {
      if (!(error instanceof SelectorError)) throw error;
      this.#context.logger.warn('invalid selector', { key: objectKey(set), error: errorMessage(error) });
      return undefined;
    }
  }

  async reconcile(key: string): Promise<void> {
    const set = this.#sets.lister.byKey(key);
    const selector = set && this.#selectorOf(set);
    if (set === undefined || selector === undefined) return;
    const { uid = '', namespace = '', deletionTimestamp } = set.metadata;
    const claim = { client: this.#context.client, owner: set, ownerType: appsv1.statefulSets, selector };
    const revisions = await claimObjects({
      ...claim,
      type: appsv1.controllerRevisions,
      objects: [
        ...this.#revisions.lister.byIndex(BY_CONTROLLER, uid),
        ...this.#revisions.lister.byIndex(BY_CONTROLLER, orphansOf(namespace)),
      ],
    });
    const pods = await claimObjects({
      ...claim,
      type: corev1.pods,
      objects: [
        ...this.#pods.lister.byIndex(BY_CONTROLLER, uid),
        ...this.#pods.lister.byIndex(BY_CONTROLLER, orphansOf(namespace)),
      ],
      adoptable: (pod) => ordinalOf(set, pod) !== undefined,
    });
    if (deletionTimestamp !== undefined) return;
    const { collisionCount, currentRevision } = set.status ?? {};
    const history = await syncHistory(
      this.#context,
      set,
      appsv1.statefulSets,
      revisions,
      collisionCount,
      () => this.#noteCollision(set),
      HASH_LABEL,
    );
    if (history === undefined) return; // the change of the status comes back as an event
    const current = history.old.find(({ metadata }) => metadata.name === currentRevision) ?? history.current;
    const state: StatefulState = {
      set,
      pods,
      current: current.metadata.name,
      update: history.current.metadata.name,
      now: this.#context.clock.now(),
    };
    let failure: unknown;
    try {
      for (const action of planStatefulSet(state)) await this.#execute(state, current, action);
    } catch (error) {
      failure = error;
    }
    await this.#writeStatus(set, statefulStatus(state));
    if (failure !== undefined && !isNamespaceTerminating(failure)) throw failure as Error;
    const live = new Set([state.current, state.update, ...pods.map(revisionOf)]);
    await trimHistory(this.#context, history.old, set.spec.revisionHistoryLimit ?? 10, ({ metadata }) =>
      live.has(metadata.name),
    );
    const next = nextAvailability(pods, set.spec.minReadySeconds ?? 0, state.now);
    if (next !== undefined) this.#context.queue.addAfter(key, next);
  }

  async #execute(
    { set, update }: StatefulState,
    current: appsv1.ControllerRevision,
    action: StatefulAction,
  ): Promise<void> {
    const { ordinal } = action;
    switch (action.action) {
      case 'create': {
        const template = action.revision === update ? set.spec.template : templateOf(current);
        await this.#create(set, template, ordinal, action.revision);
        return;
      }
      case 'delete':
        if (action.finished) this.#eventOfFinished(set, action.pod);
        else await this.#syncClaims(set, ordinal, action.pod, false);
        await this.#delete(set, action.pod);
        return;
      case 'repair':
        await this.#syncClaims(set, ordinal, action.pod, action.pod.status?.phase === 'Pending');
        if (!hasIdentity(set, action.pod, ordinal))
          await this.#context.client
            .resource(corev1.pods, set.metadata.namespace)
            .update(withIdentity(set, action.pod, ordinal));
    }
  }

  async #create(
    set: appsv1.StatefulSet,
    template: corev1.PodTemplateSpec,
    ordinal: number,
    revision: string,
  ): Promise<void> {
    const name = podName(set, ordinal);
    const about = `Pod ${name} in StatefulSet ${set.metadata.name}`;
    try {
      if (!(await this.#syncClaims(set, ordinal, undefined, true))) return; // its old claims have to go first
      await this.#context.client
        .resource(corev1.pods, set.metadata.namespace)
        .create(podOf(set, template, ordinal, revision));
    } catch (error) {
      // Made before, and not in the cache yet.
      if (isAlreadyExists(error)) return;
      if (!isNamespaceTerminating(error))
        this.#event(set, 'Warning', 'FailedCreate', `create ${about} failed error: ${errorMessage(error)}`);
      throw error;
    }
    this.#event(set, 'Normal', 'SuccessfulCreate', `create ${about} successful`);
  }

  async #delete(set: appsv1.StatefulSet, { metadata }: corev1.Pod): Promise<void> {
    const about = `Pod ${metadata.name} in StatefulSet ${set.metadata.name}`;
    try {
      await this.#context.client
        .resource(corev1.pods, metadata.namespace)
        .delete(metadata.name, metadata.uid === undefined ? {} : { preconditions: { uid: metadata.uid } });
    } catch (error) {
      if (isNotFound(error)) return;
      this.#event(set, 'Warning', 'FailedDelete', `delete ${about} failed error: ${errorMessage(error)}`);
      throw error;
    }
    this.#event(set, 'Normal', 'SuccessfulDelete', `delete ${about} successful`);
  }

  /** Makes missing claims (`create`) and corrects the owners of the others. False: one still belongs to an earlier pod. */
  async #syncClaims(
    set: appsv1.StatefulSet,
    ordinal: number,
    pod: corev1.Pod | undefined,
    create: boolean,
  ): Promise<boolean> {
    const { namespace = '' } = set.metadata;
    const api = this.#context.client.resource(corev1.persistentVolumeClaims, namespace);
    for (const wanted of claimsOf(set, ordinal)) {
      const { name = '' } = wanted.metadata;
      const known = this.#claims.lister.get(namespace, name);
      if (known === undefined) {
        if (create) await this.#createClaim(set, wanted, ordinal);
        continue;
      }
      if (pod === undefined && isStaleClaim(set, known, ordinal, pod)) return false;
      if (pod === undefined && known.metadata.deletionTimestamp !== undefined)
        throw new Error(`pvc ${name} is being deleted`);
      const owners = claimOwners(set, known, ordinal, pod);
      if (
        known.metadata.deletionTimestamp === undefined &&
        !isDeepStrictEqual(owners, known.metadata.ownerReferences ?? [])
      )
        await api.update({ ...known, metadata: { ...known.metadata, ownerReferences: owners } });
    }
    return true;
  }

  async #createClaim(
    set: appsv1.StatefulSet,
    wanted: ReturnType<typeof claimsOf>[number],
    ordinal: number,
  ): Promise<void> {
    const { name = '', namespace } = wanted.metadata;
    const about = `Claim ${name} Pod ${podName(set, ordinal)} in StatefulSet ${set.metadata.name}`;
    const claim = { ...wanted, metadata: { ...wanted.metadata, name } };
    const owners = claimOwners(set, claim, ordinal, undefined);
    try {
      await this.#context.client.resource(corev1.persistentVolumeClaims, namespace).create({
        ...claim,
        metadata: { ...claim.metadata, ...(owners.length > 0 ? { ownerReferences: owners } : {}) },
      });
    } catch (error) {
      if (isAlreadyExists(error)) return;
      this.#event(set, 'Warning', 'FailedCreate', `create ${about} failed error: ${errorMessage(error)}`);
      throw error;
    }
    this.#event(set, 'Normal', 'SuccessfulCreate', `create ${about} success`);
  }

  async #writeStatus(set: appsv1.StatefulSet, status: appsv1.StatefulSetStatus): Promise<void> {
    if (isDeepStrictEqual(set.status, status)) return;
    const api = this.#context.client.resource(appsv1.statefulSets, set.metadata.namespace);
    try {
      await api.updateStatus({ ...set, status });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  async #noteCollision(set: appsv1.StatefulSet): Promise<void> {
    const { replicas = 0, collisionCount = 0, ...rest } = set.status ?? {};
    await this.#context.client.resource(appsv1.statefulSets, set.metadata.namespace).updateStatus({
      ...set,
      status: { ...rest, replicas, collisionCount: collisionCount + 1 },
    });
  }

  #eventOfFinished(set: appsv1.StatefulSet, pod: corev1.Pod): void {
    const failed = pod.status?.phase === 'Failed';
    this.#event(
      set,
      failed ? 'Warning' : 'Normal',
      failed ? 'RecreatingFailedPod' : 'RecreatingTerminatedPod',
      `StatefulSet ${objectKey(set)} is recreating ${failed ? 'failed' : 'terminated'} Pod ${pod.metadata.name}`,
    );
  }

  #event(set: appsv1.StatefulSet, type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#context.recorder.event(identityOf(set, appsv1.statefulSets), type, reason, message);
  }
}

/** The template that a revision keeps. */
function templateOf({ data }: appsv1.ControllerRevision): corev1.PodTemplateSpec {
  const { spec } = data as {
    readonly spec: { readonly template: corev1.PodTemplateSpec & { $patch?: unknown } };
  };
  const { $patch: _directive, ...template } = spec.template;
  return template;
}
