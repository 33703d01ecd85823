/** Attribute-based access control: one policy per line of a file (k8s.io/kubernetes/pkg/auth/authorizer/abac). */
import { BodyError, goJsonKind, isJsonObject, parseBody, type JsonObject } from '@k8ts/apimachinery';
import type { UserInfo } from '../../authentication/contract.ts';
import type { AuthorizationAttributes, Authorizer, RuleResolver } from '../contract.ts';

interface AbacPolicy {
  readonly user: string;
  readonly group: string;
  readonly readonly: boolean;
  readonly apiGroup: string;
  readonly resource: string;
  readonly namespace: string;
  readonly nonResourcePath: string;
}

/** A policy file cannot be used; the message says which line and why. */
export class AbacPolicyError extends Error {
  override readonly name = 'AbacPolicyError';
}

const GROUP = 'abac.authorization.kubernetes.io';
/** What Go's scanner takes for a line. */
const MAX_LINE = 64 * 1024;
const AUTHENTICATED = 'system:authenticated';

/**
 * Lines that are empty or begin with `#` are passed over. A line without apiVersion and kind is of the first version, in
 * which everything that is left out matches. Throws AbacPolicyError. `path` is for messages.
 */
export function parseAbacPolicies(text: string, path: string): readonly AbacPolicy[] {
  const policies: AbacPolicy[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (Buffer.byteLength(line) >= MAX_LINE)
      throw new AbacPolicyError(`error reading policy file ${path}: bufio.Scanner: token too long`);
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    try {
      policies.push(parsePolicy(line));
    } catch (error) {
      if (!(error instanceof AbacPolicyError) && !(error instanceof BodyError)) throw error;
      throw new AbacPolicyError(
        `error reading policy file ${path}, line ${String(index + 1)}: ${line}: ${error.message}`,
      );
    }
  }
  return policies;
}

function parsePolicy(line: string): AbacPolicy {
  const { value } = parseBody(line, 'yaml', false);
  if (!isJsonObject(value))
    throw new AbacPolicyError(`json: cannot unmarshal ${goJsonKind(value)} into Go value of type v0.Policy`);
  if (value['apiVersion'] !== `${GROUP}/v1beta1` || value['kind'] !== 'Policy') return firstVersion(value);
  const spec = value['spec'] ?? {};
  if (!isJsonObject(spec))
    throw new AbacPolicyError(
      `json: cannot unmarshal ${goJsonKind(spec)} into Go struct field Policy.spec of type v1beta1.PolicySpec`,
    );
  const policy = fieldsOf(spec, 'PolicySpec.spec');
  return policy.user === '*' || policy.group === '*' ? { ...policy, user: '', group: AUTHENTICATED } : policy;
}

/** Version v0 says less, and what it does not say matches all. */
function firstVersion(value: JsonObject): AbacPolicy {
  const { user, group, readonly, resource, namespace } = fieldsOf(value, 'Policy');
  const isEverybody = (user === '' && group === '') || user === '*' || group === '*';
  return {
    user: isEverybody ? '' : user,
    group: isEverybody ? AUTHENTICATED : group,
    readonly,
    apiGroup: '*',
    resource: resource || '*',
    namespace: namespace || '*',
    nonResourcePath: namespace === '' && resource === '' ? '*' : '',
  };
}

function fieldsOf(value: JsonObject, at: string): AbacPolicy {
  const field = <T extends string | boolean>(name: string, absent: T): T => {
    const given = value[name] ?? absent;
    if (typeof given === typeof absent) return given as T;
    const type = typeof absent === 'string' ? 'string' : 'bool';
    throw new AbacPolicyError(
      `json: cannot unmarshal ${goJsonKind(given)} into Go struct field ${at}.${name} of type ${type}`,
    );
  };
  return {
    user: field('user', ''),
    group: field('group', ''),
    readonly: field('readonly', false),
    apiGroup: field('apiGroup', ''),
    resource: field('resource', ''),
    namespace: field('namespace', ''),
    nonResourcePath: field('nonResourcePath', ''),
  };
}

export function abacAuthorizer(policies: readonly AbacPolicy[]): Authorizer & RuleResolver {
  return {
    name: 'ABAC',
    authorize: (attributes) =>
      policies.some((policy) => matches(policy, attributes))
        ? { verdict: 'allow', reason: '' }
        : { verdict: 'no-opinion', reason: 'No policy matched.' },

    rulesFor: async (user, namespace) => {
      const held = policies.filter(
        (policy) =>
          subjectMatches(policy, user) && (policy.namespace === '*' || policy.namespace === namespace),
      );
      const verbs = ({ readonly }: AbacPolicy): string[] => (readonly ? ['get', 'list', 'watch'] : ['*']);
      return {
        resourceRules: held
          .filter(({ resource }) => resource !== '')
          .map((policy) => ({
            verbs: verbs(policy),
            apiGroups: [policy.apiGroup],
            resources: [policy.resource],
          })),
        nonResourceRules: held
          .filter(({ nonResourcePath }) => nonResourcePath !== '')
          .map((policy) => ({ verbs: verbs(policy), nonResourceURLs: [policy.nonResourcePath] })),
        incomplete: false,
      };
    },
  };
}

function matches(policy: AbacPolicy, attributes: AuthorizationAttributes): boolean {
  if (!subjectMatches(policy, attributes.user)) return false;
  if (policy.readonly && !['get', 'list', 'watch'].includes(attributes.verb)) return false;
  if (!attributes.isResourceRequest) return pathMatches(policy.nonResourcePath, attributes.path);
  return (
    valueMatches(policy.namespace, attributes.namespace) &&
    valueMatches(policy.resource, attributes.resource) &&
    valueMatches(policy.apiGroup, attributes.apiGroup)
  );
}

/** A policy that names neither user nor group matches nobody. */
function subjectMatches({ user, group }: AbacPolicy, { name, groups }: UserInfo): boolean {
  if (user === '' && group === '') return false;
  return (
    (user === '' || valueMatches(user, name)) && (group === '' || group === '*' || groups.includes(group))
  );
}

function valueMatches(pattern: string, value: string): boolean {
  return pattern === '*' || pattern === value;
}

function pathMatches(pattern: string, path: string): boolean {
  if (valueMatches(pattern, path)) return true;
  return pattern.endsWith('*') && path.startsWith(pattern.slice(0, trailingStars(pattern)));
}

function trailingStars(pattern: string): number {
  let end = pattern.length;
  while (end > 0 && pattern[end - 1] === '*') end--;
  return end;
}
