/** Events as lines (k8s.io/apiserver/plugin/pkg/audit/log). */
import { eventJson, eventText } from './audit-event.ts';
import type { ReportLoss } from './audit-metrics.ts';
import type { AuditBackend } from './contract.ts';

export type AuditLogFormat = 'json' | 'legacy';

/** Where lines go. */
export interface LineWriter {
  /** Throws when they cannot be written. */
  write(text: string): void;
  close(): Promise<void>;
}

export function logBackend(writer: LineWriter, format: AuditLogFormat, reportLoss: ReportLoss): AuditBackend {
  let isClosed = false;
  return {
    process(events) {
      let stored = true;
      for (const event of events) {
        try {
          if (isClosed) throw new Error('audit backend shut down');
          writer.write(`${format === 'json' ? eventJson(event) : eventText(event)}\n`);
        } catch (error) {
          stored = false;
          reportLoss('log', error, [event]);
        }
      }
      return stored;
    },
    async stop() {
      isClosed = true;
      await writer.close();
    },
  };
}
