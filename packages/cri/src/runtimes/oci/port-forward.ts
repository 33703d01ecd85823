import { spawn } from 'node:child_process';
import { COMMAND_ENVIRONMENT } from '@k8ts/base';

/**
 * One connection to a port on the loopback of a sandbox. A process has to enter the network namespace for it, and Node
 * cannot; so `nsenter` starts socat there, which connects its standard streams, as the kubelet has long done.
 */
export async function forwardPort(
  netns: string | undefined,
  socat: string | undefined,
  port: number,
  stream: NodeJS.ReadWriteStream,
  signal: AbortSignal,
): Promise<void> {
  if (socat === undefined) throw new Error('port forwarding needs socat (Debian: apt install socat)');
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw new Error(`${port} is not a port`);
  signal.throwIfAborted();
  // -t: how long the other direction stays open after one has ended; half-closed connections are not cut short.
  const connect = [socat, '-t', '3600', '-', `TCP:localhost:${port}`];
  const command = netns === undefined ? connect : ['nsenter', `--net=${netns}`, ...connect];
  const child = spawn(command[0] as string, command.slice(1), {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: COMMAND_ENVIRONMENT,
  });
  let complaints = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (complaints.length < 4096) complaints += text;
  });
  const onAbort = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', onAbort, { once: true });
  const exited = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  // Half-closed either way: `pipe` ends the other side and leaves the direction back open.
  child.stdin.on('error', () => undefined); // the port was closed: socat's exit code tells
  stream.on('error', onAbort);
  stream.pipe(child.stdin);
  child.stdout.pipe(stream);
  try {
    const code = await exited;
    if (code !== 0 && !signal.aborted && complaints !== '') {
      throw new Error(`failed to connect to localhost:${port} inside the pod: ${lastLine(complaints)}`);
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    stream.off('error', onAbort);
    stream.unpipe(child.stdin);
    child.stdin.destroy();
  }
}

/** `2026/01/01 00:00:00 socat[7] E connect(…): Connection refused` → what is after the `E`. */
function lastLine(text: string): string {
  const line = text.trim().split('\n').pop() ?? '';
  return line.replace(/^.* socat\[\d+\] \w /, '');
}
