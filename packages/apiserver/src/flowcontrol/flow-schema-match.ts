/** Which requests a flow schema is about, and what tells its flows apart (k8s.io/apiserver/pkg/util/flowcontrol: rule.go). */
import type { flowcontrolv1 } from '@k8ts/api';
import type { UserInfo } from '../authentication/contract.ts';
import type { RequestInfo } from '../request/request-info.ts';

const ACCOUNT_PREFIX = 'system:serviceaccount:';

export function matchesFlowSchema(
  { spec }: flowcontrolv1.FlowSchema,
  user: UserInfo,
  info: RequestInfo,
): boolean {
  for (const rule of spec.rules ?? []) {
    if (!rule.subjects.some((subject) => matchesSubject(subject, user))) continue;
    const matches = info.isResourceRequest
      ? rule.resourceRules?.some((resourceRule) => matchesResource(resourceRule, info))
      : rule.nonResourceRules?.some((pathRule) => matchesPath(pathRule, info));
    if (matches === true) return true;
  }
  return false;
}

/** Requests of one schema that share this belong to one flow, which must not starve the others. */
export function flowDistinguisher(
  { spec }: flowcontrolv1.FlowSchema,
  user: UserInfo,
  info: RequestInfo,
): string {
  if (spec.distinguisherMethod?.type === 'ByUser') return user.name;
  if (spec.distinguisherMethod?.type === 'ByNamespace') return info.namespace;
  return '';
}

function matchesSubject(subject: flowcontrolv1.Subject, user: UserInfo): boolean {
  switch (subject.kind) {
    case 'User':
      return subject.user !== undefined && (subject.user.name === '*' || subject.user.name === user.name);
    case 'Group':
      return (
        subject.group !== undefined &&
        (subject.group.name === '*' || user.groups.includes(subject.group.name))
      );
    case 'ServiceAccount': {
      if (subject.serviceAccount === undefined) return false;
      const { namespace, name } = subject.serviceAccount;
      const prefix = `${ACCOUNT_PREFIX}${namespace}:`;
      return name === '*' ? user.name.startsWith(prefix) : user.name === prefix + name;
    }
    default:
      return false;
  }
}

function matchesResource(rule: flowcontrolv1.ResourcePolicyRule, info: RequestInfo): boolean {
  if (!has(rule.verbs, info.verb) || !has(rule.apiGroups, info.group)) return false;
  if (!has(rule.resources, info.subresource === '' ? info.resource : `${info.resource}/${info.subresource}`))
    return false;
  return info.namespace === '' ? rule.clusterScope === true : has(rule.namespaces ?? [], info.namespace);
}

function matchesPath(rule: flowcontrolv1.NonResourcePolicyRule, { verb, path }: RequestInfo): boolean {
  return (
    has(rule.verbs, verb) &&
    rule.nonResourceURLs.some((url) => {
      if (url === '*' || url === path) return true;
      const stem = url.endsWith('*') ? url.slice(0, -1) : url;
      return path.startsWith(stem.endsWith('/') ? stem : `${stem}/`);
    })
  );
}

/** The wildcard stands alone. */
const has = (list: readonly string[], value: string): boolean =>
  (list.length === 1 && list[0] === '*') || list.includes(value);
