import type { rbacv1 } from '@k8ts/api';
import type { AuthorizationAttributes } from '../contract.ts';

/** Whether one rule allows what is asked (k8s.io/kubernetes/pkg/apis/rbac/v1/evaluation_helpers.go). */
export function ruleAllows(rule: rbacv1.PolicyRule, attributes: AuthorizationAttributes): boolean {
  if (!attributes.isResourceRequest)
    return verbMatches(rule, attributes.verb) && urlMatches(rule, attributes.path);
  return (
    verbMatches(rule, attributes.verb) &&
    groupMatches(rule, attributes.apiGroup) &&
    resourceMatches(rule, attributes.resource, attributes.subresource) &&
    nameMatches(rule, attributes.name)
  );
}

function verbMatches(rule: rbacv1.PolicyRule, verb: string): boolean {
  return rule.verbs.includes(verb) || rule.verbs.includes('*');
}

function groupMatches(rule: rbacv1.PolicyRule, group: string): boolean {
  const groups = rule.apiGroups ?? [];
  return groups.includes(group) || groups.includes('*');
}

/** `*` is everything, `pods/log` exactly that, and `*` + `/scale` a subresource of anything. */
function resourceMatches(rule: rbacv1.PolicyRule, resource: string, subresource: string): boolean {
  const combined = subresource === '' ? resource : `${resource}/${subresource}`;
  for (const candidate of rule.resources ?? []) {
    if (candidate === '*' || candidate === combined) return true;
    if (subresource !== '' && candidate.startsWith('*/') && candidate.slice(2) === subresource) return true;
  }
  return false;
}

function nameMatches(rule: rbacv1.PolicyRule, name: string): boolean {
  const names = rule.resourceNames ?? [];
  return names.length === 0 || names.includes(name);
}

/** `*` is everything, a trailing `*` matches a prefix. */
function urlMatches(rule: rbacv1.PolicyRule, path: string): boolean {
  for (const url of rule.nonResourceURLs ?? []) {
    if (url === '*' || url === path) return true;
    if (url.endsWith('*') && path.startsWith(trimStars(url))) return true;
  }
  return false;
}

function trimStars(url: string): string {
  let end = url.length;
  while (end > 0 && url[end - 1] === '*') end--;
  return url.slice(0, end);
}

/**
 * The rules among `wanted` that `held` does not cover, each split into single permissions: nobody may grant what they do
 * not have (k8s.io/component-helpers/auth/rbac/validation/policy_comparator.go).
 */
export function uncoveredRules(
  held: readonly rbacv1.PolicyRule[],
  wanted: readonly rbacv1.PolicyRule[],
): readonly rbacv1.PolicyRule[] {
  return wanted.flatMap(splitRule).filter((single) => !held.some((rule) => covers(rule, single)));
}

function splitRule(rule: rbacv1.PolicyRule): rbacv1.PolicyRule[] {
  const singles: rbacv1.PolicyRule[] = [];
  for (const verb of rule.verbs) {
    for (const group of rule.apiGroups ?? [])
      for (const resource of rule.resources ?? []) {
        const single = { verbs: [verb], apiGroups: [group], resources: [resource] };
        const names = rule.resourceNames ?? [];
        if (names.length === 0) singles.push(single);
        for (const name of names) singles.push({ ...single, resourceNames: [name] });
      }
    for (const url of rule.nonResourceURLs ?? []) singles.push({ verbs: [verb], nonResourceURLs: [url] });
  }
  return singles;
}

function covers(owner: rbacv1.PolicyRule, single: rbacv1.PolicyRule): boolean {
  if (!verbMatches(owner, single.verbs[0] as string)) return false;
  const url = single.nonResourceURLs?.[0];
  if (url !== undefined) {
    return (owner.nonResourceURLs ?? []).some(
      (held) => held === '*' || held === url || (held.endsWith('*') && url.startsWith(trimStars(held))),
    );
  }
  const [group, resource] = [single.apiGroups?.[0] as string, single.resources?.[0] as string];
  const held = owner.resources ?? [];
  const slash = resource.indexOf('/');
  const heldResource =
    held.includes('*') ||
    held.includes(resource) ||
    (slash >= 0 && held.includes(`*${resource.slice(slash)}`));
  const names = owner.resourceNames ?? [];
  const name = single.resourceNames?.[0];
  const heldName = names.length === 0 || (name !== undefined && names.includes(name));
  return groupMatches(owner, group) && heldResource && heldName;
}
