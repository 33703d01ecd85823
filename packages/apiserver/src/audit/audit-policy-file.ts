/** Reads audit.k8s.io/v1 Policy (k8s.io/apiserver/pkg/audit/policy/reader.go, pkg/apis/audit/validation). */
import { schemaOf, type auditv1 } from '@k8ts/api';
import {
  aggregateText,
  BodyError,
  child,
  DecodeError,
  fieldErrorText,
  formatGroupVersion,
  goJsonKind,
  goQuote,
  index,
  invalidValue,
  isDNS1123Subdomain,
  isJsonObject,
  normalizeObject,
  notSupported,
  parseBody,
  parseGroupVersion,
  required,
  type FieldError,
  type ParsedBody,
} from '@k8ts/apimachinery';
import type { Logger } from '@k8ts/base';
import { AUDIT_LEVELS, AUDIT_STAGES } from './audit-event.ts';

/** A policy that cannot be used; the message is upstream's. */
export class AuditPolicyError extends Error {
  override readonly name = 'AuditPolicyError';
}

const GROUP = 'audit.k8s.io';
const VERSION = 'v1';
const SCHEME = '"k8s.io/apiserver/pkg/audit/scheme.go:30"';

/**
 * The policy in a YAML or JSON text. Fields that it does not have are warned of and left out, as upstream does. Throws
 * AuditPolicyError.
 */
export function parseAuditPolicy(text: string, logger: Logger): auditv1.Policy {
  const { value, strictErrors } = parsed(text);
  const schema = schemaOf(GROUP, VERSION, 'Policy');
  if (schema === undefined) throw new Error('the tables have no audit policy');
  checkKind(value);
  let policy: auditv1.Policy;
  let unknown: readonly string[];
  try {
    const normalized = normalizeObject(value ?? {}, schema, { owned: true });
    policy = normalized.object as unknown as auditv1.Policy;
    unknown = normalized.strictErrors;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw new AuditPolicyError(`failed decoding: ${error.message}`);
  }
  const errors = [...strictErrors, ...unknown];
  if (errors.length > 0)
    logger.warn('Audit policy contains errors, falling back to lenient decoding', {
      error: `strict decoding error: ${errors.join(', ')}`,
    });
  return checkedAuditPolicy(policy);
}

/** A policy made by a program. Throws AuditPolicyError for what validation refuses. */
export function checkedAuditPolicy(policy: auditv1.Policy): auditv1.Policy {
  const errors = validateAuditPolicy(policy);
  if (errors.length > 0) throw new AuditPolicyError(aggregateText(errors.map(fieldErrorText)));
  if ((policy.rules ?? []).length === 0) throw new AuditPolicyError('loaded illegal policy with 0 rules');
  return policy;
}

function parsed(text: string): ParsedBody {
  try {
    return parseBody(text, 'yaml', true);
  } catch (error) {
    if (!(error instanceof BodyError)) throw error;
    throw new AuditPolicyError(
      `failed decoding: couldn't get version/kind; json parse error: ${error.message}`,
    );
  }
}

/** What names no version is the internal one to upstream's decoder, which its reader then does not know. */
function checkKind(value: ParsedBody['value']): void {
  if (value !== null && !isJsonObject(value))
    throw new AuditPolicyError(
      `failed decoding: couldn't get version/kind; json parse error: json: cannot unmarshal ${goJsonKind(value)} into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }`,
    );
  const { apiVersion, kind } = value ?? {};
  for (const [name, found] of Object.entries({ apiVersion, kind }))
    if (found !== undefined && found !== null && typeof found !== 'string')
      throw new AuditPolicyError(
        `failed decoding: couldn't get version/kind; json parse error: json: cannot unmarshal ${goJsonKind(found)} into Go struct field .${name} of type string`,
      );
  const versionText = typeof apiVersion === 'string' ? apiVersion : '';
  const kindText = typeof kind === 'string' && kind !== '' ? kind : 'Policy';
  const groupVersion = parseGroupVersion(versionText);
  if (versionText === '')
    throw new AuditPolicyError(`unknown group version field ${GROUP}/__internal, Kind=${kindText} in policy`);
  if (groupVersion === undefined)
    throw new AuditPolicyError(`failed decoding: unexpected GroupVersion string: ${versionText}`);
  if (groupVersion.group === GROUP && groupVersion.version === VERSION && kindText === 'Policy') return;
  throw new AuditPolicyError(
    `failed decoding: no kind ${goQuote(kindText)} is registered for version ${goQuote(formatGroupVersion(groupVersion))} in scheme ${SCHEME}`,
  );
}

function validateAuditPolicy({ rules = [], omitStages }: auditv1.Policy): readonly FieldError[] {
  return [
    ...validateOmitStages(omitStages, 'omitStages'),
    ...rules.flatMap((rule, at) => validateRule(rule, index('rules', at))),
  ];
}

function validateRule(rule: auditv1.PolicyRule, path: string): FieldError[] {
  const { level, nonResourceURLs = [], resources = [], namespaces = [], omitStages } = rule;
  const errors = [
    ...validateLevel(level, child(path, 'level')),
    ...nonResourceURLs.flatMap((url, at) => validatePath(url, index(child(path, 'nonResourceURLs'), at))),
    ...resources.flatMap((each) => validateResources(each, child(path, 'resources'))),
    ...validateOmitStages(omitStages, child(path, 'omitStages')),
  ];
  if (nonResourceURLs.length > 0 && (resources.length > 0 || namespaces.length > 0))
    errors.push(
      invalidValue(
        child(path, 'nonResourceURLs'),
        nonResourceURLs,
        'rules cannot apply to both regular resources and non-resource URLs',
      ),
    );
  return errors;
}

function validateLevel(level: string | undefined, path: string): FieldError[] {
  if (level === undefined || level === '') return [required(path, '')];
  return (AUDIT_LEVELS as readonly string[]).includes(level) ? [] : [notSupported(path, level, AUDIT_LEVELS)];
}

function validatePath(url: string, path: string): FieldError[] {
  if (url === '*') return [];
  const errors: FieldError[] = [];
  if (!url.startsWith('/'))
    errors.push(invalidValue(path, url, "non-resource URL rules must begin with a '/' character"));
  if (url.slice(0, -1).includes('*'))
    errors.push(
      invalidValue(path, url, "non-resource URL wildcards '*' must be the final character of the rule"),
    );
  return errors;
}

/** The paths leave out which of the resources it is, as upstream's. */
function validateResources(
  { group = '', resources = [], resourceNames = [] }: auditv1.GroupResources,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  const messages = group === '' || group === '*' ? [] : isDNS1123Subdomain(group);
  if (messages.length > 0) errors.push(invalidValue(child(path, 'group'), group, messages.join(',')));
  if (resourceNames.length > 0 && resources.length === 0)
    errors.push(
      invalidValue(
        child(path, 'resourceNames'),
        resourceNames,
        'using resourceNames requires at least one resource',
      ),
    );
  return errors;
}

function validateOmitStages(stages: readonly string[] = [], path: string): FieldError[] {
  return stages.flatMap((stage, at) =>
    (AUDIT_STAGES as readonly string[]).includes(stage)
      ? []
      : [invalidValue(index(path, at), stage, `allowed stages are ${AUDIT_STAGES.join(',')}`)],
  );
}
