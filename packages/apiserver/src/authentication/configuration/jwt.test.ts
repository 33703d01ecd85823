import { createHmac } from 'node:crypto';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMetrics, Scope, silentLogger, VirtualClock } from '@k8ts/base';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createObjectTable } from '../../testing/object-table.ts';
import { oidcKey, startOidcProvider, type OidcProvider } from '../../testing/oidc-provider.ts';
import type { Authentication } from '../contract.ts';
import { unionToken } from '../token-chain.ts';
import type { AuthenticationOptions, OidcOptions } from './options.ts';
import { createTokenAuthentication, type TokenAuthentication } from './token-authentication.ts';

let scope: Scope;
let clock: VirtualClock;
let provider: OidcProvider;
let metrics = createMetrics();
let directory: string;
beforeEach(async () => {
  scope = new Scope();
  clock = new VirtualClock();
  metrics = createMetrics();
  provider = scope.use(await startOidcProvider('RS256'));
  directory = await mkdtemp(join(tmpdir(), 'k8ts-oidc-'));
  scope.defer(() => rm(directory, { recursive: true }));
});
afterEach(() => scope[Symbol.asyncDispose]());

const API = 'https://api';

async function open(options: AuthenticationOptions): Promise<TokenAuthentication> {
  return scope.use(
    await createTokenAuthentication({
      options,
      isOpen: false,
      audiences: [API],
      issuers: ['https://kubernetes'],
      objects: createObjectTable(),
      clock,
      logger: silentLogger,
      metrics,
      serverId: 'apiserver-test',
    }),
  );
}

type Ask = (token: string) => Promise<Authentication | string | undefined>;

/** What is said of a token; errors as text. */
function asking({ authenticators }: TokenAuthentication): Ask {
  const union = unionToken(authenticators);
  return async (token) => {
    try {
      return await union.authenticateToken(token, [API]);
    } catch (error) {
      return (error as Error).message;
    }
  };
}

/** Resolves when the issuer was found. */
async function ready(ask: Ask, of: OidcProvider = provider): Promise<Ask> {
  await expect
    .poll(() => ask(of.sign({ iss: of.url, exp: 0 })))
    .not.toContain('authenticator not initialized');
  return ask;
}

async function withOidc(more: OidcOptions = {}): Promise<Ask> {
  const oidc = { issuerUrl: provider.url, clientId: 'k8ts', ca: provider.ca, ...more };
  return ready(asking(await open({ oidc })));
}

const now = (): number => Math.floor(clock.now() / 1000);
const claims = (more: object = {}): object => ({
  iss: provider.url,
  aud: 'k8ts',
  sub: 'jane',
  exp: now() + 3600,
  ...more,
});

async function configurationFile(content: object): Promise<string> {
  const path = join(directory, 'authentication.yaml');
  const text = JSON.stringify({
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'AuthenticationConfiguration',
    ...content,
  });
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
  return path;
}

const entry = (more: object = {}, issuer: object = {}): object => ({
  issuer: { url: provider.url, audiences: ['k8ts'], certificateAuthority: provider.ca, ...issuer },
  claimMappings: { username: { claim: 'sub', prefix: '' } },
  ...more,
});

async function withFile(...jwt: readonly object[]): Promise<Ask> {
  return ready(asking(await open({ configurationFile: await configurationFile({ jwt }) })));
}

