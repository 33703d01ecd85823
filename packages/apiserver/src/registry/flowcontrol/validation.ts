/** pkg/apis/flowcontrol/validation: what flow schemas and priority levels may say. */
import type { flowcontrolv1 } from '@k8ts/api';
import {
  child,
  duplicate,
  forbiddenField,
  index,
  invalidValue,
  isDNS1123Label,
  isDNS1123Subdomain,
  jsonEqual,
  notSupported,
  required,
  type FieldError,
} from '@k8ts/apimachinery';
import {
  EXEMPT,
  MANDATORY_FLOW_SCHEMAS,
  MANDATORY_PRIORITY_LEVELS,
} from '../../flowcontrol/default-configuration.ts';
import { MAX_HASH_BITS, requiredEntropyBits } from '../../flowcontrol/shuffle-sharding.ts';
import { messages } from '../field-rules.ts';

type FlowSchema = flowcontrolv1.FlowSchema;
type PriorityLevel = flowcontrolv1.PriorityLevelConfiguration;

const MAX_PRECEDENCE = 10_000;
const MAX_QUEUES = 10_000_000;
const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'proxy', 'update', 'watch'];
const NOT_NEGATIVE = 'must be a non-negative integer';

export function validateFlowSchema({ metadata, spec, status }: FlowSchema): FieldError[] {
  const { name } = metadata;
  const errors: FieldError[] = [];
  const { matchingPrecedence: precedence = 0, distinguisherMethod, priorityLevelConfiguration } = spec;
  const at = 'spec.matchingPrecedence';
  if (precedence <= 0) errors.push(invalidValue(at, precedence, 'must be a positive value'));
  if (precedence > MAX_PRECEDENCE)
    errors.push(invalidValue(at, precedence, `must not be greater than ${MAX_PRECEDENCE}`));
  if (precedence === 1 && name !== EXEMPT)
    errors.push(invalidValue(at, precedence, "only the schema named 'exempt' may have matchingPrecedence 1"));
  if (distinguisherMethod !== undefined && !['ByNamespace', 'ByUser'].includes(distinguisherMethod.type))
    errors.push(
      notSupported('spec.distinguisherMethod.type', distinguisherMethod.type, ['ByNamespace', 'ByUser']),
    );
  const level = priorityLevelConfiguration.name;
  const levelPath = 'spec.priorityLevelConfiguration.name';
  if (level) errors.push(...messages(isDNS1123Subdomain(level), level, levelPath));
  else errors.push(required(levelPath, 'must reference a priority level'));
  (spec.rules ?? []).forEach((rule, i) => errors.push(...validateRules(rule, index('spec.rules', i))));
  const mandatory = MANDATORY_FLOW_SCHEMAS.find((schema) => schema.metadata.name === name);
  if (mandatory !== undefined && !jsonEqual(spec, mandatory.spec))
    errors.push(invalidValue('spec', spec, `spec of '${name}' must equal the fixed value`));
  return [...errors, ...validateConditions(status?.conditions)];
}

function validateRules(rule: flowcontrolv1.PolicyRulesWithSubjects, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { subjects = [], resourceRules = [], nonResourceRules = [] } = rule;
  if (subjects.length === 0)
    errors.push(required(child(path, 'subjects'), 'subjects must contain at least one value'));
  subjects.forEach((subject, i) =>
    errors.push(...validateSubject(subject, index(child(path, 'subjects'), i))),
  );
  if (resourceRules.length === 0 && nonResourceRules.length === 0)
    errors.push(required(path, 'at least one of resourceRules and nonResourceRules has to be non-empty'));
  resourceRules.forEach((resourceRule, i) =>
    errors.push(...validateResourceRule(resourceRule, index(child(path, 'resourceRules'), i))),
  );
  nonResourceRules.forEach((pathRule, i) =>
    errors.push(...validatePathRule(pathRule, index(child(path, 'nonResourceRules'), i))),
  );
  return errors;
}

const SUBJECT_FIELDS = { ServiceAccount: 'serviceAccount', User: 'user', Group: 'group' } as const;

