import { isExpired, isTooManyRequests, hasReason, StatusError } from '@k8ts/apimachinery';
import type { KubeObject } from '@k8ts/api';
import { errorMessage, sleep } from '@k8ts/base';
import type { Clock, Logger, Random } from '@k8ts/base';

import { createBackoff } from './backoff.ts';
import type { ClientWatchEvent, ListOptions, ObjectList, ResourceClient } from './contract.ts';

/** Gets what a reflector learns. Both are awaited, so a slow target slows the watch down instead of piling up. */
export interface ReflectorTarget<T extends KubeObject> {
  /** Everything there is now; what is not in it is gone. */
  replace(items: readonly T[], resourceVersion: string): Promise<void> | void;
  /** What changed, in order. No bookmarks. */
  apply(events: readonly ClientWatchEvent<T>[]): Promise<void> | void;
}

export interface ReflectorOptions<T extends KubeObject> {
  readonly source: Pick<ResourceClient<T>, 'list' | 'watch'>;
  readonly target: ReflectorTarget<T>;
  /** For the log: `pods`. */
  readonly name: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly metadataOnly?: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** client-go's: 0.8 s … 30 s, doubled each time, up to twice as long by chance, forgotten after two quiet minutes. */
const BACKOFF = { initial: 800, max: 30_000, factor: 2, jitter: 1, resetAfter: 120_000 };
/** Watches end by themselves after 5 to 10 minutes, so that none hangs for ever and clients spread over servers. */
const MIN_WATCH_SECONDS = 300;
/** A watch that ends sooner, without any event, is no watch but a refusal. */
const SHORT_WATCH = 1000;
const INTERNAL_ERROR_RETRIES = 60_000;
/** Marks the bookmark after the initial events of a watch list (KEP-3157). */
export const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';
const PAGE_SIZE = 500;

/**
 * Keeps `target` equal to what the server has, until the signal aborts: one watch that first sends everything
 * (`sendInitialEvents`), or a list and then a watch where the server cannot do that. A watch that ends is resumed from the
 * last version seen; when that is too old (410) everything is listed again. Whatever goes wrong is tried again after a
 * growing wait.
 */
export async function runReflector<T extends KubeObject>(
  options: ReflectorOptions<T>,
  signal: AbortSignal,
): Promise<void> {
  const { clock, logger } = options;
  const backoff = createBackoff(clock, options.random, BACKOFF);
  const reflector = new Reflector(options, signal, () => sleep(clock, backoff.next(), signal));
  while (!signal.aborted) {
    try {
      await reflector.listAndWatch();
    } catch (error) {
      if (signal.aborted) return;
      logger.warn('listing or watching failed', { resource: options.name, error: errorMessage(error) });
    }
    if (signal.aborted) return;
    await sleep(clock, backoff.next(), signal).catch(() => undefined);
  }
}

type Events<T> = AsyncIterable<readonly ClientWatchEvent<T>[]>;

class Reflector<T extends KubeObject> {
  readonly #options: ReflectorOptions<T>;
  readonly #signal: AbortSignal;
  readonly #wait: () => Promise<void>;
  #lastVersion = '';
  /** The server no longer knows `#lastVersion`: ask for the newest state instead. */
  #lastVersionGone = false;
  #useWatchList = true;

  constructor(options: ReflectorOptions<T>, signal: AbortSignal, wait: () => Promise<void>) {
    this.#options = options;
    this.#signal = signal;
    this.#wait = wait;
  }

  /** Returns when everything must be listed again; throws when not even that could be tried. */
  async listAndWatch(): Promise<void> {
    let stream: AsyncIterator<readonly ClientWatchEvent<T>[]> | undefined;
    if (this.#useWatchList) {
      try {
        stream = await this.#watchList();
      } catch (error) {
        if (this.#signal.aborted) return;
        // Invalid and BadRequest: the server does not know the option, and will not learn it.
        if (hasReason(error, 'Invalid') || hasReason(error, 'BadRequest')) this.#useWatchList = false;
        this.#options.logger.debug('watch list failed, listing instead', {
          resource: this.#options.name,
          error: errorMessage(error),
        });
      }
    }
    if (stream === undefined) await this.#list();
    await this.#watch(stream);
  }

