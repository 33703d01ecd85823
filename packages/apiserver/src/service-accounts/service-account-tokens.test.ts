import { generateKeyPairSync } from 'node:crypto';
import type { KubeObject, ResourceType } from '@k8ts/api';
import { VirtualClock } from '@k8ts/base';
import { beforeEach, describe, expect, test } from 'vitest';
import type { ObjectReader } from '../object-reader.ts';
import { createLegacyTokens } from './legacy-tokens.ts';
import { createServiceAccountTokens } from './service-account-tokens.ts';
import type { ServiceAccountTokens } from './service-account-tokens.ts';
import { createTokenSignatures } from './token-signatures.ts';

const { privateKey, publicKey } = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
});
const rsa = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
});

const ISSUER = 'https://kubernetes.default.svc.cluster.local';
const signatures = createTokenSignatures({ privateKey, publicKeys: [publicKey, rsa.publicKey] });
const stored = new Map<string, KubeObject>();
const objects: ObjectReader = {
  get: <T extends KubeObject>(type: ResourceType<T>, namespace: string, name: string) =>
    stored.get(`${type.resource}/${namespace}/${name}`) as T | undefined,
  list: () => [],
  version: () => 0,
};

let clock: VirtualClock;
let tokens: ServiceAccountTokens;
beforeEach(() => {
  clock = new VirtualClock();
  stored.clear();
  put('serviceaccounts', 'default', 'builder', 'sa-uid');
  put('pods', 'default', 'web', 'pod-uid');
  tokens = createServiceAccountTokens({
    issuer: ISSUER,
    signatures,
    clock,
    objects,
  });
});

function put(
  resource: string,
  namespace: string,
  name: string,
  uid: string,
  deletionTimestamp?: string,
): void {
  const metadata = {
    name,
    namespace,
    uid,
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
  };
  stored.set(`${resource}/${namespace}/${name}`, { metadata });
}

const request = {
  namespace: 'default',
  serviceAccount: { name: 'builder', uid: 'sa-uid' },
  audiences: [ISSUER],
  expirationSeconds: 3600,
};

test('a token names its account, its pod and itself', () => {
  const { token, expiration } = tokens.issue({
    ...request,
    pod: { name: 'web', uid: 'pod-uid' },
    node: { name: 'node-1', uid: 'node-uid' },
  });
  expect(expiration).toBe(Math.floor(clock.now() / 1000) * 1000 + 3_600_000);
  const now = Math.floor(clock.now() / 1000);
  expect(JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString())).toMatchObject({
    iss: ISSUER,
    sub: 'system:serviceaccount:default:builder',
    aud: [ISSUER],
    iat: now,
    nbf: now,
    exp: now + 3600,
    'kubernetes.io': { namespace: 'default', pod: { name: 'web', uid: 'pod-uid' } },
  });
  const accepted = tokens.authenticateToken(token, [ISSUER]);
  expect(accepted).toMatchObject({
    user: {
      name: 'system:serviceaccount:default:builder',
      uid: 'sa-uid',
      groups: ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated'],
      extra: {
        'authentication.kubernetes.io/pod-name': ['web'],
        'authentication.kubernetes.io/node-name': ['node-1'],
      },
    },
    audiences: [ISSUER],
  });
});

test('the same token gives the same user object, for caches that key on it', () => {
  const { token } = tokens.issue(request);
  const first = tokens.authenticateToken(token, [ISSUER]) as { user: object };
  const second = tokens.authenticateToken(token, [ISSUER]) as { user: object };
  expect(second.user).toBe(first.user);
});

describe('refused', () => {
  test('when it expired, also when it was known before', async () => {
    const { token } = tokens.issue(request);
    expect(tokens.authenticateToken(token, [ISSUER])).toBeDefined();
    await clock.advance(3_600_000);
    expect(() => tokens.authenticateToken(token, [ISSUER])).toThrow('Unauthorized');
  });

  test('an extended one only after its extension', async () => {
    const { token } = tokens.issue({ ...request, extendedSeconds: 600 });
    await clock.advance(3_600_000);
    expect(tokens.authenticateToken(token, [ISSUER])).toBeDefined();
    await clock.advance(600_000);
    expect(() => tokens.authenticateToken(token, [ISSUER])).toThrow('Unauthorized');
  });

  test('for another audience', () => {
    const { token } = tokens.issue({ ...request, audiences: ['vault'] });
    expect(() => tokens.authenticateToken(token, [ISSUER])).toThrow('Unauthorized');
    expect(tokens.authenticateToken(token, [ISSUER, 'vault'])).toMatchObject({ audiences: ['vault'] });
  });

  test('when a bit of it changed', () => {
    const { token } = tokens.issue(request);
    const [header, , signature] = token.split('.') as [string, string, string];
    const claims = JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString()) as object;
    const forged = Buffer.from(JSON.stringify({ ...claims, sub: 'system:admin' })).toString('base64url');
    expect(() => tokens.authenticateToken(`${header}.${forged}.${signature}`, [ISSUER])).toThrow(
      'Unauthorized',
    );
    const none = Buffer.from('{"alg":"none"}').toString('base64url');
    expect(() => tokens.authenticateToken(`${none}.${forged}.`, [ISSUER])).toThrow('Unauthorized');
  });

  test('when the account was made anew, or the pod is gone', () => {
    const { token } = tokens.issue({ ...request, pod: { name: 'web', uid: 'pod-uid' } });
    put('serviceaccounts', 'default', 'builder', 'another-uid');
    expect(() => tokens.authenticateToken(token, [ISSUER])).toThrow('Unauthorized');
    put('serviceaccounts', 'default', 'builder', 'sa-uid');
    stored.delete('pods/default/web');
    expect(() => tokens.authenticateToken(token, [ISSUER])).toThrow('Unauthorized');
  });

  test('a minute after its pod was deleted', async () => {
    const { token } = tokens.issue({ ...request, pod: { name: 'web', uid: 'pod-uid' } });
    put('pods', 'default', 'web', 'pod-uid', new Date(clock.now()).toISOString());
    expect(tokens.authenticateToken(token, [ISSUER])).toBeDefined();
    await clock.advance(61_000);
    expect(() => tokens.authenticateToken(token, [ISSUER])).toThrow('Unauthorized');
  });
});

