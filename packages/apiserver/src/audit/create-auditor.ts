/** From options to what hears of every request (k8s.io/apiserver/pkg/server/options/audit.go: ApplyTo). */
import { readFile } from 'node:fs/promises';
import type { auditv1 } from '@k8ts/api';
import { goQuote } from '@k8ts/apimachinery';
import { errorMessage, realClock, type Clock, type Logger, type Metrics, type Random } from '@k8ts/base';
import { kubeconfigTarget, parseKubeconfig, type KubeconfigTarget } from '@k8ts/client';
import { createAuditMetrics, lossReporter, type ReportLoss } from './audit-metrics.ts';
import {
  AuditOptionsError,
  completeLogOptions,
  completeWebhookOptions,
  type AuditLogOptions,
  type AuditOptions,
  type AuditWebhookOptions,
  type CompleteBackendOptions,
} from './audit-options.ts';
import { auditPolicyEvaluator } from './audit-policy.ts';
import { AuditPolicyError, checkedAuditPolicy, parseAuditPolicy } from './audit-policy-file.ts';
import { bufferedBackend } from './buffered-backend.ts';
import { allStored, type AuditBackend, type Auditor } from './contract.ts';
import { logBackend, type LineWriter } from './log-backend.ts';
import { AuditedRequest } from './audited-request.ts';
import { RotatingFile } from './rotating-file.ts';
import { truncatingBackend } from './truncating-backend.ts';
import { webhookBackend } from './webhook-backend.ts';

/** Milliseconds; upstream's for all webhooks (apiserver/pkg/util/webhook: defaultRequestTimeout). */
const WEBHOOK_TIMEOUT = 30_000;

export interface AuditorServices {
  /** Of the events. What is outside of the cluster is waited for in real time. */
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface StoppableAuditor extends Auditor {
  /** Events that still come are lost; those that have come are stored or sent first. */
  stop(): Promise<void>;
}

/** Undefined where there is no back end: then nothing is to be gathered. Rejects with AuditOptionsError. */
export async function createAuditor(
  options: AuditOptions,
  services: AuditorServices,
): Promise<StoppableAuditor | undefined> {
  const { clock, logger } = services;
  const policy = await policyOf(options.policy, logger);
  const metrics = createAuditMetrics(services.metrics);
  const reportLoss = lossReporter(metrics, logger);
  // The log last: it opens a file.
  const webhook =
    options.webhook &&
    wrappedWebhook(options.webhook, await webhookTarget(options.webhook), services, reportLoss);
  const log = options.log && wrappedLog(options.log, services, reportLoss);
  const backends = [log, webhook].filter((backend) => backend !== undefined);
  if (backends.length === 0) return undefined;
  const backend = union(backends);
  const shared = { evaluate: auditPolicyEvaluator(policy), backend, metrics, clock, logger };
  return { begin: (context) => new AuditedRequest(shared, context), stop: () => backend.stop() };
}

async function policyOf(given: string | auditv1.Policy, logger: Logger): Promise<auditv1.Policy> {
  try {
    if (typeof given !== 'string') return checkedAuditPolicy(given);
    let text: string;
    try {
      text = await readFile(given, 'utf8');
    } catch (error) {
      throw new AuditPolicyError(`failed to read file path ${goQuote(given)}: ${errorMessage(error)}`);
    }
    try {
      return parseAuditPolicy(text, logger);
    } catch (error) {
      if (!(error instanceof AuditPolicyError)) throw error;
      throw new AuditPolicyError(`${error.message}: from file ${given}`);
    }
  } catch (error) {
    if (!(error instanceof AuditPolicyError)) throw error;
    throw new AuditOptionsError(`loading audit policy file: ${error.message}`);
  }
}

function wrappedLog(given: AuditLogOptions, services: AuditorServices, reportLoss: ReportLoss): AuditBackend {
  const options = completeLogOptions(given);
  const { path, format } = options;
  let writer: LineWriter;
  try {
    writer = path === '-' ? standardOutput() : new RotatingFile(path, options, services);
  } catch (error) {
    throw new AuditOptionsError(`ensureLogFile: ${errorMessage(error)}`);
  }
  return wrapped(logBackend(writer, format, reportLoss), options, false, reportLoss);
}

/** Whoever reads it may go away; then what is written is lost, and not the server. */
function standardOutput(): LineWriter {
  const { stdout } = process;
  let failure: Error | undefined;
  const onError = (error: Error): void => void (failure = error);
  stdout.on('error', onError);
  return {
    write(text) {
      if (failure !== undefined) throw failure;
      stdout.write(text);
    },
    async close() {
      if (failure === undefined) await new Promise<void>((resolve) => stdout.write('', () => resolve()));
      stdout.off('error', onError);
    },
  };
}

function wrappedWebhook(
  given: AuditWebhookOptions,
  target: KubeconfigTarget,
  { random }: AuditorServices,
  reportLoss: ReportLoss,
): AuditBackend {
  const options = completeWebhookOptions(given);
  const webhook = webhookBackend({
    ...options,
    target,
    requestTimeout: WEBHOOK_TIMEOUT,
    clock: realClock,
    random,
    reportLoss,
  });
  return wrapped(webhook, options, true, reportLoss);
}

async function webhookTarget({ configFile }: AuditWebhookOptions): Promise<KubeconfigTarget> {
  try {
    return await kubeconfigTarget(parseKubeconfig(await readFile(configFile, 'utf8'), configFile));
  } catch (error) {
    throw new AuditOptionsError(`initializing audit webhook: ${errorMessage(error)}`);
  }
}

function wrapped(
  backend: AuditBackend,
  { mode, batch, truncate }: CompleteBackendOptions,
  concurrent: boolean,
  reportLoss: ReportLoss,
): AuditBackend {
  const options = { delegate: backend, batching: batch, concurrent, clock: realClock, reportLoss };
  const moded =
    mode === 'batch' ? bufferedBackend(options) : mode === 'blocking' ? lenient(backend) : backend;
  return truncate.enabled ? truncatingBackend(moded, truncate, reportLoss) : moded;
}

/** Waits for the events to be stored, and lets requests go on if they were not. */
function lenient(backend: AuditBackend): AuditBackend {
  return {
    process(events) {
      const outcome = backend.process(events);
      return typeof outcome === 'boolean' ? true : outcome.then(() => true);
    },
    stop: () => backend.stop(),
  };
}

/** All of them; false if one of them fails. */
function union(backends: readonly AuditBackend[]): AuditBackend {
  const [only] = backends;
  if (backends.length === 1 && only !== undefined) return only;
  return {
    process(events) {
      return allStored(backends.map((backend) => backend.process(events)));
    },
    async stop() {
      await Promise.all(backends.map((backend) => backend.stop()));
    },
  };
}
