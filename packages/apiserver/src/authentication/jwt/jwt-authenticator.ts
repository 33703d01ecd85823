import { errorMessage, type Clock, type Logger, type Metrics } from '@k8ts/base';
import { goQuote } from '@k8ts/apimachinery';
import { metricHash } from '../../configuration/reload-metrics.ts';
import type { TokenAuthenticator } from '../contract.ts';
import { withAuthenticatedGroup } from '../well-known-users.ts';
import { createClaimResolver } from './distributed-claims.ts';
import { openIssuer, untrustedIssuer } from './issuer.ts';
import { createIssuerClient } from './issuer-client.ts';
import type { SigningAlgorithm } from './key-set.ts';
import { userOfClaims } from './user-of-claims.ts';
import type { CompiledJwt } from './validation.ts';

export interface JwtAuthenticator extends TokenAuthenticator {
  /** Why it cannot check tokens yet; undefined once it can. */
  readonly unready: string | undefined;
}

export interface JwtAuthenticatorOptions {
  readonly jwt: CompiledJwt;
  readonly algorithms: readonly SigningAlgorithm[];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: JwtMetrics;
  /** Ends what goes on in the background. */
  readonly signal: AbortSignal;
}

/** Tokens of one issuer, which is looked for in the background; tokens of others are left to others. */
export function jwtAuthenticator(options: JwtAuthenticatorOptions): JwtAuthenticator {
  const { jwt, clock, metrics, signal } = options;
  const { issuer: named, claimMappings } = jwt.configuration;
  const get = createIssuerClient(named.certificateAuthority || undefined, signal);
  const common = { ...options, audiences: named.audiences, get };
  const issuer = openIssuer({
    ...common,
    url: named.url,
    ...(named.discoveryURL ? { discoveryUrl: named.discoveryURL } : {}),
    onKeys: (text) => {
      if (!signal.aborted) metrics.fetched(named.url, text);
    },
  });
  const groupsClaim = claimMappings.groups?.claim ?? '';
  const resolver = groupsClaim === '' ? undefined : createClaimResolver(groupsClaim, common);

  const authenticate = async (token: string) => {
    const verified = await issuer.verify(token).catch((error: unknown) => {
      throw new Error(
        issuer.unready === undefined ? `oidc: verify token: ${errorMessage(error)}` : errorMessage(error),
      );
    });
    const claims =
      (await resolver?.expand(verified).catch((error: unknown) => {
        throw new Error(`oidc: could not expand distributed claims: ${errorMessage(error)}`);
      })) ?? verified;
    return { user: withAuthenticatedGroup(userOfClaims(jwt, claims)) };
  };

  return {
    name: 'jwt',
    get unready() {
      return issuer.unready === undefined
        ? undefined
        : `oidc: authenticator for issuer ${goQuote(named.url)} is not healthy: ${issuer.unready}`;
    },
    authenticateToken(token) {
      if (untrustedIssuer(token) !== named.url) return undefined;
      const start = clock.monotonic();
      const record = (result: string): void =>
        metrics.authenticated(named.url, result, (clock.monotonic() - start) / 1000);
      return authenticate(token).then(
        (authentication) => {
          record('success');
          return authentication;
        },
        (error: unknown) => {
          record('failure');
          throw error;
        },
      );
    },
  };
}

export interface JwtMetrics {
  authenticated(issuer: string, result: string, seconds: number): void;
  /** `keys`: the text of the key set; undefined: there was none. */
  fetched(issuer: string, keys: string | undefined): void;
  /** The issuer is no longer configured. */
  forget(issuer: string): void;
}

const LATENCY_BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** apiserver_authentication_jwt_authenticator_*. */
export function createJwtMetrics(metrics: Metrics, clock: Clock, serverId: string): JwtMetrics {
  const prefix = 'apiserver_authentication_jwt_authenticator';
  const latency = metrics.histogram({
    name: `${prefix}_latency_seconds`,
    help: 'Latency of jwt authentication operations in seconds. This is the time spent authenticating a token for cache miss only (i.e. when the token is not found in the cache).',
    labels: ['result', 'jwt_issuer_hash'],
    buckets: LATENCY_BUCKETS,
  });
  const fetchTime = metrics.gauge({
    name: `${prefix}_jwks_fetch_last_timestamp_seconds`,
    help: 'Timestamp of the last successful or failed JWKS fetch split by result, api server identity and jwt issuer for the JWT authenticator.',
    labels: ['result', 'jwt_issuer_hash', 'apiserver_id_hash'],
  });
  const keySet = metrics.gauge({
    name: `${prefix}_jwks_fetch_last_key_set_info`,
    help: 'Information about the last JWKS fetched by the JWT authenticator with hash as label, split by api server identity and jwt issuer.',
    labels: ['jwt_issuer_hash', 'apiserver_id_hash', 'hash'],
  });
  const server = metricHash(serverId);
  const shown = new Map<string, readonly string[]>();
  const forgetKeys = (issuer: string): void => {
    const labels = shown.get(issuer);
    if (labels !== undefined) keySet.remove(labels);
    shown.delete(issuer);
  };
  return {
    authenticated: (issuer, result, seconds) => latency.observe(seconds, [result, metricHash(issuer)]),
    fetched(issuer, keys) {
      const hash = metricHash(issuer);
      fetchTime.set(clock.now() / 1000, [keys === undefined ? 'failure' : 'success', hash, server]);
      if (keys === undefined) return;
      forgetKeys(issuer);
      const labels = [hash, server, metricHash(keys)];
      shown.set(issuer, labels);
      keySet.set(1, labels);
    },
    forget(issuer) {
      forgetKeys(issuer);
      for (const result of ['success', 'failure']) fetchTime.remove([result, metricHash(issuer), server]);
    },
  };
}
