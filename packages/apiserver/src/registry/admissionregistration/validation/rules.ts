/** What webhooks and policies want to see (pkg/apis/admissionregistration/validation). */
import type { admissionregistrationv1 } from '@k8ts/api';
import {
  child,
  duplicate,
  index,
  invalidValue,
  isPathSegmentName,
  notSupported,
  required,
  validateLabelSelector,
  type FieldError,
} from '@k8ts/apimachinery';
import { each, messages } from '../../field-rules.ts';

export const FAILURE_POLICIES: readonly string[] = ['Fail', 'Ignore'];
export const MATCH_POLICIES: readonly string[] = ['Equivalent', 'Exact'];
export const REINVOCATION_POLICIES: readonly string[] = ['IfNeeded', 'Never'];
const OPERATIONS = ['*', 'CONNECT', 'CREATE', 'DELETE', 'UPDATE'];
const SCOPES = ['*', 'Cluster', 'Namespaced'];

/** Nothing to say of what is absent. */
export function supported(
  value: string | undefined,
  values: readonly string[],
  path: string,
): readonly FieldError[] {
  return value === undefined || values.includes(value) ? [] : [notSupported(path, value, values)];
}

export function validateRule(rule: admissionregistrationv1.RuleWithOperations, path: string): FieldError[] {
  const { operations = [], apiGroups = [], apiVersions = [], resources = [], scope } = rule;
  return [
    ...wildcardAlone(operations, child(path, 'operations'), 'operations'),
    ...each(operations, child(path, 'operations'), (operation, at) => supported(operation, OPERATIONS, at)),
    ...wildcardAlone(apiGroups, child(path, 'apiGroups'), 'API groups'),
    ...wildcardAlone(apiVersions, child(path, 'apiVersions'), 'API versions'),
    ...each(apiVersions, child(path, 'apiVersions'), (version, at) =>
      version === '' ? [required(at, '')] : [],
    ),
    ...validateResources(resources, child(path, 'resources')),
    ...supported(scope, SCOPES, child(path, 'scope')),
  ];
}

function wildcardAlone(values: readonly string[], path: string, noun: string): FieldError[] {
  if (values.length === 0) return [required(path, '')];
  return values.length > 1 && values.includes('*')
    ? [invalidValue(path, values, `if '*' is present, must not specify other ${noun}`)]
    : [];
}

function validateResources(resources: readonly string[], path: string): FieldError[] {
  if (resources.length === 0) return [required(path, '')];
  const errors: FieldError[] = [];
  // The x of `x/*`, and of `*` before `/x`.
  const wholeResources = new Set<string>();
  const wholeSubresources = new Set<string>();
  let lastIsPlain = false;
  for (const [i, entry] of resources.entries()) {
    const at = index(path, i);
    if (entry === '') {
      errors.push(required(at, ''));
      continue;
    }
    const slash = entry.indexOf('/');
    if (slash < 0) {
      lastIsPlain = entry !== '*';
      continue;
    }
    const [resource, subresource] = [entry.slice(0, slash), entry.slice(slash + 1)];
    if (wholeResources.has(resource))
      errors.push(invalidValue(at, entry, `if '${resource}/*' is present, must not specify ${entry}`));
    if (wholeSubresources.has(subresource))
      errors.push(invalidValue(at, entry, `if '*/${subresource}' is present, must not specify ${entry}`));
    if (subresource === '*') wholeResources.add(resource);
    if (resource === '*') wholeSubresources.add(subresource);
  }
  if (resources.length > 1 && resources.includes('*/*'))
    errors.push(invalidValue(path, resources, "if '*/*' is present, must not specify other resources"));
  if (resources.includes('*') && lastIsPlain)
    errors.push(
      invalidValue(
        path,
        resources,
        "if '*' is present, must not specify other resources without subresources",
      ),
    );
  return errors;
}

export function validateMatchResources(
  match: admissionregistrationv1.MatchResources,
  path: string,
): FieldError[] {
  const { matchPolicy, namespaceSelector, objectSelector } = match;
  const selector = (
    value: admissionregistrationv1.MatchResources['objectSelector'],
    at: string,
  ): readonly FieldError[] => (value === undefined ? [required(at, '')] : validateLabelSelector(value, at));
  return [
    ...(matchPolicy === undefined
      ? [required(child(path, 'matchPolicy'), '')]
      : supported(matchPolicy, MATCH_POLICIES, child(path, 'matchPolicy'))),
    ...selector(namespaceSelector, child(path, 'namespaceSelector')),
    ...selector(objectSelector, child(path, 'objectSelector')),
    ...each(match.resourceRules, child(path, 'resourceRules'), validateNamedRule),
    ...each(match.excludeResourceRules, child(path, 'excludeResourceRules'), validateNamedRule),
  ];
}

function validateNamedRule(
  rule: admissionregistrationv1.NamedRuleWithOperations,
  path: string,
): FieldError[] {
  const names = rule.resourceNames ?? [];
  return [
    ...each(names, child(path, 'resourceNames'), (name, at, i) => [
      ...messages(isPathSegmentName(name), name, at),
      ...(names.indexOf(name) < i ? [duplicate(at, name)] : []),
    ]),
    ...validateRule(rule, path),
  ];
}
