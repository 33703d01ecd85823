import { errorMessage, type Counter, type Logger, type Metrics } from '@k8ts/base';
import { eventText, type AuditEvent } from './audit-event.ts';

/** k8s.io/apiserver/pkg/audit/metrics.go */
export interface AuditMetrics {
  readonly events: Counter;
  readonly errors: Counter;
  readonly levels: Counter;
  readonly rejections: Counter;
}

export function createAuditMetrics(metrics: Metrics): AuditMetrics {
  return {
    events: metrics.counter({
      name: 'apiserver_audit_event_total',
      help: 'Counter of audit events generated and sent to the audit backend.',
    }),
    errors: metrics.counter({
      name: 'apiserver_audit_error_total',
      help: 'Counter of audit events that failed to be audited properly. Plugin identifies the plugin affected by the error.',
      labels: ['plugin'],
    }),
    levels: metrics.counter({
      name: 'apiserver_audit_level_total',
      help: 'Counter of policy levels for audit events (1 per request).',
      labels: ['level'],
    }),
    rejections: metrics.counter({
      name: 'apiserver_audit_requests_rejected_total',
      help: 'Counter of apiserver requests rejected due to an error in audit logging backend.',
    }),
  };
}

/** A back end's way to say that events are lost. */
export type ReportLoss = (plugin: string, error: unknown, lost: readonly AuditEvent[]) => void;

/** Counts the events, and writes them to the server's own log: the last place where they can be found. */
export function lossReporter({ errors }: AuditMetrics, logger: Logger): ReportLoss {
  return (plugin, error, lost) => {
    errors.increment([plugin], lost.length);
    logger.error('audit events are lost', {
      plugin,
      count: lost.length,
      error: errorMessage(error),
      events: lost.map(eventText),
    });
  };
}
