import type { apiextensionsv1 } from '@k8ts/api';
import {
  child,
  forbiddenField,
  index,
  invalidValue,
  isDNS1035Label,
  required,
  type FieldError,
} from '@k8ts/apimachinery';
import { append } from './error-list.ts';
import { requiredOneOf } from '../../field-rules.ts';
import { validateCaBundle, validateWebhookService, validateWebhookUrl } from '../../webhook-rules.ts';

type Conversion = apiextensionsv1.CustomResourceConversion;
type ClientConfig = apiextensionsv1.WebhookClientConfig;

export interface ConversionOptions {
  readonly requireRecognizedReviewVersion: boolean;
  readonly allowInvalidCaBundle: boolean;
}

/** The versions of ConversionReview that an API server speaks. */
const REVIEW_VERSIONS: readonly string[] = ['v1', 'v1beta1'];

/** The webhook stands beside the strategy in the internal version, and so in paths. */
export function validateConversion(
  conversion: Conversion,
  path: string,
  options: ConversionOptions,
): FieldError[] {
  const { strategy, webhook } = conversion;
  const errors = requiredOneOf(strategy, ['None', 'Webhook'], child(path, 'strategy'));
  const configPath = child(path, 'webhookClientConfig');
  const versionsPath = child(path, 'conversionReviewVersions');
  const versions = webhook?.conversionReviewVersions ?? [];
  if (strategy !== 'Webhook') {
    const message = 'should not be set when strategy is not set to Webhook';
    if (webhook?.clientConfig !== undefined) errors.push(forbiddenField(configPath, message));
    if (versions.length > 0) errors.push(forbiddenField(versionsPath, message));
    return errors;
  }
  if (webhook?.clientConfig === undefined)
    errors.push(required(configPath, 'required when strategy is set to Webhook'));
  else append(errors, validateClientConfig(webhook.clientConfig, configPath, options));
  return [
    ...errors,
    ...validateReviewVersions(versions, versionsPath, options.requireRecognizedReviewVersion),
  ];
}

function validateClientConfig(
  { url, service, caBundle = '' }: ClientConfig,
  path: string,
  { allowInvalidCaBundle }: ConversionOptions,
): FieldError[] {
  const errors: FieldError[] = [];
  if ((url === undefined) === (service === undefined))
    errors.push(required(path, 'exactly one of url or service is required'));
  else if (url !== undefined) errors.push(...validateWebhookUrl(url, child(path, 'url')));
  else if (service !== undefined) {
    // Upstream hands name and namespace over in the wrong order, so each is missed under the other's name.
    const swapped = { ...service, name: service.namespace, namespace: service.name };
    append(errors, validateWebhookService(swapped, child(path, 'service')));
  }
  if (caBundle !== '' && !allowInvalidCaBundle)
    errors.push(...validateCaBundle(caBundle, child(path, 'caBundle')));
  return errors;
}

function validateReviewVersions(
  versions: readonly string[],
  path: string,
  requireRecognized: boolean,
): FieldError[] {
  if (versions.length === 0) return [required(path, '')];
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  versions.forEach((version, i) => {
    const at = index(path, i);
    if (seen.has(version)) errors.push(invalidValue(at, version, 'duplicate version'));
    else for (const problem of isDNS1035Label(version)) errors.push(invalidValue(at, version, problem));
    seen.add(version);
  });
  if (requireRecognized && !versions.some(isRecognized))
    errors.push(invalidValue(path, versions, `must include at least one of ${REVIEW_VERSIONS.join(', ')}`));
  return errors;
}

function isRecognized(version: string): boolean {
  return REVIEW_VERSIONS.includes(version);
}

/** What an update of a stored conversion is let off. */
export function conversionOptions(old: Conversion | undefined, isEstablished: boolean): ConversionOptions {
  const versions = old?.webhook?.conversionReviewVersions ?? [];
  const caBundle = old?.webhook?.clientConfig?.caBundle ?? '';
  return {
    requireRecognizedReviewVersion: versions.length === 0 || versions.some(isRecognized),
    allowInvalidCaBundle: !isEstablished || (caBundle !== '' && validateCaBundle(caBundle, '').length > 0),
  };
}
