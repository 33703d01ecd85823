import { bootstrapPolicy, controllerPolicy } from '../authorization/rbac/bootstrap-policy.ts';
import type { Policy } from '../authorization/rbac/bootstrap-policy.ts';
import { reconcilePolicy } from '../authorization/rbac/reconcile-policy.ts';
import type { PostStartHook } from './contract.ts';

/** Roles and bindings that must be there, with those of the controllers. */
export function rbacBootstrapHook(controllers: Parameters<typeof controllerPolicy>[0]): PostStartHook {
  return {
    name: 'rbac/bootstrap-roles',
    async run({ registry }) {
      const parts: readonly Policy[] = [bootstrapPolicy(), controllerPolicy(controllers)];
      for (const policy of parts) await reconcilePolicy(registry, policy);
    },
  };
}
