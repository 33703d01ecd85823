/** Claims that a token leaves to another place (OpenID Connect Core 1.0, section 5.6.2). */
import { errorMessage } from '@k8ts/base';
import { formatValue, goQuote, isJsonObject } from '@k8ts/apimachinery';
import { openIssuer, untrustedIssuer, type Claims, type Issuer, type IssuerOptions } from './issuer.ts';

/** What a claim's place has said, as a token of its own, must be signed by somebody who can be looked up. */
export interface ClaimResolver {
  /** The claims with the one claim added, where it is elsewhere. */
  expand(claims: Claims): Promise<Claims>;
}

const MAX_ISSUERS = 100;

export function createClaimResolver(
  claim: string,
  options: Omit<IssuerOptions, 'url' | 'discoveryUrl' | 'onKeys'>,
): ClaimResolver {
  const issuers = new Map<string, Issuer>();
  const issuerOf = (url: string): Issuer => {
    let issuer = issuers.get(url);
    if (issuer === undefined) {
      if (issuers.size >= MAX_ISSUERS) throw new Error('too many issuers of distributed claims');
      issuers.set(url, (issuer = openIssuer({ ...options, url })));
    }
    return issuer;
  };

  const fetchClaim = async (endpoint: string, accessToken: string): Promise<unknown> => {
    const { status, body } = await options.get(endpoint, accessToken).catch((error: unknown) => {
      throw new Error(`while getting distributed claim ${goQuote(claim)}: ${errorMessage(error)}`);
    });
    if (status < 200 || status > 226)
      throw new Error(
        `while getting distributed claim ${goQuote(claim)}: error while getting distributed claim JWT: ${String(status)}`,
      );
    const token = body.trim();
    const url = untrustedIssuer(token);
    if (url === undefined)
      throw new Error(
        `getting untrusted issuer from endpoint ${endpoint} failed for claim ${goQuote(claim)}: malformed token`,
      );
    const issuer = issuerOf(url);
    if (issuer.unready !== undefined)
      throw new Error(
        `verifying untrusted issuer ${url} failed: verifier not initialized for issuer: ${goQuote(url)}`,
      );
    const claims = await issuer.verify(token).catch((error: unknown) => {
      throw new Error(`verify distributed claim token: ${errorMessage(error)}`);
    });
    if (!Object.hasOwn(claims, claim))
      throw new Error(
        `jwt returned by distributed claim endpoint ${goQuote(endpoint)} did not contain claim: ${claim}`,
      );
    return claims[claim];
  };

  return {
    async expand(claims) {
      if (Object.hasOwn(claims, claim)) return claims;
      const names = claims['_claim_names'];
      if (names === undefined) return claims;
      if (!isJsonObject(names)) throw new Error('oidc: error parsing distributed claim names: not an object');
      const sources = claims['_claim_sources'];
      if (sources === undefined) throw new Error('oidc: no claim sources');
      if (!isJsonObject(sources)) throw new Error('oidc: could not parse claim sources: not an object');
      const source = Object.hasOwn(names, claim) ? names[claim] : undefined;
      if (source === undefined) return claims;
      const place =
        typeof source === 'string' && Object.hasOwn(sources, source) ? sources[source] : undefined;
      if (!isJsonObject(place))
        throw new Error(
          `id token _claim_names contained a source ${formatValue(source)} missing in _claims_sources`,
        );
      const { endpoint, access_token: accessToken } = place;
      // A claim that is in the token after all, signed by another, is not read.
      if (typeof endpoint !== 'string' || endpoint === '') return claims;
      const value = await fetchClaim(endpoint, typeof accessToken === 'string' ? accessToken : '');
      return { ...claims, [claim]: value };
    },
  };
}
