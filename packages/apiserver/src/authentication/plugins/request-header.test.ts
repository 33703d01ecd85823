import { Agent, request } from 'node:https';
import { connect as connectHttp2 } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testAuthority, testCertificate, type TestCertificate } from '../../testing/certificates.ts';
import { createTestServer, type TestServer } from '../../testing/test-server.ts';
import { authenticationReviewHandlers } from '../../reviews/authentication-reviews.ts';
import { requestHeaderAuthenticator } from './request-header.ts';
import { x509Authenticator } from './x509.ts';

const clientCa = testAuthority('kubernetes');
const proxyCa = testAuthority('front-proxy-ca');
const certificates = {
  proxy: testCertificate(proxyCa, '/CN=front-proxy-client'),
  'a proxy under an intermediate authority': underIntermediate(),
  'another name of the authority': testCertificate(proxyCa, '/O=system:masters/CN=admin'),
  "the proxy's name under the clients' authority": testCertificate(clientCa, '/CN=front-proxy-client'),
  'nobody’s authority': testCertificate(testAuthority('front-proxy-ca'), '/CN=front-proxy-client'),
  admin: testCertificate(clientCa, '/O=system:masters/CN=admin'),
};

function underIntermediate(): TestCertificate {
  const intermediate = testAuthority('intermediate', proxyCa);
  const { cert, key } = testCertificate(intermediate, '/CN=front-proxy-client');
  return { cert: cert + intermediate.cert, key };
}

let server: TestServer;
beforeAll(async () => {
  server = await createTestServer({
    authenticators: [
      requestHeaderAuthenticator({
        clientCa: proxyCa.cert,
        allowedNames: ['front-proxy-client'],
        usernameHeaders: ['X-Remote-User', 'X-Other-User'],
        uidHeaders: ['X-Remote-Uid'],
        groupHeaders: ['X-Remote-Group'],
        extraHeaderPrefixes: ['X-Remote-Extra-'],
      }),
      x509Authenticator(clientCa.cert),
    ],
    specialHandlers: authenticationReviewHandlers({ tokens: [], audiences: [] }),
    tls: {
      ...testCertificate(testAuthority('serving'), '/CN=server', ['127.0.0.1']),
      clientCa: clientCa.cert + proxyCa.cert,
    },
    host: '127.0.0.1',
    port: 0,
  });
});
afterAll(() => server[Symbol.asyncDispose]());

interface Who {
  readonly username?: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

const REVIEW = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
const REVIEW_BODY = JSON.stringify({
  apiVersion: 'authentication.k8s.io/v1',
  kind: 'SelfSubjectReview',
});

/** Of the last request's connection. */
let wasResumed = false;

type Headers = Readonly<Record<string, string | string[]>>;

function whoAmI(
  certificate: TestCertificate | undefined,
  headers: Headers,
  agent: Agent | false = false,
): Promise<Who | number> {
  return new Promise((resolve, reject) => {
    const sent = request({
      host: '127.0.0.1',
      port: server.server.address?.port,
      method: 'POST',
      path: REVIEW,
      headers: { 'content-type': 'application/json', ...headers },
      agent,
      rejectUnauthorized: false,
      ...certificate,
    });
    sent.once('error', reject);
    sent.once('response', (response) => {
      wasResumed = (response.socket as TLSSocket).isSessionReused();
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.once('end', () => {
        if (response.statusCode !== 201) resolve(response.statusCode ?? 0);
        else resolve((JSON.parse(text) as { status: { userInfo: Who } }).status.userInfo);
      });
    });
    sent.end(REVIEW_BODY);
  });
}

const ALICE = { 'X-Remote-User': 'alice' };

describe('headers of an authenticating proxy', () => {
  test('say who asks: repeated values apart, keys decoded', async () => {
    expect(
      await whoAmI(certificates.proxy, {
        ...ALICE,
        'X-Remote-Uid': '42',
        'X-Remote-Group': ['developers', 'a, b'],
        'X-Remote-Extra-Example.Com%2fscopes': ['one', 'two'],
      }),
    ).toMatchObject({
      username: 'alice',
      uid: '42',
      groups: ['developers', 'a, b', 'system:authenticated'],
      extra: { 'example.com/scopes': ['one', 'two'] },
    });
  });

  test('the first name header with a value counts', async () => {
    expect(await whoAmI(certificates.proxy, { 'x-remote-user': '', 'x-other-user': 'bob' })).toMatchObject({
      username: 'bob',
    });
  });

  test.each<[keyof typeof certificates, Headers, string | number]>([
    ['proxy', ALICE, 'alice'],
    ['a proxy under an intermediate authority', ALICE, 'alice'],
    ['another name of the authority', ALICE, 401],
    ["the proxy's name under the clients' authority", ALICE, 'front-proxy-client'],
    ['nobody’s authority', ALICE, 401],
    ['admin', ALICE, 'admin'],
    // The authority of proxies makes nobody a user.
    ['proxy', {}, 401],
    ['another name of the authority', {}, 401],
    ['admin', {}, 'admin'],
  ])('with the certificate of %s and %o: %s', async (name, headers, expected) => {
    const who = await whoAmI(certificates[name], headers);
    expect(typeof who === 'number' ? who : who.username).toBe(expected);
  });

  test('mean nothing without a certificate', async () => {
    expect(await whoAmI(undefined, { ...ALICE, 'X-Remote-Group': 'system:masters' })).toMatchObject({
      username: 'system:anonymous',
      groups: ['system:unauthenticated'],
    });
  });

  test('count over HTTP/2 too', async () => {
    const session = connectHttp2(`https://127.0.0.1:${server.server.address?.port}`, {
      ...certificates.proxy,
      rejectUnauthorized: false,
    });
    try {
      const stream = session.request({
        ':method': 'POST',
        ':path': REVIEW,
        'content-type': 'application/json',
        'x-remote-user': 'alice',
        'x-remote-group': ['a, b', 'c'],
      });
      stream.end(REVIEW_BODY);
      let text = '';
      for await (const chunk of stream) text += String(chunk);
      expect((JSON.parse(text) as { status: { userInfo: Who } }).status.userInfo).toMatchObject({
        username: 'alice',
        groups: ['a, b', 'c', 'system:authenticated'],
      });
    } finally {
      session.destroy();
    }
  });

  test('a chain that a resumed session no longer has is remembered', async () => {
    const certificate = certificates['a proxy under an intermediate authority'];
    const agent = new Agent({ keepAlive: false, maxCachedSessions: 1 });
    for (const isResumed of [false, true]) {
      expect(await whoAmI(certificate, ALICE, agent)).toMatchObject({ username: 'alice' });
      expect(wasResumed).toBe(isResumed);
    }
  });
});
