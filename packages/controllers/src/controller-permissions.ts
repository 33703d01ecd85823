import { isDeepStrictEqual } from 'node:util';

import type { rbacv1 } from '@k8ts/api';

import { controllerRegistry } from './controller-registry.ts';

/** What the service account kube-system/`name` may do: the rules of the cluster role `system:controller:<name>`. */
export interface ControllerPermissions {
  readonly name: string;
  readonly rules: readonly rbacv1.PolicyRule[];
}

/** For the bootstrap policy of the API server. Controllers that share an account share its role. */
export const controllerPermissions: readonly ControllerPermissions[] = collect();

function collect(): ControllerPermissions[] {
  const byAccount = new Map<string, rbacv1.PolicyRule[]>();
  for (const { account, permissions } of controllerRegistry) {
    if (account === undefined) continue;
    const rules = byAccount.get(account) ?? [];
    for (const rule of permissions)
      if (!rules.some((known) => isDeepStrictEqual(known, rule))) rules.push(rule);
    byAccount.set(account, rules);
  }
  return [...byAccount].map(([name, rules]) => ({ name, rules }));
}
