/** The public keys of an issuer, fetched when they are first needed and again when they do not fit (go-oidc's RemoteKeySet). */
import { createPublicKey } from 'node:crypto';
import type { Clock } from '@k8ts/base';
import { createVerifier } from 'fast-jwt';
import type { IssuerAnswer, IssuerClient } from './issuer-client.ts';

/** RFC 7518. Symmetric algorithms and `none` can never be switched on. */
export const SIGNING_ALGORITHMS = [
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
  'RS256',
  'RS384',
  'RS512',
] as const;
export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number];

export interface KeySet {
  /** The claims of a token that one of the keys has signed; rejects for all others. */
  verify(token: string, header: TokenHeader): Promise<Readonly<Record<string, unknown>>>;
}

export interface TokenHeader {
  readonly alg: SigningAlgorithm;
  readonly kid: string;
}

type Verify = (token: string) => unknown;

interface Key {
  readonly kid: string;
  readonly pem: string;
  readonly verifiers: Map<SigningAlgorithm, Verify | undefined>;
}

/** Keys are fetched again this long before their time has come. */
const EXPIRY_DELTA = 30_000;
const MAX_KEYS = 100;

export interface KeySetOptions {
  readonly url: string;
  readonly get: IssuerClient;
  readonly clock: Clock;
  /** Told of each fetch; `text`: the key set, where it is one. */
  readonly onFetch: (text: string | undefined) => void;
}

export function createKeySet({ url, get, clock, onFetch }: KeySetOptions): KeySet {
  let keys: readonly Key[] = [];
  /** Milliseconds since the epoch. */
  let expiry = 0;
  let fetching: Promise<readonly Key[]> | undefined;

  const fetchKeys = async (): Promise<readonly Key[]> => {
    let answer: IssuerAnswer;
    try {
      answer = await get(url);
      if (answer.status !== 200) throw new Error(`oidc: get keys failed: ${String(answer.status)}`);
      const found = parseKeys(answer.body);
      onFetch(answer.body);
      keys = found;
      expiry = expiryOf(answer, clock.now());
      return found;
    } catch (error) {
      onFetch(undefined);
      throw error;
    }
  };

  return {
    async verify(token, header) {
      const known = tryKeys(keys, token, header);
      if (known !== undefined) return known;
      if (clock.now() + EXPIRY_DELTA <= expiry) throw new Error('failed to verify id token signature');
      // Many may ask at once; the issuer is asked once.
      fetching ??= fetchKeys().finally(() => (fetching = undefined));
      const fresh = await fetching.catch((error: unknown) => {
        throw new Error(`fetching keys ${error instanceof Error ? error.message : String(error)}`);
      });
      const verified = tryKeys(fresh, token, header);
      if (verified === undefined) throw new Error('failed to verify id token signature');
      return verified;
    },
  };
}

function tryKeys(
  keys: readonly Key[],
  token: string,
  { alg, kid }: TokenHeader,
): Readonly<Record<string, unknown>> | undefined {
  for (const key of keys) {
    if (kid !== '' && key.kid !== kid) continue;
    const verify = verifierOf(key, alg);
    try {
      const claims = verify?.(token);
      if (typeof claims === 'object' && claims !== null && !Array.isArray(claims))
        return claims as Readonly<Record<string, unknown>>;
    } catch {
      // Another key, or a forged token.
    }
  }
  return undefined;
}

/** Undefined where a key of this kind cannot be used with the algorithm: an RSA key with ES256, or another curve. */
function verifierOf(key: Key, algorithm: SigningAlgorithm): Verify | undefined {
  if (!key.verifiers.has(algorithm)) {
    let verifier: Verify | undefined;
    try {
      verifier = createVerifier({
        key: key.pem,
        algorithms: [algorithm],
        cache: false,
        ignoreExpiration: true,
        ignoreNotBefore: true,
      }) as Verify;
    } catch {
      verifier = undefined;
    }
    key.verifiers.set(algorithm, verifier);
  }
  return key.verifiers.get(algorithm);
}

/** Keys that are of no use here (symmetric ones, new kinds) are passed over. */
function parseKeys(text: string): readonly Key[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new Error('oidc: failed to decode keys: it is no JSON');
  }
  const list = (parsed as { readonly keys?: unknown } | null)?.keys;
  if (!Array.isArray(list)) throw new Error('oidc: failed to decode keys: there is no list of keys');
  const keys: Key[] = [];
  for (const jwk of list.slice(0, MAX_KEYS) as readonly unknown[]) {
    if (typeof jwk !== 'object' || jwk === null) continue;
    const { kty, kid } = jwk as { readonly kty?: unknown; readonly kid?: unknown };
    if (kty !== 'RSA' && kty !== 'EC') continue;
    try {
      const pem = createPublicKey({ key: jwk as Record<string, string>, format: 'jwk' });
      keys.push({
        kid: typeof kid === 'string' ? kid : '',
        pem: pem.export({ type: 'spki', format: 'pem' }) as string,
        verifiers: new Map(),
      });
    } catch {
      // Not a key that can be read.
    }
  }
  return keys;
}

/** What HTTP lets one keep, in milliseconds since the epoch. */
function expiryOf({ cacheControl, expires }: IssuerAnswer, now: number): number {
  if (/\b(no-store|no-cache|private)\b/i.test(cacheControl)) return now;
  const seconds =
    /\bs-maxage=(\d{1,9})/i.exec(cacheControl)?.[1] ?? /\bmax-age=(\d{1,9})/i.exec(cacheControl)?.[1];
  if (seconds !== undefined) return now + Number(seconds) * 1000;
  const until = Date.parse(expires);
  return Number.isNaN(until) ? now : Math.max(now, until);
}
