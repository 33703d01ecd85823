/**
 * How many seats a request takes (k8s.io/apiserver/pkg/util/flowcontrol/request). Lists are wide: they put many objects
 * into memory at once. Writes take one seat; upstream adds some for the watchers of what is written, each of which costs
 * it a goroutine. Here an event is encoded once for all who watch alike (docs/adr/0073-watch-groups.md).
 */
import type { Query } from '../request/query.ts';
import type { RequestInfo } from '../request/request-info.ts';

const BYTES_PER_SEAT = 100_000;
/** A list leaves as it is read, so it holds no more than this. */
const STREAMED_BYTES = 1_000_000;
const MAX_LIST_SEATS = 100;

/** What there is of a resource; undefined: it is not ours to serve. */
export interface ObjectStats {
  readonly count: number;
  /** Bytes of one. */
  readonly averageSize: number;
}

export function estimateSeats(
  info: RequestInfo,
  query: Query,
  maxSeats: number,
  stats: (info: RequestInfo) => ObjectStats | undefined,
): number {
  if (info.verb !== 'list' && info.verb !== 'watch') return 1;
  if (info.verb === 'watch' && !beginsWithAll(query)) return 1;
  const known = stats(info);
  if (known === undefined) return 1;
  const limit = Number(query.get('limit') ?? '');
  const objects = info.name !== '' ? 1 : limit > 0 && limit < known.count ? limit : known.count;
  const bytes = Math.min(objects * known.averageSize, STREAMED_BYTES);
  return Math.max(1, Math.min(Math.ceil(bytes / BYTES_PER_SEAT), maxSeats, MAX_LIST_SEATS));
}

/** A watch is cheap unless it first sends what is there. */
function beginsWithAll(query: Query): boolean {
  if (query.get('sendInitialEvents') === 'true') return true;
  const resourceVersion = query.get('resourceVersion') ?? '';
  return resourceVersion === '' || resourceVersion === '0';
}
