import { lstat, mkdir, open, stat } from 'node:fs/promises';
import type { Stats } from 'node:fs';

const CHECKS: Readonly<Record<string, readonly [(info: Stats) => boolean, string]>> = {
  Directory: [(info) => info.isDirectory(), 'a directory'],
  DirectoryOrCreate: [(info) => info.isDirectory(), 'a directory'],
  File: [(info) => info.isFile(), 'a file'],
  FileOrCreate: [(info) => info.isFile(), 'a file'],
  Socket: [(info) => info.isSocket(), 'a socket file'],
  CharDevice: [(info) => info.isCharacterDevice(), 'a character device'],
  BlockDevice: [(info) => info.isBlockDevice(), 'a block device'],
};

/** Sees that a hostPath is what the pod expects, or makes it (pkg/volume/hostpath). Throws `hostPath type check failed: …`. */
export async function checkHostPath(path: string, type: string): Promise<void> {
  if (type === '') return;
  const check = CHECKS[type];
  if (check === undefined) throw new Error(`hostPath type check failed: unknown type ${type}`);
  if (type === 'DirectoryOrCreate' && !(await exists(path)))
    await mkdir(path, { recursive: true, mode: 0o755 });
  if (type === 'FileOrCreate' && !(await exists(path))) await (await open(path, 'a', 0o644)).close();
  const info = await stat(path).catch(() => undefined);
  if (info === undefined || !check[0](info))
    throw new Error(`hostPath type check failed: ${path} is not ${check[1]}`);
}

export async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
