import type { StatusError } from '@k8ts/apimachinery';
import type { WatchResult, WatchSession } from '../../request/result.ts';
import type { EventEncoder, WatchSink } from '../../watch-cache/watch-group.ts';
import { catchUp, selectionOf, type ListScope } from './list.ts';
import { parseResourceVersion, type ListParameters } from './options.ts';

/** Seconds; a watch without `timeoutSeconds` ends after one to two times this (upstream: min-request-timeout). */
const MIN_REQUEST_TIMEOUT = 1_800;

/**
 * WATCH (kubernetes.io/docs/reference/using-api/api-concepts#semantics-for-watch). Everything that can be refused is
 * refused before the first byte, except a resource version that is too old, which upstream reports as an event of a watch
 * that was accepted.
 */
export async function watch(
  scope: ListScope & { readonly random: () => number },
  parameters: ListParameters,
): Promise<WatchResult> {
  const { served, clock } = scope;
  const { cache } = served.storage;
  const selection = selectionOf(scope, parameters);
  const revision = parseResourceVersion(parameters.resourceVersion);
  const { sendInitialEvents } = parameters;
  if (!cache.loaded) await cache.load();
  if (parameters.resourceVersion === '') await catchUp(scope);
  else if (revision > cache.revision) await cache.waitFor(revision);

  const initialEvents = sendInitialEvents === true;
  // "Start at most recent" and "at any" without initial events begin now; a version begins after itself.
  const after = initialEvents || revision === 0 ? undefined : revision;
  const seconds =
    parameters.timeoutSeconds !== undefined && parameters.timeoutSeconds > 0
      ? parameters.timeoutSeconds
      : MIN_REQUEST_TIMEOUT * (1 + scope.random());

  return {
    kind: 'watch',
    served,
    start(encoder: EventEncoder, sink: WatchSink, onEnd: (error?: StatusError) => void): WatchSession {
      let cancelTimeout: (() => void) | undefined = undefined;
      const watcher = cache.watch({
        selection,
        encoder,
        sink,
        bookmarks: parameters.allowWatchBookmarks,
        after,
        initialEvents,
        initialEventsEnd: initialEvents && parameters.allowWatchBookmarks,
        onEnd: (error) => {
          cancelTimeout?.();
          onEnd(error);
        },
      });
      cancelTimeout = clock.setTimeout(() => {
        watcher.sendBookmark();
        watcher.close();
        onEnd();
      }, seconds * 1_000);
      return {
        close: () => {
          cancelTimeout?.();
          watcher.close();
        },
      };
    },
  };
}
