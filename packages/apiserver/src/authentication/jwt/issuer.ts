/** An OpenID Connect issuer: found in the background, then checks tokens (go-oidc's Provider and IDTokenVerifier). */
import { errorMessage, sleep, type Clock, type Logger } from '@k8ts/base';
import { formatTime, goQuote } from '@k8ts/apimachinery';
import type { IssuerClient } from './issuer-client.ts';
import { createKeySet, type KeySet, type SigningAlgorithm, type TokenHeader } from './key-set.ts';

export type Claims = Readonly<Record<string, unknown>>;

export interface Issuer {
  /** Why it cannot check tokens yet; undefined once it can. */
  readonly unready: string | undefined;
  /** Rejects for all but tokens of this issuer that are good now and for one of the audiences. */
  verify(token: string): Promise<Claims>;
}

export interface IssuerOptions {
  readonly url: string;
  /** Where its configuration is, if not where the standard says. */
  readonly discoveryUrl?: string;
  readonly audiences: readonly string[];
  readonly algorithms: readonly SigningAlgorithm[];
  readonly get: IssuerClient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onKeys?: (text: string | undefined) => void;
}

const RETRY = 10_000;
/** How far a token's `nbf` may lie ahead. */
const NOT_BEFORE_LEEWAY = 60_000;
const GOOGLE = 'https://accounts.google.com';
/** What Google once wrote in its tokens. */
const GOOGLE_WITHOUT_SCHEME = 'accounts.google.com';

/** Asks at once, and again every ten seconds, until the issuer answers or the signal aborts. */
export function openIssuer(options: IssuerOptions): Issuer {
  const { url, clock, logger, signal } = options;
  let keys: KeySet | undefined;
  let unready: string | undefined = `oidc: authenticator for issuer ${goQuote(url)} is not initialized`;
  const search = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        const jwksUrl = await discover(options);
        keys = createKeySet({ ...options, url: jwksUrl, onFetch: options.onKeys ?? (() => undefined) });
        unready = undefined;
        return;
      } catch (error) {
        unready = errorMessage(error);
        logger.warn('a token issuer does not answer', { issuer: url, error: unready });
      }
      await sleep(clock, RETRY, signal);
    }
  };
  search().catch(() => undefined); // it was stopped

  return {
    get unready() {
      return unready;
    },
    async verify(token) {
      if (keys === undefined) throw new Error('oidc: authenticator not initialized');
      const header = headerOf(token, options.algorithms);
      const claims = await keys.verify(token, header).catch((error: unknown) => {
        throw new Error(`failed to verify signature: ${errorMessage(error)}`);
      });
      checkClaims(claims, options);
      return claims;
    },
  };
}

async function discover({ url, discoveryUrl, get }: IssuerOptions): Promise<string> {
  const { status, body } = await get(
    discoveryUrl ?? `${url.replace(/\/$/, '')}/.well-known/openid-configuration`,
  );
  if (status !== 200) throw new Error(`${String(status)}: ${body.slice(0, 1024)}`);
  let found: { readonly issuer?: unknown; readonly jwks_uri?: unknown } | null;
  try {
    found = JSON.parse(body) as typeof found;
  } catch {
    throw new Error('oidc: failed to decode provider discovery object: it is no JSON');
  }
  const issuer = found?.issuer;
  if (issuer !== url)
    throw new Error(
      `oidc: issuer did not match the issuer returned by provider, expected ${goQuote(url)} got ${goQuote(typeof issuer === 'string' ? issuer : '')}`,
    );
  const jwksUrl = found?.jwks_uri;
  if (typeof jwksUrl !== 'string' || jwksUrl === '') throw new Error('provider did not return JWKS URL');
  return jwksUrl;
}

/** The issuer that a token names, which anybody may have written; undefined for what is no compact JWT. */
export function untrustedIssuer(token: string): string | undefined {
  const claims = partOf(token, 1);
  const issuer = claims?.['iss'];
  if (issuer === GOOGLE_WITHOUT_SCHEME) return GOOGLE;
  return typeof issuer === 'string' ? issuer : undefined;
}

function headerOf(token: string, algorithms: readonly SigningAlgorithm[]): TokenHeader {
  const header = partOf(token, 0);
  if (header === undefined) throw new Error('oidc: malformed jwt');
  const { alg, kid } = header;
  const found = algorithms.find((each) => each === alg);
  if (found === undefined)
    throw new Error(
      `oidc: id token signed with unsupported algorithm, expected ${quotedList(algorithms)} got ${goQuote(typeof alg === 'string' ? alg.slice(0, 100) : '')}`,
    );
  return { alg: found, kid: typeof kid === 'string' ? kid : '' };
}

function partOf(token: string, at: number): Claims | undefined {
  const parts = token.split('.');
  if (parts.length !== 3) return undefined;
  try {
    const parsed: unknown = JSON.parse(Buffer.from(parts[at] as string, 'base64url').toString('utf8'));
    return typeof parsed === 'object' && parsed !== null ? (parsed as Claims) : undefined;
  } catch {
    return undefined;
  }
}

function checkClaims(claims: Claims, { url, audiences, clock }: IssuerOptions): void {
  const { iss, aud, exp, nbf } = claims;
  if (iss !== url && !(url === GOOGLE && iss === GOOGLE_WITHOUT_SCHEME))
    throw new Error(
      `oidc: id token issued by a different provider, expected ${goQuote(url)} got ${goQuote(typeof iss === 'string' ? iss : '')}`,
    );
  const given = typeof aud === 'string' ? [aud] : Array.isArray(aud) ? (aud as readonly unknown[]) : [];
  if (given.some((audience) => typeof audience !== 'string'))
    throw new Error('oidc: failed to unmarshal claims: aud is not a string or a list of strings');
  if (!given.some((audience) => audiences.includes(audience as string)))
    throw new Error(
      audiences.length === 1
        ? `oidc: expected audience ${goQuote(audiences[0] as string)} got ${quotedList(given as readonly string[])}`
        : `oidc: expected audience in ${quotedList([...audiences].sort())} got ${quotedList(given as readonly string[])}`,
    );
  const now = clock.now();
  const expires = secondsOf(exp, 'exp') ?? 0;
  if (expires * 1000 < now)
    throw new Error(`oidc: token is expired (Token Expiry: ${timeText(expires * 1000)})`);
  const from = secondsOf(nbf, 'nbf');
  if (from !== undefined && now + NOT_BEFORE_LEEWAY < from * 1000)
    throw new Error(
      `oidc: current time ${timeText(now)} before the nbf (not before) time: ${timeText(from * 1000)}`,
    );
}

function secondsOf(value: unknown, claim: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  const seconds = typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
  if (typeof seconds !== 'number' || !Number.isFinite(seconds))
    throw new Error(`oidc: failed to unmarshal claims: ${claim} is not a number`);
  return seconds;
}

function timeText(milliseconds: number): string {
  return Math.abs(milliseconds) < 8.64e15 ? formatTime(milliseconds) : String(milliseconds);
}

function quotedList(texts: readonly string[]): string {
  return `[${texts.map(goQuote).join(' ')}]`;
}