function validateSubject(subject: flowcontrolv1.Subject, path: string): FieldError[] {
  const own = SUBJECT_FIELDS[subject.kind as keyof typeof SUBJECT_FIELDS] as
    'serviceAccount' | 'user' | 'group' | undefined;
  if (own === undefined)
    return [notSupported(child(path, 'kind'), subject.kind, ['Group', 'ServiceAccount', 'User'])];
  const errors: FieldError[] = [];
  const ownPath = child(path, own);
  const named = subject[own];
  if (named === undefined)
    errors.push(required(ownPath, `${own} is required when subject kind is '${subject.kind}'`));
  else if (!named.name) errors.push(required(child(ownPath, 'name'), ''));
  if (own === 'serviceAccount' && subject.serviceAccount !== undefined) {
    const { name, namespace } = subject.serviceAccount;
    if (name && name !== '*')
      errors.push(...messages(isDNS1123Subdomain(name), name, child(ownPath, 'name')));
    if (namespace)
      errors.push(...messages(isDNS1123Label(namespace), namespace, child(ownPath, 'namespace')));
    else errors.push(required(child(ownPath, 'namespace'), 'must specify namespace for service account'));
  }
  for (const [kind, field] of Object.entries(SUBJECT_FIELDS))
    if (field !== own && subject[field] !== undefined)
      errors.push(
        forbiddenField(child(path, field), `${field} is forbidden when subject kind is not '${kind}'`),
      );
  return errors;
}

function validateVerbs(verbs: readonly string[], path: string): FieldError[] {
  if (verbs.length === 0) return [required(path, 'verbs must contain at least one value')];
  if (verbs.includes('*'))
    return verbs.length > 1
      ? [invalidValue(path, verbs, "if '*' is present, must not specify other verbs")]
      : [];
  return verbs.every((verb) => VERBS.includes(verb)) ? [] : [notSupported(path, verbs, VERBS)];
}

function validateResourceRule(rule: flowcontrolv1.ResourcePolicyRule, path: string): FieldError[] {
  const { verbs = [], apiGroups = [], resources = [], namespaces = [], clusterScope } = rule;
  const errors = validateVerbs(verbs, child(path, 'verbs'));
  const groupsPath = child(path, 'apiGroups');
  if (apiGroups.length === 0)
    errors.push(required(groupsPath, 'resource rules must supply at least one api group'));
  else if (apiGroups.length > 1 && apiGroups.includes('*'))
    errors.push(invalidValue(groupsPath, apiGroups, "if '*' is present, must not specify other api groups"));
  const resourcesPath = child(path, 'resources');
  if (resources.length === 0)
    errors.push(required(resourcesPath, 'resource rules must supply at least one resource'));
  else if (resources.length > 1 && resources.includes('*'))
    errors.push(
      invalidValue(resourcesPath, resources, "if '*' is present, must not specify other resources"),
    );
  const namespacesPath = child(path, 'namespaces');
  if (namespaces.length === 0 && clusterScope !== true)
    errors.push(
      required(
        namespacesPath,
        'resource rules that are not cluster scoped must supply at least one namespace',
      ),
    );
  else if (!namespaces.includes('*'))
    namespaces.forEach((namespace, i) => {
      for (const message of isDNS1123Label(namespace))
        errors.push(
          invalidValue(
            index(namespacesPath, i),
            namespace,
            `each member of this list must be '*' or a DNS-1123 label; ${message}`,
          ),
        );
    });
  else if (namespaces.length > 1)
    errors.push(
      invalidValue(namespacesPath, namespaces, "if '*' is present, must not specify other namespaces"),
    );
  return errors;
}

function validatePathRule(rule: flowcontrolv1.NonResourcePolicyRule, path: string): FieldError[] {
  const { verbs = [], nonResourceURLs: urls = [] } = rule;
  const errors = validateVerbs(verbs, child(path, 'verbs'));
  const urlsPath = child(path, 'nonResourceURLs');
  if (urls.length === 0) errors.push(required(urlsPath, 'nonResourceURLs must contain at least one value'));
  else if (!urls.includes('*'))
    urls.forEach((url, i) => {
      const wrong = wrongUrl(url);
      if (wrong !== undefined) errors.push(invalidValue(index(urlsPath, i), url, wrong));
    });
  else if (urls.length > 1)
    errors.push(invalidValue(urlsPath, urls, "if '*' is present, must not specify other non-resource URLs"));
  return errors;
}

function wrongUrl(url: string): string | undefined {
  if (url === '') return 'must not be empty';
  if (url === '/') return undefined;
  if (!url.startsWith('/')) return 'must start with slash';
  if (url.includes(' ')) return 'must not contain white-space';
  if (url.includes('//')) return 'must not contain double slash';
  const wildcards = url.split('*').length - 1;
  return wildcards > 1 || (wildcards === 1 && !url.endsWith('/*'))
    ? 'wildcard can only do suffix matching'
    : undefined;
}

