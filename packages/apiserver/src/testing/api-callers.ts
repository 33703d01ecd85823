import { StatusError } from '@k8ts/apimachinery';
import type { ApiRequest, WatchEvent } from '@k8ts/client';
import type { TestServer } from './test-server.ts';

/** Whatever may be in an answer, as if it were: tests say what they expect, and find out when it is not there. */
interface AnswerBody {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly generation: number;
    readonly creationTimestamp: string;
    readonly deletionTimestamp: string;
    readonly deletionGracePeriodSeconds: number;
    readonly finalizers: readonly string[];
    readonly managedFields: readonly object[];
    readonly labels: Readonly<Record<string, string>>;
    readonly continue: string;
    readonly remainingItemCount: number;
  };
  readonly data: Readonly<Record<string, string>>;
  readonly spec: object;
  readonly items: readonly AnswerBody[];
  /** Of a Status. */
  readonly message: string;
  readonly reason: string;
  readonly code: number;
  readonly details: object;
}

export interface Answer {
  readonly code: number;
  readonly body: AnswerBody;
  readonly warnings: readonly string[];
}

interface CallOptions {
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly contentType?: string;
}

/** One way to ask a server; tests of behaviour run over each. */
export interface ApiCaller {
  readonly name: string;
  call(method: ApiRequest['method'], path: string, options?: CallOptions): Promise<Answer>;
  /** Events until `count` came, or the watch ended (an ERROR event is thrown as StatusError). */
  watch(
    path: string,
    query: Readonly<Record<string, string>>,
    count: number,
    during?: () => Promise<unknown>,
  ): Promise<WatchEvent<AnswerBody>[]>;
}

export function apiCallers(server: () => TestServer): readonly ApiCaller[] {
  return [inProcess(server), overHttp(server)];
}

function inProcess(server: () => TestServer): ApiCaller {
  return {
    name: 'in process',
    async call(method, path, { query, body, contentType } = {}) {
      try {
        const answered = await server().transport.request<AnswerBody>({
          method,
          path,
          ...(query === undefined ? {} : { query }),
          ...(body === undefined ? {} : { body }),
          ...(contentType === undefined ? {} : { contentType }),
        });
        return { code: 200, body: answered, warnings: [] };
      } catch (error) {
        if (!(error instanceof StatusError)) throw error;
        return { code: error.code, body: error.status as unknown as AnswerBody, warnings: [] };
      }
    },
    async watch(path, query, count, during) {
      const abort = new AbortController();
      const watch = await server().transport.watch<AnswerBody>({
        method: 'GET',
        path,
        query: { ...query, watch: 'true' },
        signal: abort.signal,
      });
      const seen: WatchEvent<AnswerBody>[] = [];
      const work = during?.();
      if (count > 0)
        for await (const events of watch) {
          seen.push(...events);
          if (seen.length >= count) break;
        }
      abort.abort();
      await work;
      return seen;
    },
  };
}

function overHttp(server: () => TestServer): ApiCaller {
  const url = (path: string, query: Readonly<Record<string, string>> | undefined): string =>
    `${server().url}${path}${query === undefined ? '' : `?${new URLSearchParams(query).toString()}`}`;
  return {
    name: 'over HTTP',
    async call(method, path, { query, body, contentType = 'application/json' } = {}) {
      const response = await fetch(url(path, query), {
        method,
        headers: body === undefined ? {} : { 'content-type': contentType },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      const warning = response.headers.get('warning');
      return {
        // What was created or accepted is one success to callers inside the process.
        code: response.status < 300 ? 200 : response.status,
        body: JSON.parse(text) as AnswerBody,
        warnings: warning === null ? [] : warning.split(/, (?=299 )/).map((text) => text.slice(7, -1)),
      };
    },
    async watch(path, query, count, during) {
      const abort = new AbortController();
      const response = await fetch(url(path, { ...query, watch: 'true' }), { signal: abort.signal });
      if (!response.ok) throw new StatusError((await response.json()) as StatusError['status']);
      const work = during?.();
      const seen: WatchEvent<AnswerBody>[] = [];
      if (count > 0) {
        let rest = '';
        const decoder = new TextDecoder();
        for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
          rest += decoder.decode(chunk, { stream: true });
          const lines = rest.split('\n');
          rest = lines.pop() as string;
          for (const line of lines) {
            const event = JSON.parse(line) as
              WatchEvent<AnswerBody> | { type: 'ERROR'; object: StatusError['status'] };
            if (event.type === 'ERROR') throw new StatusError(event.object);
            seen.push(event);
          }
          if (seen.length >= count) break;
        }
      }
      abort.abort();
      await work;
      return seen;
    },
  };
}
