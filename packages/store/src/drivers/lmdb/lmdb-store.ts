import { mkdirSync } from 'node:fs';

import { type Clock, type Logger, silentLogger } from '@k8ts/base';

import { type Store, UnavailableError } from '../../contract.ts';
import { MvccStore } from '../../mvcc/mvcc-store.ts';
import { lockDirectory } from './directory-lock.ts';
import { type Environment, explain, openEnvironment } from './environment.ts';
import { LmdbJournal } from './lmdb-journal.ts';
import { recover } from './recovery.ts';

export interface LmdbStoreOptions {
  /** Made when it is missing. Belongs to one store at a time; a second one is refused. */
  readonly directory: string;
  readonly clock: Clock;
  readonly logger?: Logger;
}

/**
 * A store in a directory of this machine, with every acknowledged commit on disk. Keys live in memory (some 200 bytes
 * each), values in LMDB. Throws `UnavailableError` when the directory is in use, not writable, damaged, or of an unknown
 * schema version.
 */
export async function openLmdbStore({
  directory,
  clock,
  logger = silentLogger,
}: LmdbStoreOptions): Promise<Store> {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new UnavailableError(`cannot make the data directory ${directory}: ${explain(error, directory)}`, {
      cause: error,
    });
  }
  const lock = await lockDirectory(directory);
  let environment: Environment | undefined;
  try {
    environment = openEnvironment(directory);
    const started = clock.monotonic();
    const state = await recover(environment, clock);
    const journal = new LmdbJournal(directory, environment, lock, logger);
    const store = new MvccStore({ clock, logger, journal, state });
    logger.info('store opened', {
      directory,
      revision: state.revision,
      keys: state.index.size,
      milliseconds: Math.round(clock.monotonic() - started),
    });
    return store;
  } catch (error) {
    await environment?.close();
    await lock[Symbol.asyncDispose]();
    throw error instanceof UnavailableError
      ? error
      : new UnavailableError(`cannot read the store in ${directory}: ${explain(error, directory)}`, {
          cause: error,
        });
  }
}
