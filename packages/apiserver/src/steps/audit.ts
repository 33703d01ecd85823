import { internalFailure } from '../http/text-error.ts';
import type { PipelineStep } from '../request-pipeline.ts';
import type { RequestContext } from '../request/request-context.ts';

/**
 * Writes down that the request has come, as far as the policy wants it. In the strict mode one that cannot be written down
 * is refused.
 */
export const auditStep: PipelineStep = {
  name: 'audit',
  run(context) {
    const stored = context.audit?.received() ?? true;
    return typeof stored === 'boolean'
      ? check(context, stored)
      : stored.then((result) => check(context, result));
  },
};

function check(context: RequestContext, stored: boolean): void {
  if (!stored) throw internalFailure(context, 'failed to store audit event');
}
