import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** What a cluster may have on its machine, one line each. */
export interface Traces {
  readonly processes: readonly string[];
  readonly mounts: readonly string[];
  /** Network namespaces that a process is in or that are pinned. */
  readonly namespaces: readonly string[];
  readonly links: readonly string[];
  readonly routes: readonly string[];
  readonly tables: readonly string[];
  /** Of the data directory's cluster: other clusters on the machine have theirs. */
  readonly cgroups: readonly string[];
}

/** Looks at the machine, which is this network, PID and mount namespace (see tools/isolated.sh). */
export function traces(dataDir: string): Traces {
  return {
    processes: processes(),
    mounts: lines(readFileSync('/proc/self/mountinfo', 'utf8')).map((line) => line.split(' ')[4] as string),
    namespaces: networkNamespaces(),
    links: lines(output('ip', '-brief', 'link')).map((line) => line.split(' ')[0] as string),
    routes: ['-4', '-6'].flatMap((family) => lines(output('ip', family, 'route', 'show', 'table', 'all'))),
    tables: lines(output('nft', 'list', 'tables')),
    cgroups: cgroups(dataDir),
  };
}

/** What is there now and was not before; an empty object when a cluster cleaned up after itself. */
export function leftovers(before: Traces, now: Traces): Partial<Traces> {
  const left: Record<string, readonly string[]> = {};
  for (const kind of Object.keys(now) as (keyof Traces)[]) {
    const known = new Set(before[kind]);
    const more = now[kind].filter((line) => !known.has(line));
    if (more.length > 0) left[kind] = more;
  }
  return left;
}

function processes(): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      return command === '' ? [] : [`${pid} ${command}`]; // without: ended, and not yet waited for
    } catch {
      return []; // ended while we looked
    }
  });
}

function networkNamespaces(): string[] {
  const found = new Set<string>();
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      found.add(readlinkSync(`/proc/${pid}/ns/net`));
    } catch {
      // ended while we looked
    }
  }
  for (const line of lines(readFileSync('/proc/self/mountinfo', 'utf8'))) {
    const namespace = /^\S+ \S+ \S+ (net:\S+) /.exec(line)?.[1];
    if (namespace !== undefined) found.add(namespace);
  }
  return [...found];
}

function cgroups(dataDir: string): string[] {
  const id = createHash('sha256').update(dataDir).digest('hex').slice(0, 8);
  const root = '/sys/fs/cgroup';
  const trees = [root, ...readdirSync(root).map((name) => join(root, name))];
  return trees
    .map((tree) => join(tree, `k8ts-${id}`))
    .filter((path) => statSync(path, { throwIfNoEntry: false }) !== undefined);
}

function output(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: 'utf8' });
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
