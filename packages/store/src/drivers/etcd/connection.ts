import { type Clock, sleep } from '@k8ts/base';
import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';

import {
  CompactedError,
  FutureRevisionError,
  InvalidRequestError,
  LeaseExistsError,
  LeaseNotFoundError,
  UnavailableError,
  UnknownOutcomeError,
} from '../../contract.ts';
import type { Method } from './messages.ts';

export interface EtcdTls {
  /** PEM. Absent: the system's authorities. */
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

export interface ConnectionOptions {
  /** `http://a:2379,http://b:2379`, or the parts of it. */
  readonly endpoints: string | readonly string[];
  readonly tls?: EtcdTls | undefined;
  readonly clock: Clock;
}

const REQUEST_TIMEOUT = 10_000;

/**
 * The members of an etcd cluster behind one door. Requests go to the member that answered last; when it cannot be
 * reached the next one is tried, once around.
 */
export class EtcdConnection implements Disposable {
  readonly #clock: Clock;
  readonly #clients: readonly Client[];
  readonly #endpoints: readonly string[];
  #current = 0;
  #closed = false;

  constructor({ endpoints, tls, clock }: ConnectionOptions) {
    this.#clock = clock;
    const targets = parseEndpoints(endpoints);
    this.#endpoints = targets.map(({ endpoint }) => endpoint);
    this.#clients = targets.map(({ address, secure }) => {
      const channelCredentials: ChannelCredentials = secure
        ? credentials.createSsl(tls?.ca ?? null, tls?.key ?? null, tls?.cert ?? null)
        : credentials.createInsecure();
      return new Client(address, channelCredentials, {
        'grpc.max_receive_message_length': -1,
        'grpc.max_send_message_length': -1,
        'grpc.keepalive_time_ms': 30_000,
        'grpc.keepalive_timeout_ms': 10_000,
        'grpc.initial_reconnect_backoff_ms': 100,
        'grpc.max_reconnect_backoff_ms': 2000,
        'grpc.enable_retries': 0, // a write must not be repeated behind our back
        'grpc.use_local_subchannel_pool': 1,
      });
    });
  }

  /** For messages. */
  get endpoints(): string {
    return this.#endpoints.join(',');
  }

  /** A request that may be repeated: tried on every member until one answers. */
  async read<Request, Response>(method: Method<Request, Response>, request: Request): Promise<Response> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#unary(method, request);
      } catch (error) {
        if (!(isUnreachable(error) || isTimeout(error)) || attempt >= this.#clients.length || this.#closed)
          throw toStoreError(error, false);
        this.failOver();
      }
    }
  }

  /** The same question to every member; the answers of those that can be reached. Throws when none can. */
  async askAll<Request, Response>(method: Method<Request, Response>, request: Request): Promise<Response[]> {
    const results = await Promise.allSettled(
      this.#clients.map((client) => this.#unary(method, request, client)),
    );
    const answers = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const [first] = results;
    if (answers.length === 0 && first?.status === 'rejected') throw toStoreError(first.reason, false);
    return answers;
  }

  /** A request that must not happen twice: repeated only if it certainly never left. */
  async write<Request, Response>(method: Method<Request, Response>, request: Request): Promise<Response> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#unary(method, request);
      } catch (error) {
        const storeError = toStoreError(error, true);
        if (isUnreachable(error)) this.failOver();
        if (!wasNeverSent(error) || attempt >= this.#clients.length || this.#closed) throw storeError;
      }
    }
  }

  stream<Request, Response>(method: Method<Request, Response>): ClientDuplexStream<Request, Response> {
    return this.#client().makeBidiStreamRequest(
      method.path,
      method.serialize,
      method.deserialize,
      new Metadata(),
    );
  }

  /** Turns to the next member. */
  failOver(): void {
    this.#current = (this.#current + 1) % this.#clients.length;
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    for (const client of this.#clients) client.close();
  }

  #client(): Client {
    if (this.#closed) throw new UnavailableError('the store is closed');
    return this.#clients[this.#current] as Client;
  }

  #unary<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    client: Client = this.#client(),
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const call = client.makeUnaryRequest(
        method.path,
        method.serialize,
        method.deserialize,
        request,
        (error: ServiceError | null, response?: Response) => {
          cancelTimer();
          if (error !== null) reject(timedOut ? new TimeoutError() : error);
          else resolve(response as Response);
        },
      );
      let timedOut = false;
      const cancelTimer = this.#clock.setTimeout(() => {
        timedOut = true;
        call.cancel();
      }, REQUEST_TIMEOUT);
    });
  }
}

