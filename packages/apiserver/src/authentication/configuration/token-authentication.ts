/** Tokens that are checked elsewhere, and who is anonymous (k8s.io/kubernetes/pkg/kubeapiserver/authenticator). */
import { readFile } from 'node:fs/promises';
import type { apiserverv1 } from '@k8ts/api';
import { fieldErrorText, forbiddenField, goQuote } from '@k8ts/apimachinery';
import { errorMessage, Scope, type Clock, type Logger, type Metrics } from '@k8ts/base';
import { loadKubeconfig } from '@k8ts/client';
import { ConfigurationError } from '../../configuration/decode-configuration.ts';
import { createReviewWebhook } from '../../webhook/review-webhook.ts';
import type { ObjectReader } from '../../object-reader.ts';
import type { TokenAuthenticator } from '../contract.ts';
import { SIGNING_ALGORITHMS } from '../jwt/key-set.ts';
import { bootstrapTokenAuthenticator } from '../plugins/bootstrap-token.ts';
import { webhookTokenAuthenticator } from '../plugins/webhook-token.ts';
import { audienceAgnostic, cachedToken, unionToken } from '../token-chain.ts';
import { createJwtAuthenticators } from './jwt-authenticators.ts';
import {
  configurationOfOidc,
  readAuthenticationConfiguration,
  signingAlgorithms,
  type AuthenticationOptions,
  type TokenWebhookOptions,
} from './options.ts';

interface TokenAuthenticationOptions {
  readonly options: AuthenticationOptions;
  /** Everybody may do everything: then nobody is anonymous, unless a configuration file says so. */
  readonly isOpen: boolean;
  /** Of the API server. */
  readonly audiences: readonly string[];
  /** Of service account tokens. */
  readonly issuers: readonly string[];
  readonly objects: ObjectReader;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly serverId: string;
}

export interface TokenAuthentication extends AsyncDisposable {
  readonly authenticators: readonly TokenAuthenticator[];
  /** A list: only for these paths. */
  readonly anonymous: boolean | readonly string[];
}

const SUCCESS_TTL = 10_000;
const WEBHOOK_TTL = 120_000;

/** Throws ConfigurationError. */
export async function createTokenAuthentication(
  init: TokenAuthenticationOptions,
): Promise<TokenAuthentication> {
  const { options, audiences, clock, metrics } = init;
  const { configurationFile, oidc, tokenWebhook } = options;
  if (configurationFile !== undefined && oidc !== undefined)
    throw new ConfigurationError('authentication-config file and oidc-* flags are mutually exclusive');
  const text = configurationFile === undefined ? undefined : await readText(configurationFile);
  const configuration =
    text === undefined
      ? oidc === undefined
        ? undefined
        : configurationOfOidc(oidc)
      : load(text, configurationFile as string);
  const anonymous = anonymousOf(configuration, options.anonymous, init.isOpen);

  const scope = new Scope();
  try {
    const tokens: TokenAuthenticator[] = [];
    if (options.bootstrapTokens === true)
      tokens.push(audienceAgnostic(audiences, bootstrapTokenAuthenticator(init.objects, clock)));
    if (configuration !== undefined)
      tokens.push(
        audienceAgnostic(
          audiences,
          scope.use(
            createJwtAuthenticators({
              ...init,
              configuration,
              ...(text === undefined ? {} : { file: { path: configurationFile as string, text } }),
              // Of a configuration's keys, any that fits is good.
              algorithms:
                text === undefined ? signingAlgorithms(oidc?.signingAlgorithms) : SIGNING_ALGORITHMS,
              ownIssuers: init.issuers,
            }),
          ),
        ),
      );
    if (tokenWebhook !== undefined) tokens.push(await openTokenWebhook(tokenWebhook, init, scope));
    return {
      authenticators:
        tokens.length === 0
          ? []
          : [cachedToken(unionToken(tokens), { successTtl: SUCCESS_TTL, failureTtl: 0, clock, metrics })],
      anonymous,
      [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
    };
  } catch (error) {
    await scope[Symbol.asyncDispose]();
    throw error;
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw loadError(path, error);
  }
}

function load(text: string, path: string): apiserverv1.AuthenticationConfiguration {
  try {
    return readAuthenticationConfiguration(text);
  } catch (error) {
    throw error instanceof ConfigurationError ? loadError(path, error) : error;
  }
}

function loadError(path: string, error: unknown): ConfigurationError {
  return new ConfigurationError(
    `failed to load authentication configuration from file ${goQuote(path)}: ${errorMessage(error)}`,
  );
}

function anonymousOf(
  configuration: apiserverv1.AuthenticationConfiguration | undefined,
  flag: boolean | undefined,
  isOpen: boolean,
): boolean | readonly string[] {
  const configured = configuration?.anonymous;
  if (configured === undefined) return !isOpen && (flag ?? true);
  if (flag !== undefined)
    throw new ConfigurationError(
      fieldErrorText(
        forbiddenField(
          'anonymous',
          '--anonymous-auth flag cannot be set when anonymous field is configured in authentication configuration file',
        ),
      ),
    );
  const paths = (configured.conditions ?? []).map(({ path }) => path);
  return configured.enabled && paths.length > 0 ? paths : configured.enabled;
}

async function openTokenWebhook(
  { kubeconfig, version = 'v1beta1', cacheTtl = WEBHOOK_TTL }: TokenWebhookOptions,
  { audiences, clock }: TokenAuthenticationOptions,
  scope: Scope,
): Promise<TokenAuthenticator> {
  if (version !== 'v1' && version !== 'v1beta1')
    throw new ConfigurationError(
      `unsupported authentication webhook version ${goQuote(version)}, supported versions are "v1", "v1beta1"`,
    );
  const { transport } = await loadKubeconfig({ path: kubeconfig }).catch((error: unknown) => {
    throw new ConfigurationError(errorMessage(error), { cause: error });
  });
  const webhook = scope.use(
    createReviewWebhook({ transport, group: 'authentication.k8s.io', version, kind: 'TokenReview' }),
  );
  return cachedToken(webhookTokenAuthenticator(webhook, audiences), {
    successTtl: cacheTtl,
    failureTtl: cacheTtl,
    clock,
  });
}
