import type { rbacv1 } from '@k8ts/api';

/** `rule(['get', 'list'], ['apps'], ['deployments'])` */
export function rule(
  verbs: readonly string[],
  apiGroups: readonly string[],
  resources: readonly string[],
): rbacv1.PolicyRule {
  return { verbs, apiGroups, resources };
}

export const eventsRule: rbacv1.PolicyRule = rule(
  ['create', 'update', 'patch'],
  ['', 'events.k8s.io'],
  ['events'],
);
