/** Upstream's `--audit-*` (k8s.io/apiserver/pkg/server/options/audit.go: AddFlags). What is not given has upstream's default. */
import type { AuditOptions } from '@k8ts/apiserver';
import { errorMessage, type Logger } from '@k8ts/base';
import { goQuote, parseDuration } from '@k8ts/apimachinery';
import { UserError } from '@k8ts/cli';
import type { ComponentFlag } from '@k8ts/cli';
import { boolean, flag, type Flags } from './flags.ts';

const VERSION = 'audit.k8s.io/v1';

function backendFlags(plugin: 'log' | 'webhook'): readonly ComponentFlag[] {
  const of = (name: string, description: string): ComponentFlag =>
    flag(`audit-${plugin}-${name}`, description);
  return [
    of('version', `group and version of audit events; ${VERSION}`),
    of('mode', 'batch, blocking or blocking-strict: whether requests wait until their events are stored'),
    of('batch-buffer-size', 'events that wait at most; only in batch mode, as all that begin so'),
    of('batch-max-size', 'events of one batch at most'),
    of('batch-max-wait', 'how long a batch waits to become full'),
    of('batch-throttle-enable', 'limit the batches per second: true or false'),
    of('batch-throttle-qps', 'batches per second on average'),
    of('batch-throttle-burst', 'batches at once after a quiet time'),
    of('truncate-enabled', 'take the objects out of events that are too large: true or false'),
    of('truncate-max-batch-size', 'bytes of one batch at most'),
    of('truncate-max-event-size', 'bytes of one event at most'),
  ];
}

export const AUDIT_FLAGS: readonly ComponentFlag[] = [
  flag('audit-policy-file', 'which requests are written down, and how much of them'),
  flag('audit-log-path', 'file that audit events are written to; - is the standard output'),
  flag('audit-log-maxage', 'days that old audit logs are kept; 0: any number'),
  flag('audit-log-maxbackup', 'old audit logs that are kept; 0: any number'),
  flag('audit-log-maxsize', 'megabytes of an audit log before another is begun; 0: any number'),
  flag('audit-log-format', 'legacy or json'),
  flag('audit-log-compress', 'compress old audit logs: true or false'),
  ...backendFlags('log'),
  flag('audit-webhook-config-file', 'kubeconfig of a server that audit events are sent to'),
  flag('audit-webhook-initial-backoff', 'how long the second attempt to send waits'),
  flag('audit-webhook-batch-initial-backoff', 'as audit-webhook-initial-backoff; deprecated'),
  ...backendFlags('webhook'),
];

/** Undefined when nothing is to be written down. Throws `UserError` for values that cannot be read. */
export function auditOptions(flags: Flags, logger: Logger): AuditOptions | undefined {
  const text = (name: string): string | undefined => flags[name] || undefined;
  const policy = text('audit-policy-file');
  const path = text('audit-log-path');
  const configFile = text('audit-webhook-config-file');
  if (policy === undefined) {
    if (path !== undefined || configFile !== undefined)
      logger.info('No audit policy file provided, no events will be recorded');
    return undefined;
  }
  return {
    policy,
    ...(path === undefined ? {} : { log: { path, ...logOptions(flags) } }),
    ...(configFile === undefined ? {} : { webhook: { configFile, ...webhookOptions(flags) } }),
  };
}

type LogOptions = Omit<NonNullable<AuditOptions['log']>, 'path'>;
type WebhookOptions = Omit<NonNullable<AuditOptions['webhook']>, 'configFile'>;

function logOptions(flags: Flags): LogOptions {
  return given<LogOptions>({
    ...backendOptions(flags, 'log'),
    maxAge: integer(flags, 'audit-log-maxage'),
    maxBackups: integer(flags, 'audit-log-maxbackup'),
    maxSize: integer(flags, 'audit-log-maxsize'),
    format: flags['audit-log-format'],
    compress: truth(flags, 'audit-log-compress'),
  });
}

function webhookOptions(flags: Flags): WebhookOptions {
  const initialBackoff =
    duration(flags, 'audit-webhook-initial-backoff') ??
    duration(flags, 'audit-webhook-batch-initial-backoff');
  return given<WebhookOptions>({ ...backendOptions(flags, 'webhook'), initialBackoff });
}

function backendOptions(flags: Flags, plugin: 'log' | 'webhook'): Readonly<Record<string, unknown>> {
  const name = (suffix: string): string => `audit-${plugin}-${suffix}`;
  const version = flags[name('version')] ?? VERSION;
  if (version !== VERSION) throw new UserError(`invalid group version, allowed versions are ["${VERSION}"]`);
  return {
    mode: flags[name('mode')],
    batch: given({
      bufferSize: integer(flags, name('batch-buffer-size')),
      maxBatchSize: integer(flags, name('batch-max-size')),
      maxBatchWait: duration(flags, name('batch-max-wait')),
      throttleEnable: truth(flags, name('batch-throttle-enable')),
      throttleQps: decimal(flags, name('batch-throttle-qps')),
      throttleBurst: integer(flags, name('batch-throttle-burst')),
    }),
    truncate: given({
      enabled: truth(flags, name('truncate-enabled')),
      maxBatchSize: integer(flags, name('truncate-max-batch-size')),
      maxEventSize: integer(flags, name('truncate-max-event-size')),
    }),
  };
}

/** Without what is undefined. Texts are looked at by the API server. */
function given<T>(values: Readonly<Record<string, unknown>>): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}

function truth(flags: Flags, name: string): boolean | undefined {
  return flags[name] === undefined ? undefined : boolean(flags, name);
}

function integer(flags: Flags, name: string): number | undefined {
  return number(flags, name, /^[+-]?\d{1,15}$/, 'ParseInt');
}

function decimal(flags: Flags, name: string): number | undefined {
  return number(flags, name, /^[+-]?(\d+\.?\d*|\.\d+)$/, 'ParseFloat');
}

function number(flags: Flags, name: string, form: RegExp, reader: string): number | undefined {
  const value = flags[name];
  if (value === undefined) return undefined;
  if (!form.test(value))
    throw unreadable(name, value, `strconv.${reader}: parsing ${goQuote(value)}: invalid syntax`);
  return Number(value);
}

/** Milliseconds. */
function duration(flags: Flags, name: string): number | undefined {
  const value = flags[name];
  if (value === undefined) return undefined;
  try {
    return Number(parseDuration(value)) / 1e6;
  } catch (error) {
    throw unreadable(name, value, errorMessage(error));
  }
}

function unreadable(name: string, value: string, why: string): UserError {
  return new UserError(`invalid argument ${goQuote(value)} for "--${name}" flag: ${why}`);
}
