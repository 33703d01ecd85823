/** Token authenticators put together (k8s.io/apiserver/pkg/authentication/{token/union,token/cache,authenticator}). */
import { createHmac, randomBytes } from 'node:crypto';
import { aggregateText } from '@k8ts/apimachinery';
import { abortable, errorMessage, realClock, type Clock, type Metrics } from '@k8ts/base';
import { TtlCache } from '../configuration/ttl-cache.ts';
import type { Authentication, TokenAuthenticator } from './contract.ts';

type Answer = Authentication | undefined;

/** Asks one after the other. Where none accepts, what they have said of the token is thrown; `undefined` if nothing. */
export function unionToken(authenticators: readonly TokenAuthenticator[]): TokenAuthenticator {
  return {
    name: 'union',
    authenticateToken(token, audiences) {
      const ask = (from: number, errors: readonly string[]): Answer | Promise<Answer> => {
        let seen = errors;
        for (let at = from; at < authenticators.length; at++) {
          try {
            const answer = (authenticators[at] as TokenAuthenticator).authenticateToken(token, audiences);
            if (answer instanceof Promise)
              return answer.then(
                (accepted) => accepted ?? ask(at + 1, seen),
                (error: unknown) => ask(at + 1, [...seen, errorMessage(error)]),
              );
            if (answer !== undefined) return answer;
          } catch (error) {
            seen = [...seen, errorMessage(error)];
          }
        }
        if (seen.length > 0) throw new Error(aggregateText(seen));
        return undefined;
      };
      return ask(0, []);
    },
  };
}

/** For authenticators that know nothing of audiences: their tokens are good for those of the API server. */
export function audienceAgnostic(
  own: readonly string[],
  authenticator: TokenAuthenticator,
): TokenAuthenticator {
  return {
    name: authenticator.name,
    authenticateToken(token, audiences) {
      const accepted = audiences.filter((audience) => own.includes(audience));
      if (accepted.length === 0) return undefined;
      const answer = authenticator.authenticateToken(token, audiences);
      const finish = (found: Answer): Answer =>
        found === undefined ? undefined : { ...found, audiences: accepted };
      return answer instanceof Promise ? answer.then(finish) : finish(answer);
    },
  };
}

const MAX_RECORDS = 32_768;
/** What many wait for together is given up after this. */
const SHARED_TIMEOUT = 30_000;

export interface TokenCacheOptions {
  /** Milliseconds that an accepted token is remembered, and one that nobody knows; 0: not at all. Errors never are. */
  readonly successTtl: number;
  readonly failureTtl: number;
  readonly clock: Clock;
  readonly metrics?: Metrics;
}

/**
 * Remembers answers, by a keyed digest of the token, so that no tokens are kept; who asks while the answer is still being
 * found waits for the same one.
 */
export function cachedToken(
  authenticator: TokenAuthenticator,
  options: TokenCacheOptions,
): TokenAuthenticator {
  const { successTtl, failureTtl, clock, metrics } = options;
  const records = new TtlCache<{ readonly answer: Answer }>(clock, MAX_RECORDS);
  const pending = new Map<string, Promise<Answer>>();
  const secret = randomBytes(32);
  const requests = metrics?.counter({
    name: 'authentication_token_cache_request_total',
    help: '',
    labels: ['status'],
  });
  const fetches = metrics?.counter({
    name: 'authentication_token_cache_fetch_total',
    help: '',
    labels: ['status'],
  });

  const fetch = async (key: string, token: string, audiences: readonly string[]): Promise<Answer> => {
    const limit = new AbortController();
    const cancel = realClock.setTimeout(
      () => limit.abort(new Error('context deadline exceeded')),
      SHARED_TIMEOUT,
    );
    try {
      const answer = await abortable(
        Promise.resolve(authenticator.authenticateToken(token, audiences)),
        limit.signal,
      );
      fetches?.increment(['ok']);
      records.set(key, { answer }, answer === undefined ? failureTtl : successTtl);
      return answer;
    } catch (error) {
      fetches?.increment(['error']);
      throw error;
    } finally {
      cancel();
      pending.delete(key);
    }
  };

  return {
    name: authenticator.name,
    authenticateToken(token, audiences) {
      const key = createHmac('sha256', secret)
        .update(JSON.stringify([token, audiences]))
        .digest('base64');
      const record = records.get(key);
      requests?.increment([record === undefined ? 'miss' : 'hit']);
      if (record !== undefined) return record.answer;
      let shared = pending.get(key);
      if (shared === undefined) pending.set(key, (shared = fetch(key, token, audiences)));
      return shared;
    },
  };
}
