import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { realClock, silentLogger } from '@k8ts/base';
import type { ContainerStatus, Runtime } from '@k8ts/cri';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { findStatus } from '../pod/runtime-state.ts';
import { RuntimeCache } from '../pod/runtime-cache.ts';
import type { Pod } from '../pod/types.ts';
import { startKubectlApi } from '../testing/kubectl-api.ts';
import { testPod } from '../testing/pods.ts';
import { createProcessRuntime } from '../testing/process-runtime.ts';
import { createKubeletServer, type KubeletServer } from './kubelet-server.ts';
import { createSimulatedHost } from '../simulated/simulated-host.ts';

const KUBECTLS = [
  '/usr/bin/kubectl',
  '/usr/local/bin/kubectl',
  '/tmp/up/usr/bin/kubectl',
  ...(process.env['KUBECTL'] ?? '').split(':'),
].filter((path) => path !== '' && existsSync(path));

let runtime: Runtime;
let server: KubeletServer;
let api: Awaited<ReturnType<typeof startKubectlApi>>;
let directory: string;
let cache: RuntimeCache;

const pod: Pod = testPod({ containers: [{ name: 'app', image: 'app', stdin: true }] });

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kubectl-test-'));
  runtime = createProcessRuntime(realClock);
  const { runtimeService } = runtime;
  cache = new RuntimeCache(runtimeService, silentLogger, () => undefined);
  const host = createSimulatedHost({
    clock: realClock,
    logger: silentLogger,
    events: { event: () => undefined },
    runtime: runtime as Parameters<typeof createSimulatedHost>[0]['runtime'],
    statuses: undefined as never,
    crashBackOff: undefined as never,
    hostIps: [],
    admit: () => undefined,
    wake: () => undefined,
  });
  const { config } = await host.sandboxConfig(pod, 0);
  const sandbox = await runtimeService.runPodSandbox(config);
  const start = {
    kind: 'container' as const,
    container: pod.spec.containers[0]!,
    restartCount: 0,
    lastFinishedAt: undefined,
  };
  const container = await runtimeService.createContainer(
    sandbox,
    await host.containerConfig(pod, start, { podIps: [], imageRef: '', sandboxId: sandbox }),
    {
      ...config,
      annotations: {
        'k8ts.io/simulate': JSON.stringify({ log: ['first line', 'second line', 'third line'] }),
      },
    },
  );
  await runtimeService.startContainer(container);
  await cache.relist();
  const state = await cache.state(pod.metadata.uid ?? '');
  const status = findStatus(state, 'app') as ContainerStatus;
  const running: Pod = {
    ...pod,
    status: {
      phase: 'Running',
      conditions: [{ type: 'Ready', status: 'True' }],
      containerStatuses: [
        {
          name: 'app',
          image: 'app',
          imageID: '',
          ready: true,
          restartCount: 0,
          containerID: `simulated://${status.id}`,
          state: { running: { startedAt: '2026-01-01T00:00:00Z' } },
        },
      ],
    },
  };
  server = createKubeletServer({
    clock: realClock,
    logger: silentLogger,
    nodes: () => [
      {
        nodeName: 'node-1',
        runtime,
        node: () => undefined,
        pods: () => [running],
        findPod: (namespace, name) => (namespace === 'default' && name === 'web' ? running : undefined),
        state: (uid) => cache.state(uid),
      },
    ],
  });
  api = await startKubectlApi(() => running, server.trusted);
});

afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await runtime[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(
  kubectl: string,
  args: readonly string[],
  websocket: boolean,
  input?: string | Buffer,
): Promise<Result> {
  const child = spawn(kubectl, ['--server', api.url, '--kubeconfig', '/dev/null', ...args], {
    env: {
      ...process.env,
      HOME: directory,
      KUBECTL_REMOTE_COMMAND_WEBSOCKETS: String(websocket),
      KUBECTL_PORT_FORWARD_WEBSOCKETS: String(websocket),
    },
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  child.stdin.on('error', () => undefined);
  child.stdin.end(input ?? '');
  return new Promise((resolve) =>
    child.once('close', (code) =>
      resolve({
        code: code ?? -1,
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      }),
    ),
  );
}

// Needs a kubectl on this machine; `KUBECTL=/path:/path` names more.
describe.skipIf(KUBECTLS.length === 0)('kubectl (needs one on this machine)', () => {
  for (const kubectl of KUBECTLS)
    for (const websocket of [false, true])
      describe(`${kubectl} over ${websocket ? 'WebSocket' : 'SPDY'}`, () => {
        it('exec gives output, errors and the exit code', async () => {
          const result = await run(
            kubectl,
            ['exec', 'web', '--', 'sh', '-c', 'echo out; echo err >&2; exit 3'],
            websocket,
          );
          expect(result).toMatchObject({ code: 3, stdout: 'out\n' });
          expect(result.stderr).toContain('err\n');
          expect(result.stderr).toContain('command terminated with exit code 3');
        });

        it('exec -i brings megabytes there and back', async () => {
          const input = Buffer.alloc(3_000_000, 'abcdefghij\n');
          const result = await run(kubectl, ['exec', '-i', 'web', '--', 'sh', '-c', 'cat'], websocket, input);
          expect(result.stderr).toBe('');
          expect(result.stdout.length).toBe(input.length);
          expect(result.code).toBe(0);
        });

        it('cp copies in both directions', async () => {
          const source = join(directory, 'source.txt');
          const target = join(directory, `target-${websocket}.txt`);
          const back = join(directory, `back-${websocket}.txt`);
          await writeFile(source, 'x'.repeat(500_000));
          expect((await run(kubectl, ['cp', source, `web:${target}`], websocket)).stderr).toBe('');
          expect((await readFile(target)).length).toBe(500_000);
          const result = await run(kubectl, ['cp', `web:${target}`, back], websocket);
          expect(result.code).toBe(0);
          expect((await readFile(back)).length).toBe(500_000);
        });

        it('exec of what is not there fails', async () => {
          const result = await run(kubectl, ['exec', 'web', '--', '/no/such/command'], websocket);
          expect(result.code).toBe(1);
          expect(result.stderr).toContain('error executing command in container');
        });

        it('port-forward carries connections', async () => {
          const target = createServer((request, response) => response.end(`hello ${request.url}`));
          await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve));
          const port = (target.address() as AddressInfo).port;
          const child = spawn(
            kubectl,
            ['--server', api.url, '--kubeconfig', '/dev/null', 'port-forward', 'pod/web', `:${port}`],
            {
              env: { ...process.env, HOME: directory, KUBECTL_PORT_FORWARD_WEBSOCKETS: String(websocket) },
            },
          );
          try {
            const local = await new Promise<number>((resolve, reject) => {
              let text = '';
              child.stdout.on('data', (chunk: Buffer) => {
                text += chunk.toString();
                const match = /127\.0\.0\.1:(\d+)/.exec(text);
                if (match !== null) resolve(Number(match[1]));
              });
              child.once('close', () => reject(new Error(`port-forward ended: ${text}`)));
            });
            const answers = await Promise.all(
              [1, 2, 3, 4, 5].map((i) =>
                fetch(`http://127.0.0.1:${local}/${i}`, { headers: { connection: 'close' } }).then((answer) =>
                  answer.text(),
                ),
              ),
            );
            expect(answers).toEqual([1, 2, 3, 4, 5].map((i) => `hello /${i}`));
          } finally {
            child.kill();
            target.close();
          }
        });
      });

  it('logs with their options', async () => {
    const kubectl = KUBECTLS[0] as string;
    expect((await run(kubectl, ['logs', 'web'], true)).stdout).toBe('first line\nsecond line\nthird line\n');
    expect((await run(kubectl, ['logs', 'web', '--tail=1'], true)).stdout).toBe('third line\n');
    expect((await run(kubectl, ['logs', 'web', '--limit-bytes=7'], true)).stdout).toBe('first l');
    expect((await run(kubectl, ['logs', 'web', '--timestamps'], true)).stdout).toMatch(
      /^\d{4}-\d\d-\d\dT\S+Z first line\n/,
    );
    const previous = await fetch(`${api.url}/api/v1/namespaces/default/pods/web/log?previous=true`);
    expect([previous.status, await previous.text()]).toEqual([
      400,
      'previous terminated container "app" in pod "web" not found\n',
    ]);
  });
});