  #openWatch(options: { resourceVersion: string; sendInitialEvents?: boolean }): Promise<Events<T>> {
    const { source, random } = this.#options;
    return source.watch({
      ...this.#selection(),
      ...(options.resourceVersion === '' ? {} : { resourceVersion: options.resourceVersion }),
      ...(options.sendInitialEvents === true
        ? { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' as const }
        : {}),
      allowWatchBookmarks: true,
      timeoutSeconds: Math.floor(MIN_WATCH_SECONDS * (1 + random())),
      signal: this.#signal,
    });
  }

  #selection(): ListOptions {
    const { labelSelector, fieldSelector, metadataOnly } = this.#options;
    return {
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
      ...(metadataOnly === undefined ? {} : { metadataOnly }),
      signal: this.#signal,
    };
  }

  /** Resolves to the stream behind the initial events. */
  async #watchList(): Promise<AsyncIterator<readonly ClientWatchEvent<T>[]>> {
    for (;;) {
      let iterator: AsyncIterator<readonly ClientWatchEvent<T>[]> | undefined;
      try {
        const resourceVersion = this.#lastVersionGone ? '' : this.#lastVersion;
        const events = await this.#openWatch({ resourceVersion, sendInitialEvents: true });
        iterator = events[Symbol.asyncIterator]();
        const initial = await readInitial(iterator);
        if (initial !== undefined) {
          await this.#options.target.replace([...initial.items.values()], initial.resourceVersion);
          this.#lastVersion = initial.resourceVersion;
          this.#lastVersionGone = false;
          if (initial.behind.length > 0) await this.#handle(initial.behind);
          return iterator;
        }
        if (this.#signal.aborted) throw new Error('stopped');
      } catch (error) {
        await iterator?.return?.();
        if (this.#signal.aborted || !this.#mayRetryWatchList(error)) throw error;
        if (isTemporary(error)) await this.#wait();
        continue;
      }
      await this.#wait(); // the stream ended before the initial events did
    }
  }

  #mayRetryWatchList(error: unknown): boolean {
    if (isTemporary(error)) return true;
    if (!isGone(error) || this.#lastVersionGone) return false;
    this.#lastVersionGone = true;
    return true;
  }

  async #list(): Promise<void> {
    // Version 0 is whatever the server has at hand; a version seen before must not be gone back behind.
    const version = this.#lastVersionGone ? '' : this.#lastVersion === '' ? '0' : this.#lastVersion;
    let list: ObjectList<T>;
    try {
      list = await this.#listAll(version);
    } catch (error) {
      if (!isGone(error)) throw error;
      this.#lastVersionGone = true;
      list = await this.#listAll('');
    }
    this.#lastVersionGone = false;
    await this.#options.target.replace(list.items, list.metadata.resourceVersion);
    this.#lastVersion = list.metadata.resourceVersion;
  }

  /**
   * Pages are for servers that read from disk. One that answers from its cache ignores the limit for version 0, and is
   * not asked for pages for a version seen before.
   */
  async #listAll(resourceVersion: string): Promise<ObjectList<T>> {
    const { source } = this.#options;
    const paged = resourceVersion === '' || resourceVersion === '0';
    const first = await source.list({
      ...this.#selection(),
      ...(resourceVersion === '' ? {} : { resourceVersion }),
      ...(paged ? { limit: PAGE_SIZE } : {}),
    });
    let page = first;
    if (!page.metadata.continue) return page;
    const items: T[] = [...page.items];
    while (page.metadata.continue) {
      page = await source.list({ ...this.#selection(), limit: PAGE_SIZE, continue: page.metadata.continue });
      items.push(...page.items);
    }
    return { metadata: page.metadata, items };
  }

  async #watch(opened: AsyncIterator<readonly ClientWatchEvent<T>[]> | undefined): Promise<void> {
    const { clock, logger, name } = this.#options;
    let stream = opened;
    let internalErrorsSince: number | undefined;
    while (!this.#signal.aborted) {
      const start = clock.monotonic();
      if (stream === undefined) {
        try {
          const events = await this.#openWatch({ resourceVersion: this.#lastVersion });
          stream = events[Symbol.asyncIterator]();
        } catch (error) {
          if (isGone(error)) return;
          if (!isTemporary(error)) throw error;
          logger.debug('watch failed, waiting', { resource: name, error: errorMessage(error) });
          await this.#wait();
          continue;
        }
      }
      let count = 0;
      const current = stream;
      stream = undefined;
      try {
        for (;;) {
          const next = await current.next();
          if (next.done === true) break;
          count += next.value.length;
          await this.#handle(next.value);
        }
        internalErrorsSince = undefined;
      } catch (error) {
        await current.return?.().catch(() => undefined);
        if (this.#signal.aborted || isGone(error)) return;
        if (isTooManyRequests(error)) {
          await this.#wait();
          continue;
        }
        if (hasReason(error, 'InternalError')) {
          internalErrorsSince ??= clock.monotonic();
          if (clock.monotonic() - internalErrorsSince < INTERNAL_ERROR_RETRIES) {
            await this.#wait();
            continue;
          }
        }
        if (error instanceof StatusError) {
          logger.warn('watch ended with an error', { resource: name, error: errorMessage(error) });
          return;
        }
        logger.debug('watch was cut off', { resource: name, error: errorMessage(error) });
      }
      if (count === 0 && clock.monotonic() - start < SHORT_WATCH && opened !== current) {
        logger.warn('watch ended at once and without an event', { resource: name });
        return;
      }
    }
  }

  async #handle(events: readonly ClientWatchEvent<T>[]): Promise<void> {
    const last = events.at(-1);
    if (last === undefined) return;
    const changes = events.some(({ type }) => type === 'BOOKMARK')
      ? events.filter(({ type }) => type !== 'BOOKMARK')
      : events;
    if (changes.length > 0) await this.#options.target.apply(changes);
    const version = last.object.metadata.resourceVersion;
    if (version !== undefined && version !== '') this.#lastVersion = version;
  }
}

