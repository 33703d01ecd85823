/**
 * How fast a cluster is there: `Cluster.start()` once the code is loaded, twenty clusters in one process, and the built
 * program from the start of its process to a ready API. `npx tsx bench/start.bench.ts [figure name part]`. The program's
 * figures need `npm run build` first; they are taken without a node, on loopback, in a directory of their own.
 */
import { Cluster } from '@k8ts/cluster';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { report } from './report.ts';

const short = process.env['K8TS_BENCH_SHORT'] === '1';
const STARTS = short ? 5 : 20;
const CLUSTERS = 20;
const PROGRAM_STARTS = short ? 1 : 7;
const PROGRAM = fileURLToPath(new URL('../bin/k8ts.mjs', import.meta.url));
/** Milliseconds that the program gets to be ready, and to stop. */
const PATIENCE = 30_000;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const only = process.argv[2] ?? '';
if ('embedded'.includes(only)) await embedded();
if ('many'.includes(only)) await many();
if ('program'.includes(only)) await program();

async function embedded(): Promise<void> {
  for (const serve of [false, true]) {
    await startOnce(serve); // what is done once in a process is not a cluster's
    const times: number[] = [];
    for (let i = 0; i < STARTS; i++) times.push(await startOnce(serve));
    report([
      { name: `Cluster.start(), ${serve ? 'served' : 'not served'}`, value: median(times), unit: 'ms' },
    ]);
  }
}

async function startOnce(serve: boolean): Promise<number> {
  const begun = performance.now();
  const cluster = await Cluster.start({ serve });
  const time = performance.now() - begun;
  await cluster.nodes.ready();
  await cluster[Symbol.asyncDispose]();
  return time;
}

async function many(): Promise<void> {
  await startMany(); // fills what all clusters of a process share
  const before = heap();
  const { time, used } = await startMany();
  const what = `${String(CLUSTERS)} clusters in one process`;
  report([
    { name: `${what}, started at once`, value: time, unit: 'ms' },
    { name: `${what}, memory of each`, value: (used - before) / CLUSTERS / 1e6, unit: 'MB' },
    { name: `${what}, left of each after its end`, value: (heap() - before) / CLUSTERS / 1024, unit: 'KiB' },
  ]);
}

/** Starts and ends them; milliseconds until all had started, and bytes in use by then. */
async function startMany(): Promise<{ readonly time: number; readonly used: number }> {
  const begun = performance.now();
  const clusters = await Promise.all(Array.from({ length: CLUSTERS }, () => Cluster.start()));
  const time = performance.now() - begun;
  await Promise.all(clusters.map(({ nodes }) => nodes.ready()));
  const used = heap();
  await Promise.all(clusters.map((cluster) => cluster[Symbol.asyncDispose]()));
  await sleep(100); // handles close in a later turn
  return { time, used };
}

/** Bytes in use after a collection. */
function heap(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

async function program(): Promise<void> {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: npm run build`);
  for (const store of ['memory', 'lmdb']) {
    const first: number[] = [];
    const again: number[] = [];
    let resident = 0;
    for (let i = 0; i < PROGRAM_STARTS; i++) {
      const directory = mkdtempSync(join(tmpdir(), 'k8ts-bench-'));
      try {
        first.push((await runProgram(directory, store)).time);
        const second = await runProgram(directory, store);
        again.push(second.time);
        ({ resident } = second);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    }
    report([
      {
        name: `k8ts up --no-node --store ${store}, first start to ready API`,
        value: median(first),
        unit: 'ms',
      },
      { name: `k8ts up --no-node --store ${store}, later start`, value: median(again), unit: 'ms' },
      { name: `k8ts up --no-node --store ${store}, resident when ready`, value: resident, unit: 'MB' },
    ]);
  }
}

/** From the start of the process until it says that the cluster is ready; stopped again. */
async function runProgram(
  directory: string,
  store: string,
): Promise<{ readonly time: number; readonly resident: number }> {
  const begun = performance.now();
  const child = spawn(
    process.execPath,
    [PROGRAM, 'up', '--no-node', '--store', store, '--port', '0'].concat([
      '--data-dir',
      join(directory, 'data'),
      '--kubeconfig',
      join(directory, 'kubeconfig'),
    ]),
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const exited = once(child, 'exit');
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE);
  let output = '';
  let time: number | undefined;
  const read = (chunk: Buffer): void => {
    output += chunk.toString();
    if (time !== undefined || !/is ready/.test(output)) return;
    time = performance.now() - begun;
  };
  child.stdout.on('data', read);
  child.stderr.on('data', read);
  while (time === undefined && child.exitCode === null)
    await Promise.race([once(child.stdout, 'data'), once(child.stderr, 'data'), exited]);
  const resident = time === undefined ? 0 : residentMegabytes(child.pid as number);
  child.kill('SIGTERM');
  await exited;
  clearTimeout(timer);
  if (time === undefined) throw new Error(`the program did not become ready:\n${output}`);
  return { time, resident };
}

function residentMegabytes(pid: number): number {
  const pages = Number(readFileSync(`/proc/${String(pid)}/statm`, 'utf8').split(' ')[1]);
  return (pages * 4096) / 1e6;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] as number;
}
