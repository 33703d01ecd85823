/**
 * A client's way to the server inside the same process: the same pipeline, with an identity instead of credentials, and
 * objects instead of text. What comes out is shared and immutable.
 */
import { setMaxListeners } from 'node:events';
import { Readable } from 'node:stream';
import { StatusError, fromStatus, type Status } from '@k8ts/apimachinery';
import { decodeBody, responseError, watchEvents } from '@k8ts/client';
import type { ApiRequest, Transport, WatchEvent } from '@k8ts/client';
import type { UserInfo } from '../authentication/contract.ts';
import { bookmarkObject } from '../output/event-bytes.ts';
import { queryFromObject } from '../request/query.ts';
import type { RequestInit } from '../request/request-context.ts';
import type { ListResult, RawResult, Result, WatchResult, WatchSession } from '../request/result.ts';
import { recordsOf } from '../registry/generic/list.ts';
import { objectOf } from '../registry/served-resource.ts';
import type { EventEncoder } from '../watch-cache/watch-group.ts';

/** What the transport needs of the server. */
export interface InProcessTarget {
  /** Runs a request through the pipeline; the callback is called when the response has been taken. */
  serve(init: RequestInit): Promise<{ readonly result: Result; readonly finish: () => void }>;
}

const NOT_ABORTED = (): void => undefined;

export function createInProcessTransport(server: InProcessTarget, identity: UserInfo): Transport {
  const init = (request: ApiRequest): RequestInit => {
    const { signal } = request;
    if (signal?.aborted) throw signal.reason as Error;
    const question = request.path.indexOf('?');
    return {
      method: request.method,
      path: question < 0 ? request.path : request.path.slice(0, question),
      query: queryFromObject(
        question < 0
          ? request.query
          : {
              ...Object.fromEntries(new URLSearchParams(request.path.slice(question + 1))),
              ...request.query,
            },
      ),
      headers: {
        'user-agent': identity.name,
        ...(request.contentType === undefined ? {} : { 'content-type': request.contentType }),
        ...(request.accept === undefined ? {} : { accept: request.accept }),
      },
      body: { kind: 'value', value: request.body },
      remoteAddress: '',
      identity,
      onAbort:
        signal === undefined
          ? NOT_ABORTED
          : (callback) => signal.addEventListener('abort', callback, { once: true }),
    };
  };

  const perform = async (request: ApiRequest): Promise<unknown> => {
    const { result, finish } = await server.serve(init(request));
    try {
      return await valueOf(result, request.method);
    } finally {
      finish();
    }
  };

  return {
    request<T>(request: ApiRequest): Promise<T> {
      const answer = perform(request) as Promise<T>;
      return request.signal === undefined ? answer : abortable(answer, request.signal);
    },
    async watch<T>(request: ApiRequest): Promise<AsyncIterable<readonly WatchEvent<T>[]>> {
      const { result, finish } = await server.serve(init(request));
      if (result.kind === 'raw') return openRawWatch<T>(result, request, finish);
      if (result.kind !== 'watch') {
        finish();
        throw new TypeError(`${request.path} is not a watch`);
      }
      return openWatch<T>(result, request.signal, finish);
    },
  };
}

/** The caller is let go when its signal aborts; what the server has begun it finishes. */
function abortable<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    setMaxListeners(0, signal); // a component makes all its requests with one signal
    signal.addEventListener('abort', abort, { once: true });
    answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

async function valueOf(result: Result, method: string): Promise<unknown> {
  switch (result.kind) {
    case 'record':
      return objectOf(result.served, result.record);
    case 'object': {
      const status = result.object as Partial<Status>;
      if (status.kind === 'Status' && status.status === 'Failure') throw fromStatus(status as Status);
      return result.object;
    }
    case 'list':
      return listObject(result);
    case 'raw':
      return rawValue(result, method);
    default:
      throw new TypeError(`a ${result.kind} cannot be had with a request`);
  }
}

function listObject(list: ListResult): object {
  const { served } = list;
  const items: object[] = [];
  for (const record of recordsOf(list)) items.push(objectOf(served, record));
  return {
    kind: served.info.listKind,
    apiVersion: served.apiVersion,
    metadata: {
      resourceVersion: list.revision,
      ...(list.continueToken === '' ? {} : { continue: list.continueToken }),
      ...(list.remainingItemCount === undefined ? {} : { remainingItemCount: list.remainingItemCount }),
    },
    items,
  };
}

/** What another server has answered is text, and its refusal an error, as over the network. */
async function rawValue(result: RawResult, method: string): Promise<unknown> {
  if (result.value !== undefined) return result.value;
  const text = await rawText(result);
  if (result.code >= 400) throw responseError(result.code, method, text, 0);
  return decodeBody(text);
}

