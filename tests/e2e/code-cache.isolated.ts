import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { ROOT } from '../support/installation.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'k8ts-cache-'));
  await mkdir(join(directory, 'dist/program'), { recursive: true });
  for (const file of ['bin/k8ts.mjs', 'dist/program/k8ts.cjs'])
    await cp(join(ROOT, file), join(directory, file));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** Starts a cluster that keeps nothing, and stops it when it is ready. */
async function run(): Promise<void> {
  const args = ['up', '--no-node', '--store', 'memory', '--port', '0', '--data-dir', join(directory, 'data')];
  const program = spawn(process.execPath, [join(directory, 'bin/k8ts.mjs'), ...args], {
    cwd: directory,
    env: { ...process.env, KUBECONFIG: join(directory, 'kubeconfig'), HOME: directory },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  program.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    if (!program.killed && output.includes('kubectl get')) program.kill('SIGTERM');
  });
  const [code] = (await once(program, 'exit')) as [number | null];
  expect(code, output).toBe(0);
}

async function cache(): Promise<Buffer> {
  const files = (await readdir(join(directory, 'dist/program'))).filter((file) => file !== 'k8ts.cjs');
  expect(files).toEqual([`k8ts.cjs.${process.version}-${process.arch}.cache`]);
  return readFile(join(directory, 'dist/program', files[0] as string));
}

it('keeps the compiled program, uses it, and replaces one that is not whole', async () => {
  await run();
  const kept = await cache();
  expect(kept.length).toBeGreaterThan(1_000_000);
  await run();
  expect((await cache()).equals(kept), 'written again').toBe(true);
  for (const broken of [Buffer.alloc(0), kept.subarray(0, 100_000), Buffer.alloc(kept.length, 'x')]) {
    await writeFile(
      join(directory, `dist/program/k8ts.cjs.${process.version}-${process.arch}.cache`),
      broken,
    );
    await run();
    expect((await cache()).length).toBeGreaterThan(1_000_000);
  }
});
