import { createHash } from 'node:crypto';
import { linkSync, realpathSync, renameSync, rmSync, statSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { UnavailableError } from '../../contract.ts';

const LOCK_FILE = 'lock.sock';
/** sun_path holds 108 bytes on Linux, 104 on macOS. */
const LONGEST_SOCKET_PATH = 100;

/**
 * Holds a data directory, which must exist, for one store in one process. The lock is a listening socket: the kernel lets go of it when the
 * process dies in whatever way, so nothing is ever left locked, and a process id that was given to another program
 * confuses nobody. The socket file that a killed process leaves behind refuses connections and is taken over.
 */
export async function lockDirectory(directory: string): Promise<AsyncDisposable> {
  const path = socketPath(directory);
  for (let attempt = 0; attempt < 5; attempt++) {
    const server = await listen(path);
    if (server !== undefined) return { [Symbol.asyncDispose]: () => closed(server) };
    const found = identityOf(path); // before asking: what is asked may be replaced meanwhile
    if (await answers(path))
      throw new UnavailableError(`the store in ${directory} is in use by another process (it holds ${path})`);
    if (found !== undefined) removeStale(path, found);
  }
  throw new UnavailableError(
    `the store in ${directory} cannot be locked: ${path} changes hands all the time`,
  );
}

function socketPath(directory: string): string {
  const absolute = realpathSync(directory);
  const id = createHash('sha256').update(absolute).digest('hex').slice(0, 32);
  if (process.platform === 'win32') return `\\\\.\\pipe\\k8ts-store-${id}`;
  const inside = join(absolute, LOCK_FILE);
  return Buffer.byteLength(inside) <= LONGEST_SOCKET_PATH ? inside : join(tmpdir(), `k8ts-store-${id}.sock`);
}

/** Undefined when the name is taken. */
function listen(path: string): Promise<Server | undefined> {
  return new Promise((done, fail) => {
    const server = createServer((socket) => socket.destroy());
    server.unref();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') done(undefined);
      else
        fail(new UnavailableError(`cannot lock the store with ${path}: ${error.message}`, { cause: error }));
    });
    server.listen(path, () => done(server));
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      done(true);
    });
    // A full backlog (EAGAIN) or missing rights (EACCES) mean that somebody is there.
    socket.once('error', ({ code }: NodeJS.ErrnoException) =>
      done(code !== 'ECONNREFUSED' && code !== 'ENOENT'),
    );
  });
}

/** Tells one file from a later one of the same name, also if it was given the same inode. */
function identityOf(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  return found && `${found.ino} ${found.birthtimeMs}`;
}

/**
 * Takes a dead socket file away. Another process may be doing the same, and listen on a new file of that name already;
 * moving the file aside and comparing it with the dead one keeps us from deleting theirs.
 */
function removeStale(path: string, dead: string): void {
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
    if (identityOf(aside) !== dead) linkSync(aside, path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // ENOENT: they were faster. EEXIST: a third one was, between our two steps; `checkAlone` finds out who stays.
    if (code !== 'ENOENT' && code !== 'EEXIST') throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}

function closed(server: Server): Promise<void> {
  return new Promise((done) => server.close(() => done()));
}
