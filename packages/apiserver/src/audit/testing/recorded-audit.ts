import type { auditv1 } from '@k8ts/api';
import { createMetrics, realClock, silentLogger, type Clock, type Logger, type Metrics } from '@k8ts/base';
import { eventJson, type AuditEvent } from '../audit-event.ts';
import { createAuditMetrics } from '../audit-metrics.ts';
import { auditPolicyEvaluator } from '../audit-policy.ts';
import type { AuditBackend, Auditor } from '../contract.ts';
import { AuditedRequest } from '../audited-request.ts';

interface RecordedAudit {
  readonly auditor: Auditor;
  /** As they would be read from a log, in their order. */
  readonly events: readonly auditv1.Event[];
  readonly metrics: Metrics;
  /** What the back end answers from now on. */
  answer: (event: AuditEvent) => boolean | Promise<boolean>;
}

/** An auditor that keeps its events. */
export function recordedAudit(
  policy: Omit<auditv1.Policy, 'metadata'>,
  { clock = realClock, logger = silentLogger }: { readonly clock?: Clock; readonly logger?: Logger } = {},
): RecordedAudit {
  const metrics = createMetrics();
  const events: auditv1.Event[] = [];
  const backend: AuditBackend = {
    process(batch) {
      for (const event of batch) events.push(JSON.parse(eventJson(event)) as auditv1.Event);
      return recorded.answer(batch[0] as AuditEvent);
    },
    stop: () => Promise.resolve(),
  };
  const services = {
    evaluate: auditPolicyEvaluator({ metadata: { name: '' }, ...policy }),
    backend,
    metrics: createAuditMetrics(metrics),
    clock,
    logger,
  };
  const recorded: RecordedAudit = {
    auditor: { begin: (context) => new AuditedRequest(services, context) },
    events,
    metrics,
    answer: () => true,
  };
  return recorded;
}
