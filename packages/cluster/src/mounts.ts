import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * Unmounts what is mounted below a directory. Whoever deletes a directory does this first: what is bound there from
 * elsewhere (a subPath of a hostPath volume) would be deleted with it. Rejects when something cannot be unmounted.
 */
export async function unmountBelow(directory: string): Promise<void> {
  if (process.platform !== 'linux') return;
  const root = `${resolve(directory)}/`;
  const table = await readFile('/proc/self/mountinfo', 'utf8');
  const targets = table
    .split('\n')
    // Blanks in paths are written as \040.
    .map((line) =>
      (line.split(' ')[4] ?? '').replace(/\\([0-7]{3})/g, (_all, octal: string) =>
        String.fromCharCode(parseInt(octal, 8)),
      ),
    )
    .filter((path) => path.startsWith(root))
    .reverse(); // the last is on top
  for (const target of targets) await run('umount', ['--lazy', '--', target]);
}
