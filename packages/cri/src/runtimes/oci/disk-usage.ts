import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '@k8ts/base';
import type { FilesystemUsage } from '../../contract.ts';

/** Walking a tree is dear, and sizes are asked for every few seconds: an answer holds this long. */
const KEEP_MILLISECONDS = 10_000;

interface Answer {
  readonly until: number;
  readonly usage: Promise<FilesystemUsage>;
}

const answers = new WeakMap<Clock, Map<string, Answer>>();

export function writableLayerUsage(clock: Clock, state: string, name: string): Promise<FilesystemUsage> {
  let known = answers.get(clock);
  if (known === undefined) answers.set(clock, (known = new Map<string, Answer>()));
  const now = clock.monotonic();
  for (const [path, { until }] of known) if (until <= now) known.delete(path);
  const path = join(state, name);
  let answer = known.get(path);
  if (answer === undefined) {
    answer = { until: now + KEEP_MILLISECONDS, usage: measure(path) };
    known.set(path, answer);
  }
  return answer.usage;
}

async function measure(root: string): Promise<FilesystemUsage> {
  let usedBytes = 0;
  let inodesUsed = 0;
  const pending = [root];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    try {
      for await (const entry of await opendir(directory)) {
        const path = join(directory, entry.name);
        inodesUsed++;
        if (entry.isDirectory()) pending.push(path);
        else usedBytes += (await lstat(path)).blocks * 512;
      }
    } catch (error) {
      // The container works on its files meanwhile.
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
    }
  }
  return { mountpoint: root, usedBytes, inodesUsed };
}
