import { Writable } from 'node:stream';

import type { Status } from '@k8ts/apimachinery';
import { abortable, type Clock } from '@k8ts/base';

import { withDeadline } from '../../deadline.ts';
import {
  plainStatus,
  type RemoteCommandOptions,
  type RemoteCommandSession,
  terminalSizes,
} from '../remote-command.ts';
import type { UpgradeRequest } from '../upgrade.ts';
import type { SpdyStream } from './spdy-connection.ts';
import { acceptSpdy } from './spdy-upgrade.ts';

/** The newest first. What each added: v2 fixed streams that end early, v3 the terminal's size, v4 the status as JSON. */
const PROTOCOLS = ['v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io'];
const STREAM_CREATION_TIMEOUT = 30_000;

/** exec and attach over SPDY: the client opens one stream for each of error, stdin, stdout, stderr and resize. */
export async function spdyRemoteCommand(
  upgrade: UpgradeRequest,
  options: RemoteCommandOptions,
  clock: Clock,
): Promise<RemoteCommandSession | undefined> {
  const streams = new Map<string, SpdyStream>();
  let arrived = (): void => undefined;
  const accepted = acceptSpdy(upgrade, PROTOCOLS, 'channel.k8s.io', (stream) => {
    const type = stream.header('streamtype');
    stream.on('error', () => undefined); // a client that goes away ends the session by its connection
    if (!['error', 'stdin', 'stdout', 'stderr', 'resize'].includes(type) || streams.has(type)) {
      stream.destroy();
      return;
    }
    streams.set(type, stream);
    arrived();
  });
  if (accepted === undefined) return undefined;
  const { connection, protocol } = accepted;
  const gone = new AbortController();
  void connection.closed.then(() => gone.abort(new Error('the client has gone')));

  const hasResize = options.tty && (protocol.startsWith('v3') || protocol.startsWith('v4'));
  const expected = [
    'error',
    ...(options.stdin ? ['stdin'] : []),
    ...(options.stdout ? ['stdout'] : []),
    ...(options.stderr && !options.tty ? ['stderr'] : []),
    ...(hasResize ? ['resize'] : []),
  ];
  const complete = (): boolean => expected.every((type) => streams.has(type));
  try {
    await withDeadline(clock, STREAM_CREATION_TIMEOUT, gone.signal, async (signal) => {
      while (!complete()) {
        const stream = new Promise<void>((resolve) => {
          arrived = resolve;
        });
        await abortable(stream, signal);
      }
    });
  } catch {
    connection.close(); // timed out waiting for client to create streams, or the client left
    return undefined;
  }

  const get = (type: string): SpdyStream | undefined =>
    expected.includes(type) ? streams.get(type) : undefined;
  const stdin = get('stdin');
  const stdout = get('stdout');
  const stderr = get('stderr');
  const resize = get('resize');
  const error = streams.get('error') as SpdyStream;
  // Nothing is read from these; without reading, the client's closing of them is never seen.
  for (const stream of [stdout, stderr, error]) stream?.resume();
  stdin?.on('end', () => undefined);
  return {
    ...(stdin === undefined ? {} : { stdin }),
    ...(stdout === undefined ? {} : { stdout: outwards(stdout) }),
    ...(stderr === undefined ? {} : { stderr: outwards(stderr) }),
    ...(resize === undefined ? {} : { resize: terminalSizes(resize as AsyncIterable<Buffer>) }),
    signal: gone.signal,
    writeStatus: (status: Status) =>
      new Promise((resolve) => {
        const text = protocol.startsWith('v4') ? JSON.stringify(status) : plainStatus(status);
        error.once('close', resolve);
        if (text === '') error.end(resolve);
        else error.end(text, resolve);
      }),
    close: async () => {
      connection.close();
      await connection.closed;
    },
  };
}

/** Only the writing half: whoever waits for its end does not wait for the client to close its half too. */
function outwards(stream: SpdyStream): Writable {
  const writable = new Writable({
    write: (chunk: Buffer, _encoding, done) => void stream.write(chunk, done),
    final: (done) => void stream.end(done),
  });
  stream.once('close', () => writable.destroy());
  writable.on('error', () => undefined);
  return writable;
}
