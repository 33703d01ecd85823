import type { Status } from '@k8ts/apimachinery';

import {
  plainStatus,
  type RemoteCommandOptions,
  type RemoteCommandSession,
  terminalSizes,
} from '../remote-command.ts';
import type { UpgradeRequest } from '../upgrade.ts';
import { webSocketChannels } from './websocket-channels.ts';
import { acceptWebSocket } from './websocket-upgrade.ts';

const PROTOCOLS = [
  'v5.channel.k8s.io',
  'v4.channel.k8s.io',
  'v4.base64.channel.k8s.io',
  'channel.k8s.io',
  'base64.channel.k8s.io',
  '',
];
const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
const ERROR = 3;
const RESIZE = 4;

/** exec and attach over a WebSocket (KEP-4006). */
export async function webSocketRemoteCommand(
  upgrade: UpgradeRequest,
  options: RemoteCommandOptions,
): Promise<RemoteCommandSession | undefined> {
  const accepted = await acceptWebSocket(upgrade, PROTOCOLS);
  if (accepted === undefined) return undefined;
  const { websocket, protocol } = accepted;
  const channels = webSocketChannels(websocket, {
    base64: protocol.includes('base64'),
    closeSignal: protocol.startsWith('v5'),
  });
  const stderr = options.stderr && !options.tty;
  const resize = options.tty ? channels.readable(RESIZE) : undefined;
  const session: RemoteCommandSession = {
    ...(options.stdin ? { stdin: channels.readable(STDIN) } : {}),
    ...(options.stdout ? { stdout: channels.writable(STDOUT) } : {}),
    ...(stderr ? { stderr: channels.writable(STDERR) } : {}),
    ...(resize === undefined ? {} : { resize: terminalSizes(resize as AsyncIterable<Buffer>) }),
    signal: channels.signal,
    async writeStatus(status: Status) {
      const structured = protocol.startsWith('v4') || protocol.startsWith('v5');
      const text = structured ? JSON.stringify(status) : plainStatus(status);
      if (text !== '') await channels.send(ERROR, Buffer.from(text));
    },
    close: () => channels.close(),
  };
  channels.start();
  // An empty message tells the client that the streams are connected.
  const first = options.stdout ? STDOUT : stderr ? STDERR : ERROR;
  await channels.send(first, Buffer.alloc(0)).catch(() => undefined);
  return session;
}
