import type { RequestContext } from '../request/request-context.ts';

/** Who hears of every request. Runs on the hot path: takes what it needs and returns. */
export interface AuditHook {
  /** After authentication, before anything is decided or done. */
  received?(context: RequestContext): void;
  /** The answer has been handed over, or the long-running request is over. */
  completed?(context: RequestContext, code: number): void;
}
