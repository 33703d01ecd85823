/** The log format of the CRI: `2006-01-02T15:04:05.000000000Z stdout F text`, one record a line. */

export type LogStream = 'stdout' | 'stderr';

/** Longest content of one record; what is longer is cut into records tagged `P` (partial), the last of them `F`. */
export const LOG_RECORD_LIMIT: number = 16 * 1024;

/** Nanosecond notation of a time in milliseconds: `2026-01-01T00:00:00.123000000Z`. */
export function logTimestamp(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, -1)}000000Z`;
}

/** Formats one line of output (without its newline) as one record, or several when it is over the limit. */
export function formatLogLine(milliseconds: number, stream: LogStream, line: string): string {
  const stamp = logTimestamp(milliseconds);
  if (line.length * 3 <= LOG_RECORD_LIMIT || Buffer.byteLength(line) <= LOG_RECORD_LIMIT) {
    return `${stamp} ${stream} F ${line}\n`;
  }
  let records = '';
  let rest: string = line;
  while (Buffer.byteLength(rest) > LOG_RECORD_LIMIT) {
    const cut = cutAtLimit(rest);
    records += `${stamp} ${stream} P ${rest.slice(0, cut)}\n`;
    rest = rest.slice(cut);
  }
  return `${records}${stamp} ${stream} F ${rest}\n`;
}

/** The longest prefix (in UTF-16 units) within the byte limit that does not split a code point. */
function cutAtLimit(text: string): number {
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(LOG_RECORD_LIMIT));
  return read;
}

export interface LogRecord {
  readonly timestamp: string;
  readonly stream: LogStream;
  readonly partial: boolean;
  /** Without the newline that ended it in the log; a full record's own newline is implied. */
  readonly content: Buffer;
}

const SPACE = 0x20;

/** Parses one line of a log file (without its newline). Undefined when it is not in the format. */
export function parseLogRecord(line: Buffer): LogRecord | undefined {
  const afterTime = line.indexOf(SPACE);
  if (afterTime < 0) return undefined;
  const afterStream = line.indexOf(SPACE, afterTime + 1);
  if (afterStream < 0) return undefined;
  const stream = line.toString('latin1', afterTime + 1, afterStream);
  if (stream !== 'stdout' && stream !== 'stderr') return undefined;
  let afterTags = line.indexOf(SPACE, afterStream + 1);
  if (afterTags < 0) afterTags = line.length; // an empty line may come without its last space
  // Tags are joined by colons; the first says full or partial, later ones are reserved.
  const tag = line.toString('latin1', afterStream + 1, afterTags).split(':')[0];
  if (tag !== 'F' && tag !== 'P') return undefined;
  return {
    timestamp: line.toString('latin1', 0, afterTime),
    stream,
    partial: tag === 'P',
    content: line.subarray(Math.min(afterTags + 1, line.length)),
  };
}
