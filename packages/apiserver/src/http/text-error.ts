import { goQuote, StatusError } from '@k8ts/apimachinery';

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
