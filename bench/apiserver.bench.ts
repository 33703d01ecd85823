/**
 * The API server under load: `npx tsx bench/apiserver.bench.ts [seconds per figure] [figure name part]`. Server, load
 * generator (wrk) and watchers are separate processes on this machine, over TLS and loopback; the in-process figures run
 * here. Where upstream's kube-apiserver and etcd are on the PATH, they are measured in the same way, in the same run. One
 * JSON line per figure, then a table. "µs/…" is CPU of the server process alone, which other programs on the machine
 * disturb less than they do rates. Guards packages/apiserver (object-encoding, list-bytes, event-bytes, watch-group).
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:tls';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { once } from 'node:events';
import { corev1, type New } from '@k8ts/api';
import { createClient } from '@k8ts/client';
import { createTestServer } from '@k8ts/apiserver/testing';
import { report, type Figure } from './report.ts';
import { missingForUpstream, startUpstream } from './upstream-apiserver.ts';

const seconds = Number(process.argv[2] ?? 3);
const only = process.argv[3] ?? '';
const here = dirname(fileURLToPath(import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'k8ts-bench-'));
const figures: Figure[] = [];

function figure(name: string, value: number, unit: string): void {
  const made = { name: `apiserver: ${name}`, value: Math.round(value * 10) / 10, unit };
  figures.push(made);
  report([made]);
}

interface ServerProcess {
  readonly child: ChildProcess;
  readonly port: number;
  stop(): Promise<void>;
}

async function startServer(kind: string): Promise<ServerProcess> {
  const directory = mkdtempSync(join(scratch, 'store-'));
  if (kind === 'upstream') return startUpstream(directory);
  const flags = process.env['BENCH_NODE_FLAGS']?.split(' ') ?? [];
  const child = spawn(
    process.execPath,
    [...flags, '--import', 'tsx', join(here, 'apiserver-process.ts'), kind, directory],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let output = '';
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    output += chunk.toString();
    const match = /listening (\d+)/.exec(output);
    if (match !== null) return { child, port: Number(match[1]), stop: () => stop(child) };
  }
  throw new Error('the server did not start');
}

async function stop(child: ChildProcess): Promise<void> {
  child.kill('SIGTERM');
  await once(child, 'exit');
}

/** CPU seconds that a process has used. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function residentMegabytes(pid: number): number {
  const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]);
  return (pages * 4096) / 1e6;
}

interface Load {
  readonly requests: number;
  readonly rate: number;
  readonly megabytes: number;
  readonly cpu: number;
  readonly elapsed: number;
}

const HEADERS = 'wrk.headers["Authorization"] = "Bearer bench"\n';

function load({ child, port }: ServerProcess, connections: number, path: string, script: string): Load {
  const file = join(scratch, 'load.lua');
  const done =
    'done = function(s, l, r) io.write(string.format("\\nRESULT %d %d %d %d\\n", s.requests, s.bytes, s.duration, s.errors.status + s.errors.read + s.errors.connect)) end\n';
  writeFileSync(file, HEADERS + script + done);
  const before = cpuSeconds(child.pid as number);
  const output = execFileSync(
    'wrk',
    [
      '-t',
      '1',
      '-c',
      String(connections),
      '-d',
      `${seconds}s`,
      '-s',
      file,
      `https://127.0.0.1:${port}${path}`,
    ],
    { encoding: 'utf8' },
  );
  const [, requests = 0, bytes = 0, duration = 1, errors = 0] = (
    /RESULT (\d+) (\d+) (\d+) (\d+)/.exec(output) ?? []
  ).map(Number);
  if (errors > 0) throw new Error(`${errors} requests to ${path} failed`);
  const elapsed = duration / 1e6;
  return {
    requests,
    rate: requests / elapsed,
    megabytes: bytes / 1e6 / elapsed,
    cpu: cpuSeconds(child.pid as number) - before,
    elapsed,
  };
}

/** Bodies of some 900 bytes, with a name of their own each. */
const CREATE = (tag: string): string => `
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local n = 0
local filler = string.rep("x", 800)
request = function()
  n = n + 1
  return wrk.format(nil, nil, nil, '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"${tag}-' .. n .. '"},"data":{"key":"' .. filler .. '"}}')
end
`;

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';

async function measureServer(kind: string): Promise<void> {
  const server = await startServer(kind);
  const pid = server.child.pid as number;
  try {
    figure(`resident after start (${kind})`, residentMegabytes(pid), 'MB');
    load(server, 8, CONFIG_MAPS, CREATE('warm')); // the compiler warms up
    for (const connections of [1, 32]) {
      const created = load(server, connections, CONFIG_MAPS, CREATE(`c${connections}`));
      figure(`creates, ${connections} connections (${kind})`, created.rate, '/s');
      figure(
        `  server CPU per create (${kind}, ${connections})`,
        (created.cpu / created.requests) * 1e6,
        'µs',
      );
    }
    const got = load(server, 32, `${CONFIG_MAPS}/c32-100`, '');
    figure(`GETs, 32 connections (${kind})`, got.rate, '/s');
    figure(`  server CPU per GET (${kind})`, (got.cpu / got.requests) * 1e6, 'µs');
    await measureLists(server, kind);
    await measureWatch(server, kind);
    figure(`resident at the end (${kind})`, residentMegabytes(pid), 'MB');
  } finally {
    await server.stop();
  }
}

const LISTED = 5_000;

