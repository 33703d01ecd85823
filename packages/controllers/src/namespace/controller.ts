import { corev1 } from '@k8ts/api';
import type { KubeObject } from '@k8ts/api';
import { StatusError, hasReason, isNotFound } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import { discoverResources, retryOnConflict } from '@k8ts/client';
import type { Client, DiscoveredResource } from '@k8ts/client';

import type { Controller, ControllerContext, ControllerDefinition } from '../contract.ts';
import { milliseconds } from '../pod-state.ts';
import { rule } from '../permissions.ts';
import { deletionConditions } from './conditions.ts';
import type { DeletionFindings } from './conditions.ts';

/** The finalizer in `spec.finalizers` that every namespace has until its content is gone. */
const FINALIZER = 'kubernetes';
/** Deletions that wait for somebody else's finalizer are looked at again after this long. */
const FINALIZER_ESTIMATE = 15;
/** Writes already on their way into the namespace when it was deleted are given this long to arrive (as upstream). */
const GRACE_PERIOD = 5_000;

export const namespaceController: ControllerDefinition = {
  name: 'namespace-controller',
  account: 'namespace-controller',
  permissions: [
    rule(['get', 'list', 'watch', 'delete'], [''], ['namespaces']),
    rule(['update'], [''], ['namespaces/finalize', 'namespaces/status']),
    rule(['get', 'list', 'watch', 'delete', 'deletecollection'], ['*'], ['*']),
  ],
  queue: 'namespace',
  workers: 10,
  maxRetries: undefined,
  eventSource: 'namespace-controller',
  create: createNamespaceController,
};

function createNamespaceController(context: ControllerContext): Controller {
  const { client, informers, queue, clock } = context;
  const namespaces = informers.of(corev1.namespaces);
  const enqueue = (namespace: corev1.Namespace): void => {
    if (namespace.metadata.deletionTimestamp === undefined || isFinalized(namespace)) return;
    queue.addAfter(namespace.metadata.name, GRACE_PERIOD);
  };
  namespaces.addHandler({ added: enqueue, updated: enqueue });

  return {
    reconcile: async (key, signal) => {
      const known = namespaces.lister.byKey(key);
      if (known?.metadata.deletionTimestamp === undefined) return;
      const api = client.resource(corev1.namespaces);
      let namespace: corev1.Namespace;
      try {
        namespace = await api.get(key, { signal });
        if (namespace.metadata.deletionTimestamp === undefined) return;
        if (namespace.status?.phase !== 'Terminating')
          namespace = await update(context, namespace, (fresh) =>
            api.updateStatus({ ...fresh, status: { ...fresh.status, phase: 'Terminating' } }),
          );
      } catch (error) {
        if (isNotFound(error)) return;
        throw error;
      }
      if (isFinalized(namespace)) return;

      const { findings, estimate } = await deleteContent(client, namespace, clock.now(), signal);
      await update(context, namespace, async (fresh) => {
        const current = fresh.status?.conditions ?? [];
        const conditions = deletionConditions(current, findings, clock.now());
        return conditions === current
          ? fresh
          : api.updateStatus({ ...fresh, status: { ...fresh.status, conditions } });
      }).catch(ignoreNotFound);
      if (findings.errors.length > 0 || findings.discoveryFailures.size > 0)
        throw new Error([...findings.errors, ...findings.discoveryFailures.values()].join(', '));
      if (estimate > 0) {
        // Upstream waits half the estimate and a second.
        queue.addAfter(key, (Math.floor(estimate / 2) + 1) * 1000);
        return;
      }
      await update(context, namespace, (fresh) =>
        api.updateSubresource<corev1.Namespace>(key, 'finalize', {
          ...fresh,
          spec: {
            ...fresh.spec,
            finalizers: (fresh.spec.finalizers ?? []).filter((finalizer) => finalizer !== FINALIZER),
          },
        }),
      ).catch(ignoreNotFound);
    },
  };
}

function isFinalized(namespace: corev1.Namespace): boolean {
  return !(namespace.spec.finalizers ?? []).includes(FINALIZER);
}

/** Applies a change to the newest state of the same namespace. */
async function update(
  { client, clock, random }: ControllerContext,
  namespace: corev1.Namespace,
  change: (fresh: corev1.Namespace) => Promise<corev1.Namespace>,
): Promise<corev1.Namespace> {
  return retryOnConflict({ clock, random }, async () => {
    const fresh = await client.resource(corev1.namespaces).get(namespace.metadata.name);
    if (fresh.metadata.uid !== namespace.metadata.uid)
      throw new Error('namespace uid has changed across retries');
    return change(fresh);
  });
}

