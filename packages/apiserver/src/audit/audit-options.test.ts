/** After k8s.io/apiserver/pkg/server/options/audit_test.go. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { auditv1 } from '@k8ts/api';
import { createMetrics, realClock, silentLogger } from '@k8ts/base';
import {
  completeLogOptions,
  completeWebhookOptions,
  type AuditLogOptions,
  type AuditOptions,
  type AuditWebhookOptions,
} from './audit-options.ts';
import { createAuditor } from './create-auditor.ts';

const POLICY: auditv1.Policy = { metadata: { name: '' }, rules: [{ level: 'RequestResponse' }] };

test('the defaults are upstream’s', () => {
  expect(completeLogOptions({ path: '/a' })).toEqual({
    path: '/a',
    mode: 'blocking',
    format: 'json',
    maxSize: 100,
    maxAge: 366,
    maxBackups: 100,
    compress: false,
    batch: {
      bufferSize: 10_000,
      maxBatchSize: 1,
      maxBatchWait: 0,
      throttleEnable: false,
      throttleQps: 0,
      throttleBurst: 0,
    },
    truncate: { enabled: false, maxBatchSize: 10_485_760, maxEventSize: 102_400 },
  });
  expect(completeWebhookOptions({ configFile: '/b' })).toMatchObject({
    mode: 'batch',
    initialBackoff: 10_000,
    batch: {
      bufferSize: 10_000,
      maxBatchSize: 400,
      maxBatchWait: 30_000,
      throttleEnable: true,
      throttleQps: 10,
      throttleBurst: 15,
    },
  });
});

describe('refused are', () => {
  test.each<readonly [Partial<AuditLogOptions>, string]>([
    [{ format: 'foo' as never }, 'invalid audit log format foo, allowed formats are "legacy,json"'],
    [
      { mode: 'foo' as never },
      'invalid audit log mode foo, allowed modes are "batch,blocking,blocking-strict"',
    ],
    [
      { mode: 'batch', batch: { bufferSize: -3 } },
      'invalid audit batch log buffer size -3, must be a positive number',
    ],
    [
      { mode: 'batch', batch: { maxBatchSize: 0 } },
      'invalid audit batch log max batch size 0, must be a positive number',
    ],
    [{ maxAge: -1 }, "--audit-log-maxage -1 can't be a negative number"],
    [{ maxBackups: -1 }, "--audit-log-maxbackup -1 can't be a negative number"],
    [{ maxSize: -1 }, "--audit-log-maxsize -1 can't be a negative number"],
  ])('for the log %j', (given, message) => {
    expect(() => completeLogOptions({ path: '/a', ...given })).toThrow(message);
  });

  test.each<readonly [Partial<AuditWebhookOptions>, string]>([
    [{ mode: 'foo' as never }, 'invalid audit webhook mode foo'],
    [
      { batch: { throttleQps: -1 } },
      'invalid audit batch webhook throttle QPS -1, must be a positive number',
    ],
    [
      { batch: { throttleBurst: 0 } },
      'invalid audit batch webhook throttle burst 0, must be a positive number',
    ],
    [
      { truncate: { maxEventSize: -1 } },
      'invalid audit truncate webhook max event size -1, must be a positive number',
    ],
    [
      { truncate: { maxEventSize: 2, maxBatchSize: 1 } },
      'invalid audit truncate webhook max batch size 1, must be greater than max event size (2)',
    ],
  ])('for the webhook %j', (given, message) => {
    expect(() => completeWebhookOptions({ configFile: '/a', ...given })).toThrow(message);
  });

  test('not what is not used', () => {
    expect(() => completeLogOptions({ path: '/a', batch: { bufferSize: -1 } })).not.toThrow();
    const unused = { throttleEnable: false, throttleQps: -1 };
    expect(() => completeWebhookOptions({ configFile: '/a', batch: unused })).not.toThrow();
  });
});

describe('an auditor', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'k8ts-audit-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  const create = (options: AuditOptions) =>
    createAuditor(options, {
      clock: realClock,
      random: () => 0,
      logger: silentLogger,
      metrics: createMetrics(),
    });

  test('without a back end is none', async () => {
    expect(await create({ policy: POLICY })).toBeUndefined();
  });

  test('makes the log and the directories to it', async () => {
    const path = join(directory, 'a', 'b', 'audit.log');
    const auditor = await create({ policy: POLICY, log: { path } });
    expect(await readFile(path, 'utf8')).toBe('');
    await auditor?.stop();
  });

  test.each([
    [
      '',
      'loading audit policy file: unknown group version field audit.k8s.io/__internal, Kind=Policy in policy: from file ',
    ],
    [
      'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{}]',
      'loading audit policy file: rules[0].level: Required value: from file ',
    ],
  ])('needs a good policy file, not %j', async (text, message) => {
    const file = join(directory, 'policy.yaml');
    await writeFile(file, text);
    await expect(create({ policy: file, log: { path: join(directory, 'log') } })).rejects.toThrow(
      message + file,
    );
  });

  test('needs its files', async () => {
    const missing = join(directory, 'none');
    const log = { path: join(directory, 'log') };
    await expect(create({ policy: missing, log })).rejects.toThrow(
      `loading audit policy file: failed to read file path "${missing}": ENOENT`,
    );
    await expect(create({ policy: { ...POLICY, rules: [] }, log })).rejects.toThrow(
      'loading audit policy file: loaded illegal policy with 0 rules',
    );
    await expect(create({ policy: POLICY, webhook: { configFile: missing }, log })).rejects.toThrow(
      'initializing audit webhook: ENOENT',
    );
    await writeFile(missing, 'clusters: 3');
    await expect(create({ policy: POLICY, webhook: { configFile: missing } })).rejects.toThrow(
      'initializing audit webhook: error loading config file',
    );
    await expect(create({ policy: POLICY, log: { path: join(missing, 'log') } })).rejects.toThrow(
      'ensureLogFile: ',
    );
  });
});
