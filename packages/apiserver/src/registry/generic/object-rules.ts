/** What upstream does to every object on its way in, whatever its kind. */
import type { Draft, KubeObject } from '@k8ts/api';
import {
  badRequest,
  jsonEqual,
  nameIsDNSSubdomain,
  nameIsPathSegment,
  type NameRule,
} from '@k8ts/apimachinery';
import type { ServedResource } from '../served-resource.ts';
import type { StrategyContext } from '../contract.ts';

type Metadata = Draft<KubeObject>['metadata'];

/** What clients may not set (rest.WipeObjectMetaSystemFields). */
export function wipeSystemFields(metadata: Metadata): void {
  if (metadata.creationTimestamp !== undefined) delete metadata.creationTimestamp;
  if (metadata.uid !== undefined) delete metadata.uid;
  if (metadata.deletionTimestamp !== undefined) delete metadata.deletionTimestamp;
  if (metadata.deletionGracePeriodSeconds !== undefined) delete metadata.deletionGracePeriodSeconds;
  if (metadata.selfLink !== undefined) delete metadata.selfLink;
}

/** `expected` is the namespace of the request; empty for resources without. */
export function ensureNamespace(metadata: Metadata, expected: string): void {
  const { namespace = '' } = metadata;
  if (namespace === expected) {
    if (namespace === '' && 'namespace' in metadata) delete metadata.namespace;
    return;
  }
  if (namespace === '') metadata.namespace = expected;
  else if (expected === '') delete metadata.namespace;
  else
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
}

const MAX_NAME_LENGTH = 63;
const RANDOM_LENGTH = 5;

/** The base of a generated name leaves room for the random part (storage/names). */
export function generatedName(base: string, suffix: string): string {
  return base.slice(0, MAX_NAME_LENGTH - RANDOM_LENGTH) + suffix;
}

/** Repeated owner references are dropped, with a warning (dedupOwnerReferencesAndAddWarning). */
export function dedupOwnerReferences(
  metadata: Metadata,
  afterAdmission: boolean,
  warn: (message: string) => void,
): void {
  const references = metadata.ownerReferences;
  if (references === undefined || references.length < 2) return;
  const kept: typeof references = [];
  const duplicates: string[] = [];
  for (const reference of references) {
    if (kept.some((other) => jsonEqual(other, reference))) duplicates.push(reference.uid);
    else kept.push(reference);
  }
  if (duplicates.length === 0) return;
  metadata.ownerReferences = kept;
  warn(
    afterAdmission
      ? `.metadata.ownerReferences contains duplicate entries after mutating admission happens; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: ${duplicates.join(', ')}`
      : `.metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: ${duplicates.join(', ')}`,
  );
}

/** How names of a kind are checked. Those of roles and their bindings hold colons; everything else is a DNS name. */
export function nameRuleOf({ strategy, info }: ServedResource): NameRule {
  if (strategy?.validateName !== undefined) return strategy.validateName.bind(strategy);
  return info.group === 'rbac.authorization.k8s.io' ? nameIsPathSegment : nameIsDNSSubdomain;
}

export { nameIsPathSegment };

function hasStatusSubresource(served: ServedResource): boolean {
  return served.storage.info.subresources.some(({ name }) => name === 'status');
}

type Parts = Draft<KubeObject> & { spec?: unknown; status?: unknown };

/** For kinds whose strategy does not say: clients may not set the status, and the generation starts. */
export function prepareForCreate(
  served: ServedResource,
  draft: Draft<KubeObject>,
  context: StrategyContext,
): void {
  const { strategy } = served;
  if (strategy?.prepareForCreate !== undefined) {
    strategy.prepareForCreate(draft, context);
    return;
  }
  if (!hasStatusSubresource(served)) return;
  delete (draft as Parts).status;
  if ((draft as Parts).spec !== undefined) draft.metadata.generation = 1;
}

/** For kinds whose strategy does not say: the status stays, a change of the spec makes a new generation. */
export function prepareForUpdate(
  served: ServedResource,
  subresource: string,
  draft: Draft<KubeObject>,
  old: KubeObject,
  context: StrategyContext,
): void {
  const { strategy } = served;
  if (subresource !== '') {
    const rules = strategy?.subresources?.[subresource];
    if (rules !== undefined) rules.prepareForUpdate(draft, old, context);
    else if (subresource === 'status') keepAllButStatus(draft, old);
    return;
  }
  if (strategy?.prepareForUpdate !== undefined) {
    strategy.prepareForUpdate(draft, old, context);
    return;
  }
  if (!hasStatusSubresource(served)) return;
  const next = draft as Parts;
  const before = old as Parts;
  if (before.status === undefined) delete next.status;
  else next.status = before.status;
  if (!jsonEqual(next.spec, before.spec) && old.metadata.generation !== undefined)
    draft.metadata.generation = old.metadata.generation + 1;
}

function keepAllButStatus(draft: Draft<KubeObject>, old: KubeObject): void {
  const next = draft as unknown as Record<string, unknown>;
  const before = old as unknown as Record<string, unknown>;
  for (const key of Object.keys(next)) {
    if (key === 'status' || key === 'metadata' || key === 'kind' || key === 'apiVersion') continue;
    if (!(key in before)) delete next[key];
  }
  for (const key of Object.keys(before)) {
    if (key === 'status' || key === 'metadata' || key === 'kind' || key === 'apiVersion') continue;
    next[key] = before[key];
  }
}
