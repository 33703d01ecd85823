import { badRequest, parseDuration } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import type { RequestContext } from './request-context.ts';

/** Milliseconds; upstream's --request-timeout. */
export const DEFAULT_REQUEST_TIMEOUT = 60_000;

const LONG_RUNNING_SUBRESOURCES = new Set(['attach', 'exec', 'proxy', 'log', 'portforward']);

/** Watches and streams: they may stay as long as they like, and are not counted (upstream: longRunningRequestCheck). */
export function isLongRunning({ info }: RequestContext): boolean {
  return info.verb === 'watch' || info.verb === 'proxy' || LONG_RUNNING_SUBRESOURCES.has(info.subresource);
}

/**
 * Milliseconds within which the answer must have been sent: `?timeout=` where it is shorter than the server's own; undefined
 * for what may run long. A value that is no duration is a 400 (apiserver/pkg/endpoints/filters: WithRequestDeadline).
 */
export function timeLimitOf(context: RequestContext, maximum: number): number | undefined {
  if (isLongRunning(context)) return undefined;
  const { query } = context;
  const text = query.isEmpty ? undefined : query.get('timeout');
  if (text === undefined || text === '') return maximum;
  const asked = milliseconds(text);
  return asked > 0 && asked < maximum ? asked : maximum;
}

function milliseconds(duration: string): number {
  try {
    return Number(parseDuration(duration)) / 1e6;
  } catch (error) {
    throw badRequest(`invalid timeout specified in the request URL - ${errorMessage(error)}`);
  }
}
