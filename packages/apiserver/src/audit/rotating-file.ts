/**
 * A file that is set aside when it would become too large: `audit.log` becomes `audit-2026-01-31T12-00-00.000.log`. Names,
 * limits and the order of things are those of lumberjack, which upstream writes its audit log with, so that whoever collects
 * such files finds what they expect (docs/adr/0076).
 *
 * Writing is synchronous: what `write` has returned from is with the operating system.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  renameSync,
  writeSync,
  createReadStream,
  createWriteStream,
} from 'node:fs';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { errorMessage, type Clock, type Logger } from '@k8ts/base';

export interface RotationLimits {
  /** Megabytes (of 1,048,576 bytes); 0: the file grows for ever. */
  readonly maxSize: number;
  /** Days; 0: any age. */
  readonly maxAge: number;
  /** 0: any number. */
  readonly maxBackups: number;
  readonly compress: boolean;
}

const MEGABYTE = 1024 * 1024;
const DAY = 24 * 60 * 60 * 1000;
const COMPRESSED = '.gz';

export class RotatingFile {
  readonly #path: string;
  readonly #limits: RotationLimits;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #descriptor: number | undefined;
  #size = 0;
  #mode = 0o600;
  /** The last write came to its end in the middle of a line. */
  #isTorn = false;
  #cleaning: Promise<void> = Promise.resolve();
  #cleaningsWaiting = 0;

  /** Makes the directory and the file, or throws. */
  constructor(
    path: string,
    limits: RotationLimits,
    services: { readonly clock: Clock; readonly logger: Logger },
  ) {
    this.#path = path;
    this.#limits = limits;
    this.#clock = services.clock;
    this.#logger = services.logger;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    this.#open();
    if (limits.maxSize > 0) this.#clean();
  }

  /** Whole lines. Throws what the operating system says, or when there is more than a file may hold. */
  write(text: string): void {
    const bytes = Buffer.from(this.#isTorn ? `\n${text}` : text);
    const limit = this.#limits.maxSize * MEGABYTE;
    if (limit > 0 && bytes.length > limit)
      throw new Error(`write length ${bytes.length} exceeds maximum file size ${limit}`);
    if (this.#descriptor === undefined) this.#open();
    if (limit > 0 && this.#size + bytes.length > limit) this.#rotate();
    const descriptor = this.#descriptor as unknown as number;
    let written = 0;
    try {
      while (written < bytes.length) written += writeSync(descriptor, bytes, written);
      this.#isTorn = false;
    } catch (error) {
      this.#isTorn ||= written > 0;
      throw error;
    } finally {
      this.#size += written;
    }
  }

  /** Resolves when old files are compressed and removed as well. */
  async close(): Promise<void> {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
    await this.#cleaning;
  }

  #open(): void {
    this.#descriptor = openSync(this.#path, 'a', this.#mode);
    const { size, mode } = fstatSync(this.#descriptor);
    this.#size = size;
    this.#mode = mode & 0o777;
  }

  #rotate(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
    // Somebody may have taken it away; then there is nothing to set aside.
    if (existsSync(this.#path)) renameSync(this.#path, this.#freeName());
    this.#isTorn = false;
    this.#open();
    this.#clean();
  }

  /** By the time, to the millisecond; later if there is one of that name. */
  #freeName(): string {
    for (let time = this.#clock.now(); ; time++) {
      const name = join(dirname(this.#path), this.#backupName(time));
      if (!existsSync(name) && !existsSync(name + COMPRESSED)) return name;
    }
  }

  #backupName(time: number): string {
    const extension = extname(this.#path);
    const stamp = new Date(time).toISOString().slice(0, 23).replaceAll(':', '-');
    return `${basename(this.#path, extension)}-${stamp}${extension}`;
  }

  /** In the background, one after the other. */
  #clean(): void {
    const { maxAge, maxBackups, compress } = this.#limits;
    if ((maxAge === 0 && maxBackups === 0 && !compress) || this.#cleaningsWaiting > 1) return;
    this.#cleaningsWaiting++;
    this.#cleaning = this.#cleaning
      .then(() => this.#removeAndCompress())
      .catch((error: unknown) =>
        this.#logger.warn('old audit logs cannot be tidied up', {
          path: this.#path,
          error: errorMessage(error),
        }),
      )
      .finally(() => this.#cleaningsWaiting--);
  }

  async #removeAndCompress(): Promise<void> {
    const { maxAge, maxBackups, compress } = this.#limits;
    const directory = dirname(this.#path);
    const backups = await this.#backups(directory);
    const times = [...new Set(backups.map(({ time }) => time))];
    const oldest = maxAge === 0 ? -Infinity : this.#clock.now() - maxAge * DAY;
    const kept = new Set(
      (maxBackups === 0 ? times : times.slice(0, maxBackups)).filter((time) => time >= oldest),
    );
    for (const { name, time } of backups) {
      const path = join(directory, name);
      if (!kept.has(time)) await rm(path, { force: true });
      else if (compress && !name.endsWith(COMPRESSED)) await compressFile(path);
    }
  }

  /** The newest first. */
  async #backups(directory: string): Promise<readonly { readonly name: string; readonly time: number }[]> {
    const extension = extname(this.#path);
    const prefix = `${basename(this.#path, extension)}-`;
    const found = (await readdir(directory)).flatMap((name) => {
      const plain = name.endsWith(COMPRESSED) ? name.slice(0, -COMPRESSED.length) : name;
      if (!plain.startsWith(prefix) || !plain.endsWith(extension)) return [];
      const time = stampTime(plain.slice(prefix.length, plain.length - extension.length));
      return time === undefined ? [] : [{ name, time }];
    });
    return found.sort((a, b) => b.time - a.time);
  }
}

/** `2026-01-31T12-00-00.000` */
function stampTime(stamp: string): number | undefined {
  const match = /^(\d{4}-\d\d-\d\dT\d\d)-(\d\d)-(\d\d\.\d{3})$/.exec(stamp);
  if (match === null) return undefined;
  const time = Date.parse(`${match[1]}:${match[2]}:${match[3]}Z`);
  return Number.isNaN(time) ? undefined : time;
}

/** Whole or not at all: until the compressed file is complete, the other one stays. */
async function compressFile(path: string): Promise<void> {
  const { mode } = await stat(path);
  const unfinished = `${path}${COMPRESSED}.tmp`;
  await pipeline(createReadStream(path), createGzip(), createWriteStream(unfinished, { mode: mode & 0o777 }));
  await rename(unfinished, path + COMPRESSED);
  await rm(path, { force: true });
}
