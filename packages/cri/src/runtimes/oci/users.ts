import { constants } from 'node:fs';
import { open, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { LinuxContainerSecurityContext } from '../../contract.ts';

export interface ProcessUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
}

const MAX_ID = 2 ** 31 - 1;
const FILE_LIMIT = 1024 * 1024;
const LINK_HOPS = 40;

/**
 * The user a container runs as: the security context's, else the image's (`user`, `uid`, `user:group`, `uid:gid`), else
 * root; looked up in the image's own /etc/passwd and /etc/group. Throws for a name that is not there.
 */
export async function resolveUser(
  rootfs: string,
  context: LinuxContainerSecurityContext,
  imageUser: string,
): Promise<ProcessUser> {
  const passwd = parseTable(await readInside(rootfs, '/etc/passwd'));
  const group = parseTable(await readInside(rootfs, '/etc/group'));
  const [imageName = '', imageGroup = ''] = imageUser.split(':');
  const wanted =
    context.runAsUser !== undefined ? String(context.runAsUser) : context.runAsUserName || imageName || '0';
  const entry = passwd.find((row) => (isId(wanted) ? row[2] === wanted : row[0] === wanted));
  if (entry === undefined && !isId(wanted))
    throw new Error(`unable to find user ${wanted}: no matching entries in passwd file`);
  const uid = toId(entry?.[2] ?? wanted, 'uid');

  let gid = toId(entry?.[3] ?? '0', 'gid');
  // The image's group goes with the image's user only.
  const fromImage = context.runAsUser === undefined && !context.runAsUserName;
  if (context.runAsGroup !== undefined) gid = context.runAsGroup;
  else if (fromImage && imageGroup !== '') {
    const row = group.find((each) => (isId(imageGroup) ? each[2] === imageGroup : each[0] === imageGroup));
    if (row === undefined && !isId(imageGroup)) {
      throw new Error(`unable to find group ${imageGroup}: no matching entries in group file`);
    }
    gid = toId(row?.[2] ?? imageGroup, 'gid');
  }

  const groups = new Set<number>();
  const name = entry?.[0];
  if (name !== undefined) {
    for (const row of group) {
      if ((row[3] ?? '').split(',').includes(name) && isId(row[2] ?? '')) groups.add(Number(row[2]));
    }
  }
  for (const id of context.supplementalGroups) groups.add(id);
  groups.delete(gid);
  // The primary group is among the supplementary ones too, as containerd has it.
  return { uid, gid, additionalGids: [gid, ...groups] };
}

function isId(text: string): boolean {
  return /^\d+$/.test(text);
}

function toId(text: string, what: string): number {
  const id = Number(text);
  if (!isId(text) || id > MAX_ID) throw new Error(`${what} ${JSON.stringify(text)} is out of range`);
  return id;
}

function parseTable(text: string): readonly (readonly string[])[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'));
}

/** Reads a file below a root as a process inside it would: links never lead out. Empty when it is not there. */
async function readInside(root: string, path: string): Promise<string> {
  try {
    // Not blocking and no device: the image says what is at this path.
    const file = await open(await resolveInside(root, path), constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const info = await file.stat();
      if (!info.isFile()) return '';
      const { size } = info;
      const buffer = Buffer.alloc(Math.min(size, FILE_LIMIT));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return '';
    throw error;
  }
}

/** The host path of a path inside a root, every symbolic link followed inside the root. */
export async function resolveInside(root: string, path: string): Promise<string> {
  const pending = path.split('/').filter(Boolean);
  let inside: string[] = [];
  let hops = 0;
  for (let part = pending.shift(); part !== undefined; part = pending.shift()) {
    if (part === '.') continue;
    if (part === '..') {
      inside.pop();
      continue;
    }
    const target = await readlink(join(root, ...inside, part)).catch(() => undefined);
    if (target === undefined) {
      inside.push(part);
      continue;
    }
    if (++hops > LINK_HOPS) throw new Error(`too many levels of symbolic links: ${path}`);
    if (target.startsWith('/')) inside = [];
    pending.unshift(...target.split('/').filter(Boolean));
  }
  return join(root, ...inside);
}
