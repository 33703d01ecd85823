import { rbacv1 } from '@k8ts/api';
import {
  child,
  index,
  invalidValue,
  isPathSegmentName,
  required,
  validateLabelSelector,
  type FieldError,
} from '@k8ts/apimachinery';
import type { Strategy } from '../contract.ts';

/** pkg/apis/rbac/validation */
function ruleErrors(rules: readonly rbacv1.PolicyRule[], isNamespaced: boolean): FieldError[] {
  return rules.flatMap((rule, i) => oneRuleErrors(rule, index('rules', i), isNamespaced));
}

function oneRuleErrors(rule: rbacv1.PolicyRule, path: string, isNamespaced: boolean): FieldError[] {
  const { verbs, apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [] } = rule;
  const errors: FieldError[] = [];
  if (verbs.length === 0)
    errors.push(required(child(path, 'verbs'), 'verbs must contain at least one value'));
  if (nonResourceURLs.length > 0) {
    const urls = child(path, 'nonResourceURLs');
    if (isNamespaced)
      errors.push(invalidValue(urls, nonResourceURLs, 'namespaced rules cannot apply to non-resource URLs'));
    if (apiGroups.length > 0 || resources.length > 0 || resourceNames.length > 0)
      errors.push(
        invalidValue(
          urls,
          nonResourceURLs,
          'rules cannot apply to both regular resources and non-resource URLs',
        ),
      );
    return errors;
  }
  if (apiGroups.length === 0)
    errors.push(required(child(path, 'apiGroups'), 'resource rules must supply at least one api group'));
  if (resources.length === 0)
    errors.push(required(child(path, 'resources'), 'resource rules must supply at least one resource'));
  return errors;
}

const validateRole = ({ rules }: rbacv1.Role): FieldError[] => ruleErrors(rules ?? [], true);

function validateClusterRole({ rules, aggregationRule }: rbacv1.ClusterRole): FieldError[] {
  const errors = ruleErrors(rules ?? [], false);
  if (aggregationRule === undefined) return errors;
  const path = 'aggregationRule.clusterRoleSelectors';
  const selectors = aggregationRule.clusterRoleSelectors ?? [];
  if (selectors.length === 0)
    errors.push(required(path, 'at least one clusterRoleSelector required if aggregationRule is non-nil'));
  for (const [i, selector] of selectors.entries())
    errors.push(...validateLabelSelector(selector, index(path, i)));
  return errors;
}

export const roleStrategy: Strategy<rbacv1.Role> = {
  type: rbacv1.roles,
  allowCreateOnUpdate: true,
  validateName: isPathSegmentName,
  validate: validateRole,
  validateUpdate: validateRole,
};

export const clusterRoleStrategy: Strategy<rbacv1.ClusterRole> = {
  type: rbacv1.clusterRoles,
  allowCreateOnUpdate: true,
  validateName: isPathSegmentName,
  validate: validateClusterRole,
  validateUpdate: validateClusterRole,
};
