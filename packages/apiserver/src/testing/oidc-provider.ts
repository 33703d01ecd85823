import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createSigner } from 'fast-jwt';
import { testAuthority, testCertificate } from './certificates.ts';

export interface OidcKey {
  readonly kid: string;
  readonly algorithm: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** An OpenID Connect issuer on loopback that does what a test tells it. */
export interface OidcProvider extends AsyncDisposable {
  readonly url: string;
  /** PEM. */
  readonly ca: string;
  /** What is published. */
  keys: readonly OidcKey[];
  /** Of the key set's answer. */
  cacheControl: string;
  /** Answers by path, before its own. */
  readonly answers: Map<string, (authorization: string) => { readonly code?: number; readonly body: string }>;
  /** The paths that were asked for. */
  readonly asked: string[];
  sign(claims: object, key?: OidcKey): string;
}

const KEYS: Readonly<
  Record<string, () => { readonly privateKey: KeyObject; readonly publicKey: KeyObject }>
> = {
  RS: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  PS: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ES384: () => generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  ES512: () => generateKeyPairSync('ec', { namedCurve: 'P-521' }),
};

export function oidcKey(algorithm: string, kid: string = algorithm): OidcKey {
  const make = KEYS[algorithm] ?? KEYS[algorithm.slice(0, 2)];
  if (make === undefined) throw new Error(`no keys for ${algorithm}`);
  return { kid, algorithm, ...make() };
}

export async function startOidcProvider(...algorithms: readonly string[]): Promise<OidcProvider> {
  const authority = testAuthority('oidc-ca');
  const http = createServer(testCertificate(authority, '/CN=oidc', ['127.0.0.1']), (request, response) => {
    const path = request.url ?? '';
    provider.asked.push(path);
    const prepared = provider.answers.get(path)?.(request.headers.authorization ?? '');
    const { code, body } = prepared ?? own(path);
    response.writeHead(code ?? 200, {
      'content-type': 'application/json',
      ...(path === '/jwks' ? { 'cache-control': provider.cacheControl } : {}),
    });
    response.end(body);
  });
  const own = (path: string): { readonly code?: number; readonly body: string } => {
    if (path === '/.well-known/openid-configuration')
      return { body: JSON.stringify({ issuer: provider.url, jwks_uri: `${provider.url}/jwks` }) };
    if (path !== '/jwks') return { code: 404, body: 'not found' };
    const keys = provider.keys.map(({ kid, publicKey }) => ({ ...publicKey.export({ format: 'jwk' }), kid }));
    return { body: JSON.stringify({ keys }) };
  };
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const provider: OidcProvider = {
    url: `https://127.0.0.1:${String((http.address() as AddressInfo).port)}`,
    ca: authority.cert,
    keys: (algorithms.length === 0 ? ['RS256'] : algorithms).map((algorithm) => oidcKey(algorithm)),
    cacheControl: 'no-store',
    answers: new Map(),
    asked: [],
    sign(claims, given) {
      const key = given ?? provider.keys[0];
      if (key === undefined) throw new Error('the issuer has no key');
      const signer = createSigner({
        key: key.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
        algorithm: key.algorithm as 'RS256',
        kid: key.kid,
        // Without a timestamp the library leaves `iat` out altogether.
        noTimestamp: !('iat' in claims),
      });
      return signer(claims as Record<string, unknown>);
    },
    async [Symbol.asyncDispose]() {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
  return provider;
}
