import type { KubeObject, ResourceType, metav1 } from '@k8ts/api';
import { formatGroupVersion, isNotFound } from '@k8ts/apimachinery';
import { errorMessage, sleep } from '@k8ts/base';
import { discoverResources, retryOnConflict } from '@k8ts/client';
import type { DiscoveredResource } from '@k8ts/client';

import type { Controller, ControllerContext, ControllerDefinition } from '../contract.ts';
import { eventsRule, rule } from '../permissions.ts';
import { identityOf } from '../object-identity.ts';
import { ResourceMonitors } from '../resource-monitors.ts';
import { AbsentOwners } from './absent-owners.ts';
import { FOREGROUND, ORPHAN, OwnerGraph, blockingDependents } from './graph.ts';
import type { GraphNode } from './graph.ts';

/** Events own nothing, belong to nobody for long, and are too many. */
const IGNORED: ReadonlySet<string> = new Set(['events.', 'events.events.k8s.io']);

/** How often the resource types are looked at, unless told otherwise. */
const DISCOVERY_PERIOD = 30_000;

type Reference = metav1.OwnerReference;

export const garbageCollectorController: ControllerDefinition = {
  name: 'garbage-collector-controller',
  account: 'generic-garbage-collector',
  permissions: [rule(['get', 'list', 'watch', 'patch', 'update', 'delete'], ['*'], ['*']), eventsRule],
  queue: 'garbage_collector_attempt_to_delete',
  workers: 20,
  maxRetries: undefined,
  eventSource: 'garbage-collector-controller',
  create: (context) => new GarbageCollector(context),
};

/**
 * Deletes what has lost its last owner, orphans what its owner asks to keep, and lets owners go whose dependents are gone.
 * Keys of the queue are `delete/<uid>` and `orphan/<uid>`.
 */
class GarbageCollector implements Controller {
  readonly #context: ControllerContext;
  readonly #graph: OwnerGraph;
  readonly #monitors: ResourceMonitors;
  readonly #absent = new AbsentOwners();
  /** By apiVersion and kind, as owner references name them; every version, not only the preferred ones. */
  #kinds: ReadonlyMap<string, DiscoveredResource> = new Map();

