import { errorMessage, type Logger } from '@k8ts/base';

import { UnavailableError, UnknownOutcomeError } from '../../contract.ts';
import type { Journal, JournalBatch } from '../../mvcc/journal.ts';
import { NO_VALUE, type Version } from '../../mvcc/version.ts';
import { type Environment, explain } from './environment.ts';
import {
  CorruptRowError,
  encodeNumber,
  encodeVersion,
  leaseKey,
  SCHEMA_VERSION,
  type Setting,
  settingKey,
  valueOf,
  versionKey,
} from './row.ts';

/**
 * Versions as rows of one LMDB tree (see row.ts). Each batch is one LMDB transaction, written and synced by a thread of
 * lmdb-js; its promise resolves after the sync.
 */
export class LmdbJournal implements Journal {
  readonly #directory: string;
  readonly #environment: Environment;
  readonly #lock: AsyncDisposable;
  readonly #logger: Logger;
  #broken: string | undefined;
  /** The schema version is on disk. */
  #marked: boolean;

  /** Owns the environment and the lock of its directory. */
  constructor(directory: string, environment: Environment, lock: AsyncDisposable, logger: Logger) {
    this.#directory = directory;
    this.#environment = environment;
    this.#lock = lock;
    this.#logger = logger;
    this.#marked = environment.doesExist(settingKey('schema'));
  }

  readValue(version: Version): Uint8Array {
    const row = this.#environment.getBinaryFast(versionKey(version));
    if (row === undefined) throw new CorruptRowError(`revision ${version.modRevision} is missing`);
    return valueOf(row, row.length, version);
  }

  async write({ versions, leases, compactRevision }: JournalBatch): Promise<void> {
    // Encoded first: once the first row is handed over, nothing may throw, or LMDB would commit half of the batch.
    const rows = versions.map((version) => encodeVersion(version, version.value ?? NO_VALUE));
    const environment = this.#environment;
    await this.#transaction(() => {
      for (const [i, version] of versions.entries())
        void environment.put(versionKey(version), rows[i] as Buffer);
      for (const { id, ttl } of leases)
        if (ttl === undefined) void environment.remove(leaseKey(id));
        else void environment.put(leaseKey(id), encodeNumber(ttl));
      if (compactRevision !== undefined) this.#putSetting('compactRevision', compactRevision);
    });
  }

  remove(versions: readonly Version[]): Promise<void> {
    return this.#transaction(() => {
      for (const version of versions) void this.#environment.remove(versionKey(version));
    });
  }

  markSwept(revision: number): Promise<void> {
    return this.#transaction(() => this.#putSetting('sweptRevision', revision));
  }

  async close(): Promise<void> {
    try {
      await this.#environment.close();
    } finally {
      await this.#lock[Symbol.asyncDispose]();
    }
  }

  #putSetting(name: Setting, value: number): void {
    void this.#environment.put(settingKey(name), encodeNumber(value));
  }

  async #transaction(writes: () => void): Promise<void> {
    if (this.#broken !== undefined) throw new UnavailableError(this.#broken);
    try {
      await this.#environment.batch(() => {
        if (!this.#marked) this.#putSetting('schema', SCHEMA_VERSION);
        writes();
      });
      this.#marked = true;
    } catch (error) {
      throw this.#explainFailure(await causeOf(error));
    }
  }

  /**
   * LMDB gives a transaction up as a whole, and the environment is as before, as long as it fails before its last step,
   * the meta page. If that fails, LMDB refuses everything from then on, and only opening again tells what is on disk.
   */
  #explainFailure(cause: unknown): Error {
    const message = `cannot write to the store in ${this.#directory}: ${explain(cause, this.#directory)}`;
    try {
      this.#environment.transactionSync(() => undefined);
    } catch (error) {
      this.#broken = `${message}; it has to be opened again`;
      this.#logger.error('the store has failed and has to be opened again', {
        directory: this.#directory,
        error: errorMessage(error),
      });
      return new UnknownOutcomeError({ cause });
    }
    return new UnavailableError(message, { cause });
  }
}

/** lmdb-js rejects with a general error whose `commitError` rejects with the real one, a little later. */
async function causeOf(error: unknown): Promise<unknown> {
  const { commitError } = error as { commitError?: Promise<never> };
  if (commitError === undefined) return error;
  try {
    await commitError;
  } catch (cause) {
    return cause;
  }
  return error;
}
