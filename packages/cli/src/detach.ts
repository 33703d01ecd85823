import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Progress, UpOptions } from './contract.ts';
import { UserError } from './contract.ts';

/**
 * Starts `k8ts up` in the background, with its output in `<data-dir>/k8ts.log`, and waits until it says that the cluster
 * is ready. Throws with the last lines of the log when it ends before.
 */
export async function startDetached(
  self: readonly string[],
  options: UpOptions,
  progress: Progress,
): Promise<void> {
  mkdirSync(options.dataDir, { recursive: true, mode: 0o700 });
  const logFile = join(options.dataDir, 'k8ts.log');
  const log = openSync(logFile, 'a', 0o600);
  progress.step('starting the cluster in the background');
  const [program = process.execPath, ...before] = self;
  const child = spawn(program, [...before, 'up', ...upArguments(options)], {
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
  });
  closeSync(log);
  const outcome = await new Promise<'ready' | 'ended'>((resolve) => {
    child.once('message', () => resolve('ready'));
    child.once('exit', () => resolve('ended'));
    child.once('error', () => resolve('ended'));
  });
  if (outcome === 'ended') {
    progress.end('failed');
    const lines = (await readFile(logFile, 'utf8')).trimEnd().split('\n').slice(-15);
    throw new UserError(`the cluster did not start; the end of ${logFile}:\n${lines.join('\n')}`);
  }
  child.disconnect();
  child.unref();
  progress.end('done');
  progress.note(`log: ${logFile} · stop it with: k8ts down`);
}

function upArguments(options: UpOptions): string[] {
  const {
    dataDir,
    kubeconfig,
    port,
    store,
    node,
    nodeName,
    runtime,
    simulate,
    images,
    staticPodPath,
    maxContainerRestartPeriod,
    legacyApis,
    apiserverFlags = {},
  } = options;
  return [
    ...['--data-dir', dataDir, '--kubeconfig', kubeconfig, '--port', String(port), '--store', store],
    ...['--node-name', nodeName, '--runtime', runtime, '--simulate', String(simulate)],
    ...['--max-container-restart-period', String(maxContainerRestartPeriod)],
    ...(node ? [] : ['--no-node']),
    ...(legacyApis ? ['--legacy-apis'] : []),
    ...Object.entries(apiserverFlags).map(([name, value]) => `--${name}=${value}`),
    ...(images === undefined ? [] : ['--images', images]),
    ...(staticPodPath === undefined ? [] : ['--static-pods', staticPodPath]),
  ];
}