/** Waits before try number `attempt` (from 0) to connect again. */
export function backOff(clock: Clock, attempt: number, signal: AbortSignal): Promise<void> {
  return sleep(clock, Math.min(2000, 50 * 2 ** Math.min(attempt, 10)), signal);
}

class TimeoutError extends Error {
  constructor() {
    super(`etcd did not answer within ${REQUEST_TIMEOUT / 1000} s`);
  }
}

/** The contract's error for one of gRPC's. `writing`: the request may have been carried out although it failed. */
export function toStoreError(error: unknown, writing: boolean): Error {
  if (error instanceof UnavailableError) return error;
  const { code, details = '' } = error as ServiceError;
  // etcd-io/etcd api/v3rpc/rpctypes/error.go: the texts are part of the API.
  if (details.includes('required revision has been compacted')) return new CompactedError(0);
  if (details.includes('required revision is a future revision')) return new FutureRevisionError();
  if (details.includes('requested lease not found')) return new LeaseNotFoundError();
  if (details.includes('lease already exists')) return new LeaseExistsError();
  if (details.includes('message larger than max')) return new InvalidRequestError('request is too large');
  if (code === status.INVALID_ARGUMENT || details.includes('too large lease TTL'))
    return new InvalidRequestError(details.replace(/^etcdserver: /, ''));
  // Refused before it was proposed to the cluster: no space, too many requests, not allowed, not connected.
  const refused =
    code === status.RESOURCE_EXHAUSTED ||
    code === status.PERMISSION_DENIED ||
    code === status.UNAUTHENTICATED ||
    code === status.FAILED_PRECONDITION ||
    code === status.UNIMPLEMENTED ||
    wasNeverSent(error);
  if (writing && !refused) return new UnknownOutcomeError({ cause: error });
  return new UnavailableError(`etcd: ${details === '' ? (error as Error).message : details}`, {
    cause: error,
  });
}

function isUnreachable(error: unknown): boolean {
  return (error as ServiceError).code === status.UNAVAILABLE;
}

function isTimeout(error: unknown): boolean {
  return error instanceof TimeoutError;
}

/** grpc-js fails a call so while it has no connection to send it on. */
function wasNeverSent(error: unknown): boolean {
  const { code, details = '' } = error as ServiceError;
  return (
    code === status.UNAVAILABLE &&
    (details.startsWith('No connection established') || details.startsWith('Name resolution failed'))
  );
}

interface Target {
  readonly endpoint: string;
  readonly address: string;
  readonly secure: boolean;
}

/** Throws `InvalidRequestError`. */
export function parseEndpoints(endpoints: string | readonly string[]): readonly Target[] {
  const list = (typeof endpoints === 'string' ? endpoints.split(',') : [...endpoints]).map((part) =>
    part.trim(),
  );
  const targets = list
    .filter((endpoint) => endpoint !== '')
    .map((endpoint) => {
      const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
      if (url === undefined || !['http:', 'https:'].includes(url.protocol) || url.pathname !== '/')
        throw new InvalidRequestError(
          `"${endpoint}" is no etcd endpoint; one looks like http://127.0.0.1:2379`,
        );
      const port = /:(\d+)\/?$/.exec(endpoint)?.[1] ?? '2379'; // URL hides a port that is the scheme's default
      return { endpoint, address: `${url.hostname}:${port}`, secure: url.protocol === 'https:' };
    });
  if (targets.length === 0) throw new InvalidRequestError('no etcd endpoint is given');
  return targets;
}
