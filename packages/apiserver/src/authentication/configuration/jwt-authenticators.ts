/** The JWT authenticators of a configuration, replaced as a whole when its file changes. */
import { setMaxListeners } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import type { apiserverv1 } from '@k8ts/api';
import { aggregateText, fieldErrorText, forbiddenField, type FieldError } from '@k8ts/apimachinery';
import { errorMessage, Scope, sleep, type Clock, type Logger, type Metrics } from '@k8ts/base';
import { watchConfigurationFile } from '../../configuration/configuration-file.ts';
import { ConfigurationError } from '../../configuration/decode-configuration.ts';
import { createReloadMetrics } from '../../configuration/reload-metrics.ts';
import { Retirement } from '../../configuration/retirement.ts';
import type { Authentication, TokenAuthenticator } from '../contract.ts';
import { createJwtMetrics, jwtAuthenticator, type JwtAuthenticator } from '../jwt/jwt-authenticator.ts';
import type { SigningAlgorithm } from '../jwt/key-set.ts';
import { compileAuthentication, type CompiledJwt } from '../jwt/validation.ts';
import { readAuthenticationConfiguration } from './options.ts';

export interface JwtAuthenticatorsOptions {
  readonly configuration: apiserverv1.AuthenticationConfiguration;
  /** Where the configuration is from; absent: it does not change. */
  readonly file?: { readonly path: string; readonly text: string };
  readonly algorithms: readonly SigningAlgorithm[];
  /** Issuers of service account tokens, which nobody else may claim to be. */
  readonly ownIssuers: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly serverId: string;
}

/** How long the issuers of a new configuration may take to answer. */
const READY_TIMEOUT = 60_000;
const READY_INTERVAL = 250;

interface JwtSet extends AsyncDisposable {
  readonly authenticators: readonly JwtAuthenticator[];
  readonly issuers: readonly string[];
}

/** Throws ConfigurationError. */
export function createJwtAuthenticators(
  options: JwtAuthenticatorsOptions,
): TokenAuthenticator & AsyncDisposable {
  const { configuration, file, clock, logger, metrics, serverId } = options;
  const jwtMetrics = createJwtMetrics(metrics, clock, serverId);
  const open = (compiled: readonly CompiledJwt[]): JwtSet => {
    const controller = new AbortController();
    setMaxListeners(0, controller.signal);
    return {
      issuers: compiled.map(({ configuration: { issuer } }) => issuer.url),
      authenticators: compiled.map((jwt) =>
        jwtAuthenticator({ ...options, jwt, metrics: jwtMetrics, signal: controller.signal }),
      ),
      [Symbol.asyncDispose]: async () => controller.abort(new Error('stopped')),
    };
  };
  const compile = (
    wanted: apiserverv1.AuthenticationConfiguration,
    further: readonly FieldError[] = [],
  ): readonly CompiledJwt[] => {
    const { authenticators, errors } = compileAuthentication(wanted, options.ownIssuers);
    const all = [...errors, ...further];
    if (all.length > 0)
      throw new ConfigurationError(
        `invalid authentication configuration: ${aggregateText(all.map(fieldErrorText))}`,
      );
    return authenticators;
  };

  const scope = new Scope();
  const retirement = scope.use(new Retirement(clock));
  let current = open(compile(configuration));

  if (file !== undefined) {
    const reloads = createReloadMetrics(options, 'authentication', file.text);
    let settled = file.text;
    const failed = (error: unknown): void => {
      logger.error('the authentication configuration was not taken over', { error: errorMessage(error) });
      reloads.failed();
    };
    const onChange = async (text: string): Promise<void> => {
      if (text === settled) return;
      let compiled: readonly CompiledJwt[];
      try {
        const next = readAuthenticationConfiguration(text);
        const isSame = isDeepStrictEqual(next.anonymous, configuration.anonymous);
        compiled = compile(
          next,
          isSame ? [] : [forbiddenField('anonymous', 'changed from initial configuration file')],
        );
      } catch (error) {
        settled = text; // it will not become better
        return failed(error);
      }
      const replacement = open(compiled);
      const unready = await untilReady(replacement, clock, scope.signal);
      if (unready !== undefined) {
        await replacement[Symbol.asyncDispose]();
        return failed(new Error(unready));
      }
      const replaced = current;
      current = replacement;
      settled = text;
      reloads.succeeded(text);
      retirement.retire(replaced);
      for (const issuer of replaced.issuers)
        if (!replacement.issuers.includes(issuer)) jwtMetrics.forget(issuer);
    };
    scope.run(
      watchConfigurationFile({
        path: file.path,
        clock,
        logger,
        signal: scope.signal,
        onChange,
        onUnreadable: failed,
      }),
    );
  }
  return {
    name: 'jwt',
    authenticateToken(token, audiences): Promise<Authentication | undefined> | undefined {
      // No two have the same issuer, so the first that answers is the only one.
      for (const authenticator of current.authenticators) {
        const answer = authenticator.authenticateToken(token, audiences);
        if (answer !== undefined) return Promise.resolve(answer);
      }
      return undefined;
    },
    async [Symbol.asyncDispose]() {
      await current[Symbol.asyncDispose]();
      await scope[Symbol.asyncDispose]();
    },
  };
}

/** Says why not, after a minute. */
async function untilReady(
  { authenticators }: JwtSet,
  clock: Clock,
  signal: AbortSignal,
): Promise<string | undefined> {
  const deadline = clock.monotonic() + READY_TIMEOUT;
  for (;;) {
    const unready = authenticators.flatMap((each) => (each.unready === undefined ? [] : [each.unready]));
    if (unready.length === 0) return undefined;
    if (clock.monotonic() >= deadline) return aggregateText(unready);
    await sleep(clock, READY_INTERVAL, signal);
  }
}