interface InitialEvents<T> {
  readonly items: Map<string, T>;
  readonly resourceVersion: string;
  /** What came together with the bookmark, after it. */
  readonly behind: readonly ClientWatchEvent<T>[];
}

/** Reads up to the bookmark that ends the initial events; undefined when the stream ends before. */
async function readInitial<T extends KubeObject>(
  iterator: AsyncIterator<readonly ClientWatchEvent<T>[]>,
): Promise<InitialEvents<T> | undefined> {
  const items = new Map<string, T>();
  for (;;) {
    const next = await iterator.next();
    if (next.done === true) return undefined;
    for (const [index, { type, object }] of next.value.entries()) {
      const { namespace = '', name, annotations, resourceVersion } = object.metadata;
      const key = `${namespace}/${name}`;
      if (type === 'DELETED') items.delete(key);
      else if (type !== 'BOOKMARK') items.set(key, object);
      else if (annotations?.[INITIAL_EVENTS_END] === 'true')
        return { items, resourceVersion: resourceVersion ?? '', behind: next.value.slice(index + 1) };
    }
  }
}

/** The version asked for is too old, or one this server has not reached yet. */
function isGone(error: unknown): boolean {
  if (isExpired(error)) return true;
  if (!(error instanceof StatusError) || error.reason !== 'Timeout') return false;
  return (
    error.status.details?.causes?.some(({ reason }) => reason === 'ResourceVersionTooLarge') === true ||
    error.message.includes('Too large resource version')
  );
}

/** The server is away or busy: the watch can go on where it was, there is no need to list. */
function isTemporary(error: unknown): boolean {
  return isTooManyRequests(error) || (error as { code?: unknown } | null)?.code === 'ECONNREFUSED';
}
