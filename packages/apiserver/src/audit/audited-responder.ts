import type { Responder } from '../http/responder.ts';
import type { RequestContext } from '../request/request-context.ts';

/**
 * Says when an answer begins, and holds back its end until it has been written down. `sent` is the status code where that is
 * not the answer's own: of a change of protocol.
 */
export function auditedResponder(inner: Responder, context: RequestContext, sent?: number): Responder {
  return {
    get headersSent() {
      return inner.headersSent;
    },
    start(code, headers) {
      context.audit?.started(sent ?? code);
      inner.start(code, headers);
    },
    write: (chunk) => inner.write(chunk),
    end(chunk) {
      const pending = context.audit?.completed();
      if (pending === undefined) inner.end(chunk);
      else void pending.then(() => inner.end(chunk));
    },
    get unsent() {
      return inner.unsent;
    },
    waitForDrain: () => inner.waitForDrain(),
    get closed() {
      return inner.closed;
    },
    ignoreBody: () => inner.ignoreBody(),
    destroy: () => inner.destroy(),
    onClose: (callback) => inner.onClose(callback),
  };
}
