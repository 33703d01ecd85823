/**
 * Takes the objects out of events that are too large, and divides what is too large together
 * (k8s.io/apiserver/plugin/pkg/audit/truncate).
 */
import { aggregateText } from '@k8ts/apimachinery';
import { eventJson, isAtLeast, type AuditEvent } from './audit-event.ts';
import type { ReportLoss } from './audit-metrics.ts';
import { allStored, type AuditBackend } from './contract.ts';

export interface AuditTruncation {
  readonly enabled: boolean;
  /** Bytes of all events that are handed over together; what is around them is not counted. */
  readonly maxBatchSize: number;
  /** Bytes. */
  readonly maxEventSize: number;
}

export function truncatingBackend(
  delegate: AuditBackend,
  { maxBatchSize, maxEventSize }: AuditTruncation,
  reportLoss: ReportLoss,
): AuditBackend {
  const process = (events: readonly AuditEvent[]): boolean | Promise<boolean> => {
    const batches: AuditEvent[][] = [];
    const lost: AuditEvent[] = [];
    let batchSize = Infinity;
    for (const event of events) {
      let kept = event;
      let size = sizeOf(event);
      if (size > maxEventSize && isAtLeast(event.level, 'Request')) {
        kept = truncated(event);
        size = sizeOf(kept);
      }
      if (size > maxEventSize) {
        lost.push(kept);
        continue;
      }
      if (batchSize + size > maxBatchSize) {
        batches.push([]);
        batchSize = 0;
      }
      batches.at(-1)?.push(kept);
      batchSize += size;
    }
    const outcomes = batches.map((batch) => delegate.process(batch));
    if (lost.length > 0)
      reportLoss(
        'truncate',
        new Error(aggregateText(lost.map(() => 'event is too large even after truncating'))),
        lost,
      );
    return allStored(outcomes);
  };
  return { process, stop: () => delegate.stop() };
}

/** With the newline that ends it. */
function sizeOf(event: AuditEvent): number {
  return Buffer.byteLength(eventJson(event)) + 1;
}

function truncated(event: AuditEvent): AuditEvent {
  return {
    ...event,
    requestObject: undefined,
    responseObject: undefined,
    annotations: { ...event.annotations, 'audit.k8s.io/truncated': 'true' },
  };
}
