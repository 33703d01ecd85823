/** What is wrong with an AuthorizationConfiguration (k8s.io/apiserver/pkg/apis/apiserver/validation). */
import { stat } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import type { apiserverv1 } from '@k8ts/api';
import {
  CelIssue,
  child,
  compileReviewCondition,
  duplicate,
  formatDuration,
  index,
  internalField,
  invalidValue,
  isDNS1123Subdomain,
  notSupported,
  parseDuration,
  required,
  tooMany,
  type CelProgram,
  type FieldError,
} from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';

const AUTHORIZATION_MODES = ['AlwaysAllow', 'AlwaysDeny', 'ABAC', 'Webhook', 'RBAC', 'Node'] as const;
type AuthorizationMode = (typeof AUTHORIZATION_MODES)[number];

const MAX_MATCH_CONDITIONS = 64;
const MAX_TIMEOUT = 30_000_000_000n;

export function isAuthorizationMode(text: string): text is AuthorizationMode {
  return (AUTHORIZATION_MODES as readonly string[]).includes(text);
}

/** With defaults applied. */
export async function validateAuthorizationConfiguration({
  authorizers,
}: apiserverv1.AuthorizationConfiguration): Promise<FieldError[]> {
  const errors: FieldError[] = [];
  if (authorizers.length === 0)
    errors.push(required('authorizers', 'at least one authorization mode must be defined'));
  const types = new Set<string>();
  const names = new Set<string>();
  for (const [position, { type, name, webhook }] of authorizers.entries()) {
    const path = index('authorizers', position);
    if (type === '') {
      errors.push(required(child(path, 'type'), ''));
      continue;
    }
    if (!isAuthorizationMode(type)) {
      errors.push(notSupported(child(path, 'type'), type, [...AUTHORIZATION_MODES].sort()));
      continue;
    }
    if (types.has(type) && type !== 'Webhook') {
      errors.push(duplicate(child(path, 'type'), type));
      continue;
    }
    types.add(type);
    errors.push(...validateName(name, names, child(path, 'name')));
    names.add(name);
    if (type !== 'Webhook') {
      if (webhook !== undefined)
        errors.push(
          invalidValue(child(path, 'webhook'), 'non-null', 'may only be specified when type=Webhook'),
        );
    } else if (webhook === undefined)
      errors.push(required(child(path, 'webhook'), 'required when type=Webhook'));
    else errors.push(...(await validateWebhook(webhook, path)));
  }
  return errors;
}

function validateName(name: string, seen: ReadonlySet<string>, path: string): FieldError[] {
  if (name === '') return [required(path, '')];
  if (seen.has(name)) return [duplicate(path, name)];
  const messages = isDNS1123Subdomain(name);
  return messages.length === 0
    ? []
    : [invalidValue(path, name, `authorizer name is invalid: ${messages.join(', ')}`)];
}

/** `path`: of the authorizer; upstream's messages leave out `webhook`. */
async function validateWebhook(
  webhook: apiserverv1.WebhookConfiguration,
  path: string,
): Promise<FieldError[]> {
  const errors: FieldError[] = [];
  const timeout = parseDuration(webhook.timeout);
  if (timeout === 0n) errors.push(required(child(path, 'timeout'), ''));
  else if (timeout < 0n || timeout > MAX_TIMEOUT)
    errors.push(invalidValue(child(path, 'timeout'), formatDuration(timeout), 'must be > 0s and <= 30s'));
  for (const field of ['authorizedTTL', 'unauthorizedTTL'] as const) {
    const ttl = parseDuration(webhook[field]);
    if (ttl === 0n) errors.push(required(child(path, field), ''));
    else if (ttl < 0n) errors.push(invalidValue(child(path, field), formatDuration(ttl), 'must be > 0s'));
  }
  errors.push(
    ...oneOf(
      webhook.subjectAccessReviewVersion,
      ['v1', 'v1beta1'],
      child(path, 'subjectAccessReviewVersion'),
    ),
  );
  const conditionVersion = child(path, 'matchConditionSubjectAccessReviewVersion');
  const conditions = webhook.matchConditions ?? [];
  if (webhook.matchConditionSubjectAccessReviewVersion !== '')
    errors.push(...oneOf(webhook.matchConditionSubjectAccessReviewVersion, ['v1'], conditionVersion));
  else if (conditions.length > 0)
    errors.push(required(conditionVersion, 'required if match conditions are specified'));
  errors.push(...oneOf(webhook.failurePolicy, ['NoOpinion', 'Deny'], child(path, 'failurePolicy')));
  errors.push(...(await validateConnection(webhook.connectionInfo, child(path, 'connectionInfo'))));
  errors.push(...compileMatchConditions(conditions, path).errors);
  return errors;
}

function oneOf(value: string, values: readonly string[], path: string): FieldError[] {
  if (value === '') return [required(path, '')];
  return values.includes(value) ? [] : [notSupported(path, value, values)];
}

async function validateConnection(
  info: apiserverv1.WebhookConnectionInfo,
  path: string,
): Promise<FieldError[]> {
  const file = info.kubeConfigFile as string | undefined;
  const at = child(path, 'kubeConfigFile');
  switch (info.type) {
    case '':
      return [required(child(path, 'type'), '')];
    case 'InClusterConfig':
      return file === undefined ? [] : [invalidValue(at, file, 'can only be set when type=KubeConfigFile')];
    case 'KubeConfigFile':
      if (file === undefined || file === '') return [required(at, '')];
      if (!isAbsolute(file)) return [invalidValue(at, file, 'must be an absolute path')];
      try {
        return (await stat(file)).isFile() ? [] : [invalidValue(at, file, 'must be a regular file')];
      } catch (error) {
        return [invalidValue(at, file, `error loading file: ${statError(error, file)}`)];
      }
    default:
      return [notSupported(child(path, 'type'), info, ['InClusterConfig', 'KubeConfigFile'])];
  }
}

function statError(error: unknown, file: string): string {
  return (error as NodeJS.ErrnoException).code === 'ENOENT'
    ? `stat ${file}: no such file or directory`
    : errorMessage(error);
}

/** The conditions that compile, and what is wrong with the others. */
export function compileMatchConditions(
  conditions: readonly apiserverv1.WebhookMatchCondition[],
  path: string,
): { readonly programs: readonly CelProgram[]; readonly errors: readonly FieldError[] } {
  const at = child(path, 'matchConditions');
  if (conditions.length > MAX_MATCH_CONDITIONS)
    return { programs: [], errors: [tooMany(at, conditions.length, MAX_MATCH_CONDITIONS)] };
  const programs: CelProgram[] = [];
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  for (const [position, { expression }] of conditions.entries()) {
    const field = child(index(at, position), 'expression');
    if (expression.trim() === '') errors.push(required(field, ''));
    else if (seen.has(expression)) errors.push(duplicate(field, expression));
    else {
      seen.add(expression);
      const program = compileReviewCondition(expression);
      if (!(program instanceof CelIssue)) programs.push(program);
      else
        errors.push(
          program.kind === 'issues'
            ? invalidValue(field, expression, program.message)
            : internalField(field, program.message),
        );
    }
  }
  return { programs, errors };
}
