/**
 * Lists as bytes: a head, then the stored bytes of the items in pieces of a leaf each, then an end. Whole leaves are joined
 * once and kept. Hot: guarded by bench/apiserver (lists of 5,000 objects).
 */
import type { ListResult } from '../request/result.ts';
import { bytesOf, isCustom, type ServedResource } from '../registry/served-resource.ts';
import type { ObjectRecord } from '../storage/object-record.ts';
import type { Stretch } from '../watch-cache/ordered-records.ts';

export function listHead(list: ListResult, kind: string, apiVersion: string): string {
  const metadata: Record<string, unknown> = { resourceVersion: list.revision };
  if (list.continueToken !== '') metadata['continue'] = list.continueToken;
  if (list.remainingItemCount !== undefined) metadata['remainingItemCount'] = list.remainingItemCount;
  return `{"kind":${JSON.stringify(kind)},"apiVersion":${JSON.stringify(apiVersion)},"metadata":${JSON.stringify(metadata)},"items":[`;
}

export const LIST_END = ']}\n';

/** The items with a comma between them, piece by piece. The pieces must not be changed. */
export function* itemPieces({ served, stretches }: ListResult): Generator<Buffer> {
  let isFirst = true;
  for (const stretch of stretches) {
    const piece = joinedItems(served, stretch);
    yield isFirst ? piece.subarray(1) : piece;
    isFirst = false;
  }
}

function joinedItems(served: ServedResource, { leaf, records, from, to }: Stretch): Buffer {
  // Only the storage version's bytes are worth keeping: nearly everybody asks for them.
  const isPlain = served.encoding === served.storage.encoding;
  if (leaf === undefined || !isPlain || leaf.records !== records) return joinItems(served, records, from, to);
  return (leaf.joined ??= joinItems(served, records, from, to));
}

const COMMA_BRACE = 0x2c7b;

/**
 * `,{"metadata":…}` for each record: kind and apiVersion are left out inside lists, as upstream does. Those of custom
 * resources have them.
 */
function joinItems(
  served: ServedResource,
  records: readonly ObjectRecord[],
  from: number,
  to: number,
): Buffer {
  const skip = isCustom(served) ? 1 : served.encoding.metadataAt;
  const parts: Buffer[] = [];
  let length = 0;
  for (let at = from; at < to; at++) {
    const bytes = bytesOf(served, records[at] as ObjectRecord);
    parts.push(bytes);
    length += bytes.length - skip + 1; // minus the newline, plus comma and brace
  }
  const joined = Buffer.allocUnsafeSlow(length);
  let offset = 0;
  for (const bytes of parts) {
    offset = joined.writeUInt16BE(COMMA_BRACE, offset);
    offset += bytes.copy(joined, offset, skip, bytes.length - 1);
  }
  return joined;
}