export function validatePriorityLevel({ metadata, spec, status }: PriorityLevel): FieldError[] {
  const { name } = metadata;
  const { type = '', limited, exempt } = spec ?? {};
  const errors: FieldError[] = [];
  if ((name === EXEMPT) !== (type === 'Exempt'))
    errors.push(invalidValue('spec.type', type, "type must be 'Exempt' if and only if name is 'exempt'"));
  if (type === 'Exempt') {
    if (exempt !== undefined) errors.push(...validateShares(exempt, 'spec.exempt'));
    if (limited !== undefined)
      errors.push(forbiddenField('spec.limited', 'must be nil if the type is not Limited'));
  } else if (type === 'Limited') {
    if (exempt !== undefined)
      errors.push(forbiddenField('spec.exempt', 'must be nil if the type is Limited'));
    if (limited === undefined)
      errors.push(required('spec.limited', 'must not be empty when type is Limited'));
    else errors.push(...validateLimited(limited));
  } else errors.push(notSupported('spec.type', type, ['Exempt', 'Limited']));
  const mandatory = MANDATORY_PRIORITY_LEVELS.find((level) => level.metadata.name === name);
  if (mandatory !== undefined) {
    const isExempt = name === EXEMPT;
    const fixed =
      isExempt && exempt !== undefined && type === 'Exempt' ? { ...mandatory.spec, exempt } : mandatory.spec;
    const except = isExempt ? " except the 'spec.exempt' field" : '';
    if (!jsonEqual(spec, fixed))
      errors.push(invalidValue('spec', spec, `spec of '${name}'${except} must equal the fixed value`));
  }
  return [...errors, ...validateConditions(status?.conditions)];
}

interface Shares {
  readonly nominalConcurrencyShares?: number;
  readonly lendablePercent?: number;
}

function validateShares(
  { nominalConcurrencyShares: nominal = 0, lendablePercent: lendable = 0 }: Shares,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  if (nominal < 0) errors.push(invalidValue(child(path, 'nominalConcurrencyShares'), nominal, NOT_NEGATIVE));
  if (lendable < 0 || lendable > 100)
    errors.push(
      invalidValue(child(path, 'lendablePercent'), lendable, 'must be between 0 and 100, inclusive'),
    );
  return errors;
}

function validateLimited(limited: flowcontrolv1.LimitedPriorityLevelConfiguration): FieldError[] {
  const errors = validateShares(limited, 'spec.limited');
  const { borrowingLimitPercent: borrowing, limitResponse } = limited;
  if (borrowing !== undefined && borrowing < 0)
    errors.push(
      invalidValue('spec.limited.borrowingLimitPercent', borrowing, `if specified, ${NOT_NEGATIVE}`),
    );
  const { type = '', queuing } = limitResponse ?? {};
  const path = 'spec.limited.limitResponse';
  if (type === 'Reject') {
    if (queuing !== undefined)
      errors.push(
        forbiddenField(child(path, 'queuing'), 'must be nil if limited.limitResponse.type is not Limited'),
      );
  } else if (type === 'Queue') {
    if (queuing === undefined)
      errors.push(
        required(child(path, 'queuing'), 'must not be empty if limited.limitResponse.type is Limited'),
      );
    else errors.push(...validateQueuing(queuing, child(path, 'queuing')));
  } else errors.push(notSupported(child(path, 'type'), type, ['Queue', 'Reject']));
  return errors;
}

function validateQueuing(queuing: flowcontrolv1.QueuingConfiguration, path: string): FieldError[] {
  const { queues = 0, handSize = 0, queueLengthLimit = 0 } = queuing;
  const errors: FieldError[] = [];
  const positive = 'must be positive';
  if (queueLengthLimit <= 0)
    errors.push(invalidValue(child(path, 'queueLengthLimit'), queueLengthLimit, positive));
  if (queues <= 0) errors.push(invalidValue(child(path, 'queues'), queues, positive));
  else if (queues > MAX_QUEUES)
    errors.push(invalidValue(child(path, 'queues'), queues, `must not be greater than ${MAX_QUEUES}`));
  const handPath = child(path, 'handSize');
  const entropy = requiredEntropyBits(queues, handSize);
  if (handSize <= 0) errors.push(invalidValue(handPath, handSize, positive));
  else if (handSize > queues)
    errors.push(invalidValue(handPath, handSize, `should not be greater than queues (${queues})`));
  else if (entropy > MAX_HASH_BITS)
    errors.push(
      invalidValue(
        handPath,
        handSize,
        `required entropy bits of deckSize ${queues} and handSize ${handSize} should not be greater than ${MAX_HASH_BITS}`,
      ),
    );
  return errors;
}

/** Also of the status subresources. */
export function validateConditions(conditions: readonly { readonly type?: string }[] = []): FieldError[] {
  const seen = new Set<string>();
  return conditions.flatMap(({ type = '' }, i) => {
    const path = child(index('status.conditions', i), 'type');
    const errors: FieldError[] = [];
    if (seen.has(type)) errors.push(duplicate(path, type));
    seen.add(type);
    if (type === '') errors.push(required(path, 'must not be empty'));
    return errors;
  });
}
