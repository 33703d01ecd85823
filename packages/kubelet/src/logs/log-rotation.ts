import { createReadStream, createWriteStream } from 'node:fs';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

export interface LogRotationOptions {
  /** Bytes. */
  readonly maxSize: number;
  /** The current one counts. */
  readonly maxFiles: number;
  /** Makes the runtime open the path anew. */
  readonly reopen: (containerId: string) => Promise<void>;
}

/**
 * Rotates a container's log when it has grown over its limit (pkg/kubelet/logs/container_log_manager.go): `0.log` becomes
 * `0.log.20260131-120000`; rotated ones but the newest are compressed to `….gz`, so that followers of the newest are not
 * disturbed; the oldest go. `now` in milliseconds since the epoch.
 */
export async function rotateLog(
  path: string,
  containerId: string,
  options: LogRotationOptions,
  now: number,
): Promise<boolean> {
  const info = await stat(path).catch(() => undefined);
  if (info === undefined || info.size < options.maxSize) return false;
  const rotated = await rotatedLogs(path);
  // Room for the one that is rotated now and the one that is begun.
  const surplus = rotated.length - (options.maxFiles - 2);
  for (const old of rotated.splice(0, Math.max(0, surplus))) await rm(old, { force: true });
  for (const old of rotated) if (!old.endsWith('.gz')) await compress(old);
  const stamp = new Date(now).toISOString().slice(0, 19).replace(/[-:]/g, '').replace('T', '-');
  const target = `${path}.${stamp}`;
  await rename(path, target);
  try {
    await options.reopen(containerId);
  } catch (error) {
    // The runtime goes on writing to the old file: it gets its name back.
    await rename(target, path);
    throw error;
  }
  return true;
}

/** The rotated logs of a path, the oldest first. */
export async function rotatedLogs(path: string): Promise<string[]> {
  const directory = dirname(path);
  const prefix = `${basename(path)}.`;
  const names = await readdir(directory).catch(() => []);
  for (const name of names)
    if (name.startsWith(prefix) && name.endsWith('.tmp')) await rm(join(directory, name), { force: true });
  return names
    .filter((name) => name.startsWith(prefix) && /^\d{8}-\d{6}(\.gz)?$/.test(name.slice(prefix.length)))
    .sort()
    .map((name) => join(directory, name));
}

async function compress(path: string): Promise<void> {
  const temporary = `${path}.tmp`;
  await pipeline(createReadStream(path), createGzip(), createWriteStream(temporary));
  await rename(temporary, `${path}.gz`);
  await rm(path, { force: true });
}
