import { spawn } from 'node:child_process';
import { constants, watch } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { COMMAND_ENVIRONMENT } from '@k8ts/base';
import type { AttachRequest, ContainerStreams } from '../../contract.ts';
import { parseLogRecord } from '../../logs/cri-log.ts';

export interface AttachContext {
  readonly bundle: string;
  readonly logPath: string;
  readonly control: string;
  readonly stdinOnce: boolean;
  readonly acceptsInput: boolean;
  readonly socat: string | undefined;
  /** Resolves when the container has ended. */
  readonly ended: Promise<void>;
}

/**
 * Connects a client to a container's own streams. What it writes is read from its log, which conmon writes at once and
 * without waiting for line ends, so nothing is between them that could hold the container up. Input goes to conmon's
 * socket; that is of a kind (SOCK_SEQPACKET) which Node does not know, so socat speaks to it.
 */
export async function attachStreams(
  context: AttachContext,
  request: AttachRequest,
  streams: ContainerStreams,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const stdin = context.acceptsInput ? streams.stdin : undefined;
  if (stdin !== undefined && context.socat === undefined)
    throw new Error('attaching with input needs socat (Debian: apt install socat)');
  // Before input can reach the container: what it answers comes after this place.
  const log = await openAtEnd(context.logPath);
  const stop = new AbortController();
  const end = (): void => stop.abort();
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  void context.ended.then(end);
  const stopInput = stdin === undefined ? undefined : connectInput(context, stdin);
  const resizing =
    request.tty && streams.resize !== undefined
      ? followSizes(context.control, streams, stop.signal)
      : undefined;
  try {
    await followLog(context.logPath, log, request, streams, stop.signal);
    await resizing;
  } finally {
    signal.removeEventListener('abort', end);
    stop.abort();
    stopInput?.();
  }
}

function connectInput(context: AttachContext, stdin: NodeJS.ReadableStream): () => void {
  // Type 5 is SOCK_SEQPACKET. The relative path keeps within the length limit of socket addresses.
  const child = spawn(context.socat as string, ['-u', 'STDIN', 'UNIX-CONNECT:attach,type=5'], {
    cwd: context.bundle,
    env: COMMAND_ENVIRONMENT,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.on('error', () => undefined); // the output side goes on; the container's end is seen there
  child.stdin.on('error', () => undefined);
  stdin.pipe(child.stdin);
  return () => {
    stdin.unpipe(child.stdin);
    child.stdin.destroy();
    child.kill('SIGTERM');
  };
}

async function followSizes(control: string, streams: ContainerStreams, signal: AbortSignal): Promise<void> {
  const iterator = streams.resize?.[Symbol.asyncIterator]();
  if (iterator === undefined) return;
  signal.addEventListener('abort', () => void iterator.return?.(), { once: true });
  void (async () => {
    for (;;) {
      const next = await iterator.next();
      if (signal.aborted || next.done) return;
      await sendControl(control, RESIZE, next.value.height, next.value.width);
    }
  })().catch(() => undefined);
}

const RESIZE = 1;
const REOPEN_LOG = 2;

/** A line of three numbers to conmon's control FIFO: what to do, and two values. */
async function sendControl(control: string, message: number, first = 0, second = 0): Promise<void> {
  // Not blocking: without a conmon at the other end, opening would wait for ever.
  const fifo = await open(control, constants.O_WRONLY | constants.O_NONBLOCK);
  try {
    await fifo.write(`${message} ${first} ${second}\n`);
  } finally {
    await fifo.close();
  }
}

export async function reopenLog(control: string): Promise<void> {
  await sendControl(control, REOPEN_LOG);
}

const READ_SIZE = 64 * 1024;

interface OpenLog {
  readonly file: FileHandle;
  readonly position: number;
}

async function openAtEnd(path: string): Promise<OpenLog> {
  const file = await open(path, 'r');
  return { file, position: (await file.stat()).size };
}

/** Passes on what is written to a CRI log after a place, until the signal aborts and the rest is read. Closes the file. */
async function followLog(
  path: string,
  log: OpenLog,
  request: AttachRequest,
  streams: ContainerStreams,
  signal: AbortSignal,
): Promise<void> {
  let { file, position } = log;
  try {
    let rest: Buffer = Buffer.alloc(0);
    const buffer = Buffer.alloc(READ_SIZE);
    const changes = new Changes(path, signal);
    try {
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, READ_SIZE, position);
        if (bytesRead > 0) {
          position += bytesRead;
          rest = await passOn(Buffer.concat([rest, buffer.subarray(0, bytesRead)]), request, streams);
          continue;
        }
        // Rotated: the path is another file now.
        const current = await open(path, 'r').catch(() => undefined);
        if (current !== undefined) {
          const [ours, theirs] = await Promise.all([file.stat(), current.stat()]);
          if (ours.ino === theirs.ino) await current.close();
          else {
            await file.close();
            file = current;
            position = 0;
            continue;
          }
        }
        if (signal.aborted) return;
        await changes.next();
      }
    } finally {
      changes.close();
    }
  } finally {
    await file.close();
  }
}

/** Returns what is after the last whole line. */
async function passOn(data: Buffer, request: AttachRequest, streams: ContainerStreams): Promise<Buffer> {
  let start = 0;
  for (let end = data.indexOf(0x0a, start); end >= 0; end = data.indexOf(0x0a, start)) {
    const record = parseLogRecord(data.subarray(start, end));
    start = end + 1;
    if (record === undefined) continue;
    const to = record.stream === 'stderr' && !request.tty ? streams.stderr : streams.stdout;
    if (to === undefined || !to.writable) continue;
    const content = record.partial ? record.content : Buffer.concat([record.content, Buffer.from('\n')]);
    if (!to.write(Buffer.from(content))) {
      await new Promise<void>((resolve) => {
        to.once('drain', resolve);
        to.once('close', resolve);
      });
    }
  }
  return Buffer.from(data.subarray(start));
}

/** Wakes up when a file or its directory entry changes. */
class Changes {
  readonly #watcher;
  readonly #signal: AbortSignal;
  #changed = false;
  #wake: (() => void) | undefined;

  constructor(path: string, signal: AbortSignal) {
    this.#signal = signal;
    this.#watcher = watch(path, () => this.#notify());
    this.#watcher.on('error', () => this.#notify());
    signal.addEventListener('abort', this.#notify, { once: true });
  }

  readonly #notify = (): void => {
    this.#changed = true;
    this.#wake?.();
  };

  async next(): Promise<void> {
    if (!this.#changed && !this.#signal.aborted) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#wake = undefined;
    this.#changed = false;
  }

  close(): void {
    this.#signal.removeEventListener('abort', this.#notify);
    this.#watcher.close();
  }
}
