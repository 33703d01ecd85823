/**
 * The built program on this machine, with real containers: how long it takes to start, how long a pod takes from the end of
 * `kubectl apply` to Running, and what the whole cluster costs while nothing happens. Needs Linux and root; runs itself
 * inside tools/isolated.sh. `npx tsx bench/pod-start.bench.ts`.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { get } from 'node:https';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { corev1 } from '@k8ts/api';

import { PAUSE, podManifest, script } from '../tests/support/manifests.ts';
import { buildBusybox } from '../tests/support/images.ts';
import { createInstallation, type Installation } from '../tests/support/installation.ts';
import { deferred } from '../tests/support/waiting.ts';
import { report } from './report.ts';

const short = process.env['K8TS_BENCH_SHORT'] === '1';
const STARTS = short ? 3 : 10;
const PODS = short ? 5 : 20;
const IDLE_SECONDS = short ? 5 : 30;
const INSIDE = 'K8TS_BENCH_ISOLATED';

if (process.platform !== 'linux' || process.getuid?.() !== 0)
  console.error('no figures of real containers: they need Linux and root');
else if (process.env[INSIDE] === undefined) {
  const isolated = fileURLToPath(new URL('../tools/isolated.sh', import.meta.url));
  const { status } = spawnSync(isolated, [process.execPath, ...process.execArgv, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env: { ...process.env, [INSIDE]: '1' },
  });
  process.exitCode = status ?? 1;
} else await measure();

async function measure(): Promise<void> {
  await using installation = await createInstallation();
  const archive = join(installation.directory, 'busybox.tar');
  await buildBusybox(archive);
  await installation.ok('image', 'import', archive);
  await starts(installation);
  const up = await installation.up('--node-name', 'bench');
  await pods(installation);
  await idle(up.pid);
  await up.stop();
}

/** From the start of the process: until `/readyz` answers, and until the node is Ready, which the program says. */
async function starts(installation: Installation): Promise<void> {
  const api: number[] = [];
  const node: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    const begun = performance.now();
    const up = installation.launch('--node-name', 'bench');
    let apiReady = 0;
    const asking = (async () => {
      while (apiReady === 0) {
        if (await isReady()) apiReady = performance.now() - begun;
        else await sleep(5);
      }
    })();
    await up.ready;
    node.push(performance.now() - begun);
    await asking;
    api.push(apiReady);
    await up.stop();
  }
  report([
    { name: 'API ready after start, median', value: median(api), unit: 'ms' },
    { name: 'node Ready after start, median', value: median(node), unit: 'ms' },
  ]);
}

/** Whoever serves it: the certificate authority is made while we wait. */
function isReady(): Promise<boolean> {
  return new Promise((resolve) => {
    get('https://127.0.0.1:6443/readyz', { rejectUnauthorized: false, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    }).on('error', () => resolve(false));
  });
}

/** One pod at a time, of a present image. */
async function pods(installation: Installation): Promise<void> {
  const client = await installation.client();
  const running: number[] = [];
  const gone: number[] = [];
  for (let i = 0; i < PODS; i++) {
    const name = `pod-${i}`;
    await using events = await watchPod(installation, name);
    await installation.kubectl.feed(podManifest(name, { containers: [script(PAUSE)] }), 'apply', '-f', '-');
    const applied = performance.now();
    running.push(Math.max(0, (await events.running) - applied));
    const asked = performance.now();
    await client.resource(corev1.pods, 'default').delete(name);
    gone.push((await events.deleted) - asked);
  }
  report([
    { name: 'pod Running after kubectl apply returned, median', value: median(running), unit: 'ms' },
    { name: 'pod Running after kubectl apply returned, worst', value: Math.max(...running), unit: 'ms' },
    { name: 'pod gone after its deletion, median', value: median(gone), unit: 'ms' },
  ]);
}

interface PodTimes extends AsyncDisposable {
  readonly running: Promise<number>;
  readonly deleted: Promise<number>;
}

async function watchPod(installation: Installation, name: string): Promise<PodTimes> {
  const controller = new AbortController();
  const events = await (
    await installation.client()
  )
    .resource(corev1.pods, 'default')
    .watch({ fieldSelector: `metadata.name=${name}`, signal: controller.signal });
  const running = deferred<number>();
  const deleted = deferred<number>();
  const reading = (async () => {
    for await (const batch of events)
      for (const { type, object } of batch) {
        if (type === 'DELETED') deleted.resolve(performance.now());
        else if (object.status?.phase === 'Running') running.resolve(performance.now());
      }
  })();
  return {
    running: running.promise,
    deleted: deleted.promise,
    async [Symbol.asyncDispose]() {
      controller.abort();
      await reading.catch(() => undefined);
    },
  };
}

/** The whole cluster is one process. */
async function idle(pid: number): Promise<void> {
  await sleep(5000);
  const [cpu, time] = [cpuSeconds(pid), performance.now()];
  await sleep(IDLE_SECONDS * 1000);
  const share = (cpuSeconds(pid) - cpu) / ((performance.now() - time) / 1000);
  const resident =
    Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
  report([
    { name: 'resident memory of an idle cluster with a node', value: resident, unit: 'MB' },
    { name: 'CPU of an idle cluster with a node', value: share * 100, unit: '% of a core' },
  ]);
}

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100; // in ticks: USER_HZ is 100
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number;
}
