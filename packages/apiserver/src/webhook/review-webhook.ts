/** Webhooks that judge reviews, reached as a kubeconfig file says (k8s.io/apiserver/pkg/util/webhook). */
import { schemaOf } from '@k8ts/api';
import {
  DecodeError,
  formatDuration,
  formatValue,
  goJsonKind,
  goQuote,
  isInternalError,
  isJsonObject,
  isTimeout,
  isTooManyRequests,
  normalizeObject,
  StatusError,
} from '@k8ts/apimachinery';
import { errorMessage, realClock, sleep, systemRandom } from '@k8ts/base';
import { createHttpTransport, type HttpTransportOptions } from '@k8ts/client';

interface ReviewWebhookOptions {
  /** The path in `server` is the very one that is asked. */
  readonly transport: HttpTransportOptions;
  readonly group: 'authentication.k8s.io' | 'authorization.k8s.io';
  readonly version: string;
  readonly kind: string;
  /** Milliseconds for one attempt. Default 30,000. */
  readonly timeout?: number;
  /** Milliseconds before the second attempt; each further wait is half as long again. Default 500. */
  readonly retryDelay?: number;
  /** Told of each attempt, which took so many seconds. */
  readonly onAttempt?: (result: AttemptResult, seconds: number) => void;
}

export type AttemptResult = 'success' | 'canceled' | 'timeout' | 'error';

export interface ReviewWebhook extends AsyncDisposable {
  /** Never rejects. Time is real, whatever clock the cluster runs on: the other side is. */
  review(spec: object): Promise<ReviewOutcome>;
}

/** `review`: the answer in normal form. Otherwise there was none after several attempts, or one that is no such review. */
type ReviewOutcome =
  { readonly review: unknown } | { readonly error: string; readonly result: AttemptResult };

const ATTEMPTS = 5;
/** What a webhook may answer. */
const MAX_ANSWER_BYTES = 3 * 1024 * 1024;

export function createReviewWebhook(options: ReviewWebhookOptions): ReviewWebhook {
  const { group, version, kind, timeout = 30_000, retryDelay = 500, onAttempt } = options;
  const stop = new AbortController();
  const transport = createHttpTransport({
    ...options.transport,
    requestTimeout: timeout,
    maxAnswerBytes: MAX_ANSWER_BYTES,
    userAgent: 'kube-apiserver',
  });
  const apiVersion = `${group}/${version}`;
  const query = { timeout: formatDuration(timeout * 1_000_000) };
  const url = `${options.transport.server}?timeout=${query.timeout}`;
  const { pathname } = new URL(options.transport.server);

  const attempt = async (body: object): Promise<unknown> => {
    const limit = new AbortController();
    const cancel = realClock.setTimeout(() => limit.abort(new DeadlineExceeded()), timeout);
    try {
      const answer = await transport.request<unknown>({
        method: 'POST',
        path: pathname === '/' ? '/' : '',
        query,
        body,
        signal: AbortSignal.any([stop.signal, limit.signal]),
      });
      return decodeReview(answer, { group, version, kind });
    } catch (error) {
      throw limit.signal.aborted ? (limit.signal.reason as Error) : error;
    } finally {
      cancel();
    }
  };

  const resultOf = (error: unknown): AttemptResult => {
    if (stop.signal.aborted) return 'canceled';
    return error instanceof DeadlineExceeded || isTimeout(error) ? 'timeout' : 'error';
  };

  return {
    async review(spec) {
      const body = { kind, apiVersion, metadata: {}, spec };
      for (let count = 1, delay = retryDelay; ; count++, delay *= 1.5) {
        const start = realClock.monotonic();
        const record = (result: AttemptResult): void =>
          onAttempt?.(result, (realClock.monotonic() - start) / 1_000);
        try {
          const review = await attempt(body);
          record('success');
          return { review };
        } catch (error) {
          const result = resultOf(error);
          record(result);
          if (count === ATTEMPTS || result === 'canceled' || !isWorthRetrying(error))
            return { error: errorText(error, url), result };
        }
        await sleep(realClock, delay * (1 + 0.2 * systemRandom()), stop.signal).catch(() => undefined);
      }
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('context canceled'));
      await transport[Symbol.asyncDispose]();
    },
  };
}

/** The answer is none. */
class AnswerError extends Error {
  override readonly name = 'AnswerError';
}

class DeadlineExceeded extends Error {
  override readonly name = 'DeadlineExceeded';

  constructor() {
    super('context deadline exceeded (Client.Timeout exceeded while awaiting headers)');
  }
}

/** Answers speak for themselves; of connections it is said which. */
function errorText(error: unknown, url: string): string {
  const message = errorMessage(error);
  return error instanceof StatusError || error instanceof AnswerError
    ? message
    : `Post ${goQuote(url)}: ${message}`;
}

function isWorthRetrying(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown };
  if (code === 'ECONNRESET' || code === 'EPIPE') return true;
  if (error instanceof StatusError && error.status.details?.retryAfterSeconds !== undefined) return true;
  return isInternalError(error) || isTimeout(error) || isTooManyRequests(error);
}

function decodeReview(
  answer: unknown,
  expected: { readonly group: string; readonly version: string; readonly kind: string },
): unknown {
  const { group, version, kind } = expected;
  if (!isJsonObject(answer))
    throw new AnswerError(
      `couldn't get version/kind; json parse error: json: cannot unmarshal ${answer === undefined ? 'nothing' : goJsonKind(answer)} into Go value of type ${kind}`,
    );
  // As with Go's codecs, what is left out is taken for what was asked.
  const found = [answer['apiVersion'] || `${group}/${version}`, answer['kind'] || kind];
  if (found[0] !== `${group}/${version}` || found[1] !== kind)
    throw new AnswerError(
      `no kind ${formatValue(found[1])} is registered for version ${formatValue(found[0])}`,
    );
  const schema = schemaOf(group, version, kind);
  if (schema === undefined) throw new Error(`no schema for ${group}/${version} ${kind}`);
  try {
    return normalizeObject(answer, schema, { owned: true }).object;
  } catch (error) {
    if (error instanceof DecodeError) throw new AnswerError(error.message);
    throw error;
  }
}
