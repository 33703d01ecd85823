import { corev1 } from '@k8ts/api';
import { createMetrics, Scope, silentLogger, VirtualClock } from '@k8ts/base';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createObjectTable } from '../../testing/object-table.ts';
import { startReviewServer, type ReviewServer } from '../../testing/review-server.ts';
import { createTokenAuthentication } from '../configuration/token-authentication.ts';
import { bootstrapTokenAuthenticator } from './bootstrap-token.ts';

let scope: Scope;
let clock: VirtualClock;
let webhook: ReviewServer;
beforeEach(async () => {
  scope = new Scope();
  clock = new VirtualClock();
  webhook = scope.use(await startReviewServer('/authenticate'));
});
afterEach(() => scope[Symbol.asyncDispose]());

async function asking() {
  const { authenticators } = scope.use(
    await createTokenAuthentication({
      options: { tokenWebhook: { kubeconfig: webhook.kubeconfig } },
      isOpen: false,
      audiences: ['api'],
      issuers: [],
      objects: createObjectTable(),
      clock,
      logger: silentLogger,
      metrics: createMetrics(),
      serverId: 'apiserver-test',
    }),
  );
  return async (token: string, audiences: readonly string[] = ['api']) => {
    try {
      return await authenticators[0]?.authenticateToken(token, audiences);
    } catch (error) {
      return (error as Error).message;
    }
  };
}

const review = (status: unknown): { readonly body: unknown } => ({
  body: { apiVersion: 'authentication.k8s.io/v1beta1', kind: 'TokenReview', status },
});
const jane = { username: 'jane', uid: 'u', groups: ['dev'], extra: { 'x.io/a': ['1'] } };

test('a webhook is asked once for a token, by however many at once, and again after its time', async () => {
  const ask = await asking();
  webhook.answer = () => review({ authenticated: true, user: jane });
  const [first, second] = await Promise.all([ask('secret'), ask('secret')]);
  expect(first).toEqual({
    user: { name: 'jane', uid: 'u', groups: ['dev', 'system:authenticated'], extra: jane.extra },
    audiences: ['api'],
  });
  expect(second).toBe(first);
  expect(webhook.asked).toMatchObject([
    { path: '/authenticate?timeout=30s', review: { spec: { token: 'secret', audiences: ['api'] } } },
  ]);
  await clock.advance(119_000);
  await ask('secret');
  expect(webhook.asked.length).toBe(1);
  await clock.advance(11_001);
  await ask('secret');
  expect(webhook.asked.length).toBe(2);
});

test.each<[string, ReviewServer['answer'], unknown]>([
  ['knows nobody', () => review({}), undefined],
  ['says why', () => review({ error: 'revoked' }), 'revoked'],
  ['speaks for others', () => review({ authenticated: true, user: jane, audiences: ['vault'] }), undefined],
  ['answers nonsense', () => ({ body: 'yes' }), expect.stringContaining("couldn't get version/kind")],
  ['answers 401', () => ({ code: 401, body: '' }), expect.stringContaining('provide credentials')],
  [
    'answers another kind',
    () => ({ body: { kind: 'Pod', apiVersion: 'v1' } }),
    expect.stringContaining('"Pod"'),
  ],
])('a webhook that %s lets nobody in', async (_title, answer, expected) => {
  const ask = await asking();
  webhook.answer = answer;
  expect(await ask('secret')).toEqual(expected);
});

const encoded = (text: string): string => Buffer.from(text).toString('base64');

test.each<[string, Readonly<Record<string, string>>, object, boolean]>([
  ['as it should be', {}, {}, true],
  ['for later', { expiration: '2026-01-01T00:00:01Z' }, {}, true],
  ['that is over', { expiration: '2026-01-01T00:00:00Z' }, {}, false],
  ['of no time', { expiration: 'soon' }, {}, false],
  ['for something else', { 'usage-bootstrap-authentication': 'yes' }, {}, false],
  ['of other groups', { 'auth-extra-groups': 'system:masters' }, {}, false],
  ['of another name', { 'token-id': 'fedcba' }, {}, false],
  ['of another secret', { 'token-secret': '0123456789abcdee' }, {}, false],
  ['of another type', {}, { type: 'Opaque' }, false],
])('a bootstrap token %s', (_title, data, more, isGood) => {
  const objects = createObjectTable();
  const held = {
    'token-id': 'abcdef',
    'token-secret': '0123456789abcdef',
    'usage-bootstrap-authentication': 'true',
    ...data,
  };
  objects.put(corev1.secrets, {
    metadata: { name: 'bootstrap-token-abcdef', namespace: 'kube-system' },
    type: 'bootstrap.kubernetes.io/token',
    data: Object.fromEntries(Object.entries(held).map(([key, value]) => [key, encoded(value)])),
    ...more,
  });
  const tokens = bootstrapTokenAuthenticator(objects, clock);
  const answer = tokens.authenticateToken('abcdef.0123456789abcdef', []);
  if (isGood)
    expect(answer).toMatchObject({
      user: { name: 'system:bootstrap:abcdef', groups: ['system:bootstrappers', 'system:authenticated'] },
    });
  else expect(answer).toBeUndefined();
});
