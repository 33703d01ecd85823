import { UnavailableError, UnknownOutcomeError } from '../contract.ts';
import type { Journal, LeaseChange } from './journal.ts';
import type { Version } from './version.ts';

export interface CommitQueueEvents {
  /** Everything up to `revision` is on disk; called before the commits resolve. */
  durable(versions: readonly Version[], revision: number): void;
  /** Nothing after the durable revision is on disk; called before the commits reject. */
  failed(): void;
}

export interface AddOptions {
  readonly leases?: readonly LeaseChange[];
  readonly compactRevision?: number;
  /** Takes back what the caller changed besides versions. */
  readonly undo?: () => void;
}

/**
 * Group commit: while one batch is on its way to the disk all others gather, and go together, with one sync, when it is
 * done. A lone commit waits for nobody: what is asked for in one turn of the event loop leaves at its end.
 */
export class CommitQueue {
  readonly #journal: Journal | undefined;
  readonly #events: CommitQueueEvents;
  #writing: Batch | undefined;
  #gathering: Batch | undefined;

  constructor(journal: Journal | undefined, events: CommitQueueEvents) {
    this.#journal = journal;
    this.#events = events;
  }

  /** Resolves when everything up to `revision`, of which `versions` are the newest, is durable. */
  add(versions: readonly Version[], revision: number, options?: AddOptions): Promise<void> {
    if (this.#journal === undefined) {
      this.#events.durable(versions, revision);
      return DONE;
    }
    if (versions.length === 0 && options === undefined) return this.settled();
    if (this.#gathering === undefined) {
      this.#gathering = new Batch();
      if (this.#writing === undefined) queueMicrotask(() => void this.#write());
    }
    const batch = this.#gathering;
    for (const version of versions) batch.versions.push(version);
    batch.revision = revision;
    if (options !== undefined) batch.addOptions(options);
    return batch.wait();
  }

  /** Resolves when everything that was added so far is durable. */
  settled(): Promise<void> {
    const last = this.#gathering ?? this.#writing;
    return last === undefined ? DONE : last.wait();
  }

  /** Waits for everything, whether it succeeds or not. */
  async drain(): Promise<void> {
    while (this.#gathering !== undefined || this.#writing !== undefined)
      await this.settled().catch(() => undefined);
  }

  /** Versions that are not yet durable. */
  visitWaiting(visit: (version: Version) => void): void {
    this.#writing?.versions.forEach(visit);
    this.#gathering?.versions.forEach(visit);
  }

  async #write(): Promise<void> {
    for (let batch = this.#gathering; batch !== undefined; batch = this.#gathering) {
      this.#gathering = undefined;
      this.#writing = batch;
      let failure: Error | undefined;
      try {
        await (this.#journal as Journal).write(batch);
      } catch (error) {
        failure = toStoreError(error);
      }
      if (failure === undefined) {
        this.#events.durable(batch.versions, batch.revision);
        this.#writing = undefined;
        batch.resolve();
      } else this.#fail(batch, failure);
    }
  }

  /** What gathered meanwhile was checked against what has just failed, so it fails too. */
  #fail(written: Batch, failure: Error): void {
    const gathered = this.#gathering;
    this.#gathering = this.#writing = undefined;
    gathered?.undo();
    written.undo();
    this.#events.failed();
    written.reject(failure);
    gathered?.reject(new UnavailableError(failure.message, { cause: failure }));
  }
}

const DONE: Promise<void> = Promise.resolve();

class Batch {
  readonly versions: Version[] = [];
  readonly leases: LeaseChange[] = [];
  compactRevision: number | undefined = undefined;
  revision = 0;
  readonly #undo: (() => void)[] = [];
  readonly #waiting: Waiter[] = [];

  addOptions({ leases, compactRevision, undo }: AddOptions): void {
    if (leases !== undefined) this.leases.push(...leases);
    if (compactRevision !== undefined) this.compactRevision = compactRevision;
    if (undo !== undefined) this.#undo.push(undo);
  }

  wait(): Promise<void> {
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  resolve(): void {
    for (const { resolve } of this.#waiting) resolve();
  }

  reject(error: Error): void {
    for (const { reject } of this.#waiting) reject(error);
  }

  undo(): void {
    for (const undo of this.#undo.reverse()) undo();
  }
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

function toStoreError(error: unknown): Error {
  if (error instanceof UnavailableError || error instanceof UnknownOutcomeError) return error;
  return new UnknownOutcomeError({ cause: error });
}
