/** Which authorizers there are, in what order (k8s.io/kubernetes/pkg/kubeapiserver/{options,authorizer}). */
import type { apiserverv1 } from '@k8ts/api';
import { aggregateText, fieldErrorText, formatDurationMilliseconds, goQuote } from '@k8ts/apimachinery';
import { ConfigurationError, decodeConfiguration } from '../../configuration/decode-configuration.ts';
import { isAuthorizationMode, validateAuthorizationConfiguration } from './validation.ts';

/** What a cluster's operator decides about authorization. At most one of `configurationFile` and the rest is given. */
export interface AuthorizationOptions {
  /** `--authorization-mode`: AlwaysAllow, AlwaysDeny, ABAC, Webhook, RBAC, Node, in order. Default Node, RBAC. */
  readonly modes?: readonly string[];
  /** `--authorization-policy-file`, of mode ABAC. */
  readonly policyFile?: string;
  /** `--authorization-webhook-*`, of mode Webhook. */
  readonly webhook?: AuthorizationWebhookOptions;
  /** `--authorization-config`: an AuthorizationConfiguration; read again when it changes. */
  readonly configurationFile?: string;
}

interface AuthorizationWebhookOptions {
  /** A kubeconfig file. */
  readonly kubeconfig: string;
  /** Of SubjectAccessReviews. Default v1beta1, as upstream's. */
  readonly version?: string;
  /** Milliseconds; default 5 minutes and 30 seconds; 0: answers are not kept. */
  readonly authorizedTtl?: number;
  readonly unauthorizedTtl?: number;
}

const DEFAULT_MODES: readonly string[] = ['Node', 'RBAC'];
const DEFAULT_AUTHORIZED_TTL = '5m0s';
const DEFAULT_UNAUTHORIZED_TTL = '30s';

/** Throws ConfigurationError for options that contradict each other. */
export function configurationOfModes({
  modes = DEFAULT_MODES,
  policyFile,
  webhook,
}: AuthorizationOptions): apiserverv1.AuthorizationConfiguration {
  const errors: string[] = [];
  if (modes.length === 0) errors.push('at least one authorization-mode must be passed');
  for (const mode of modes) {
    if (!isAuthorizationMode(mode)) errors.push(`authorization-mode ${goQuote(mode)} is not a valid mode`);
    if (mode === 'ABAC' && policyFile === undefined)
      errors.push("authorization-mode ABAC's authorization policy file not passed");
    if (mode === 'Webhook' && webhook === undefined)
      errors.push("authorization-mode Webhook's authorization config file not passed");
  }
  if (policyFile !== undefined && !modes.includes('ABAC'))
    errors.push('cannot specify --authorization-policy-file without mode ABAC');
  if (webhook !== undefined && !modes.includes('Webhook'))
    errors.push('cannot specify --authorization-webhook-config-file without mode Webhook');
  if (new Set(modes).size !== modes.length)
    errors.push(`authorization-mode [${modes.map(goQuote).join(' ')}] has mode specified more than once`);
  if (errors.length > 0) throw new ConfigurationError(aggregateText(errors));
  return {
    authorizers: modes.map((mode) =>
      mode === 'Webhook' && webhook !== undefined
        ? { type: mode, name: 'default', webhook: webhookOfOptions(webhook) }
        : { type: mode, name: mode.toLowerCase() },
    ),
  };
}

function webhookOfOptions(options: AuthorizationWebhookOptions): apiserverv1.WebhookConfiguration {
  const { kubeconfig, version = 'v1beta1', authorizedTtl = 300_000, unauthorizedTtl = 30_000 } = options;
  if (version !== 'v1' && version !== 'v1beta1')
    throw new ConfigurationError(
      `unsupported webhook authorizer version ${goQuote(version)}, supported versions are "v1", "v1beta1"`,
    );
  return {
    authorizedTTL: formatDurationMilliseconds(authorizedTtl),
    cacheAuthorizedRequests: authorizedTtl !== 0,
    unauthorizedTTL: formatDurationMilliseconds(unauthorizedTtl),
    cacheUnauthorizedRequests: unauthorizedTtl !== 0,
    timeout: '30s',
    subjectAccessReviewVersion: version,
    matchConditionSubjectAccessReviewVersion: '',
    failurePolicy: 'NoOpinion',
    connectionInfo: { type: 'KubeConfigFile', kubeConfigFile: kubeconfig },
    matchConditions: [],
  };
}

/** The configuration in a file's text, with defaults. Throws ConfigurationError. */
export async function readAuthorizationConfiguration(
  text: string,
  /** Types that must be there. */
  requiredTypes: Iterable<string> = [],
): Promise<apiserverv1.AuthorizationConfiguration> {
  let decoded: apiserverv1.AuthorizationConfiguration;
  try {
    decoded =
      text === ''
        ? { authorizers: [] }
        : decodeConfiguration<apiserverv1.AuthorizationConfiguration>(text, 'AuthorizationConfiguration');
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    throw new ConfigurationError(`failed to load AuthorizationConfiguration from file: ${error.message}`);
  }
  const configuration = { ...decoded, authorizers: (decoded.authorizers ?? []).map(withDefaults) };
  const invalid = await validateAuthorizationConfiguration(configuration);
  if (invalid.length > 0) throw new ConfigurationError(aggregateText(invalid.map(fieldErrorText)));

  const errors: string[] = [];
  const types = new Set<string>();
  for (const { type, name } of configuration.authorizers) {
    if (type === 'Webhook') continue;
    types.add(type);
    if (name !== type.toLowerCase())
      errors.push(`expected name ${type.toLowerCase()} for authorizer ${type} instead of ${name}`);
  }
  const missing = [...requiredTypes].filter((type) => !types.has(type)).sort();
  if (missing.length > 0) errors.push(`missing required types: [${missing.join(' ')}]`);
  if (errors.length > 0) throw new ConfigurationError(aggregateText(errors));
  return configuration;
}

function withDefaults(authorizer: apiserverv1.AuthorizerConfiguration): apiserverv1.AuthorizerConfiguration {
  const webhook: Partial<apiserverv1.WebhookConfiguration> | undefined = authorizer.webhook;
  if (webhook === undefined) return authorizer;
  const { authorizedTTL = '0s', unauthorizedTTL = '0s', timeout = '0s' } = webhook;
  return {
    ...authorizer,
    webhook: {
      subjectAccessReviewVersion: '',
      matchConditionSubjectAccessReviewVersion: '',
      failurePolicy: '',
      connectionInfo: { type: '', kubeConfigFile: '' },
      matchConditions: [],
      ...webhook,
      timeout,
      authorizedTTL: authorizedTTL === '0s' ? DEFAULT_AUTHORIZED_TTL : authorizedTTL,
      cacheAuthorizedRequests: webhook.cacheAuthorizedRequests ?? true,
      unauthorizedTTL: unauthorizedTTL === '0s' ? DEFAULT_UNAUTHORIZED_TTL : unauthorizedTTL,
      cacheUnauthorizedRequests: webhook.cacheUnauthorizedRequests ?? true,
    },
  };
}
