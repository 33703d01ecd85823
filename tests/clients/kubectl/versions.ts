import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface KubectlVersion {
  /** `1.36` */
  readonly version: string;
  /** 36 */
  readonly minor: number;
  readonly path: string;
}

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
/** Where tools/upstream-binaries.sh leaves the newest. */
const CACHED = join(ROOT, 'node_modules/.cache/upstream/usr/bin/kubectl');

/**
 * Every kubectl of this machine, one per minor version, oldest first: those that the variable KUBECTL lists, the cached
 * one, and those on the PATH with their siblings (some packages bring `kubectl.1.27`, `kubectl.1.28` … beside a default).
 */
export function findKubectls(): readonly KubectlVersion[] {
  const onPath = (process.env['PATH'] ?? '').split(delimiter).map((directory) => join(directory, 'kubectl'));
  const listed = (process.env['KUBECTL'] ?? '').split(delimiter).filter((path) => path !== '');
  const found = new Map<number, KubectlVersion>();
  for (const candidate of [...listed, CACHED, ...onPath]) {
    if (!existsSync(candidate)) continue;
    for (const path of withSiblings(realpathSync(candidate))) {
      const minor = minorVersionOf(path);
      if (minor !== undefined && !found.has(minor)) found.set(minor, { version: `1.${minor}`, minor, path });
    }
  }
  return [...found.values()].sort((a, b) => a.minor - b.minor);
}

function withSiblings(path: string): readonly string[] {
  const siblings = readdirSync(dirname(path)).filter((name) => /^kubectl\.1\.\d+$/.test(name));
  return [path, ...siblings.map((name) => join(dirname(path), name))];
}

function minorVersionOf(path: string): number | undefined {
  try {
    const output = execFileSync(path, ['version', '--client', '--output=json'], { encoding: 'utf8' });
    const { clientVersion } = JSON.parse(output) as { clientVersion: { major: string; minor: string } };
    // Builds of vendors call themselves "32+".
    return clientVersion.major === '1' ? Number.parseInt(clientVersion.minor, 10) : undefined;
  } catch {
    return undefined; // not a program of this machine's kind
  }
}
