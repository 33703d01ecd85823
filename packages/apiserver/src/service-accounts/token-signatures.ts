import { createHash, createPublicKey } from 'node:crypto';
import { createSigner, createVerifier } from 'fast-jwt';

export interface TokenKeys {
  /** PEM, EC P-256 or RSA; signs. */
  readonly privateKey: string;
  /** PEM; private keys count by their public half. Accepted are tokens of any of them. */
  readonly publicKeys: readonly string[];
}

/** A key of a JSON Web Key Set (RFC 7517). */
interface PublicKeyDocument {
  readonly kid: string;
  readonly alg: string;
  readonly use: string;
  readonly [parameter: string]: unknown;
}

/** Signing and checking of JWTs with a cluster's service account keys. What the claims mean is others' business. */
export interface TokenSignatures {
  sign(claims: object): string;
  /** The claims of a token that one of the keys signed; undefined for all others. Times are not looked at. */
  verify(token: string): object | undefined;
  /** The public keys, for /openid/v1/jwks. */
  readonly jwks: readonly PublicKeyDocument[];
}

export function createTokenSignatures(keys: TokenKeys): TokenSignatures {
  const publicKeys = keys.publicKeys.map((pem) => {
    const key = createPublicKey(pem);
    const algorithm = key.asymmetricKeyType === 'ec' ? ('ES256' as const) : ('RS256' as const);
    // A private key stands for its public half, as upstream's --service-account-key-file takes either.
    const publicPem = key.export({ type: 'spki', format: 'pem' }) as string;
    return { pem: publicPem, kid: keyId(pem), algorithm, jwk: key.export({ format: 'jwk' }) };
  });
  const signing = publicKeys.find(({ kid }) => kid === keyId(keys.privateKey)) ?? publicKeys[0];
  if (signing === undefined) throw new Error('service account tokens need a public key');
  const signer = { key: keys.privateKey, algorithm: signing.algorithm, kid: signing.kid };
  // The library takes `iat` from the claims, or from its own clock; without a timestamp it leaves it out altogether.
  const signTimed = createSigner(signer);
  const signUntimed = createSigner({ ...signer, noTimestamp: true });
  const verifiers = publicKeys.map(({ pem, algorithm }) =>
    createVerifier({ key: pem, algorithms: [algorithm], ignoreExpiration: true, ignoreNotBefore: true }),
  );
  return {
    sign: (claims) => ('iat' in claims ? signTimed : signUntimed)(claims as Record<string, unknown>),
    verify(token) {
      for (const verifier of verifiers) {
        try {
          return verifier(token) as object;
        } catch {
          // Signed by another key, or no JWT at all: the next key may know it.
        }
      }
      return undefined;
    },
    jwks: publicKeys.map(({ jwk, kid, algorithm }) => ({ ...jwk, use: 'sig', kid, alg: algorithm })),
  };
}

/** What a token says of its issuer, which anybody may have written; undefined for what is no JWT. */
export function unverifiedIssuer(token: string): unknown {
  const parts = token.split('.');
  if (parts.length !== 3) return undefined;
  try {
    const payload = Buffer.from(parts[1] as string, 'base64url').toString('utf8');
    return (JSON.parse(payload) as { iss?: unknown }).iss;
  } catch {
    return undefined;
  }
}

/** Upstream's key id: the digest of the public key in DER. A private key's is that of its public half. */
function keyId(pem: string): string {
  const der = createPublicKey(pem).export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(der).digest('base64url');
}
