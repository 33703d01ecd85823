/**
 * What handlers answer: values, not bytes. The HTTP transport encodes them in the form that was asked for, the in-process
 * transport hands over the objects.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { StatusError } from '@k8ts/apimachinery';
import type { ServedResource } from '../registry/served-resource.ts';
import type { ObjectRecord } from '../storage/object-record.ts';
import type { Stretch } from '../watch-cache/ordered-records.ts';
import type { EventEncoder, WatchSink } from '../watch-cache/watch-group.ts';

export type Result = RecordResult | ObjectResult | ListResult | WatchResult | RawResult | UpgradeResult;

/** One stored object. */
export interface RecordResult {
  readonly kind: 'record';
  readonly code: number;
  readonly served: ServedResource;
  readonly record: ObjectRecord;
}

/** An object that is not in the store: a Status, a Scale, a review, a dry run's result. */
export interface ObjectResult {
  readonly kind: 'object';
  readonly code: number;
  readonly object: object;
  /** Given for objects of a resource, so that they can be shown as a Table or as metadata only. */
  readonly served: ServedResource | undefined;
}

export interface ListResult {
  readonly kind: 'list';
  readonly served: ServedResource;
  readonly revision: string;
  readonly continueToken: string;
  readonly remainingItemCount: number | undefined;
  /** The items in order: whole leaves of the index where nothing was filtered. */
  readonly stretches: readonly Stretch[];
}

export interface WatchResult {
  readonly kind: 'watch';
  readonly served: ServedResource;
  /**
   * Starts the watch; the sink gets events at once and until `close`. `onEnd` is called at most once, when the server
   * ends it. Throws (or rejects with) `StatusError` when it cannot start.
   */
  start(encoder: EventEncoder, sink: WatchSink, onEnd: (error?: StatusError) => void): WatchSession;
}

export interface WatchSession {
  close(): void;
}

/** Anything else: health, metrics, logs, proxied answers, documents. */
export interface RawResult {
  readonly kind: 'raw';
  readonly code: number;
  readonly contentType: string;
  readonly body: string | Buffer | AsyncIterable<Uint8Array>;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** For the in-process transport, when the body is a JSON document. */
  readonly value?: unknown;
}

/** The connection leaves HTTP: exec, attach, port-forward, proxied WebSockets. */
export interface UpgradeResult {
  readonly kind: 'upgrade';
  /** Takes over the connection. `head` is what came after the request. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

export function rawJson(value: unknown, code = 200): RawResult {
  return { kind: 'raw', code, contentType: 'application/json', body: `${JSON.stringify(value)}\n`, value };
}

export function rawText(text: string, code = 200): RawResult {
  return { kind: 'raw', code, contentType: 'text/plain; charset=utf-8', body: text };
}

export function objectResult(object: object, code = 200, served?: ServedResource): ObjectResult {
  return { kind: 'object', code, object, served };
}
