import { constants, type Stats } from 'node:fs';
import { chmod, type FileHandle, lstat, mkdir, open, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { Mounter } from './mount-table.ts';

/**
 * A path inside a volume, opened so that no link in it leads out of the volume: a container that writes to the volume
 * cannot exchange a directory for a link while another one is being started (CVE-2017-1002101). Missing directories are
 * made with `mode`; without one, nothing may be missing. The caller closes the handle.
 */
export async function openInside(
  volume: string,
  subPath: string,
  mode: number | undefined,
): Promise<FileHandle> {
  const parts = subPath.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw new Error(`subPath "${subPath}" must not contain ".."`);
  let current = await open(volume, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    for (const [index, part] of parts.entries()) {
      // Names are looked up in the directory that is open, not by their path.
      const path = `/proc/self/fd/${current.fd}/${part}`;
      const info = mode === undefined ? await lstat(path) : await lstatOrMake(path, mode);
      if (info.isSymbolicLink()) throw new Error(`subPath "${subPath}": "${part}" is a symbolic link`);
      const isLast = index === parts.length - 1;
      const flags = info.isDirectory() ? constants.O_DIRECTORY : constants.O_NONBLOCK;
      if (!isLast && !info.isDirectory())
        throw new Error(`subPath "${subPath}": "${part}" is not a directory`);
      const next = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | flags);
      await current.close();
      current = next;
    }
    return current;
  } catch (error) {
    await current.close();
    throw error;
  }
}

async function lstatOrMake(path: string, mode: number): Promise<Stats> {
  try {
    return await lstat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  await mkdir(path, { mode });
  await chmod(path, mode); // whatever the umask
  return lstat(path);
}

/**
 * Binds a path of a volume to `target` and resolves to it. The volume's `..data` links (ConfigMaps and the like) are
 * followed once, so what a container got by subPath stays as it was at its start, as upstream documents it.
 */
export async function bindSubPath(
  mounter: Mounter,
  volume: string,
  subPath: string,
  target: string,
  mode: number | undefined,
): Promise<string> {
  const handle = await openInside(volume, subPath, mode);
  try {
    const directory = (await handle.stat()).isDirectory();
    await mounter.unmount(target);
    if (directory) {
      await mkdir(target, { recursive: true });
    } else {
      await mkdir(dirname(target), { recursive: true });
      await writeFile(target, '', { flag: 'a' });
    }
    await mounter.bind(`/proc/${process.pid}/fd/${handle.fd}`, target);
    return target;
  } finally {
    await handle.close();
  }
}

export function subPathTarget(subPaths: string, volume: string, container: string, index: number): string {
  return join(subPaths, volume, container, String(index));
}
