import { createServer } from 'node:net';
import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ContainerConfig, TerminalSize } from '../../contract.ts';
import { BUSYBOX_IMAGE } from '../../testing/busybox-image.ts';
import { testContainerConfig, testSandboxConfig } from '../../testing/pod-configs.ts';
import type { TestContainerOptions } from '../../testing/pod-configs.ts';
import { openTestRuntime } from '../../testing/oci-runtime.ts';
import type { TestOciRuntime } from '../../testing/oci-runtime.ts';

/** Streams of a client, with what came out of them. */
function client(): {
  readonly stdin: PassThrough;
  readonly stdout: PassThrough;
  readonly stderr: PassThrough;
  readonly text: { stdout: string; stderr: string };
} {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const text = { stdout: '', stderr: '' };
  stdout.on('data', (chunk: Buffer) => (text.stdout += chunk.toString()));
  stderr.on('data', (chunk: Buffer) => (text.stderr += chunk.toString()));
  return { stdin, stdout, stderr, text };
}

/** Sizes that come when they are sent. */
function sizes(): {
  readonly iterable: AsyncIterable<TerminalSize>;
  send(width: number, height: number): void;
} {
  const stream = new PassThrough({ objectMode: true });
  return {
    iterable: stream as AsyncIterable<TerminalSize>,
    send: (width, height) => void stream.write({ width, height }),
  };
}

