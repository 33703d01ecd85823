import { appsv1 } from '@k8ts/api';
import type { New } from '@k8ts/api';
import { DNS1123_SUBDOMAIN_MAX_LENGTH, isAlreadyExists, isNotFound } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import { controllerOf, controllerRef } from '@k8ts/client';

import type { ControllerContext } from '../contract.ts';
import { isNamespaceTerminating } from '../namespace-terminating.ts';
import { identityOf } from '../object-identity.ts';
import { REVISION, maxRevision, newestAnnotations, revisionOf } from './revisions.ts';
import { byCreation, newestSize, replicaAnnotations, wantedReplicas } from './scaling.ts';
import { conditionOf, hasProgressDeadline, newCondition, withCondition } from './status.ts';
import { TEMPLATE_HASH, equalTemplates, templateHash } from './template.ts';

type Deployment = appsv1.Deployment;
type ReplicaSet = appsv1.ReplicaSet;

const MAX_INT32 = 2 ** 31 - 1;

/**
 * A Deployment and its ReplicaSets during one reconcile. It holds what was read and, after each write, what the server
 * returned, so that one write does not make the next one conflict.
 */
export class ReplicaSets {
  readonly #context: ControllerContext;
  readonly #find: (namespace: string, name: string) => ReplicaSet | undefined;
  #deployment: Deployment;
  #owned: readonly ReplicaSet[];
  #newest: ReplicaSet | undefined;

  constructor(
    context: ControllerContext,
    deployment: Deployment,
    owned: readonly ReplicaSet[],
    find: (namespace: string, name: string) => ReplicaSet | undefined,
  ) {
    this.#context = context;
    this.#deployment = deployment;
    this.#owned = byCreation(owned);
    this.#find = find;
    // Of several with the same template, which should not be, the oldest counts: all processes agree on it.
    this.#newest = this.#owned.find(({ spec }) => equalTemplates(spec.template, deployment.spec.template));
  }

  get deployment(): Deployment {
    return this.#deployment;
  }

  get all(): readonly ReplicaSet[] {
    return this.#owned;
  }

  /** The one with the Deployment's template. */
  get newest(): ReplicaSet | undefined {
    return this.#newest;
  }

  get old(): readonly ReplicaSet[] {
    const uid = this.#newest?.metadata.uid;
    return this.#owned.filter(({ metadata }) => metadata.uid !== uid);
  }

