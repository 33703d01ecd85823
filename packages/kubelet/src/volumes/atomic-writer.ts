import { randomBytes } from 'node:crypto';
import {
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  unlink,
  writeFile,
  chmod,
  chown,
} from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';

/** One file of a volume. */
export interface VolumeFile {
  readonly data: Buffer;
  /** Permission bits. */
  readonly mode: number;
  /** Owner, where it is not root. */
  readonly uid?: number | undefined;
}

/** By path relative to the volume. */
export type VolumeFiles = ReadonlyMap<string, VolumeFile>;

const DATA = '..data';
const NEW_DATA = '..data_tmp';
const PATH_LIMIT = 4096;
const NAME_LIMIT = 255;

/**
 * Puts files into a volume so that a reader sees either all of the old or all of the new (pkg/volume/util/atomic_writer.go):
 *
 *     volume/..2026_01_31_12_00_00.1234567890/key    the files
 *     volume/..data  → ..2026_01_31_12_00_00.1234567890
 *     volume/key     → ..data/key
 *
 * Only `..data` is exchanged, by a rename. `finish` is called on the new directory before it is shown (owner, modes).
 * Resolves to whether anything changed. `now` in milliseconds since the epoch.
 */
export async function writeAtomically(
  volume: string,
  files: VolumeFiles,
  now: number,
  finish: (directory: string) => Promise<void> = () => Promise.resolve(),
): Promise<boolean> {
  for (const path of files.keys()) checkPath(path);
  const old = await readlink(join(volume, DATA)).catch(() => undefined);
  if (old !== undefined && (await isCurrent(join(volume, old), files))) {
    await linkVisible(volume, files);
    return false;
  }
  const name = `..${stamp(now)}.${randomBytes(5).readUIntBE(0, 5)}`;
  const directory = join(volume, name);
  await mkdir(directory, { mode: 0o755 });
  await chmod(directory, 0o755); // whatever the umask
  try {
    for (const [path, file] of files) await writeOne(directory, path, file);
    await finish(directory);
    await rm(join(volume, NEW_DATA), { force: true });
    await symlink(name, join(volume, NEW_DATA));
    await rename(join(volume, NEW_DATA), join(volume, DATA));
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
  await linkVisible(volume, files);
  if (old !== undefined && old !== name) await rm(join(volume, old), { recursive: true, force: true });
  return true;
}

function checkPath(path: string): void {
  const parts = path.split('/');
  if (path === '' || path.startsWith('/')) throw new Error(`invalid path: must be relative path: ${path}`);
  if (parts.includes('..')) throw new Error(`invalid path: must not contain '..': ${path}`);
  if (parts[0]?.startsWith('..')) throw new Error(`invalid path: must not start with '..': ${path}`);
  if (path.includes('\0') || path.length > PATH_LIMIT || parts.some((part) => part.length > NAME_LIMIT))
    throw new Error(`invalid path: ${JSON.stringify(path.slice(0, 80))}`);
}

function stamp(now: number): string {
  return new Date(now).toISOString().slice(0, 19).replace(/[-T:]/g, '_');
}

async function writeOne(directory: string, path: string, file: VolumeFile): Promise<void> {
  const target = join(directory, normalize(path));
  await mkdir(dirname(target), { recursive: true, mode: 0o755 });
  await writeFile(target, file.data, { mode: file.mode });
  await chmod(target, file.mode);
  if (file.uid !== undefined) await chown(target, file.uid, -1);
}

async function isCurrent(directory: string, files: VolumeFiles): Promise<boolean> {
  const present = await listFiles(directory, '').catch(() => undefined);
  if (present === undefined || present.length !== files.size) return false;
  for (const path of present) {
    const wanted = files.get(path);
    if (wanted === undefined) return false;
    if (!(await readFile(join(directory, path))).equals(wanted.data)) return false;
  }
  return true;
}

async function listFiles(directory: string, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(join(directory, prefix), { withFileTypes: true })) {
    const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
    if (entry.isDirectory()) found.push(...(await listFiles(directory, path)));
    else found.push(path);
  }
  return found;
}

/** Links the top-level names to what `..data` points to, and takes away links to what is gone. */
async function linkVisible(volume: string, files: VolumeFiles): Promise<void> {
  const wanted = new Set([...files.keys()].map((path) => normalize(path).split('/')[0] as string));
  for (const name of wanted) {
    const link = join(volume, name);
    const target = `${DATA}/${name}`;
    const present = await readlink(link).catch(() => undefined);
    if (present === target) continue;
    if (
      await lstat(link).then(
        () => true,
        () => false,
      )
    )
      await rm(link, { recursive: true, force: true });
    await symlink(target, link);
  }
  for (const name of await readdir(volume))
    if (!name.startsWith('..') && !wanted.has(name)) await unlink(join(volume, name)).catch(() => undefined);
}
