import { isDeepStrictEqual } from 'node:util';

import { rbacv1 } from '@k8ts/api';
import { labelSelectorFromObject, matchesLabels } from '@k8ts/apimachinery';

import type { ControllerDefinition } from './contract.ts';
import { rule } from './permissions.ts';

/** A ClusterRole with an aggregation rule has the rules of all ClusterRoles that the rule's selectors match. */
export const clusterRoleAggregationController: ControllerDefinition = {
  name: 'clusterrole-aggregation-controller',
  account: 'clusterrole-aggregation-controller',
  // It hands on rules that it does not hold itself.
  permissions: [
    rule(
      ['escalate', 'get', 'list', 'watch', 'update', 'patch'],
      ['rbac.authorization.k8s.io'],
      ['clusterroles'],
    ),
  ],
  queue: 'ClusterRoleAggregator',
  workers: 5,
  maxRetries: undefined,
  eventSource: 'clusterrole-aggregation-controller',
  create: ({ client, informers, queue }) => {
    const roles = informers.of(rbacv1.clusterRoles);
    // Any role may be part of any aggregate, so each change looks at them all; there are few.
    const enqueueAggregates = (): void => {
      for (const role of roles.lister.list())
        if (role.aggregationRule !== undefined) queue.add(role.metadata.name);
    };
    roles.addHandler({
      added: enqueueAggregates,
      updated: enqueueAggregates,
      deleted: enqueueAggregates,
    });
    return {
      reconcile: async (name) => {
        const role = roles.lister.byKey(name);
        if (role?.aggregationRule === undefined) return;
        const wanted = aggregatedRules(role, roles.lister.list());
        if (isDeepStrictEqual(role.rules ?? [], wanted)) return;
        await client.resource(rbacv1.clusterRoles).update({ ...role, rules: wanted });
      },
    };
  },
};

/** In the order of the selectors, then of the roles' names; each rule once. */
function aggregatedRules(
  role: rbacv1.ClusterRole,
  all: readonly rbacv1.ClusterRole[],
): readonly rbacv1.PolicyRule[] {
  const byName = [...all].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  const rules: rbacv1.PolicyRule[] = [];
  for (const selectorFields of role.aggregationRule?.clusterRoleSelectors ?? []) {
    const selector = labelSelectorFromObject(selectorFields);
    for (const { metadata, rules: held } of byName) {
      if (metadata.name === role.metadata.name || !matchesLabels(selector, metadata.labels)) continue;
      for (const one of held ?? [])
        if (!rules.some((known) => isDeepStrictEqual(known, one))) rules.push(one);
    }
  }
  return rules;
}
