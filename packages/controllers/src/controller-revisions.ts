import { isDeepStrictEqual } from 'node:util';

import { appsv1 } from '@k8ts/api';
import type { KubeObject, ResourceType, corev1 } from '@k8ts/api';
import { isAlreadyExists, isNotFound } from '@k8ts/apimachinery';
import { controllerOf, controllerRef } from '@k8ts/client';

import type { ControllerContext } from './contract.ts';
import { templateHash } from './deployment/template.ts';

export const REVISION_HASH = 'controller-revision-hash';

type Revision = appsv1.ControllerRevision;

/** An owner whose template changes over time: a DaemonSet or a StatefulSet. */
export interface RevisionOwner extends KubeObject {
  readonly spec: { readonly template: corev1.PodTemplateSpec };
}

export interface History {
  readonly current: Revision;
  /** Of other templates, oldest first. */
  readonly old: readonly Revision[];
}

/** The patch that brings a template back; what a revision keeps, and `kubectl rollout undo` applies. */
function templatePatch({ spec }: RevisionOwner): Readonly<Record<string, unknown>> {
  return { spec: { template: { ...spec.template, $patch: 'replace' } } };
}

export function hashOf({ metadata }: Revision): string {
  return metadata.labels?.[REVISION_HASH] ?? '';
}

/**
 * The revisions of an owner (`owned`, all that it controls), with one for its present template: made if there is none, and
 * given the highest number if it is an older one that has come back. Undefined after a name collision: the collision was
 * counted, and the next attempt hashes differently.
 */
export async function syncHistory<T extends RevisionOwner>(
  context: ControllerContext,
  owner: T,
  ownerType: ResourceType<T>,
  owned: readonly Revision[],
  collisions: number | undefined,
  noteCollision: () => Promise<void>,
  hashLabel: string = REVISION_HASH,
): Promise<History | undefined> {
  const { client } = context;
  const api = client.resource(appsv1.controllerRevisions, owner.metadata.namespace);
  const patch = templatePatch(owner);
  const same = owned.filter(({ data }) => isDeepStrictEqual(data, patch)).sort(byRevision);
  const old = owned.filter((revision) => !same.includes(revision)).sort(byRevision);
  const next = Math.max(0, ...old.map(({ revision }) => revision)) + 1;
  const kept = same.at(-1);
  if (kept !== undefined) {
    const current = kept.revision < next ? await api.update({ ...kept, revision: next }) : kept;
    return { current, old };
  }
  const hash = templateHash(owner.spec.template, collisions);
  const name = `${owner.metadata.name}-${hash}`;
  const { namespace, annotations } = owner.metadata;
  try {
    const current = await api.create({
      metadata: {
        name,
        ...(namespace === undefined ? {} : { namespace }),
        labels: { ...owner.spec.template.metadata?.labels, [hashLabel]: hash },
        ...(annotations === undefined ? {} : { annotations }),
        ownerReferences: [controllerRef(owner, ownerType)],
      },
      data: patch,
      revision: next,
    });
    return { current, old };
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    const known = await api.get(name);
    const ours = controllerOf(known)?.uid === owner.metadata.uid && isDeepStrictEqual(known.data, patch);
    if (ours) return { current: known, old };
    await noteCollision();
    return undefined;
  }
}

/** Deletes the oldest revisions beyond the limit that no pod belongs to any more. */
export async function trimHistory(
  { client }: ControllerContext,
  old: readonly Revision[],
  limit: number,
  isLive: (revision: Revision) => boolean,
): Promise<void> {
  let excess = old.length - limit;
  for (const revision of old) {
    if (excess <= 0) return;
    if (isLive(revision)) continue;
    const { namespace, name } = revision.metadata;
    try {
      await client.resource(appsv1.controllerRevisions, namespace).delete(name);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    excess--;
  }
}

function byRevision(a: Revision, b: Revision): number {
  return a.revision - b.revision || (a.metadata.name < b.metadata.name ? -1 : 1);
}