async function rawText({ body }: RawResult): Promise<string> {
  if (typeof body === 'string') return body;
  if (Buffer.isBuffer(body)) return body.toString();
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** A watch that another server serves. */
async function openRawWatch<T>(
  result: RawResult,
  { method, path, signal }: ApiRequest,
  finish: () => void,
): Promise<AsyncIterable<readonly WatchEvent<T>[]>> {
  const { body } = result;
  if (result.code >= 400 || typeof body === 'string' || Buffer.isBuffer(body)) {
    finish();
    const text = await rawText(result);
    throw result.code >= 400
      ? responseError(result.code, method, text, 0)
      : new TypeError(`${path} is not a watch`);
  }
  return rawEvents<T>(body, signal, finish);
}

async function* rawEvents<T>(
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
  finish: () => void,
): AsyncGenerator<readonly WatchEvent<T>[], void, undefined> {
  try {
    yield* watchEvents<T>(body as AsyncIterable<Buffer>);
  } catch (error) {
    if (signal?.aborted !== true) throw error;
  } finally {
    if (body instanceof Readable) body.destroy();
    finish();
  }
}

/** Groups of in-process watchers share their batches; nothing is encoded. */
const OBJECTS: EventEncoder = {
  id: 'objects',
  encode: () => {
    throw new Error('in-process watchers read objects');
  },
};

/** So many events may wait for a watcher that does not read; then it is ended and must start again. */
const MAX_WAITING = 100_000;

function openWatch<T>(
  result: WatchResult,
  signal: AbortSignal | undefined,
  finish: () => void,
): AsyncIterable<readonly WatchEvent<T>[]> {
  const { served } = result;
  const queue: (readonly WatchEvent<T>[])[] = [];
  let waitingEvents = 0;
  let failure: StatusError | undefined;
  let isOver = false;
  let wake: (() => void) | undefined;
  let session: WatchSession | undefined;

  const end = (error?: StatusError): void => {
    if (isOver) return;
    isOver = true;
    failure = error;
    session?.close();
    signal?.removeEventListener('abort', onAbort);
    finish();
    wake?.();
  };
  const onAbort = (): void => end();
  const push = (events: readonly WatchEvent<T>[]): void => {
    if (isOver) return;
    queue.push(events);
    waitingEvents += events.length;
    wake?.();
    if (waitingEvents > MAX_WAITING) end();
  };

  const isPlain = served.encoding === served.storage.encoding;
  try {
    session = result.start(
      isPlain ? OBJECTS : { ...OBJECTS, id: `objects ${served.apiVersion}` },
      {
        events: (batch) => push(eventsOf<T>(batch, served)),
        bookmark: (revision, initialEventsEnd) =>
          push([
            {
              type: 'BOOKMARK',
              object: bookmarkObject(served.info.kind, served.apiVersion, revision, initialEventsEnd) as T,
            },
          ]),
      },
      end,
    );
    if (isOver) session.close();
  } catch (error) {
    if (!(error instanceof StatusError)) {
      finish();
      throw error;
    }
    end(error);
  }
  if (signal?.aborted) end();
  else if (signal !== undefined) {
    setMaxListeners(0, signal); // one signal ends all the watches of a component
    signal.addEventListener('abort', onAbort, { once: true });
  }

  return {
    [Symbol.asyncIterator]: () => ({
      async next(): Promise<IteratorResult<readonly WatchEvent<T>[]>> {
        for (;;) {
          const events = queue.length === 1 ? queue.pop() : joinQueue(queue);
          if (events !== undefined && events.length > 0) {
            waitingEvents = 0;
            return { done: false, value: events };
          }
          if (isOver) {
            const error = failure;
            failure = undefined;
            if (error !== undefined) throw error;
            return { done: true, value: undefined };
          }
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          wake = undefined;
        }
      },
      return(): Promise<IteratorResult<readonly WatchEvent<T>[]>> {
        end();
        return Promise.resolve({ done: true, value: undefined });
      },
    }),
  };
}

type Batch = Parameters<Parameters<WatchResult['start']>[1]['events']>[0];

/** Made once per batch and shared by all in-process watchers of the group. */
const eventsOfBatch = new WeakMap<Batch, readonly WatchEvent<unknown>[]>();

function eventsOf<T>(batch: Batch, served: WatchResult['served']): readonly WatchEvent<T>[] {
  let events = eventsOfBatch.get(batch);
  if (events === undefined) {
    events = batch.events.map(({ type, record }) => ({ type, object: objectOf(served, record) }));
    eventsOfBatch.set(batch, events);
  }
  return events as readonly WatchEvent<T>[];
}

function joinQueue<T>(queue: (readonly WatchEvent<T>[])[]): readonly WatchEvent<T>[] | undefined {
  if (queue.length === 0) return undefined;
  const joined = queue.flat();
  queue.length = 0;
  return joined;
}
