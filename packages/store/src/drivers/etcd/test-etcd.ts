import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

import { realClock, sleep } from '@k8ts/base';

/** A real etcd for tests: one member on loopback, in a directory of its own. */
export interface TestEtcd extends AsyncDisposable {
  readonly endpoint: string;
  /** The same over TLS; answers only if `flags` name certificates. */
  readonly secureEndpoint: string;
  /** Kills it with SIGKILL. */
  kill(): Promise<void>;
  /** Starts it again, with its data, at the same place. */
  start(): Promise<void>;
}

/** Where etcd is: `K8TS_TEST_ETCD`, else in the PATH. */
export function findEtcd(): string | undefined {
  const wanted = process.env['K8TS_TEST_ETCD'];
  if (wanted !== undefined && wanted !== '') return wanted;
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((directory) => join(directory, 'etcd'))
    .find((path) => existsSync(path));
}

export async function startTestEtcd(binary: string, flags: readonly string[] = []): Promise<TestEtcd> {
  const directory = await mkdtemp(join(tmpdir(), 'k8ts-etcd-'));
  const [clientPort, peerPort, securePort] = await freePorts();
  const endpoint = `http://127.0.0.1:${clientPort}`;
  const secureEndpoint = `https://127.0.0.1:${securePort}`;
  const clientUrls = flags.length === 0 ? endpoint : `${endpoint},${secureEndpoint}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  let child: ChildProcess | undefined;

  const kill = async (): Promise<void> => {
    const running = child;
    child = undefined;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const gone = new Promise((resolve) => running.once('exit', resolve));
    running.kill('SIGKILL');
    await gone;
  };
  const start = async (): Promise<void> => {
    let output = '';
    const started = spawn(
      binary,
      [
        ...['--name', 'test', '--data-dir', directory, '--logger', 'zap', '--log-level', 'error'],
        ...['--listen-client-urls', clientUrls, '--advertise-client-urls', clientUrls],
        ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
        ...['--initial-cluster', `test=${peer}`, ...flags],
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    child = started;
    started.stderr.on('data', (text: Buffer) => (output += text.toString()));
    for (let i = 0; i < 200; i++) {
      if (started.exitCode !== null) throw new Error(`etcd ended: ${output}`);
      const healthy = await fetch(`${endpoint}/health`).then(
        (response) => response.ok,
        () => false,
      );
      if (healthy) return;
      await sleep(realClock, 50);
    }
    throw new Error(`etcd did not become healthy: ${output}`);
  };

  try {
    await start();
  } catch (error) {
    await kill();
    await rm(directory, { recursive: true });
    throw error;
  }
  return {
    endpoint,
    secureEndpoint,
    kill,
    start,
    [Symbol.asyncDispose]: async () => {
      await kill();
      await rm(directory, { recursive: true });
    },
  };
}

async function freePorts(): Promise<[number, number, number]> {
  const servers = await Promise.all(
    [0, 1, 2].map(
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve) => {
          const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports as [number, number, number];
}
