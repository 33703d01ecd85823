import {
  accessSync,
  closeSync,
  constants,
  openSync,
  readSync,
  statfsSync,
  statSync,
  truncateSync,
} from 'node:fs';
import { join } from 'node:path';

import { errorMessage } from '@k8ts/base';
import { open, type RootDatabase } from 'lmdb';

import { UnavailableError } from '../../contract.ts';
import { decodeNumber, SCHEMA_VERSION, settingKey } from './row.ts';

export type Environment = RootDatabase<Buffer, Buffer>;

const DATA_FILE = 'data.mdb';
/** The first meta page: LMDB's magic number and format version follow the page header. */
const META_MAGIC_OFFSET = 24;
const META_MAGIC = 0xbeefc0de;
const META_VERSION = 2;
/** Two meta pages; LMDB's pages are those of the processor, 4 KiB at least. */
const META_PAGES_SIZE = 2 * 4096;

/**
 * Opens the LMDB environment of a data directory, and makes it if there is none. Throws `UnavailableError` for what is
 * no store, a store of another schema, damaged, or not ours to write.
 *
 * Every transaction is synced before it counts as committed (no MDB_NOSYNC, and not lmdb-js' overlapping sync, which
 * reports a commit before the sync and a failed sync not at all); `write` of the journal waits for exactly that.
 */
export function openEnvironment(directory: string): Environment {
  let environment: Environment;
  try {
    checkFile(directory);
    environment = open<Buffer, Buffer>({
      path: directory,
      noSubdir: false,
      encoding: 'binary',
      keyEncoding: 'binary',
      overlappingSync: false,
      eventTurnBatching: false, // the journal makes its own batches; this one's failures nobody could catch
      ...({ permissionsMode: 0o600 } as object), // known to lmdb-js, missing in its types
    });
  } catch (error) {
    throw new UnavailableError(`cannot open the store in ${directory}: ${explain(error, directory)}`, {
      cause: error,
    });
  }
  try {
    fillUp(directory, environment);
    checkSchema(directory, environment); // reads, which enters us in the table that the next step looks at
    checkAlone(directory, environment);
  } catch (error) {
    void environment.close();
    throw error instanceof UnavailableError
      ? error
      : new UnavailableError(`cannot read the store in ${directory}: ${explain(error, directory)}`, {
          cause: error,
        });
  }
  return environment;
}

/** What an error of LMDB or the operating system means for whoever runs the store. */
export function explain(error: unknown, directory: string): string {
  const code = (error as { code?: unknown } | undefined)?.code;
  switch (code) {
    case 28: // ENOSPC
    case 'ENOSPC':
    case 122: // EDQUOT
    case 'EDQUOT':
      return 'the disk is full';
    case 30: // EROFS
    case 'EROFS':
      return 'the file system is read-only';
    case 13: // EACCES
    case 'EACCES':
    case 1: // EPERM
    case 'EPERM':
      return 'permission denied';
    case 5: // EIO, also what LMDB makes of a write that was cut short
    case 'EIO':
      return isFull(directory) ? 'the disk is full' : 'the disk fails';
    case -30793: // MDB_INVALID
    case -30794: // MDB_VERSION_MISMATCH
    case -30796: // MDB_CORRUPTED
    case -30797: // MDB_PAGE_NOTFOUND
      return `${DATA_FILE} is damaged or no store (${errorMessage(error)})`;
    default:
      return errorMessage(error);
  }
}

/** lmdb-js takes the process down when LMDB cannot open a file, so what would make it fail is found out before. */
function checkFile(directory: string): void {
  const file = join(directory, DATA_FILE);
  accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined || found.size === 0) return; // LMDB makes a new one
  accessSync(file, constants.R_OK | constants.W_OK);
  const header = Buffer.alloc(META_MAGIC_OFFSET + 8);
  const descriptor = openSync(file, 'r');
  try {
    readSync(descriptor, header, 0, header.length, 0);
  } finally {
    closeSync(descriptor);
  }
  const [magic, version] = [
    header.readUInt32LE(META_MAGIC_OFFSET),
    header.readUInt32LE(META_MAGIC_OFFSET + 4),
  ];
  if (magic !== META_MAGIC || version !== META_VERSION || found.size < META_PAGES_SIZE)
    throw new UnavailableError(`cannot open the store in ${directory}: ${DATA_FILE} is damaged or no store`);
}

/** A second line behind the lock of the directory: LMDB's own table of the processes that have the file open. */
function checkAlone(directory: string, environment: Environment): void {
  const [, ...readers] = environment.readerList().trim().split('\n');
  const others = readers
    .map((line) => Number(line.trim().split(/\s+/)[0]))
    .filter((pid) => pid !== process.pid);
  if (others.length > 0)
    throw new UnavailableError(
      `the store in ${directory} is in use by another process (${others.join(', ')})`,
    );
}

/** Less than a few pages are left. */
function isFull(directory: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize < 2 ** 16;
  } catch {
    return false; // a disk that cannot even be asked fails
  }
}

/**
 * LMDB counts pages at the end of the file that it took and gave back within one transaction, and writes none of them:
 * the file may rightly be shorter than its last page's number says. It may also have been cut, and reading a mapped file
 * beyond its end kills the process. So the missing end is filled with zeros, which harms no free page, and which a page
 * that is in use cannot be: LMDB, or the recovery that reads every row, then says that the store is damaged.
 */
function fillUp(directory: string, environment: Environment): void {
  const { lastPageNumber, root } = environment.getStats() as {
    lastPageNumber?: number;
    root?: { pageSize?: number };
  };
  const file = join(directory, DATA_FILE);
  const needed = ((lastPageNumber ?? 0) + 1) * (root?.pageSize ?? 0);
  if (statSync(file).size < needed) truncateSync(file, needed);
}

/** An empty environment gets its marker with the first write (see `LmdbJournal`): opening one writes nothing. */
function checkSchema(directory: string, environment: Environment): void {
  const marker = environment.getBinary(settingKey('schema'));
  if (marker !== undefined) {
    const found = decodeNumber(marker);
    if (found !== SCHEMA_VERSION)
      throw new UnavailableError(
        `the store in ${directory} has schema version ${found}, this program knows ${SCHEMA_VERSION} only`,
      );
    return;
  }
  for (const _ of environment.getKeys({ limit: 1 }))
    throw new UnavailableError(`${directory} holds an LMDB environment that is no store of k8ts`);
}
