import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { isRunning, processStart } from './state-file.ts';

const stateOf = (pid: number, startedAt = processStart(pid) ?? '') => ({
  pid,
  startedAt,
  server: '',
  node: false,
});

describe.runIf(process.platform === 'linux')('a process of a state file', () => {
  it('runs, unless its number is another one by now', () => {
    expect(isRunning(stateOf(process.pid))).toBe(true);
    expect(isRunning(stateOf(process.pid, '1'))).toBe(false);
  });

  it('does not run once it has ended, also when nobody waited for it', async () => {
    // The shell starts a child, tells its number, and becomes a program that never waits for it.
    const parent: ChildProcess = spawn('sh', ['-c', 'sleep 0.2 & echo $!; exec sleep 60'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    try {
      const [line] = (await once(parent.stdout!, 'data')) as [Buffer];
      const state = stateOf(Number(line.toString()));
      expect(isRunning(state)).toBe(true);
      await expect.poll(() => isRunning(state), { timeout: 10_000 }).toBe(false);
      expect(readFileSync(`/proc/${String(state.pid)}/stat`, 'utf8')).toContain(') Z ');
    } finally {
      parent.kill('SIGKILL');
    }
  });
});
