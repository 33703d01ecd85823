import type { OtherHandler } from '../other-paths.ts';
import type { RawResult } from '../request/result.ts';
import type { ServiceAccountTokens } from './service-account-tokens.ts';

const JWKS_PATH = '/openid/v1/jwks';

/** How others check service account tokens by themselves: OpenID Connect discovery and the public keys (KEP-1393). */
export function issuerDiscovery(tokens: ServiceAccountTokens): ReadonlyMap<string, OtherHandler> {
  const configuration = {
    issuer: tokens.issuer,
    jwks_uri: `${tokens.issuer}${JWKS_PATH}`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: [...new Set(tokens.jwks.map(({ alg }) => alg))],
  };
  return new Map([
    ['/.well-known/openid-configuration', () => document(configuration, 'application/json')],
    [JWKS_PATH, () => document({ keys: tokens.jwks }, 'application/jwk-set+json')],
  ]);
}

function document(value: object, contentType: string): RawResult {
  return {
    kind: 'raw',
    code: 200,
    contentType,
    body: JSON.stringify(value),
    headers: { 'Cache-Control': 'public, max-age=3600' },
    value,
  };
}
