import { goQuote, StatusError } from '@k8ts/apimachinery';
import type { RequestContext } from '../request/request-context.ts';

/** An error that upstream answers as plain text. In the process it is what client-go makes of such an answer. */
export class TextError extends StatusError {
  readonly text: string;

  constructor(code: number, text: string) {
    super({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: `an error on the server (${goQuote(text)}) has prevented the request from succeeding`,
      reason: 'InternalError',
      code,
    });
    this.text = text;
  }
}

/** What goes wrong before there is an object to answer for (apiserver/pkg/endpoints/handlers/responsewriters: InternalError). */
export function internalFailure({ path, query }: RequestContext, message: string): TextError {
  const uri = query.isEmpty ? path : `${path}?${query.text}`;
  return new TextError(500, escaped(`Internal Server Error: ${goQuote(uri)}: ${message}`));
}

/** Errors must not look like HTML. */
export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
