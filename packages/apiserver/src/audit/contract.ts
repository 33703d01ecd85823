import type { RequestAudit } from '../request/request-audit.ts';
import type { RequestContext } from '../request/request-context.ts';
import type { AuditEvent } from './audit-event.ts';

/** Hears of every request of a server. */
export interface Auditor {
  /** A request has come. What is to be written of it is gathered in the result. */
  begin(context: RequestContext): RequestAudit;
}

/** Where audit events go (k8s.io/apiserver/pkg/audit: Backend). */
export interface AuditBackend {
  /**
   * Takes events in their order. False: they could not be stored, which has been counted and logged. A promise where
   * whoever asks has to wait; it does not reject.
   */
  process(events: readonly AuditEvent[]): boolean | Promise<boolean>;
  /** The server is about to stop: what is still handed over has little time. */
  stopping?(): void;
  /** Stores or sends what is still here; resolves when nothing is left. */
  stop(): Promise<void>;
}

/** Whether all of them were; a promise where one is. */
export function allStored(outcomes: readonly (boolean | Promise<boolean>)[]): boolean | Promise<boolean> {
  const pending = outcomes.filter((outcome) => typeof outcome !== 'boolean');
  const isStored = !outcomes.includes(false);
  if (pending.length === 0) return isStored;
  return Promise.all(pending).then((results) => isStored && !results.includes(false));
}
