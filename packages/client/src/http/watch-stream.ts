import { fromStatus } from '@k8ts/apimachinery';

import type { WatchEvent } from '../transport.ts';
import { isStatus } from './response-error.ts';

/** One event may be as large as the largest object, with room; more is no watch stream. */
const MAX_LINE = 64 << 20;
const NEWLINE = 0x0a;

/**
 * Splits a stream of chunks into its JSON lines. What came together is yielded together, parsed. A last line without its
 * newline was cut off and is dropped: the watch resumes from the event before it.
 */
export async function* watchEvents<T>(
  chunks: AsyncIterable<Buffer>,
): AsyncGenerator<readonly WatchEvent<T>[], void, undefined> {
  let rest: Buffer[] = [];
  let restLength = 0;
  for await (const chunk of chunks) {
    const end = chunk.lastIndexOf(NEWLINE);
    if (end < 0) {
      rest.push(chunk);
      restLength += chunk.length;
      if (restLength > MAX_LINE) throw new Error(`a watch event is longer than ${MAX_LINE} bytes`);
      continue;
    }
    const text = Buffer.concat([...rest, chunk.subarray(0, end)]).toString('utf8');
    rest = end + 1 < chunk.length ? [chunk.subarray(end + 1)] : [];
    restLength = chunk.length - end - 1;

    const events: WatchEvent<T>[] = [];
    for (const line of text.split('\n')) {
      if (line === '' || line === '\r') continue;
      const event = JSON.parse(line) as { type: string; object: unknown };
      if (event.type === 'ERROR') {
        if (events.length > 0) yield events;
        throw isStatus(event.object)
          ? fromStatus(event.object)
          : new Error(`watch error: ${line.slice(0, 1024)}`);
      }
      events.push(event as WatchEvent<T>);
    }
    if (events.length > 0) yield events;
  }
}