test('the use of a token that should have been renewed is noted', async () => {
  const { token, credentialId } = tokens.issue({ ...request, extendedSeconds: 600 });
  expect(credentialId).toMatch(/^JTI=[0-9a-f-]{36}$/);
  await clock.advance(3_600_000);
  expect(tokens.authenticateToken(token, [ISSUER])).not.toHaveProperty('annotations');
  await clock.advance(5_000);
  expect(tokens.authenticateToken(token, [ISSUER])).toMatchObject({
    annotations: {
      'authentication.k8s.io/stale-token':
        'subject: system:serviceaccount:default:builder, seconds after warning threshold: 5',
    },
  });
});

test.each([
  ['manual', []],
  ['autogenerated', [{ name: 'held' }]],
])('the use of a token of a Secret is noted (%s)', (kind, secrets) => {
  const legacy = createLegacyTokens({ signatures, audiences: [ISSUER], objects });
  const token = legacy.issue({
    namespace: 'default',
    serviceAccount: 'builder',
    serviceAccountUid: 'sa-uid',
    secretName: 'held',
  });
  const data = { token: Buffer.from(token).toString('base64') };
  stored.set('secrets/default/held', { metadata: { name: 'held' }, data } as {
    metadata: KubeObject['metadata'];
  });
  const account = { metadata: { name: 'builder', uid: 'sa-uid' }, secrets };
  stored.set('serviceaccounts/default/builder', account);
  expect(legacy.authenticateToken(token, [ISSUER])).toMatchObject({
    annotations: {
      'authentication.k8s.io/legacy-token': 'system:serviceaccount:default:builder',
      [`authentication.k8s.io/legacy-token-${kind}-secret`]: 'held',
    },
  });
});

test('what is no token of this issuer is left to others', () => {
  for (const token of [
    '',
    'abc',
    'a.b.c',
    '..',
    `x.${Buffer.from('{"iss":"https://other"}').toString('base64url')}.y`,
  ])
    expect(tokens.authenticateToken(token, [ISSUER])).toBeUndefined();
});

test('keys are published with their ids and algorithms', () => {
  expect(tokens.jwks).toMatchObject([
    { kty: 'EC', crv: 'P-256', alg: 'ES256', use: 'sig' },
    { kty: 'RSA', alg: 'RS256', use: 'sig' },
  ]);
});

test('a token in a Secret is good while the Secret holds it, and for the API server only', () => {
  const legacy = createLegacyTokens({ signatures, audiences: [ISSUER], objects });
  const token = legacy.issue({
    namespace: 'default',
    serviceAccount: 'builder',
    serviceAccountUid: 'sa-uid',
    secretName: 'builder-token',
  });
  const hold = (text: string): void => {
    const metadata = { name: 'builder-token', namespace: 'default', uid: 'secret-uid' };
    const secret = { metadata, data: { token: Buffer.from(text).toString('base64') } };
    stored.set('secrets/default/builder-token', secret);
  };
  expect(() => legacy.authenticateToken(token, [ISSUER])).toThrow('Unauthorized');
  hold(token);
  expect(legacy.authenticateToken(token, [ISSUER])).toMatchObject({
    user: { name: 'system:serviceaccount:default:builder', uid: 'sa-uid' },
  });
  expect(() => legacy.authenticateToken(token, ['vault'])).toThrow('Unauthorized');
  hold(`${token}x`);
  expect(() => legacy.authenticateToken(token, [ISSUER])).toThrow('Unauthorized');
  expect(legacy.authenticateToken(tokens.issue(request).token, [ISSUER])).toBeUndefined();
  expect(tokens.authenticateToken(token, [ISSUER])).toBeUndefined();
});
