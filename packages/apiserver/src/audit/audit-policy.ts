/** Which requests are written down, and how much of them (k8s.io/apiserver/pkg/audit/policy/checker.go). */
import type { auditv1 } from '@k8ts/api';
import type { UserInfo } from '../authentication/contract.ts';
import type { RequestInfo } from '../request/request-info.ts';
import type { AuditLevel, AuditStage } from './audit-event.ts';

/** What the policy says of one request. */
export interface AuditSettings {
  readonly level: AuditLevel;
  readonly omitStages: ReadonlySet<AuditStage>;
  readonly omitManagedFields: boolean;
}

/** `user` is undefined for requests that could not be authenticated. */
export type EvaluateAuditPolicy = (info: RequestInfo, user: UserInfo | undefined) => AuditSettings;

/** The first rule that matches decides; if none does, nothing is written. */
export function auditPolicyEvaluator(policy: auditv1.Policy): EvaluateAuditPolicy {
  const { omitStages = [], omitManagedFields = false } = policy;
  const rules = policy.rules.map((rule) => ({
    rule,
    settings: {
      level: rule.level as AuditLevel,
      omitStages: new Set([...omitStages, ...(rule.omitStages ?? [])] as AuditStage[]),
      omitManagedFields: rule.omitManagedFields ?? omitManagedFields,
    },
  }));
  const otherwise: AuditSettings = {
    level: 'None',
    omitStages: new Set(omitStages as readonly AuditStage[]),
    omitManagedFields,
  };
  return (info, user) => rules.find(({ rule }) => matches(rule, info, user))?.settings ?? otherwise;
}

function matches(rule: auditv1.PolicyRule, info: RequestInfo, user: UserInfo | undefined): boolean {
  const { users = [], userGroups = [], verbs = [], namespaces = [], resources = [] } = rule;
  const { nonResourceURLs = [] } = rule;
  if (users.length > 0 && (user === undefined || !users.includes(user.name))) return false;
  if (userGroups.length > 0 && !(user?.groups.some((group) => userGroups.includes(group)) ?? false))
    return false;
  if (verbs.length > 0 && !verbs.includes(info.verb)) return false;
  if (namespaces.length > 0 || resources.length > 0)
    return (
      info.isResourceRequest &&
      (namespaces.length === 0 || namespaces.includes(info.namespace)) &&
      (resources.length === 0 || resources.some((each) => matchesResource(each, info)))
    );
  if (nonResourceURLs.length > 0)
    return !info.isResourceRequest && nonResourceURLs.some((pattern) => matchesPath(info.path, pattern));
  return true;
}

// `pods`, `pods/log`, `pods/*`, `*/scale`, `*`. What names no resources takes all of its group.
function matchesResource(
  { group = '', resources = [], resourceNames = [] }: auditv1.GroupResources,
  info: RequestInfo,
): boolean {
  if (group !== info.group && group !== '*') return false;
  if (resources.length === 0) return true;
  if (resourceNames.length > 0 && !resourceNames.includes(info.name)) return false;
  const { resource, subresource } = info;
  const whole = subresource === '' ? resource : `${resource}/${subresource}`;
  return resources.some(
    (pattern) =>
      pattern === whole ||
      pattern === '*' ||
      (subresource !== '' && pattern === `*/${subresource}`) ||
      pattern === `${resource}/*`,
  );
}

function matchesPath(path: string, pattern: string): boolean {
  if (pattern === '*' || pattern === path) return true;
  return pattern.endsWith('*') && path.startsWith(pattern.replace(/\*+$/, ''));
}