async function measureLists(server: ServerProcess, kind: string): Promise<void> {
  await request(server, 'POST', '/api/v1/namespaces', { metadata: { name: 'lists' } });
  const path = '/api/v1/namespaces/lists/configmaps';
  const create = async (from: number): Promise<void> => {
    for (let at = from; at < LISTED; at += 16)
      await request(server, 'POST', path, {
        metadata: { name: `item-${at}` },
        data: { key: 'x'.repeat(700) },
      });
  };
  await Promise.all(Array.from({ length: 16 }, (_, at) => create(at)));
  const listed = load(server, 4, path, '');
  figure(`lists of ${LISTED} (${kind})`, listed.megabytes, 'MB/s');
  figure(
    `  server CPU per MB listed (${kind})`,
    (listed.cpu / (listed.megabytes * listed.elapsed)) * 1e6,
    'µs',
  );
}

async function request(server: ServerProcess, method: string, path: string, body: object): Promise<void> {
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
  const response = await fetch(`https://127.0.0.1:${server.port}${path}`, {
    method,
    headers: { authorization: 'Bearer bench', 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${await response.text()}`);
  await response.arrayBuffer();
}

const WATCHERS = 100;

/** Watchers that only count newlines, in this process; the creates come in bursts of 32 connections. */
async function measureWatch(server: ServerProcess, kind: string): Promise<void> {
  let events = 0;
  const sockets = await Promise.all(
    Array.from({ length: WATCHERS }, async () => {
      const socket = connect({ host: '127.0.0.1', port: server.port, rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      socket.write(
        'GET /api/v1/configmaps?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer bench\r\n\r\n',
      );
      await once(socket, 'data');
      socket.on('data', (chunk: Buffer) => {
        for (let at = chunk.indexOf('}}\n'); at >= 0; at = chunk.indexOf('}}\n', at + 3)) events++;
      });
      return socket;
    }),
  );
  const pid = server.child.pid as number;
  await burst(server, 'connections', () => 0, pid, true);
  const plain = await burst(server, 'before', () => 0, pid, true);
  const watched = await burst(server, 'watched', () => events, pid, false);
  const delivered = watched.creates * WATCHERS;
  figure(`watch events to ${WATCHERS} watchers (${kind})`, delivered / watched.elapsed, '/s');
  figure(
    `  server CPU per event delivered (${kind})`,
    ((watched.cpu - plain.cpuPerCreate * watched.creates) / delivered) * 1e6,
    'µs',
  );
  for (const socket of sockets) socket.destroy();

  async function burst(
    to: ServerProcess,
    tag: string,
    seen: () => number,
    serverPid: number,
    closed: boolean,
  ): Promise<{ creates: number; cpu: number; elapsed: number; cpuPerCreate: number }> {
    // The baseline creates what nobody watches.
    const path = closed ? '/api/v1/namespaces/default/secrets' : CONFIG_MAPS;
    const before = cpuSeconds(serverPid);
    const startedWith = seen();
    const started = performance.now();
    const creates = 3_000;
    const kindName = closed ? 'Secret' : 'ConfigMap';
    await Promise.all(
      Array.from({ length: 64 }, async (_, worker) => {
        for (let at = worker; at < creates; at += 64)
          await request(to, 'POST', path, {
            apiVersion: 'v1',
            kind: kindName,
            metadata: { name: `${tag}-${at}` },
            ...(closed ? { stringData: { key: 'x'.repeat(700) } } : { data: { key: 'x'.repeat(700) } }),
          });
      }),
    );
    while (!closed && seen() - startedWith < creates * WATCHERS)
      await new Promise((resolve) => setTimeout(resolve, 5));
    const cpu = cpuSeconds(serverPid) - before;
    return { creates, cpu, elapsed: (performance.now() - started) / 1_000, cpuPerCreate: cpu / creates };
  }
}

/** Everything in this process: no TLS, no text. */
async function measureInProcess(): Promise<void> {
  await using test = await createTestServer({ freeze: () => undefined });
  const client = createClient(test.transport);
  const configMaps = client.resource(corev1.configMaps, 'default');
  const object = (name: string): corev1.ConfigMap =>
    ({ metadata: { name }, data: { key: 'x'.repeat(700) } }) as New<corev1.ConfigMap> as corev1.ConfigMap;
  const create = async (tag: string, count: number): Promise<number> => {
    const started = performance.now();
    await Promise.all(
      Array.from({ length: 32 }, async (_, worker) => {
        for (let at = worker; at < count; at += 32) await configMaps.create(object(`${tag}-${at}`));
      }),
    );
    return count / ((performance.now() - started) / 1_000);
  };
  await create('warm', 20_000);
  figure('creates in process (memory)', await create('measured', 40_000), '/s');

  const all = client.resource(corev1.configMaps);
  let seen = 0;
  const abort = new AbortController();
  for (let at = 0; at < WATCHERS; at++) {
    const watch = await all.watch({
      sendInitialEvents: false,
      resourceVersionMatch: 'NotOlderThan',
      signal: abort.signal,
    });
    void (async () => {
      for await (const events of watch) seen += events.length;
    })();
  }
  const count = 20_000;
  const started = performance.now();
  await create('watched', count);
  while (seen < count * WATCHERS) await new Promise((resolve) => setTimeout(resolve, 1));
  figure(
    `watch events in process, ${WATCHERS} watchers`,
    seen / ((performance.now() - started) / 1_000),
    '/s',
  );
  abort.abort();
}

try {
  if ('in-process'.includes(only)) await measureInProcess();
  if ('memory'.includes(only)) await measureServer('memory');
  if ('lmdb'.includes(only)) await measureServer('lmdb');
  if ('upstream'.includes(only)) {
    const missing = missingForUpstream();
    if (missing === undefined) await measureServer('upstream');
    else console.error(`${missing} is not on the PATH: nothing to compare with`);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
console.log();
for (const { name, value, unit } of figures)
  console.log(`${name.padEnd(56)} ${value.toFixed(1).padStart(12)} ${unit}`);
