import { goQuote } from '@k8ts/apimachinery';
import { TextError } from '../http/text-error.ts';
import type { PipelineStep } from '../request-pipeline.ts';
import type { RequestContext } from '../request/request-context.ts';
import { escaped } from './authorize.ts';

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

/** In the words of upstream's responsewriters.InternalError. */
function check({ path, query }: RequestContext, stored: boolean): void {
  if (stored) return;
  const uri = query.isEmpty ? path : `${path}?${query.text}`;
  throw new TextError(500, escaped(`Internal Server Error: ${goQuote(uri)}: failed to store audit event`));
}
