/** How a server audits: upstream's options, defaults and checks (k8s.io/apiserver/pkg/server/options/audit.go). */
import type { auditv1 } from '@k8ts/api';
import { goQuote } from '@k8ts/apimachinery';
import type { AuditBatching } from './buffered-backend.ts';
import type { AuditLogFormat } from './log-backend.ts';
import type { RotationLimits } from './rotating-file.ts';
import type { AuditTruncation } from './truncating-backend.ts';

/**
 * `blocking`: requests wait until their events are stored. `blocking-strict`: a request whose first event cannot be stored is
 * refused. `batch`: requests do not wait.
 */
export type AuditMode = 'batch' | 'blocking' | 'blocking-strict';

export interface AuditOptions {
  /** The path of a policy file (`--audit-policy-file`), or the policy itself. */
  readonly policy: string | auditv1.Policy;
  readonly log?: AuditLogOptions;
  readonly webhook?: AuditWebhookOptions;
}

interface BackendOptions {
  readonly mode?: AuditMode;
  readonly batch?: Partial<AuditBatching>;
  readonly truncate?: Partial<AuditTruncation>;
}

export interface AuditLogOptions extends BackendOptions, Partial<RotationLimits> {
  /** `-` is the standard output. */
  readonly path: string;
  readonly format?: AuditLogFormat;
}

export interface AuditWebhookOptions extends BackendOptions {
  /** A kubeconfig. */
  readonly configFile: string;
  /** Milliseconds before the second attempt to send. */
  readonly initialBackoff?: number;
  /** Milliseconds that what is not yet sent gets when the server stops; then it is lost. Default 30,000. */
  readonly shutdownGrace?: number;
}

/** Options that are not usable; the message is upstream's. */
export class AuditOptionsError extends Error {
  override readonly name = 'AuditOptionsError';
}

const TRUNCATION: AuditTruncation = {
  enabled: false,
  maxBatchSize: 10 * 1024 * 1024,
  maxEventSize: 100 * 1024,
};

export interface CompleteBackendOptions {
  readonly mode: AuditMode;
  readonly batch: AuditBatching;
  readonly truncate: AuditTruncation;
}

export interface CompleteLogOptions extends CompleteBackendOptions, RotationLimits {
  readonly path: string;
  readonly format: AuditLogFormat;
}

export interface CompleteWebhookOptions extends CompleteBackendOptions {
  readonly configFile: string;
  readonly initialBackoff: number;
  readonly shutdownGrace: number;
}

/** Throws AuditOptionsError. */
export function completeLogOptions(given: AuditLogOptions): CompleteLogOptions {
  const options: CompleteLogOptions = {
    mode: 'blocking',
    format: 'json',
    maxSize: 100,
    maxAge: 366,
    maxBackups: 100,
    compress: false,
    ...given,
    // Lines gain nothing by being written together.
    batch: {
      bufferSize: 10_000,
      maxBatchSize: 1,
      maxBatchWait: 0,
      throttleEnable: false,
      throttleQps: 0,
      throttleBurst: 0,
      ...given.batch,
    },
    truncate: { ...TRUNCATION, ...given.truncate },
  };
  check([
    ...backendErrors('log', options),
    ...(FORMATS.includes(options.format)
      ? []
      : [`invalid audit log format ${options.format}, allowed formats are ${goQuote(FORMATS.join(','))}`]),
    ...negative('maxage', options.maxAge),
    ...negative('maxbackup', options.maxBackups),
    ...negative('maxsize', options.maxSize),
  ]);
  return options;
}

/** Throws AuditOptionsError. */
export function completeWebhookOptions(given: AuditWebhookOptions): CompleteWebhookOptions {
  const options: CompleteWebhookOptions = {
    mode: 'batch',
    initialBackoff: 10_000,
    shutdownGrace: 30_000,
    ...given,
    batch: {
      bufferSize: 10_000,
      maxBatchSize: 400,
      maxBatchWait: 30_000,
      throttleEnable: true,
      throttleQps: 10,
      throttleBurst: 15,
      ...given.batch,
    },
    truncate: { ...TRUNCATION, ...given.truncate },
  };
  check(backendErrors('webhook', options));
  return options;
}

const MODES: readonly string[] = ['batch', 'blocking', 'blocking-strict'];
const FORMATS: readonly string[] = ['legacy', 'json'];

function check(errors: readonly string[]): void {
  if (errors.length > 0) throw new AuditOptionsError(errors.join('\n'));
}

function negative(flag: string, value: number): string[] {
  return value >= 0 ? [] : [`--audit-log-${flag} ${value} can't be a negative number`];
}

function backendErrors(plugin: string, { mode, batch, truncate }: CompleteBackendOptions): string[] {
  return [...modeErrors(plugin, mode, batch), ...truncationErrors(plugin, truncate)];
}

/** The first of them, and only what the mode uses. */
function modeErrors(plugin: string, mode: AuditMode, batch: AuditBatching): string[] {
  if (!MODES.includes(mode))
    return [`invalid audit ${plugin} mode ${mode}, allowed modes are ${goQuote(MODES.join(','))}`];
  if (mode !== 'batch') return [];
  const values: readonly (readonly [string, number])[] = [
    ['buffer size', batch.bufferSize],
    ['max batch size', batch.maxBatchSize],
    ...(batch.throttleEnable
      ? ([
          ['throttle QPS', batch.throttleQps],
          ['throttle burst', batch.throttleBurst],
        ] as const)
      : []),
  ];
  const wrong = values.find(([, value]) => !(value > 0));
  return wrong === undefined
    ? []
    : [`invalid audit batch ${plugin} ${wrong[0]} ${wrong[1]}, must be a positive number`];
}

function truncationErrors(plugin: string, { maxEventSize, maxBatchSize }: AuditTruncation): string[] {
  if (!(maxEventSize > 0))
    return [`invalid audit truncate ${plugin} max event size ${maxEventSize}, must be a positive number`];
  if (maxBatchSize < maxEventSize)
    return [
      `invalid audit truncate ${plugin} max batch size ${maxBatchSize}, must be greater than max event size (${maxEventSize})`,
    ];
  return [];
}
