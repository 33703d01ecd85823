import { rbacv1 } from '@k8ts/api';
import type { KubeObject, ResourceType } from '@k8ts/api';
import { isAlreadyExists } from '@k8ts/apimachinery';
import type { RegistryAccess } from '../../registry/special-subresources.ts';
import { uncoveredRules } from './rule-matching.ts';
import type { Policy } from './bootstrap-policy.ts';

const AUTOUPDATE = 'rbac.authorization.kubernetes.io/autoupdate';

/**
 * Makes what is missing of `policy`, and adds missing rules, labels and subjects to what is there, unless its autoupdate
 * annotation is `"false"`. Additions of administrators are kept. A binding to another role is made anew, since a
 * binding's role cannot be changed.
 */
export async function reconcilePolicy(registry: RegistryAccess, policy: Policy): Promise<void> {
  await Promise.all([
    ...policy.clusterRoles.map((role) => reconcile(registry, rbacv1.clusterRoles, role, mergeRole)),
    ...policy.roles.map((role) => reconcile(registry, rbacv1.roles, role, mergeRole)),
  ]);
  await Promise.all([
    ...policy.clusterRoleBindings.map((binding) =>
      reconcile(registry, rbacv1.clusterRoleBindings, binding, mergeBinding),
    ),
    ...policy.roleBindings.map((binding) => reconcile(registry, rbacv1.roleBindings, binding, mergeBinding)),
  ]);
}

/** What to do with what is there: nothing, replace it, or make it anew. */
type Merge<T> = (present: T, wanted: T) => 'keep' | 'recreate' | T;

async function reconcile<T extends KubeObject>(
  registry: RegistryAccess,
  type: ResourceType<T>,
  wanted: T,
  merge: Merge<T>,
): Promise<void> {
  const { name, namespace = '' } = wanted.metadata;
  const present = await registry.find(type, namespace, name);
  if (present === undefined) {
    await registry.create(type, wanted).catch((failure: unknown) => {
      // Another API server of the same cluster was quicker.
      if (!isAlreadyExists(failure)) throw failure;
    });
    return;
  }
  if (present.metadata.annotations?.[AUTOUPDATE] === 'false') return;
  const merged = merge(present, wanted);
  if (merged === 'keep') return;
  if (merged === 'recreate') {
    await registry.delete(type, namespace, name, {});
    await registry.create(type, wanted);
    return;
  }
  await registry.update(type, namespace, name, (draft) => {
    Object.assign(draft, structuredClone(merged));
  });
}

function mergeRole<T extends rbacv1.Role | rbacv1.ClusterRole>(present: T, wanted: T): 'keep' | T {
  const metadata = mergeMetadata(present, wanted);
  // An aggregated role's rules are made by its controller.
  const aggregated = 'aggregationRule' in wanted && wanted.aggregationRule !== undefined;
  const missing = aggregated ? [] : uncoveredRules(present.rules ?? [], wanted.rules ?? []);
  const rule =
    aggregated && !('aggregationRule' in present) ? { aggregationRule: wanted.aggregationRule } : {};
  if (missing.length === 0 && metadata === present.metadata && Object.keys(rule).length === 0) return 'keep';
  return { ...present, ...rule, metadata, rules: [...(present.rules ?? []), ...missing] };
}

function mergeBinding<T extends rbacv1.RoleBinding | rbacv1.ClusterRoleBinding>(
  present: T,
  wanted: T,
): 'keep' | 'recreate' | T {
  const { kind, name } = wanted.roleRef;
  if (present.roleRef.kind !== kind || present.roleRef.name !== name) return 'recreate';
  const metadata = mergeMetadata(present, wanted);
  const isThere = (subject: rbacv1.Subject): boolean =>
    (present.subjects ?? []).some(
      (other) =>
        other.kind === subject.kind &&
        other.name === subject.name &&
        (other.namespace ?? '') === (subject.namespace ?? ''),
    );
  const missing = (wanted.subjects ?? []).filter((subject) => !isThere(subject));
  if (missing.length === 0 && metadata === present.metadata) return 'keep';
  return { ...present, metadata, subjects: [...(present.subjects ?? []), ...missing] };
}

/** The same object when nothing is missing. */
function mergeMetadata(present: KubeObject, wanted: KubeObject): KubeObject['metadata'] {
  const labels = { ...present.metadata.labels, ...wanted.metadata.labels };
  const annotations = { ...wanted.metadata.annotations, ...present.metadata.annotations };
  const same =
    JSON.stringify(sorted(labels)) === JSON.stringify(sorted(present.metadata.labels ?? {})) &&
    JSON.stringify(sorted(annotations)) === JSON.stringify(sorted(present.metadata.annotations ?? {}));
  return same ? present.metadata : { ...present.metadata, labels, annotations };
}

function sorted(record: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
}
