import type { Readable, Writable } from 'node:stream';

import { internalError, type Status } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import type { ContainerStreams, ExitStatus, TerminalSize } from '@k8ts/cri';

/** What a client asked for; absent streams are not connected. */
export interface RemoteCommandOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

/** The client's streams, whatever they travel in. */
export interface RemoteCommandSession {
  readonly stdin?: Readable;
  readonly stdout?: Writable;
  readonly stderr?: Writable;
  readonly resize?: AsyncIterable<TerminalSize>;
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal;
  /** Says how it ended, on the error channel, in the form of the protocol. */
  writeStatus(status: Status): Promise<void>;
  /** Flushes and closes. */
  close(): Promise<void>;
}

const SUCCESS: Status = { metadata: {}, status: 'Success' } as unknown as Status;

/** Runs a command with a client's streams and tells the client how it ended; never rejects. */
export async function runRemoteCommand(
  session: RemoteCommandSession,
  command: readonly string[],
  run: (streams: ContainerStreams, signal: AbortSignal) => Promise<ExitStatus | undefined>,
): Promise<void> {
  let status: Status;
  try {
    const streams: ContainerStreams = {
      ...(session.stdin === undefined ? {} : { stdin: session.stdin }),
      ...(session.stdout === undefined ? {} : { stdout: session.stdout }),
      ...(session.stderr === undefined ? {} : { stderr: session.stderr }),
      ...(session.resize === undefined ? {} : { resize: session.resize }),
    };
    const exit = await run(streams, session.signal);
    status = exit === undefined || exit.exitCode === 0 ? SUCCESS : nonZeroExit(command, exit.exitCode);
  } catch (error) {
    status = internalError(new Error(`error executing command in container: ${errorMessage(error)}`)).status;
  }
  await finishWriting(session);
  await session.writeStatus(status).catch(() => undefined);
  await session.close().catch(() => undefined);
}

/** kubectl takes the exit code from the cause. */
function nonZeroExit(command: readonly string[], exitCode: number): Status {
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: error executing command [${command.join(' ')}], exit code ${exitCode}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(exitCode) }] },
  } as unknown as Status;
}

/** All output is on its way before the status: clients stop reading when they have that. */
async function finishWriting({ stdout, stderr }: RemoteCommandSession): Promise<void> {
  for (const stream of [stdout, stderr]) if (stream !== undefined) await endOf(stream);
}

function endOf(stream: Writable): Promise<void> {
  if (stream.destroyed || stream.writableFinished) return Promise.resolve();
  return new Promise((resolve) => {
    stream.once('finish', resolve);
    stream.once('close', resolve);
    stream.once('error', () => resolve());
    if (!stream.writableEnded) stream.end();
  });
}

/** Before v4 the error channel carries a text, and nothing on success. */
export function plainStatus(status: Status): string {
  return status.status === 'Success' ? '' : (status.message ?? '');
}

const RESIZE_LIMIT = 1024;

/** Terminal sizes out of a stream of JSON objects: `{"Width":80,"Height":24}`, one after the other. */
export async function* terminalSizes(
  stream: AsyncIterable<Buffer | string>,
): AsyncGenerator<TerminalSize, void, undefined> {
  let text = '';
  for await (const chunk of stream) {
    text += chunk.toString();
    for (let end = text.indexOf('}'); end >= 0; end = text.indexOf('}')) {
      const size = terminalSize(text.slice(0, end + 1));
      text = text.slice(end + 1);
      if (size !== undefined) yield size;
    }
    if (text.length > RESIZE_LIMIT) return; // no terminal says so much
  }
}

function terminalSize(json: string): TerminalSize | undefined {
  try {
    const { Width, Height } = JSON.parse(json) as { Width?: unknown; Height?: unknown };
    const isSize = (value: unknown): value is number =>
      Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffff;
    return isSize(Width) && isSize(Height) ? { width: Width, height: Height } : undefined;
  } catch {
    return undefined;
  }
}
