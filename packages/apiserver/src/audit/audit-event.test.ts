import { expect, test } from 'vitest';
import { eventJson, eventText } from './audit-event.ts';
import { withoutManagedFields } from './managed-fields.ts';
import { sourceIps } from './source-ips.ts';
import { auditEvent } from './testing/audit-event.ts';

const EMPTY = auditEvent({ auditID: 'a"1', stage: 'RequestReceived', requestURI: '/logs' });

const FULL = auditEvent({
  ...EMPTY,
  level: 'RequestResponse',
  stage: 'ResponseComplete',
  user: { username: 'ann', groups: ['a', 'b "c"'] },
  impersonatedUser: { username: 'bob', groups: ['d'] },
  impersonationConstraint: 'impersonate:user-info',
  sourceIPs: ['10.0.0.1', '10.0.0.2'],
  userAgent: 'kubectl',
  objectRef: { resource: 'pods', namespace: 'default', apiVersion: 'v1' },
  responseStatus: { metadata: {}, code: 200 },
  requestObject: '{"a":1}',
  responseObject: '{"b":2}',
  annotations: { k: 'v\n' },
});

test('as JSON, in upstream’s order and on one line', () => {
  expect(eventJson(EMPTY)).toBe(
    '{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a\\"1","stage":"RequestReceived",' +
      '"requestURI":"/logs","verb":"get","user":{},' +
      '"requestReceivedTimestamp":"2026-01-31T12:00:00.120000Z","stageTimestamp":"2026-01-31T12:00:00.120000Z"}',
  );
  expect(eventJson(FULL, true)).toBe(
    '{"level":"RequestResponse","auditID":"a\\"1","stage":"ResponseComplete","requestURI":"/logs","verb":"get",' +
      '"user":{"username":"ann","groups":["a","b \\"c\\""]},"impersonatedUser":{"username":"bob","groups":["d"]},' +
      '"authenticationMetadata":{"impersonationConstraint":"impersonate:user-info"},' +
      '"sourceIPs":["10.0.0.1","10.0.0.2"],"userAgent":"kubectl",' +
      '"objectRef":{"resource":"pods","namespace":"default","apiVersion":"v1"},' +
      '"responseStatus":{"metadata":{},"code":200},"requestObject":{"a":1},"responseObject":{"b":2},' +
      '"requestReceivedTimestamp":"2026-01-31T12:00:00.120000Z","stageTimestamp":"2026-01-31T12:00:00.120000Z",' +
      '"annotations":{"k":"v\\n"}}',
  );
});

test('as a line of the legacy format', () => {
  expect(eventText(EMPTY)).toBe(
    '2026-01-31T12:00:00.12Z AUDIT: id="a\\"1" stage="RequestReceived" ip="<unknown>" method="get" user="<none>" ' +
      'groups="<none>" as="<self>" asgroups="<lookup>" user-agent="" namespace="<none>" uri="/logs" response="<deferred>"',
  );
  expect(eventText(FULL)).toBe(
    '2026-01-31T12:00:00.12Z AUDIT: id="a\\"1" stage="ResponseComplete" ip="10.0.0.1" method="get" user="ann" ' +
      'groups="\\"a\\",\\"b \\\\\\"c\\\\\\"\\"" as="bob" asgroups="\\"d\\"" user-agent="kubectl" namespace="default" ' +
      'uri="/logs" response="200"',
  );
  expect(eventText({ ...EMPTY, requestReceivedTimestamp: '2026-01-31T12:00:00.000000Z' })).toMatch(
    /^2026-01-31T12:00:00Z AUDIT/,
  );
});

test.each([
  ['{"metadata":{"name":"a"}}', '{"metadata":{"name":"a"}}'],
  ['{"metadata":{"name":"a","managedFields":[{"manager":"x"}]}}', '{"metadata":{"name":"a"}}'],
  [
    '{"metadata":{},"items":[{"metadata":{"managedFields":[]}},null,{}]}',
    '{"metadata":{},"items":[{"metadata":{}},null,{}]}',
  ],
  [
    '{"rows":[{"cells":[1],"object":{"metadata":{"managedFields":[]}}},null]}',
    '{"rows":[{"cells":[1],"object":{"metadata":{}}},null]}',
  ],
  ['{"data":{"managedFields":"mine"}}', '{"data":{"managedFields":"mine"}}'],
])('managed fields are left out of %s', (json, expected) => {
  expect(withoutManagedFields(json)).toBe(expected);
});

test.each([
  [{}, '', []],
  [{}, '127.0.0.1', ['127.0.0.1']],
  [{}, '::ffff:10.0.0.1', ['10.0.0.1']],
  [{}, '::1', ['::1']],
  [{ 'x-forwarded-for': '1.2.3.4, nobody,::ffff:5.6.7.8 ,' }, '9.9.9.9', ['1.2.3.4', '5.6.7.8', '9.9.9.9']],
  [{ 'x-forwarded-for': '1.2.3.4', 'x-real-ip': '1.2.3.4' }, '1.2.3.4', ['1.2.3.4']],
  [{ 'x-forwarded-for': '1.2.3.4', 'x-real-ip': '2.2.2.2' }, '1.2.3.4', ['1.2.3.4', '2.2.2.2', '1.2.3.4']],
  [{ 'x-real-ip': 'x' }, '1.2.3.4', ['1.2.3.4']],
])('source addresses of %j from %s', (headers, remote, expected) => {
  expect(sourceIps(headers, remote)).toEqual(expected);
});
