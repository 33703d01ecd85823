import { chmod, lchown, lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';

const SET_GID = 0o2000;

/**
 * Gives a volume to a pod's fsGroup (pkg/volume/volume_linux.go): the group owns everything, may read it (and write unless
 * `readonly`), and what is created in a directory belongs to the group as well. Links are not followed.
 */
export async function applyFsGroup(path: string, gid: number, readonly: boolean): Promise<void> {
  const info = await lstat(path);
  await lchown(path, info.uid, gid);
  if (info.isSymbolicLink()) return;
  const readWrite = readonly ? 0o440 : 0o660;
  const mode = (info.mode & 0o7777) | readWrite | (info.isDirectory() ? SET_GID | 0o110 : 0);
  if (mode !== (info.mode & 0o7777)) await chmod(path, mode);
  if (!info.isDirectory()) return;
  for await (const entry of await opendir(path)) await applyFsGroup(join(path, entry.name), gid, readonly);
}

/** fsGroupChangePolicy OnRootMismatch: the top directory tells whether the work was done before. */
export async function matchesFsGroup(path: string, gid: number, readonly: boolean): Promise<boolean> {
  const info = await lstat(path);
  const wanted = (readonly ? 0o440 : 0o660) | 0o110 | SET_GID;
  return info.gid === gid && (info.mode & wanted) === wanted;
}