function ignoreNotFound(error: unknown): void {
  if (!isNotFound(error)) throw error;
}

interface ContentDeletion {
  readonly findings: DeletionFindings;
  /** Seconds until what is left may be gone; 0: nothing is left. */
  readonly estimate: number;
}

/**
 * Deletes whatever the namespace holds, of every kind that discovery knows, custom ones included. Pods go first: what
 * they use (Secrets, volumes, Services) stays until they have stopped (KEP-5080, NamespaceDeletionOrder).
 */
async function deleteContent(
  client: Client,
  namespace: corev1.Namespace,
  now: number,
  signal: AbortSignal,
): Promise<ContentDeletion> {
  const { resources, failures } = await discoverResources(client, signal);
  const deletable = resources.filter(
    ({ namespaced, preferred, verbs }) => namespaced && preferred && verbs.includes('delete'),
  );
  const isPods = ({ group, resource }: DiscoveredResource): boolean => group === '' && resource === 'pods';
  const found = {
    discoveryFailures: failures,
    errors: [] as string[],
    remaining: new Map<string, number>(),
    finalizers: new Map<string, number>(),
  };
  let estimate = 0;
  const visit = async (resource: DiscoveredResource): Promise<void> => {
    try {
      const left = await deleteCollection(client, resource, namespace.metadata.name, signal);
      if (left.length === 0) return;
      found.remaining.set(`${resource.resource}.${resource.group}`, left.length);
      for (const { metadata } of left)
        for (const finalizer of metadata.finalizers ?? [])
          found.finalizers.set(finalizer, (found.finalizers.get(finalizer) ?? 0) + 1);
      estimate = Math.max(
        estimate,
        isPods(resource) ? podEstimate(left, namespace, now) : 0,
        remainingEstimate(left),
      );
    } catch (error) {
      found.errors.push(errorMessage(error));
    }
  };
  for (const pods of deletable.filter(isPods)) await visit(pods);
  // A pod that is still there keeps everything else.
  if (found.remaining.size === 0 && found.errors.length === 0)
    for (const resource of deletable) if (!isPods(resource)) await visit(resource);
  return { findings: found, estimate };
}

/** Returns what is left afterwards. */
async function deleteCollection(
  client: Client,
  resource: DiscoveredResource,
  namespace: string,
  signal: AbortSignal,
): Promise<readonly KubeObject[]> {
  const api = client.resource(resource, namespace);
  const list = async (): Promise<readonly KubeObject[]> =>
    resource.verbs.includes('list') ? (await api.list({ metadataOnly: true, signal })).items : [];
  // Most of the many kinds are not in the namespace at all: one look is cheaper than a deletion and a look.
  const present = await list();
  if (resource.verbs.includes('list') && present.length === 0) return present;
  let deleted = false;
  if (resource.verbs.includes('deletecollection')) {
    try {
      await api.deleteCollection({ propagationPolicy: 'Background', signal });
      deleted = true;
    } catch (error) {
      // Some resources say they can and cannot.
      if (!isNotFound(error) && !hasReason(error, 'MethodNotAllowed')) throw error;
    }
  }
  if (!deleted) {
    for (const { metadata } of present) {
      try {
        await api.delete(metadata.name, { propagationPolicy: 'Background', signal });
      } catch (error) {
        if (!(error instanceof StatusError) || (error.code !== 404 && error.code !== 405)) throw error;
      }
    }
  }
  return list();
}

/** Pods are given their grace, counted from the deletion of the namespace. */
function podEstimate(pods: readonly KubeObject[], namespace: corev1.Namespace, now: number): number {
  const longest = Math.max(0, ...pods.map(({ metadata }) => metadata.deletionGracePeriodSeconds ?? 0));
  const deletedAt = milliseconds(namespace.metadata.deletionTimestamp) ?? now;
  return Math.max(0, longest - Math.floor((now - deletedAt) / 1000));
}

function remainingEstimate(left: readonly KubeObject[]): number {
  return left.some(({ metadata }) => (metadata.finalizers ?? []).length > 0) ? FINALIZER_ESTIMATE : 1;
}