  /** Brings the newest ReplicaSet's annotations and the Deployment's revision up to date; makes it if `create` says so. */
  async sync(create: boolean): Promise<ReplicaSet | undefined> {
    const revision = maxRevision(this.old) + 1n;
    if (this.#newest === undefined) return create ? this.#create(revision) : undefined;
    const newest = this.#newest;
    const current = newest.metadata.annotations ?? {};
    const annotations = newestAnnotations(this.#deployment, current, revision);
    const { minReadySeconds = 0 } = this.#deployment.spec;
    if (annotations !== current || (newest.spec.minReadySeconds ?? 0) !== minReadySeconds)
      await this.#update({
        ...newest,
        metadata: { ...newest.metadata, annotations },
        spec: { ...newest.spec, minReadySeconds },
      });
    await this.#noteRevision(
      annotations[REVISION],
      'FoundNewReplicaSet',
      `Found new replica set "${newest.metadata.name}"`,
      false,
    );
    return this.#newest;
  }

  /** Sets the size, and notes the Deployment's on it. */
  async scale(replicaSet: ReplicaSet, replicas: number): Promise<void> {
    const before = wantedReplicas(replicaSet);
    const wanted = replicaAnnotations(this.#deployment);
    const { annotations = {} } = replicaSet.metadata;
    const noted = Object.entries(wanted).every(([name, value]) => annotations[name] === value);
    if (before === replicas && noted) return;
    await this.#update({
      ...replicaSet,
      metadata: { ...replicaSet.metadata, annotations: { ...annotations, ...wanted } },
      spec: { ...replicaSet.spec, replicas },
    });
    if (before === replicas) return;
    const direction = before < replicas ? 'up' : 'down';
    this.#event(
      'Normal',
      'ScalingReplicaSet',
      `Scaled ${direction} replica set ${replicaSet.metadata.name} from ${before} to ${replicas}`,
    );
  }

  /** Deletes the oldest of the old ReplicaSets that are beyond the history limit and empty. */
  async cleanup(): Promise<void> {
    const limit = this.#deployment.spec.revisionHistoryLimit;
    if (limit === undefined || limit === MAX_INT32) return;
    const alive = this.old.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    const excess = [...alive]
      .sort((a, b) => Number(revisionOf(a) - revisionOf(b)))
      .slice(0, Math.max(0, alive.length - limit));
    for (const { metadata, spec, status } of excess) {
      const inUse = (status?.replicas ?? 0) > 0 || (spec.replicas ?? 1) > 0;
      if (inUse || (metadata.generation ?? 0) > (status?.observedGeneration ?? 0)) continue;
      try {
        await this.#api().delete(
          metadata.name,
          metadata.uid === undefined ? {} : { preconditions: { uid: metadata.uid } },
        );
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
  }

  /** Writes status and annotations, as the API does both in one for Deployments. */
  async updateDeployment(deployment: Deployment): Promise<void> {
    this.#deployment = await this.#context.client
      .resource(appsv1.deployments, deployment.metadata.namespace)
      .updateStatus(deployment);
  }

  #api() {
    return this.#context.client.resource(appsv1.replicaSets, this.#deployment.metadata.namespace);
  }

  async #update(replicaSet: ReplicaSet): Promise<void> {
    this.#put(await this.#api().update(replicaSet));
  }

  #put(replicaSet: ReplicaSet): void {
    const { uid } = replicaSet.metadata;
    const others = this.#owned.filter(({ metadata }) => metadata.uid !== uid);
    this.#owned = byCreation([...others, replicaSet]);
    if (this.#newest?.metadata.uid === uid) this.#newest = replicaSet;
  }

  #event(type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#context.recorder.event(identityOf(this.#deployment, appsv1.deployments), type, reason, message);
  }

  /** Undefined when nothing can be made now, and trying again is of no use or comes by itself. */
  async #create(revision: bigint): Promise<ReplicaSet | undefined> {
    const object = this.#describe(revision);
    const { name = '' } = object.metadata;
    let created: ReplicaSet;
    let existed = false;
    try {
      created = await this.#api().create(object);
    } catch (error) {
      if (isNamespaceTerminating(error)) return undefined;
      const known = isAlreadyExists(error) ? await this.#ownByName(name) : undefined;
      if (known === undefined) {
        await (isAlreadyExists(error) ? this.#noteCollision() : this.#noteFailure(name, error));
        throw error;
      }
      created = known; // made before, and not in the cache yet
      existed = true;
    }
    this.#newest = created;
    this.#put(created);
    if (!existed && wantedReplicas(created) > 0)
      this.#event(
        'Normal',
        'ScalingReplicaSet',
        `Scaled up replica set ${name} from 0 to ${wantedReplicas(created)}`,
      );
    await this.#noteRevision(
      created.metadata.annotations?.[REVISION],
      'NewReplicaSetCreated',
      `Created new replica set "${name}"`,
      !existed,
    );
    return created;
  }

  #describe(revision: bigint): New<ReplicaSet> {
    const deployment = this.#deployment;
    const { template, selector, minReadySeconds = 0 } = deployment.spec;
    const { name, namespace } = deployment.metadata;
    const hash = templateHash(template, deployment.status?.collisionCount);
    const labels = { ...template.metadata?.labels, [TEMPLATE_HASH]: hash };
    return {
      metadata: {
        name: `${name.slice(0, DNS1123_SUBDOMAIN_MAX_LENGTH - hash.length - 1)}-${hash}`,
        ...(namespace === undefined ? {} : { namespace }),
        labels,
        annotations: { ...newestAnnotations(deployment, {}, revision), ...replicaAnnotations(deployment) },
        ownerReferences: [controllerRef(deployment, appsv1.deployments)],
      },
      spec: {
        replicas: newestSize(deployment, this.#owned, 0),
        ...(minReadySeconds > 0 ? { minReadySeconds } : {}),
        selector: { ...selector, matchLabels: { ...selector.matchLabels, [TEMPLATE_HASH]: hash } },
        template: { ...template, metadata: { ...template.metadata, labels } },
      },
    };
  }

  /** The ReplicaSet that has the name already, if it is the very one we wanted to make. */
  async #ownByName(name: string): Promise<ReplicaSet | undefined> {
    const { namespace = '', uid } = this.#deployment.metadata;
    const known = this.#find(namespace, name) ?? (await this.#api().get(name));
    const same =
      controllerOf(known)?.uid === uid && equalTemplates(known.spec.template, this.#deployment.spec.template);
    return same ? known : undefined;
  }

  /** Something else has the name: the next attempt hashes differently. */
  async #noteCollision(): Promise<void> {
    const { status } = this.#deployment;
    await this.updateDeployment({
      ...this.#deployment,
      status: { ...status, collisionCount: (status?.collisionCount ?? 0) + 1 },
    });
  }

  async #noteFailure(name: string, error: unknown): Promise<void> {
    const message = `Failed to create new replica set "${name}": ${errorMessage(error)}`;
    this.#event('Warning', 'ReplicaSetCreateError', message);
    if (!hasProgressDeadline(this.#deployment)) return;
    const { status } = this.#deployment;
    const now = this.#context.clock.now();
    const condition = newCondition('Progressing', 'False', 'ReplicaSetCreateError', message, now);
    const conditions = withCondition(status?.conditions ?? [], condition);
    // The error that led here is the one to be told; it is tried again either way.
    await this.updateDeployment({ ...this.#deployment, status: { ...status, conditions } }).catch(
      (failure: unknown) =>
        this.#context.logger.debug('the failure could not be noted', { error: errorMessage(failure) }),
    );
  }

  /** `always`: the condition is written even though there is one. */
  async #noteRevision(
    revision: string | undefined,
    reason: string,
    message: string,
    always: boolean,
  ): Promise<void> {
    const deployment = this.#deployment;
    const conditions = deployment.status?.conditions ?? [];
    const wanted =
      hasProgressDeadline(deployment) && (always || conditionOf(conditions, 'Progressing') === undefined);
    const next = wanted
      ? withCondition(
          conditions,
          newCondition('Progressing', 'True', reason, message, this.#context.clock.now()),
        )
      : conditions;
    const { annotations = {} } = deployment.metadata;
    if (next === conditions && (revision === undefined || annotations[REVISION] === revision)) return;
    await this.updateDeployment({
      ...deployment,
      metadata: {
        ...deployment.metadata,
        annotations: revision === undefined ? annotations : { ...annotations, [REVISION]: revision },
      },
      status: { ...deployment.status, ...(next.length > 0 ? { conditions: next } : {}) },
    });
  }
}