  constructor(context: ControllerContext) {
    this.#context = context;
    const { queue } = context;
    this.#graph = new OwnerGraph({
      attemptToDelete: (uid) => queue.add(`delete/${uid}`),
      attemptToOrphan: (uid) => queue.add(`orphan/${uid}`),
    });
    this.#monitors = new ResourceMonitors(context, {
      wants: ({ group, resource, verbs }) =>
        !IGNORED.has(`${resource}.${group}`) &&
        ['delete', 'list', 'watch'].every((verb) => verbs.includes(verb)),
      added: (type, object) => this.#graph.observe(type, object.metadata),
      updated: (type, object) => this.#graph.observe(type, object.metadata),
      deleted: (type, object) => {
        const { uid, name, namespace = '' } = object.metadata;
        if (uid === undefined) return;
        this.#absent.add({ kind: type.kind, name, uid }, namespace);
        this.#graph.remove(uid);
      },
      unserved: (type) => {
        for (const { uid } of this.#graph.ofType(type)) this.#graph.remove(uid);
      },
    });
  }

  /** Follows discovery: resource types come and go with their CustomResourceDefinitions. */
  async run(signal: AbortSignal): Promise<void> {
    const { client, clock, logger, options } = this.#context;
    while (!signal.aborted) {
      try {
        const discovery = await discoverResources(client, signal);
        this.#kinds = new Map(
          discovery.resources.map((type) => [kindKey(formatGroupVersion(type), type.kind), type]),
        );
        await this.#monitors.follow(discovery);
      } catch (error) {
        if (!signal.aborted) logger.warn('discovery failed', { error: errorMessage(error) });
      }
      await sleep(clock, options.discoveryPeriod ?? DISCOVERY_PERIOD, signal).catch(() => undefined);
    }
  }

  async reconcile(key: string, signal: AbortSignal): Promise<void> {
    // Before all kinds have been listed, dependents that are not there yet look like none.
    await this.#monitors.waitForSync(signal);
    const slash = key.indexOf('/');
    const node = this.#graph.get(key.slice(slash + 1));
    if (node === undefined) return;
    if (key.startsWith('orphan/')) await this.#orphan(node);
    else await this.#attemptToDelete(node);
  }

  async #attemptToDelete(node: GraphNode): Promise<void> {
    // Deleted already, and it waits for nobody of ours.
    if (!node.virtual && node.beingDeleted && !node.deletingDependents) return;
    const type = this.#typeOf(node);
    const latest = await this.#read(type, node.namespace, node.name);
    if (latest?.metadata.uid !== node.uid) {
      // Gone, or another object has its name. Its own events may be on their way; a virtual node has none.
      this.#absent.add(node, type.namespaced ? node.namespace : '');
      if (node.virtual) this.#graph.remove(node.uid);
      return;
    }
    if (node.virtual) return; // it exists; its monitor will bring it
    if (node.deletingDependents) {
      await this.#finishForeground(node, type);
      return;
    }
    const owners = latest.metadata.ownerReferences ?? [];
    if (owners.length === 0) return;
    const { solid, dangling, waiting } = await this.#classify(node, latest, owners);
    if (solid.length > 0) {
      if (dangling.length + waiting.length > 0)
        await this.#setOwners(
          type,
          latest,
          owners.filter((owner) => solid.includes(owner)),
        );
      return;
    }
    if (waiting.length > 0 && node.dependents.size > 0) {
      // Its owner waits for it, so it goes the same way. Where owners form a circle each would wait for the next one.
      if ([...node.dependents].some(({ deletingDependents }) => deletingDependents))
        await this.#setOwners(
          type,
          latest,
          owners.map((owner) => ({ ...owner, blockOwnerDeletion: false })),
        );
      await this.#delete(type, latest, 'Foreground');
      return;
    }
    const { finalizers = [] } = latest.metadata;
    await this.#delete(
      type,
      latest,
      finalizers.includes(ORPHAN) ? 'Orphan' : finalizers.includes(FOREGROUND) ? 'Foreground' : 'Background',
    );
  }

  /** An owner may go once no dependent blocks it. */
  async #finishForeground(node: GraphNode, type: ResourceType<KubeObject>): Promise<void> {
    const blocking = blockingDependents(node);
    if (blocking.length === 0) {
      await this.#removeFinalizer(type, node, FOREGROUND);
      return;
    }
    for (const dependent of blocking)
      if (!dependent.deletingDependents) this.#context.queue.add(`delete/${dependent.uid}`);
  }

  async #orphan(node: GraphNode): Promise<void> {
    const results = await Promise.allSettled(
      [...node.dependents].map(async (dependent) => {
        const type = this.#typeOf(dependent);
        await retryOnConflict(this.#context, async () => {
          const latest = await this.#read(type, dependent.namespace, dependent.name);
          if (latest?.metadata.uid !== dependent.uid) return;
          const owners = latest.metadata.ownerReferences ?? [];
          const rest = owners.filter(({ uid }) => uid !== node.uid);
          if (rest.length < owners.length) await this.#setOwners(type, latest, rest);
        });
      }),
    );
    const failures = results.filter((result) => result.status === 'rejected');
    if (failures.length > 0)
      throw new Error(
        `orphaning of ${failures.length} dependents of ${node.kind} ${node.name} failed: ${errorMessage(failures[0]?.reason)}`,
      );
    await this.#removeFinalizer(this.#typeOf(node), node, ORPHAN);
  }

  /** Owners that are there, that are not, and that wait for their dependents to be deleted. */
  async #classify(
    node: GraphNode,
    object: KubeObject,
    owners: readonly Reference[],
  ): Promise<{ solid: Reference[]; dangling: Reference[]; waiting: Reference[] }> {
    const found = { solid: [] as Reference[], dangling: [] as Reference[], waiting: [] as Reference[] };
    for (const owner of owners) {
      const type = this.#kinds.get(kindKey(owner.apiVersion, owner.kind));
      // The kind may be new, or its API may be down: not knowing is no reason to delete anything.
      if (type === undefined)
        throw new Error(`no matches for kind "${owner.kind}" in version "${owner.apiVersion}"`);
      if (type.namespaced && node.namespace === '') {
        this.#reportInvalidOwner(node, object, owner);
        found.solid.push(owner);
        continue;
      }
      const namespace = type.namespaced ? node.namespace : '';
      if (this.#absent.has(owner, namespace)) {
        found.dangling.push(owner);
        continue;
      }
      const latest = await this.#read(type, namespace, owner.name);
      if (latest?.metadata.uid !== owner.uid) {
        this.#absent.add(owner, namespace);
        found.dangling.push(owner);
      } else if (
        latest.metadata.deletionTimestamp !== undefined &&
        (latest.metadata.finalizers ?? []).includes(FOREGROUND)
      )
        found.waiting.push(owner);
      else found.solid.push(owner);
    }
    return found;
  }

  #reportInvalidOwner(node: GraphNode, object: KubeObject, { apiVersion, kind, name, uid }: Reference): void {
    if (node.type === undefined) return;
    this.#context.recorder.event(
      identityOf(object, node.type),
      'Warning',
      'OwnerRefInvalidNamespace',
      `ownerRef [${apiVersion}/${kind}, namespace: , name: ${name}, uid: ${uid}] does not exist in namespace ""`,
    );
  }

  /** Throws when the kind is not known, so that it is tried again after the next discovery. */
  #typeOf(node: GraphNode): ResourceType<KubeObject> {
    const type = node.type ?? this.#kinds.get(kindKey(node.apiVersion, node.kind));
    if (type === undefined)
      throw new Error(`no matches for kind "${node.kind}" in version "${node.apiVersion}"`);
    return type;
  }

  async #read(
    type: ResourceType<KubeObject>,
    namespace: string,
    name: string,
  ): Promise<KubeObject | undefined> {
    try {
      return await this.#api(type, namespace).get(name, { metadataOnly: true });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  #api(type: ResourceType<KubeObject>, namespace: string | undefined) {
    return this.#context.client.resource(type, type.namespaced ? namespace : undefined);
  }

  /** Only over the version that was read: owners that somebody adds meanwhile are not lost. */
  async #setOwners(
    type: ResourceType<KubeObject>,
    { metadata }: KubeObject,
    owners: readonly Reference[],
  ): Promise<void> {
    const { name, namespace, uid, resourceVersion } = metadata;
    const patch = { metadata: { uid, resourceVersion, ownerReferences: owners.length > 0 ? owners : null } };
    try {
      await this.#api(type, namespace).patch(name, patch, { type: 'merge' });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  async #delete(
    type: ResourceType<KubeObject>,
    { metadata }: KubeObject,
    propagationPolicy: 'Orphan' | 'Foreground' | 'Background',
  ): Promise<void> {
    const { name, namespace, uid = '' } = metadata;
    // A circle was just opened by a change of the object itself; its UID is enough then, otherwise nobody may have
    // given it a new owner since it was read.
    const version = propagationPolicy === 'Foreground' ? undefined : metadata.resourceVersion;
    try {
      await this.#api(type, namespace).delete(name, {
        propagationPolicy,
        preconditions: { uid, ...(version === undefined ? {} : { resourceVersion: version }) },
      });
    } catch (error) {
      if (isNotFound(error)) return;
      throw error;
    }
  }

  async #removeFinalizer(type: ResourceType<KubeObject>, node: GraphNode, finalizer: string): Promise<void> {
    const { clock, random } = this.#context;
    await retryOnConflict({ clock, random }, async () => {
      const latest = await this.#read(type, node.namespace, node.name);
      const finalizers = latest?.metadata.finalizers ?? [];
      if (latest?.metadata.uid !== node.uid || !finalizers.includes(finalizer)) return;
      const { resourceVersion, uid } = latest.metadata;
      const rest = finalizers.filter((other) => other !== finalizer);
      const patch = { metadata: { uid, resourceVersion, finalizers: rest.length > 0 ? rest : null } };
      try {
        await this.#api(type, node.namespace).patch(node.name, patch, { type: 'merge' });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    });
  }
}

function kindKey(apiVersion: string, kind: string): string {
  return `${apiVersion}, Kind=${kind}`;
}