describe('flags of one issuer', () => {
  test('name the user; the same token is the same user object for ten seconds', async () => {
    const ask = await withOidc({ groupsClaim: 'roles', groupsPrefix: 'oidc:' });
    const token = provider.sign(claims({ roles: ['dev', 'ops'], jti: 'id-1' }));
    const first = await ask(token);
    expect(first).toEqual({
      user: {
        name: `${provider.url}#jane`,
        uid: '',
        groups: ['oidc:dev', 'oidc:ops', 'system:authenticated'],
        extra: { 'authentication.kubernetes.io/credential-id': ['JTI=id-1'] },
      },
      audiences: [API],
    });
    expect(((await ask(token)) as Authentication).user).toBe((first as Authentication).user);
    expect(await ask(provider.sign(claims({ roles: 'one' })))).toMatchObject({
      user: { groups: ['oidc:one', 'system:authenticated'] },
    });
    await clock.advance(3_600_001);
    expect(await ask(token)).toContain('oidc: token is expired');
    const text = await metrics.text();
    expect(text).toMatch(
      /jwt_authenticator_latency_seconds_count\{result="success",jwt_issuer_hash="sha256:/,
    );
    expect(text).toMatch(/jwks_fetch_last_timestamp_seconds\{result="success"/);
    expect(text.match(/jwks_fetch_last_key_set_info\{/g)?.length).toBe(1);
  });

  test.each<[OidcOptions, object, string]>([
    [{ usernamePrefix: '-' }, {}, 'jane'],
    [{ usernamePrefix: 'x:' }, {}, 'x:jane'],
    [{ usernameClaim: 'email' }, { email: 'j@x' }, 'j@x'],
    [{ usernameClaim: 'email' }, { email: 'j@x', email_verified: true }, 'j@x'],
    [{ usernamePrefix: '-', requiredClaims: { hd: 'x' } }, { hd: 'x' }, 'jane'],
  ])('%o %o: %s', async (options, more, name) => {
    const ask = await withOidc(options);
    expect(await ask(provider.sign(claims(more)))).toMatchObject({ user: { name } });
  });

  test.each<[OidcOptions, object, string]>([
    [{ usernameClaim: 'email' }, { email: 'j@x', email_verified: false }, 'oidc: email not verified'],
    [{ usernameClaim: 'name' }, {}, 'oidc: parse username claims "name": claim not present'],
    [{ usernameClaim: 'name' }, { name: 1 }, 'oidc: parse username claims "name": it is not a string'],
    [{ groupsClaim: 'g' }, { g: [1] }, 'oidc: parse groups claim "g"'],
    [{ requiredClaims: { hd: 'x' } }, {}, 'oidc: required claim hd not present in ID token'],
    [
      { requiredClaims: { hd: 'x' } },
      { hd: 'y' },
      'oidc: required claim hd value does not match. Got = y, want = x',
    ],
    [{}, { aud: 'other' }, 'oidc: verify token: oidc: expected audience "k8ts" got ["other"]'],
    [{}, { aud: [] }, 'expected audience "k8ts" got []'],
    [{}, { exp: undefined }, 'oidc: token is expired (Token Expiry: 1970-01-01T00:00:00Z)'],
    [{}, { nbf: 4e9 }, 'before the nbf (not before) time'],
    [{ signingAlgorithms: ['ES256'] }, {}, 'unsupported algorithm, expected ["ES256"] got "RS256"'],
  ])('%o %o is refused: %s', async (options, more, message) => {
    const ask = await withOidc(options);
    expect(await ask(provider.sign(claims(more)))).toContain(message);
  });

  test.each<[AuthenticationOptions, string]>([
    [{ oidc: { issuerUrl: 'https://x' } }, 'oidc-issuer-url and oidc-client-id must be specified together'],
    [{ oidc: { issuerUrl: 'http://x', clientId: 'y' } }, 'URL scheme must be https'],
    [
      { oidc: { issuerUrl: 'https://x', clientId: 'y', signingAlgorithms: ['HS256'] } },
      'oidc: unsupported signing alg: "HS256"',
    ],
    [
      { oidc: { issuerUrl: 'https://kubernetes', clientId: 'y' } },
      'jwt[0].issuer.url: Invalid value: "https://kubernetes": URL must not overlap with disallowed issuers: [https://kubernetes]',
    ],
    [
      { oidc: {}, configurationFile: '/x' },
      'authentication-config file and oidc-* flags are mutually exclusive',
    ],
    [{ configurationFile: '/nowhere' }, 'failed to load authentication configuration from file "/nowhere"'],
    [{ tokenWebhook: { kubeconfig: '/nowhere' } }, '/nowhere'],
  ])('%o: %s', async (options, message) => {
    await expect(open(options)).rejects.toThrow(message);
  });
});

describe('signatures', () => {
  test.each(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'])(
    '%s is checked',
    async (algorithm) => {
      provider.keys = [oidcKey(algorithm)];
      const ask = await withFile(entry());
      expect(await ask(provider.sign(claims()))).toMatchObject({ user: { name: 'jane' } });
      const forged = provider.sign(claims(), oidcKey(algorithm));
      expect(await ask(forged)).toContain('failed to verify signature');
    },
  );

  test('that are none, or those of secrets, are refused', async () => {
    const ask = await withFile(entry());
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const [key] = provider.keys;
    const good = provider.sign(claims());
    const [header, payload, signature] = good.split('.') as [string, string, string];
    const pem = key?.publicKey.export({ type: 'spki', format: 'pem' }) as string;
    const signed = `${part({ alg: 'HS256', kid: 'RS256' })}.${payload}`;
    const confused = `${signed}.${createHmac('sha256', pem).update(signed).digest('base64url')}`;
    for (const [token, message] of [
      [`${part({ alg: 'none' })}.${payload}.`, 'unsupported algorithm'],
      [`${part({ alg: 'nOnE' })}.${payload}.${signature}`, 'unsupported algorithm'],
      [confused, 'unsupported algorithm'],
      [`${part({ alg: ['RS256'] })}.${payload}.${signature}`, 'unsupported algorithm'],
      [`${part({ alg: 'RS256', kid: 'other' })}.${payload}.${signature}`, 'failed to verify'],
      [`${part({ alg: 'ES256', kid: 'RS256' })}.${payload}.${signature}`, 'failed to verify'],
      [
        provider.sign({ iss: provider.url, aud: 'k8ts', exp: now() + 9, sub: 'x' }, oidcKey('RS256')),
        'failed to verify',
      ],
      [`${header}.${part({ ...claims(), sub: 'admin' })}.${signature}`, 'failed to verify'],
      [`${header}.${payload}.`, 'failed to verify'],
      [`%%%.${payload}.${signature}`, 'malformed jwt'],
      [`${part({ alg: 'RS256', kid: 'RS256', crit: ['exp'] })}.${payload}.${signature}`, 'failed to verify'],
    ] as const)
      expect(await ask(token), token).toContain(message);
    // A JWT inside another, five parts, JSON form, other issuers: nobody's.
    const deep = `{"a":${'['.repeat(20_000)}${']'.repeat(20_000)},"iss":"x"}`;
    for (const token of [
      '',
      'abc',
      `${good}.x.y`,
      `${header}.${Buffer.from(good).toString('base64url')}.${signature}`,
      JSON.stringify({ payload, signatures: [{ protected: header, signature }] }),
      provider.sign(claims({ iss: 'https://other' })),
      provider.sign(claims({ iss: [provider.url] })),
      `${header}.${Buffer.from(deep).toString('base64url')}.${signature}`,
    ])
      expect(await ask(token), token).toBeUndefined();
    expect(await ask(good)).toMatchObject({ user: { name: 'jane' } });
  });

  test('by new keys are known at once; an issuer that lets keys be kept is not asked before their time', async () => {
    provider.cacheControl = 'public, max-age=600';
    const ask = await withFile(entry());
    expect(await ask(provider.sign(claims()))).toMatchObject({ user: { name: 'jane' } });
    const next = oidcKey('RS256', 'next');
    provider.keys = [next];
    expect(await ask(provider.sign(claims(), next))).toContain('failed to verify id token signature');
    await clock.advance(571_000);
    const token = provider.sign(claims(), next);
    const before = provider.asked.length;
    const answers = await Promise.all([ask(token), ask(provider.sign(claims({ jti: 'b' }), next))]);
    for (const answer of answers) expect(answer).toMatchObject({ user: { name: 'jane' } });
    expect(provider.asked.length).toBe(before + 1);
  });

  test.each<[string, { readonly code?: number; readonly body: string }, string]>([
    ['text', { body: 'nonsense' }, 'fetching keys oidc: failed to decode keys'],
    ['a number', { body: '1' }, 'there is no list of keys'],
    ['500', { code: 500, body: '' }, 'fetching keys oidc: get keys failed: 500'],
    [
      'secrets',
      { body: '{"keys":[{"kty":"oct","k":"AAAA","kid":"RS256"},null,{"kty":"RSA"}]}' },
      'failed to verify id token',
    ],
    ['too much', { body: 'x'.repeat(4_000_000) }, 'the answer is too large'],
  ])('cannot be checked when the key set is %s', async (_title, answer, message) => {
    provider.answers.set('/jwks', () => answer);
    const ask = await withFile(entry());
    expect(await ask(provider.sign(claims()))).toContain(message);
    provider.answers.clear();
    expect(await ask(provider.sign(claims({ jti: 'again' })))).toMatchObject({ user: { name: 'jane' } });
  });
});

test('an issuer that is not there yet is asked again', async () => {
  provider.answers.set('/.well-known/openid-configuration', () => ({ code: 503, body: 'later' }));
  const authentication = await open({ configurationFile: await configurationFile({ jwt: [entry()] }) });
  const ask = asking(authentication);
  await expect.poll(() => provider.asked.length).toBe(1);
  expect(await ask(provider.sign(claims()))).toBe('oidc: authenticator not initialized');
  provider.answers.set('/.well-known/openid-configuration', () => ({
    body: JSON.stringify({ issuer: 'https://somebody', jwks_uri: 'https://x' }),
  }));
  await expect.poll(() => clock.advance(10_000).then(() => provider.asked.length)).toBeGreaterThan(1);
  expect(await ask(provider.sign(claims()))).toBe('oidc: authenticator not initialized');
  provider.answers.clear();
  await expect
    .poll(() => clock.advance(10_000).then(() => ask(provider.sign(claims()))))
    .toMatchObject({ user: { name: 'jane' } });
});

describe('expressions', () => {
  test('make the user', async () => {
    const ask = await withFile(
      entry({
        claimMappings: {
          username: { expression: "'oidc:' + claims.sub" },
          groups: { expression: "claims.roles.split(',')" },
          uid: { expression: "claims['example.com/uid']" },
          extra: [
            { key: 'example.com/team', valueExpression: 'claims.example__dot__com__slash__team.name' },
            { key: 'example.com/none', valueExpression: "''" },
          ],
        },
        claimValidationRules: [
          { expression: 'claims.exp - claims.iat <= 7200.0', message: 'lives too long' },
        ],
        userValidationRules: [
          { expression: "!user.username.startsWith('system:')", message: 'reserved' },
          { expression: "user.groups.all(group, group != 'root')", message: 'no root' },
        ],
      }),
    );
    const more = {
      iat: now(),
      roles: 'dev,ops',
      'example.com/uid': 'u1',
      'example.com/team': { name: ['a', 'b', ''] },
    };
    expect(await ask(provider.sign(claims(more)))).toEqual({
      user: {
        name: 'oidc:jane',
        uid: 'u1',
        groups: ['dev', 'ops', 'system:authenticated'],
        extra: { 'example.com/team': ['a', 'b'] },
      },
      audiences: [API],
    });
    expect(await ask(provider.sign(claims({ ...more, roles: 'root' })))).toContain(
      "oidc: error evaluating user info validation rule: validation expression 'user.groups.all(group, group != 'root')' failed: no root",
    );
    expect(await ask(provider.sign(claims({ ...more, iat: 0 })))).toContain('failed: lives too long');
    expect(await ask(provider.sign(claims({ iat: now() })))).toContain(
      "oidc: error evaluating group claim expression: expression 'claims.roles.split(',')' resulted in error: no such key: roles",
    );
  });

  test.each<[object, object, string]>([
    [{ username: { expression: 'claims.n' } }, { n: 1 }, 'username claim expression must return a string'],
    [{ username: { expression: 'claims.n' } }, { n: '' }, 'empty username via CEL expression is not allowed'],
    [
      { username: { claim: 'sub', prefix: '' }, groups: { expression: 'claims.n' } },
      { n: [1] },
      'expression must return a string or a list of strings',
    ],
  ])('%o %o: %s', async (claimMappings, more, message) => {
    const ask = await withFile(entry({ claimMappings }));
    expect(await ask(provider.sign(claims(more)))).toContain(message);
  });
});

test('a claim may be elsewhere, in a token that its issuer signed', async () => {
  const other = scope.use(await startOidcProvider('ES256'));
  const ask = await withFile(
    entry(
      {
        claimMappings: {
          username: { claim: 'sub', prefix: '' },
          groups: { claim: 'groups', prefix: '' },
        },
      },
      { certificateAuthority: provider.ca + other.ca },
    ),
  );
  const elsewhere = (path: string): string =>
    provider.sign(
      claims({
        jti: String(Math.trunc(performance.now() * 1000)),
        _claim_names: { groups: 'src' },
        _claim_sources: { src: { endpoint: `${other.url}${path}`, access_token: 'secret' } },
      }),
    );
  other.answers.set('/groups', (authorization) => ({
    body: other.sign({
      iss: other.url,
      aud: 'k8ts',
      exp: now() + 60,
      groups: authorization === 'Bearer secret' ? ['far'] : ['unauthorized'],
    }),
  }));
  await expect
    .poll(() => ask(elsewhere('/groups')))
    .toMatchObject({ user: { groups: ['far', 'system:authenticated'] } });
  other.answers.set('/forged', () => ({
    body: other.sign({ iss: other.url, aud: 'k8ts', exp: now() + 60, groups: ['root'] }, oidcKey('ES256')),
  }));
  expect(await ask(elsewhere('/forged'))).toContain(
    'oidc: could not expand distributed claims: verify distributed claim token',
  );
  expect(await ask(elsewhere('/nothing'))).toContain('error while getting distributed claim JWT: 404');
  other.answers.set('/text', () => ({ body: 'nonsense' }));
  expect(await ask(elsewhere('/text'))).toContain('malformed token');
});

test('a changed file is taken over once its issuers answer; a bad one is not', async () => {
  const path = await configurationFile({
    jwt: [entry()],
    anonymous: { enabled: true, conditions: [{ path: '/livez' }] },
  });
  const authentication = await open({ configurationFile: path });
  expect(authentication.anonymous).toEqual(['/livez']);
  const ask = await ready(asking(authentication));
  const anonymous = { enabled: true, conditions: [{ path: '/livez' }] };
  const reloads = (status: string): Promise<boolean> =>
    metrics
      .text()
      .then((text) =>
        text.includes(`authentication_config_controller_automatic_reloads_total{status="${status}"`),
      );

  await configurationFile({
    anonymous,
    jwt: [entry({ claimMappings: { username: { claim: 'sub', prefix: 'new:' } } })],
  });
  await expect
    .poll(() => clock.advance(1_000).then(() => ask(provider.sign(claims({ jti: String(clock.now()) })))))
    .toMatchObject({ user: { name: 'new:jane' } });
  expect(await reloads('success')).toBe(true);

  await configurationFile({ jwt: [] });
  await expect.poll(() => clock.advance(1_000).then(() => reloads('failure'))).toBe(true);
  expect(await ask(provider.sign(claims({ jti: 'still' })))).toMatchObject({ user: { name: 'new:jane' } });
});

describe('a configuration is refused', () => {
  const rejects = async (content: object): Promise<string> =>
    open({ configurationFile: await configurationFile(content) }).then(
      () => 'was taken',
      (error: Error) => error.message,
    );
  const mapping = (claimMappings: object): object => entry({ claimMappings });
  const sub = { username: { claim: 'sub', prefix: '' } };

  test.each<[string, () => object, string]>([
    ['no url', () => entry({}, { url: '' }), 'jwt[0].issuer.url: Required value'],
    [
      'http',
      () => entry({}, { url: 'http://x' }),
      'jwt[0].issuer.url: Invalid value: "http://x": URL scheme must be https',
    ],
    ['a user', () => entry({}, { url: 'https://a:b@x' }), 'URL must not contain a username or password'],
    ['a query', () => entry({}, { url: 'https://x?a' }), 'URL must not contain a query'],
    ['a fragment', () => entry({}, { url: 'https://x#a' }), 'URL must not contain a fragment'],
    [
      'the same place twice',
      () => entry({}, { discoveryURL: `${provider.url}/` }),
      'jwt[0].issuer.discoveryURL: Invalid value',
    ],
    [
      'no audience',
      () => entry({}, { audiences: [] }),
      'jwt[0].issuer.audiences: Required value: at least one jwt[0].issuer.audiences is required',
    ],
    [
      'two audiences',
      () => entry({}, { audiences: ['a', 'b'] }),
      'audienceMatchPolicy must be MatchAny for multiple audiences',
    ],
    [
      'no certificate',
      () => entry({}, { certificateAuthority: 'x' }),
      'jwt[0].issuer.certificateAuthority: Invalid value: "<omitted>": data does not contain any valid RSA or ECDSA certificates',
    ],
    [
      'no username',
      () => mapping({}),
      'jwt[0].claimMappings.username: Required value: claim or expression is required',
    ],
    [
      'no prefix',
      () => mapping({ username: { claim: 'a' } }),
      'jwt[0].claimMappings.username.prefix: Required value: prefix is required when claim is set. It can be set to an empty string to disable prefixing',
    ],
    [
      'both',
      () => mapping({ username: { claim: 'a', expression: 'claims.a' } }),
      'jwt[0].claimMappings.username: Invalid value: "": claim and expression can\'t both be set',
    ],
    [
      'email',
      () => mapping({ username: { expression: 'claims.email' } }),
      'claims.email_verified must be used in',
    ],
    [
      'a bad key',
      () => mapping({ ...sub, extra: [{ key: 'Foo', valueExpression: "'a'" }] }),
      'jwt[0].claimMappings.extra[0].key: Invalid value: "Foo": must be a domain-prefixed path (such as "acme.io/foo")',
    ],
    [
      'a reserved key',
      () => mapping({ ...sub, extra: [{ key: 'a.k8s.io/x', valueExpression: "'a'" }] }),
      'k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use',
    ],
    [
      'a bad expression',
      () => mapping({ username: { expression: 'claims.' } }),
      'jwt[0].claimMappings.username.expression: Invalid value: "claims.": compilation failed: ERROR:',
    ],
    [
      'no bool',
      () => entry({ claimValidationRules: [{ expression: 'claims.a' }] }),
      'jwt[0].claimValidationRules[0].expression: Invalid value: "claims.a": must evaluate to bool',
    ],
    [
      'another variable',
      () => entry({ userValidationRules: [{ expression: 'claims.a == 1' }] }),
      "undeclared reference to 'claims'",
    ],
    [
      'an unknown field of the user',
      () => entry({ userValidationRules: [{ expression: 'user.foo == 1' }] }),
      "undefined field 'foo'",
    ],
    ['an unknown field', () => entry({ foo: 1 }), 'strict decoding error: unknown field "jwt[0].foo"'],
  ])('%s', async (_title, jwt, message) => {
    expect(await rejects({ jwt: [jwt()] })).toContain(message);
  });

  test('for what its parts say together', async () => {
    expect(await rejects({ jwt: [entry(), entry()] })).toContain(
      `jwt[1].issuer.url: Duplicate value: "${provider.url}"`,
    );
    expect(await rejects({ jwt: Array.from({ length: 65 }, () => entry()) })).toContain(
      'jwt: Too many: 65: must have at most 64 items',
    );
    expect(await rejects({ jwt: [], anonymous: { enabled: false, conditions: [{ path: '/x' }] } })).toContain(
      'enabled should be set to true when conditions are defined',
    );
    expect(
      await open({
        anonymous: true,
        configurationFile: await configurationFile({ jwt: [], anonymous: { enabled: true } }),
      }).catch((error: Error) => error.message),
    ).toContain('--anonymous-auth flag cannot be set when anonymous field is configured');
    expect(
      await rejects({
        jwt: [
          mapping({ username: { expression: "claims.?email_verified.orValue(false) ? claims.email : ''" } }),
        ],
      }),
    ).toBe('was taken');
  });
});
