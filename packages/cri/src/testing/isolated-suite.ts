import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));

/**
 * Runs the files `<directory>/…/*.isolated.ts` as tests, inside `tools/isolated.sh`: a network, mounts and processes of
 * their own. They need Linux and root; elsewhere the suite is skipped and says why, except in continuous integration,
 * which must have both.
 */
export function describeIsolated(name: string, directory: string): void {
  const reason =
    process.platform !== 'linux'
      ? `needs Linux, this is ${process.platform}`
      : process.getuid?.() !== 0
        ? 'needs root'
        : undefined;
  describe(name, () => {
    if (reason !== undefined && process.env['CI'] === undefined) {
      it.skip(`in isolation (${reason})`, () => undefined);
      return;
    }
    it('in isolation', { timeout: 600_000 }, async () => {
      const { code, output } = await run(name, directory);
      if (code !== 0) console.error(output);
      expect(code, 'exit code of the isolated run; its output is above').toBe(0);
    });
  });
}

function run(
  name: string,
  directory: string,
): Promise<{ readonly code: number | null; readonly output: string }> {
  return new Promise((resolve, reject) => {
    const vitest = [
      'node_modules/vitest/vitest.mjs',
      'run',
      '--config',
      'vitest.isolated.config.ts',
      directory,
      ...reporters(name),
    ];
    const child = spawn(`${ROOT}tools/isolated.sh`, [process.execPath, ...vitest], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}

/** Where results are gathered (CI), each suite leaves a report of its own. */
function reporters(name: string): readonly string[] {
  const gathered = process.env['K8TS_TEST_REPORTS'];
  if (gathered === undefined) return [];
  const file = `isolated-${name.replaceAll(/[^a-z0-9]+/gi, '-')}.json`;
  return ['--reporter=default', '--reporter=json', `--outputFile.json=${join(gathered, file)}`];
}