describe('streams of the embedded runtime', () => {
  let subject: TestOciRuntime;
  let pods = 0;
  const never = new AbortController().signal;
  beforeAll(async () => {
    subject = await openTestRuntime();
  });
  afterAll(async () => {
    await subject?.[Symbol.asyncDispose]();
  });

  async function start(
    script: string,
    options: TestContainerOptions = {},
  ): Promise<{ id: string; sandboxId: string }> {
    const { runtimeService } = subject.runtime;
    const sandbox = testSandboxConfig(`streams-${pods++}`);
    const sandboxId = await runtimeService.runPodSandbox(sandbox);
    const config: ContainerConfig = testContainerConfig('main', BUSYBOX_IMAGE, {
      command: ['sh', '-c', script],
      ...options,
    });
    const id = await runtimeService.createContainer(sandboxId, config, sandbox);
    await runtimeService.startContainer(id);
    return { id, sandboxId };
  }

  it('gives a command a terminal, with the size of the window and its exit code', async () => {
    const { id } = await start('sleep 1000');
    const { stdin, stdout, text } = client();
    const window = sizes();
    window.send(123, 45);
    const untilSize = (size: string): string =>
      `until [ "$(stty size)" = "${size}" ]; do sleep 0.05; done; echo is ${size}`;
    const script = `tty; ${untilSize('45 123')}; ${untilSize('24 80')}; read line; echo "got $line" >&2; exit 7`;
    const ended = subject.runtime.runtimeService.exec(
      id,
      { command: ['sh', '-c', script], tty: true },
      { stdin, stdout, resize: window.iterable },
      never,
    );
    await subject.until(() => text.stdout.includes('is 45 123\r\n'));
    expect(text.stdout).toMatch(/^\/dev\/pts\/\d+\r\n/);
    window.send(80, 24);
    await subject.until(() => text.stdout.includes('is 24 80\r\n'));
    stdin.write('a line\n');
    await subject.until(() => text.stdout.endsWith('got a line\r\n'));
    expect(await ended).toEqual({ exitCode: 7 });
  });

  it('keeps standard output and standard error apart, and passes large amounts whole', async () => {
    const { id } = await start('sleep 1000');
    const { stdin, stdout, stderr, text } = client();
    const ended = subject.runtime.runtimeService.exec(
      id,
      { command: ['sh', '-c', 'echo warning >&2; wc -c; seq 1 200000; exit 3'], tty: false },
      { stdin, stdout, stderr },
      never,
    );
    stdin.end(Buffer.alloc(3_000_000, 'x'));
    expect(await ended).toEqual({ exitCode: 3 });
    expect(text.stderr).toBe('warning\n');
    const lines = text.stdout.trim().split('\n');
    expect([lines[0]?.trim(), lines.length, lines.at(-1)]).toEqual(['3000000', 200_001, '200000']);
  });

  it('leaves no process behind when a terminal is abandoned', async () => {
    const { id } = await start('sleep 1000');
    const { stdin, stdout, text } = client();
    const controller = new AbortController();
    const ended = subject.runtime.runtimeService.exec(
      id,
      { command: ['sh', '-c', 'echo up; sleep 4242'], tty: true },
      { stdin, stdout },
      controller.signal,
    );
    await subject.until(() => text.stdout.includes('up'));
    controller.abort(new Error('gone'));
    await ended.catch(() => undefined);
    const { stdout: processes } = await subject.runtime.runtimeService.execSync(id, ['ps'], 5);
    expect(processes.toString()).not.toContain('4242');
  });

  it('attaches to a container with input, and closes its input when the client leaves', async () => {
    const { id } = await start('echo before; while read line; do echo "got $line"; done; echo end of input', {
      stdin: true,
      stdinOnce: true,
    });
    await subject.until(async () => (await subject.readLog(id)).includes('before'));
    const { stdin, stdout, stderr, text } = client();
    const attached = subject.runtime.runtimeService.attach(
      id,
      { tty: false },
      { stdin, stdout, stderr },
      never,
    );
    stdin.write('one\n');
    await subject.until(() => text.stdout.includes('got one\n'));
    stdin.write('two\n');
    await subject.until(() => text.stdout.includes('got two\n'));
    stdin.end();
    await attached;
    expect(text.stdout).toBe('got one\ngot two\nend of input\n');
    expect((await subject.runtime.runtimeService.containerStatus(id)).exitCode).toBe(0);
  });

  it('attaches to a terminal, as kubectl run -it does', async () => {
    const { id } = await start('stty -echo; while read line; do echo "$line $(stty size)"; done', {
      stdin: true,
      tty: true,
    });
    const { stdin, stdout, text } = client();
    const window = sizes();
    window.send(99, 33);
    const controller = new AbortController();
    const attached = subject.runtime.runtimeService.attach(
      id,
      { tty: true },
      { stdin, stdout, resize: window.iterable },
      controller.signal,
    );
    await subject.until(() => {
      stdin.write('size?\n');
      return text.stdout.includes('size? 33 99\r\n');
    });
    controller.abort(new Error('detached'));
    await attached;
    expect((await subject.runtime.runtimeService.containerStatus(id)).state).toBe('CONTAINER_RUNNING');
  });

  it('forwards connections to a port that is bound to the loopback of the pod', async () => {
    const { sandboxId, id } = await start('exec nc -ll -p 8080 -e cat');
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      subject.runtime.runtimeService
        .portForward(sandboxId, 8080, socket, never)
        .catch(() => socket.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const { connect } = await import('node:net');
    let answer = '';
    await subject.until(
      () =>
        new Promise<boolean>((resolve) => {
          answer = '';
          const socket = connect(port, '127.0.0.1', () => socket.end('through the wall'));
          socket.on('data', (chunk) => (answer += chunk.toString()));
          socket.on('error', () => undefined);
          socket.on('close', () => resolve(answer !== ''));
        }),
    );
    expect(answer).toBe('through the wall');
    await expect(
      subject.runtime.runtimeService.portForward(sandboxId, 9, new PassThrough(), never),
    ).rejects.toThrow(/localhost:9 inside the pod: .*Connection refused/);
    server.close();
    await subject.runtime.runtimeService.stopContainer(id, 0);
  });

  it('goes on in a new file after the log was rotated', async () => {
    const { rename, readFile } = await import('node:fs/promises');
    const { id } = await start('i=0; while :; do echo line $i; i=$((i+1)); sleep 0.02; done');
    await subject.until(async () => (await subject.readLog(id)).includes('line 3'));
    const { logPath } = await subject.runtime.runtimeService.containerStatus(id);
    await rename(logPath, `${logPath}.1`);
    await subject.runtime.runtimeService.reopenContainerLog(id);
    await subject.until(async () => (await readFile(logPath, 'utf8').catch(() => '')).split('\n').length > 3);
    await subject.runtime.runtimeService.stopContainer(id, 0);
    const numbers = [
      ...`${await readFile(`${logPath}.1`, 'utf8')}${await readFile(logPath, 'utf8')}`.matchAll(
        /line (\d+)/g,
      ),
    ];
    expect(numbers.map((match) => Number(match[1]))).toEqual(numbers.map((_, index) => index));
  });

  it('cuts long lines into partial records', async () => {
    const { id } = await start('head -c 40000 /dev/zero | tr "\\0" x; echo; echo short');
    await subject.until(async () => (await subject.readLog(id)).includes('short'));
    const lines = (await subject.readLog(id)).trim().split('\n');
    const text = lines.map((line) => line.replace(/^\S+ stdout [PF] /, '')).join('');
    expect(lines.filter((line) => line.includes(' stdout P ')).length).toBeGreaterThan(1);
    expect(text).toBe(`${'x'.repeat(40_000)}short`);
  });
});
