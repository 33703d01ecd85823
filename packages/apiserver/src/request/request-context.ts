import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { UserInfo } from '../authentication/contract.ts';
import type { Classification } from '../flowcontrol/flow-control.ts';
import type { Query } from './query.ts';
import type { RequestAudit } from './request-audit.ts';
import type { RequestInfo } from './request-info.ts';

/** What a request brings along: bytes to be read, or (inside the process) a value. */
export type RequestBody =
  | {
      readonly kind: 'bytes';
      /** Reads all of it. Rejects with 413 beyond `limit` bytes. */
      read(limit: number): Promise<Buffer>;
      /** The body as it comes, for proxies. */
      stream(): Readable;
    }
  | { readonly kind: 'value'; readonly value: unknown };

export interface RequestInit {
  readonly method: string;
  /** Percent-encoded, without the query. */
  readonly path: string;
  readonly query: Query;
  /** Names in lower case. */
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turn, as they came. */
  readonly rawHeaders?: readonly string[] | undefined;
  readonly body: RequestBody;
  readonly socket?: TLSSocket | undefined;
  readonly remoteAddress: string;
  /** Set by the in-process transport, whose identity needs no proof. */
  readonly identity?: UserInfo | undefined;
  /** Calls back when the client has gone. */
  readonly onAbort: (callback: () => void) => void;
}

/** One request on its way through the pipeline. The steps fill it in, in their order. */
export class RequestContext {
  readonly init: RequestInit;
  readonly method: string;
  readonly path: string;
  readonly query: Query;
  readonly headers: IncomingHttpHeaders;
  info: RequestInfo;
  user: UserInfo;
  /** Who really asks, where `user` is impersonated. */
  impersonator: UserInfo | undefined = undefined;
  auditId: string;
  /** Gathers what is to be written of the request; undefined where nothing is. */
  audit: RequestAudit | undefined = undefined;
  /** Texts for `Warning` headers. */
  readonly warnings: string[] = [];
  /** The flow schema and priority level that it belongs to, once that is known. */
  classification: Classification | undefined = undefined;
  /** Called when the response has been sent or the request failed; for limits in flight. */
  release: (() => void) | undefined = undefined;
  #controller: AbortController | undefined = undefined;

  constructor(init: RequestInit, info: RequestInfo, user: UserInfo, auditId: string) {
    this.init = init;
    this.method = init.method;
    this.path = init.path;
    this.query = init.query;
    this.headers = init.headers;
    this.info = info;
    this.user = user;
    this.auditId = auditId;
  }

  /** Aborts when the client has gone or the request has taken too long; made when first asked for. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      this.init.onAbort(() => this.cancel(new Error('the client has gone away')));
    }
    return this.#controller.signal;
  }

  /** Tells what is under way for this request that nobody waits for its answer any more. */
  cancel(reason: Error): void {
    this.#controller?.abort(reason);
  }

  warn(message: string): void {
    if (!this.warnings.includes(message)) this.warnings.push(message);
  }
}
