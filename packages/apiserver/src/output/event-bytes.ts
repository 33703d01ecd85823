/** Watch events as bytes: `{"type":"ADDED","object":{…}}` and a newline each. */
import { bytesOf, type ServedResource } from '../registry/served-resource.ts';
import type { EmittedEvent, EventEncoder } from '../watch-cache/watch-group.ts';

const HEADS: Readonly<Record<EmittedEvent['type'], Buffer>> = {
  ADDED: Buffer.from('{"type":"ADDED","object":'),
  MODIFIED: Buffer.from('{"type":"MODIFIED","object":'),
  DELETED: Buffer.from('{"type":"DELETED","object":'),
};
const BRACE = 0x7d;
const NEWLINE = 0x0a;

/** Plain JSON in the served version. Hot: guarded by bench/apiserver (watch events to 100 watchers). */
export function jsonEventEncoder(served: ServedResource): EventEncoder {
  return {
    id: `json ${served.apiVersion}`,
    encode: (events) => {
      const parts: Buffer[] = [];
      let length = 0;
      for (const { type, record } of events) {
        const bytes = bytesOf(served, record);
        parts.push(HEADS[type], bytes);
        length += HEADS[type].length + bytes.length + 1;
      }
      const joined = Buffer.allocUnsafeSlow(length);
      let offset = 0;
      for (let at = 0; at < parts.length; at += 2) {
        offset += (parts[at] as Buffer).copy(joined, offset);
        const bytes = parts[at + 1] as Buffer;
        offset += bytes.copy(joined, offset, 0, bytes.length - 1);
        joined[offset++] = BRACE;
        joined[offset++] = NEWLINE;
      }
      return joined;
    },
  };
}

/** One JSON document per event, made from what `object` gives for it. */
export function mappedEventEncoder(id: string, object: (event: EmittedEvent) => unknown): EventEncoder {
  return {
    id,
    encode: (events) =>
      Buffer.from(
        events.map((event) => `${JSON.stringify({ type: event.type, object: object(event) })}\n`).join(''),
      ),
  };
}

/** Says how far the watch has come; after the initial events also that they are complete (KEP-3157). */
export function bookmarkObject(
  kind: string,
  apiVersion: string,
  revision: number,
  initialEventsEnd: boolean,
): object {
  return {
    kind,
    apiVersion,
    metadata: {
      resourceVersion: String(revision),
      creationTimestamp: null,
      ...(initialEventsEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
    },
  };
}
