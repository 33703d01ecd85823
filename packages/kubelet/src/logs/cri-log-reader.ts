import { watch } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';

import type { Clock } from '@k8ts/base';
import { type LogSource, parseLogRecord } from '@k8ts/cri';

import type { LogOptions } from './log-options.ts';

export interface LogReaderInput {
  readonly clock: Clock;
  readonly options: LogOptions;
  readonly signal: AbortSignal;
}

const CHUNK = 64 * 1024;
const LINE_LIMIT = 256 * 1024;
const POLL_INTERVAL = 1_000;
const NEWLINE = 0x0a;

/**
 * A container's log as kubectl shows it: the texts of the CRI records that the options ask for. Items are pieces of
 * output. Ends with the log, with `follow` when the container has ended and all is read, or when the signal aborts.
 */
export async function* readLogFile(
  path: string,
  input: LogReaderInput,
  isRunning: () => Promise<boolean>,
): AsyncGenerator<Buffer, void, undefined> {
  const from = input.options.tail === undefined ? 0 : await tailStart(path, input.options.tail);
  yield* render(fileLines(path, from, input, isRunning), input.options);
}

/** The same of a runtime that keeps logs itself. */
export async function* readLogSource(
  source: LogSource,
  containerId: string,
  { options, signal }: LogReaderInput,
): AsyncGenerator<Buffer, void, undefined> {
  let skip = 0;
  if (options.tail !== undefined) {
    let lines = 0;
    for await (const _line of source.read(containerId, { follow: false, signal })) lines++;
    skip = Math.max(0, lines - options.tail);
  }
  yield* render(sourceLines(source, containerId, skip, options.follow, signal), options);
}

async function* sourceLines(
  source: LogSource,
  containerId: string,
  skip: number,
  follow: boolean,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  let index = 0;
  for await (const line of source.read(containerId, { follow, signal }))
    if (index++ >= skip) yield Buffer.from(line.endsWith('\n') ? line.slice(0, -1) : line);
}

/** Records to output: filters, times before lines, and the limit. Consecutive records leave together. */
async function* render(
  lines: AsyncIterable<Buffer>,
  options: LogOptions,
): AsyncGenerator<Buffer, void, undefined> {
  let left = options.limitBytes ?? Number.POSITIVE_INFINITY;
  let continued = false; // the record before was partial: its line goes on
  for await (const line of lines) {
    const record = parseLogRecord(line);
    if (record === undefined) continue; // a line that was cut off by a crash
    if (options.stream !== undefined && record.stream !== options.stream) continue;
    if (options.since !== undefined && Date.parse(record.timestamp) < options.since) continue;
    const parts: Buffer[] = [];
    if (options.timestamps && !continued) parts.push(Buffer.from(`${record.timestamp} `));
    parts.push(record.content);
    if (!record.partial) parts.push(Buffer.from('\n'));
    continued = record.partial;
    const output = Buffer.concat(parts);
    if (output.length >= left) {
      yield output.subarray(0, left);
      return;
    }
    left -= output.length;
    if (output.length > 0) yield output;
  }
}

/** Where the last `count` lines of the file begin. */
async function tailStart(path: string, count: number): Promise<number> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    if (count === 0) return size;
    let seen = 0;
    const buffer = Buffer.alloc(CHUNK);
    for (let end = size; end > 0;) {
      const start = Math.max(0, end - CHUNK);
      const { bytesRead } = await file.read(buffer, 0, end - start, start);
      for (let at = bytesRead - 1; at >= 0; at--) {
        // The newline at the very end closes the last line, it does not begin one.
        if (buffer[at] === NEWLINE && start + at !== size - 1 && ++seen === count) return start + at + 1;
      }
      end = start;
    }
    return 0;
  } finally {
    await file.close();
  }
}

/** The lines of a file from an offset on; with `follow` also those that come, across rotations. */
async function* fileLines(
  path: string,
  from: number,
  { options, clock, signal }: LogReaderInput,
  isRunning: () => Promise<boolean>,
): AsyncGenerator<Buffer, void, undefined> {
  let file = await open(path, 'r');
  let position = from;
  let rest = Buffer.alloc(0);
  const changes = options.follow ? watchFile(path, clock, signal) : undefined;
  try {
    for (;;) {
      const buffer = Buffer.alloc(CHUNK);
      const { bytesRead } = await file.read(buffer, 0, CHUNK, position);
      if (bytesRead > 0) {
        position += bytesRead;
        let text = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
        for (let end = text.indexOf(NEWLINE); end >= 0; end = text.indexOf(NEWLINE)) {
          yield text.subarray(0, end);
          text = text.subarray(end + 1);
        }
        rest = text.length > LINE_LIMIT ? Buffer.alloc(0) : text;
        continue;
      }
      if (changes === undefined || signal.aborted) break;
      const next = await rotated(path, file);
      if (next !== undefined) {
        await file.close();
        file = next;
        position = 0;
        rest = Buffer.alloc(0);
        continue;
      }
      // Asked before the last look: what was written before the container ended is read in any case.
      const running = await isRunning();
      if (!running && (await file.stat()).size <= position) break;
      if (running) await changes.next();
    }
  } finally {
    changes?.close();
    await file.close();
  }
}

/** The new file at the path, when it is another one than the open one. */
async function rotated(path: string, file: FileHandle): Promise<FileHandle | undefined> {
  const [now, open_] = await Promise.all([stat(path).catch(() => undefined), file.stat()]);
  if (now === undefined || (now.ino === open_.ino && now.dev === open_.dev)) return undefined;
  return open(path, 'r').catch(() => undefined);
}

interface FileChanges {
  /** Resolves at the next change, after a second, or when the signal aborts. */
  next(): Promise<void>;
  close(): void;
}

function watchFile(path: string, clock: Clock, signal: AbortSignal): FileChanges {
  let changed = false;
  let wake: (() => void) | undefined;
  const notify = (): void => {
    changed = true;
    wake?.();
  };
  // The directory, because a rotation replaces the file.
  const watcher = watch(dirname(path), (_event, name) => {
    if (name === null || name === basename(path)) notify();
  });
  watcher.on('error', () => undefined); // the poll goes on
  signal.addEventListener('abort', notify, { once: true });
  return {
    async next() {
      if (!changed && !signal.aborted)
        await new Promise<void>((resolve) => {
          const cancel = clock.setTimeout(resolve, POLL_INTERVAL);
          wake = () => {
            cancel();
            resolve();
          };
        });
      wake = undefined;
      changed = false;
    },
    close() {
      watcher.close();
      signal.removeEventListener('abort', notify);
    },
  };
}
