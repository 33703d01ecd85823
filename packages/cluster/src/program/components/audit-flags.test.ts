import { expect, test } from 'vitest';
import { silentLogger } from '@k8ts/base';
import { AUDIT_FLAGS, auditOptions } from './audit-flags.ts';

test('the names are upstream’s', () => {
  const batch = ['buffer-size', 'max-size', 'max-wait', 'throttle-burst', 'throttle-enable', 'throttle-qps'];
  const of = (plugin: string, ...more: string[]): string[] =>
    [
      ...more,
      ...batch.map((name) => `batch-${name}`),
      'mode',
      'truncate-enabled',
      'truncate-max-batch-size',
      'truncate-max-event-size',
      'version',
    ].map((name) => `audit-${plugin}-${name}`);
  expect(AUDIT_FLAGS.map(({ name }) => name).sort()).toEqual(
    [
      'audit-policy-file',
      ...of('log', 'path', 'maxage', 'maxbackup', 'maxsize', 'format', 'compress'),
      ...of('webhook', 'config-file', 'initial-backoff', 'batch-initial-backoff'),
    ].sort(),
  );
});

test('nothing is written down without a policy', () => {
  const notes: string[] = [];
  const logger = { ...silentLogger, info: (message: string) => notes.push(message) };
  expect(auditOptions({}, logger)).toBeUndefined();
  expect(notes).toEqual([]);
  expect(auditOptions({ 'audit-log-path': '/log' }, logger)).toBeUndefined();
  expect(notes).toHaveLength(1);
});

test('what is given becomes an option, what is not has its default elsewhere', () => {
  expect(auditOptions({ 'audit-policy-file': '/p', 'audit-log-path': '-' }, silentLogger)).toEqual({
    policy: '/p',
    log: { path: '-', batch: {}, truncate: {} },
  });
  expect(
    auditOptions(
      {
        'audit-policy-file': '/p',
        'audit-log-path': '/log',
        'audit-log-maxage': '1',
        'audit-log-maxbackup': '2',
        'audit-log-maxsize': '3',
        'audit-log-format': 'legacy',
        'audit-log-compress': 'true',
        'audit-log-version': 'audit.k8s.io/v1',
        'audit-webhook-config-file': '/k',
        'audit-webhook-batch-initial-backoff': '1m',
        'audit-webhook-mode': 'blocking-strict',
        'audit-webhook-batch-buffer-size': '5',
        'audit-webhook-batch-max-size': '6',
        'audit-webhook-batch-max-wait': '1.5s',
        'audit-webhook-batch-throttle-enable': 'false',
        'audit-webhook-batch-throttle-qps': '7.5',
        'audit-webhook-batch-throttle-burst': '8',
        'audit-webhook-truncate-enabled': 'true',
        'audit-webhook-truncate-max-batch-size': '9',
        'audit-webhook-truncate-max-event-size': '10',
      },
      silentLogger,
    ),
  ).toEqual({
    policy: '/p',
    log: {
      path: '/log',
      maxAge: 1,
      maxBackups: 2,
      maxSize: 3,
      format: 'legacy',
      compress: true,
      batch: {},
      truncate: {},
    },
    webhook: {
      configFile: '/k',
      initialBackoff: 60_000,
      mode: 'blocking-strict',
      batch: {
        bufferSize: 5,
        maxBatchSize: 6,
        maxBatchWait: 1_500,
        throttleEnable: false,
        throttleQps: 7.5,
        throttleBurst: 8,
      },
      truncate: { enabled: true, maxBatchSize: 9, maxEventSize: 10 },
    },
  });
});

test.each([
  [
    'audit-log-maxage',
    'x',
    'invalid argument "x" for "--audit-log-maxage" flag: strconv.ParseInt: parsing "x": invalid syntax',
  ],
  ['audit-log-maxsize', '1.5', 'strconv.ParseInt: parsing "1.5": invalid syntax'],
  [
    'audit-log-batch-max-wait',
    '5',
    'invalid argument "5" for "--audit-log-batch-max-wait" flag: time: missing unit in duration "5"',
  ],
  ['audit-log-batch-throttle-qps', '1e', 'strconv.ParseFloat: parsing "1e": invalid syntax'],
  ['audit-log-compress', 'yes', '--audit-log-compress takes true or false; this is yes'],
  [
    'audit-log-version',
    'audit.k8s.io/v1beta1',
    'invalid group version, allowed versions are ["audit.k8s.io/v1"]',
  ],
])('%s is not %s', (name, value, message) => {
  const flags = { 'audit-policy-file': '/p', 'audit-log-path': '/log', [name]: value };
  expect(() => auditOptions(flags, silentLogger)).toThrow(message);
});
