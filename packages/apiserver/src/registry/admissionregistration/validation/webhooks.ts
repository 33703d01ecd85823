/** Webhook configurations (pkg/apis/admissionregistration/validation). Updates are let pass what was stored already. */
import type { admissionregistrationv1 } from '@k8ts/api';
import {
  child,
  duplicate,
  invalidValue,
  isDNS1035Label,
  isDNS1123Subdomain,
  jsonEqual,
  required,
  validateLabelSelector,
  type FieldError,
  type JsonValue,
} from '@k8ts/apimachinery';
import { each, messages } from '../../field-rules.ts';
import { validateWebhookService, validateWebhookUrl } from '../../webhook-rules.ts';
import { validateMatchConditions } from './expressions.ts';
import { FAILURE_POLICIES, MATCH_POLICIES, REINVOCATION_POLICIES, supported, validateRule } from './rules.ts';

export type Webhook = admissionregistrationv1.ValidatingWebhook & {
  readonly reinvocationPolicy?: string;
};

const REVIEW_VERSIONS = ['v1', 'v1beta1'];
const NO_SIDE_EFFECTS = ['None', 'NoneOnDryRun'];
const SIDE_EFFECTS = ['None', 'NoneOnDryRun', 'Some', 'Unknown'];

/** `old`: the webhooks that are replaced; undefined for a creation. */
export function validateWebhooks(
  webhooks: readonly Webhook[],
  old: readonly Webhook[] | undefined,
): FieldError[] {
  const unique = old === undefined || new Set(old.map(({ name }) => name)).size === old.length;
  const milder: Leniency = {
    sideEffects: old !== undefined && !old.every(({ sideEffects }) => NO_SIDE_EFFECTS.includes(sideEffects)),
    reviewVersions: old?.some(hasOnlyUnknownVersions) ?? false,
    selectorValues: old?.some(hasInvalidSelector) ?? false,
    conditions: old !== undefined && sameConditions(webhooks, old),
  };
  return each(webhooks, 'webhooks', (webhook, path, i) => [
    ...validateWebhook(webhook, path, milder),
    ...validateReviewVersions(
      webhook.admissionReviewVersions ?? [],
      child(path, 'admissionReviewVersions'),
      milder,
    ),
    ...(unique && webhook.name && webhooks.findIndex(({ name }) => name === webhook.name) < i
      ? [duplicate(child(path, 'name'), webhook.name)]
      : []),
  ]);
}

/** What is not checked because it was stored so. */
interface Leniency {
  readonly sideEffects: boolean;
  readonly reviewVersions: boolean;
  readonly selectorValues: boolean;
  readonly conditions: boolean;
}

function hasOnlyUnknownVersions({ admissionReviewVersions = [] }: Webhook): boolean {
  return (
    admissionReviewVersions.length > 0 &&
    !admissionReviewVersions.some((version) => REVIEW_VERSIONS.includes(version))
  );
}

function hasInvalidSelector({ namespaceSelector, objectSelector }: Webhook): boolean {
  return [namespaceSelector, objectSelector].some(
    (selector) => validateLabelSelector(selector, '').length > 0,
  );
}

function sameConditions(webhooks: readonly Webhook[], old: readonly Webhook[]): boolean {
  return (
    webhooks.length === old.length &&
    webhooks.every(({ matchConditions }, i) =>
      jsonEqual(
        (matchConditions ?? []) as unknown as JsonValue,
        (old[i]?.matchConditions ?? []) as unknown as JsonValue,
      ),
    )
  );
}

function validateWebhook(webhook: Webhook, path: string, milder: Leniency): FieldError[] {
  const { sideEffects, timeoutSeconds } = webhook;
  const allowed = milder.sideEffects ? SIDE_EFFECTS : NO_SIDE_EFFECTS;
  const selectors = { allowInvalidValues: milder.selectorValues };
  return [
    ...validateName(webhook.name ?? '', child(path, 'name')),
    ...each(webhook.rules, child(path, 'rules'), validateRule),
    ...supported(webhook.failurePolicy, FAILURE_POLICIES, child(path, 'failurePolicy')),
    ...supported(webhook.matchPolicy, MATCH_POLICIES, child(path, 'matchPolicy')),
    ...((sideEffects as string | undefined) === undefined
      ? [required(child(path, 'sideEffects'), `must specify one of ${allowed.join(', ')}`)]
      : supported(sideEffects, allowed, child(path, 'sideEffects'))),
    ...(timeoutSeconds !== undefined && (timeoutSeconds > 30 || timeoutSeconds < 1)
      ? [
          invalidValue(
            child(path, 'timeoutSeconds'),
            timeoutSeconds,
            'the timeout value must be between 1 and 30 seconds',
          ),
        ]
      : []),
    ...validateLabelSelector(webhook.namespaceSelector, child(path, 'namespaceSelector'), selectors),
    ...validateLabelSelector(webhook.objectSelector, child(path, 'objectSelector'), selectors),
    ...supported(webhook.reinvocationPolicy, REINVOCATION_POLICIES, child(path, 'reinvocationPolicy')),
    ...validateClientConfig(webhook.clientConfig, child(path, 'clientConfig')),
    ...(milder.conditions
      ? []
      : validateMatchConditions(webhook.matchConditions, child(path, 'matchConditions'), { params: false })),
  ];
}

function validateName(name: string, path: string): FieldError[] {
  if (name === '') return [required(path, '')];
  const problems = isDNS1123Subdomain(name);
  if (problems.length > 0) return [invalidValue(path, name, problems.join(','))];
  return name.split('.').length < 3
    ? [invalidValue(path, name, 'should be a domain with at least three segments separated by dots')]
    : [];
}

function validateClientConfig(
  config: admissionregistrationv1.WebhookClientConfig | undefined,
  path: string,
): FieldError[] {
  const { url, service } = config ?? {};
  if ((url === undefined) === (service === undefined))
    return [required(path, 'exactly one of url or service is required')];
  return url === undefined
    ? validateWebhookService(service as NonNullable<typeof service>, child(path, 'service'))
    : validateWebhookUrl(url, child(path, 'url'));
}

function validateReviewVersions(
  versions: readonly string[],
  path: string,
  { reviewVersions }: Leniency,
): FieldError[] {
  const known = REVIEW_VERSIONS.join(', ');
  if (versions.length === 0) return [required(path, `must specify one of ${known}`)];
  const errors = each(versions, path, (version, at, i) =>
    versions.indexOf(version) < i
      ? [invalidValue(at, version, 'duplicate version')]
      : messages(isDNS1035Label(version), version, at),
  );
  if (!reviewVersions && !versions.some((version) => REVIEW_VERSIONS.includes(version)))
    errors.push(invalidValue(path, versions, `must include at least one of ${known}`));
  return errors;
}
