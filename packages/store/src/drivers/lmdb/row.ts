import { UnavailableError } from '../../contract.ts';
import type { Version } from '../../mvcc/version.ts';

/**
 * How the store lies on disk. One LMDB tree; the first byte of a key is its table:
 *
 *     'l' + lease id (8 bytes)            → time to live in seconds (8 bytes)
 *     'm' + name                          → settings: see `Setting`
 *     'v' + revision (8) + sub (4)        → one version of one key
 *
 * Versions sort by revision, so the table is a log: writes append to its end, recovery and old watches read it in order.
 * All numbers are big-endian and unsigned. A version row is
 *
 *     flags (1: put, 2: leased) · createRevision (8) · version (8) · [lease (8)] · key length (4) · key · value
 */
export const SCHEMA_VERSION = 1;

export type Setting = 'schema' | 'compactRevision' | 'sweptRevision';

const LEASE_TABLE = 0x6c;
const SETTING_TABLE = 0x6d;
const VERSION_TABLE = 0x76;

const PUT = 1;
const LEASED = 2;
const HEADER = 1 + 8 + 8 + 4;

export const LEASES_START: Buffer = Buffer.from([LEASE_TABLE]);
export const LEASES_END: Buffer = Buffer.from([LEASE_TABLE + 1]);
export const VERSIONS_START: Buffer = Buffer.from([VERSION_TABLE]);
export const VERSIONS_END: Buffer = Buffer.from([VERSION_TABLE + 1]);

/** The row is not what this program writes: the file is damaged. */
export class CorruptRowError extends UnavailableError {
  constructor(what: string) {
    super(`the data is damaged: ${what}`);
    this.name = 'CorruptRowError';
  }
}

// Keys are copied by LMDB as soon as they are handed over, so one buffer serves all.
const versionKeyBuffer = Buffer.from([VERSION_TABLE, ...new Array<number>(12).fill(0)]);

/** Valid until the next call. */
export function versionKey(version: Version): Buffer {
  writeUint64(versionKeyBuffer, version.modRevision, 1);
  versionKeyBuffer.writeUInt32BE(version.sub, 9);
  return versionKeyBuffer;
}

export function leaseKey(id: bigint): Buffer {
  const key = Buffer.allocUnsafe(9);
  key[0] = LEASE_TABLE;
  key.writeBigInt64BE(id, 1);
  return key;
}

export function leaseIdOf(key: Uint8Array): bigint {
  if (key.length !== 9) throw new CorruptRowError('a lease has no id');
  return Buffer.from(key).readBigInt64BE(1);
}

export function settingKey(name: Setting): Buffer {
  return Buffer.concat([Buffer.from([SETTING_TABLE]), Buffer.from(name)]);
}

export function encodeNumber(value: number): Buffer {
  const buffer = Buffer.allocUnsafe(8);
  writeUint64(buffer, value, 0);
  return buffer;
}

export function decodeNumber(buffer: Uint8Array): number {
  if (buffer.length !== 8) throw new CorruptRowError('a number is not 8 bytes long');
  return readUint64(Buffer.from(buffer), 0);
}

export function encodeVersion(version: Version, value: Uint8Array): Buffer {
  const { key, lease } = version;
  const leased = lease !== 0n;
  const row = Buffer.allocUnsafe(HEADER + (leased ? 8 : 0) + key.length + value.length);
  row[0] = (version.version > 0 ? PUT : 0) | (leased ? LEASED : 0);
  writeUint64(row, version.createRevision, 1);
  writeUint64(row, version.version, 9);
  let at = 17;
  if (leased) at = row.writeBigInt64BE(lease, at);
  at = row.writeUInt32BE(key.length, at);
  row.write(key, at, 'latin1');
  row.set(value, at + key.length);
  return row;
}

/** Everything but the value, which stays on disk. `rowKey` and `row` may be reused by the caller afterwards. */
export function decodeVersion(rowKey: Buffer, row: Buffer): Version {
  if (rowKey.length !== 13) throw new CorruptRowError('a version has no revision');
  const at = keyStart(row);
  const length = row.readUInt32BE(at - 4);
  if (at + length > row.length) throw new CorruptRowError('a key is cut short');
  const version = readUint64(row, 9);
  if (version > 0 !== ((row[0] as number) & PUT) > 0)
    throw new CorruptRowError('a version is neither put nor delete');
  return {
    key: row.toString('latin1', at, at + length),
    createRevision: readUint64(row, 1),
    modRevision: readUint64(rowKey, 1),
    version,
    lease: ((row[0] as number) & LEASED) > 0 ? row.readBigInt64BE(17) : 0n,
    sub: rowKey.readUInt32BE(9),
    value: undefined,
    older: undefined,
  };
}

/** A copy of the value of a row of `size` bytes that holds `version`. */
export function valueOf(row: Buffer, size: number, version: Version): Uint8Array {
  const start = HEADER + (version.lease === 0n ? 0 : 8) + version.key.length;
  if (start > size) throw new CorruptRowError(`revision ${version.modRevision} is cut short`);
  const value = Buffer.allocUnsafe(size - start);
  row.copy(value, 0, start, size);
  return value;
}

function keyStart(row: Buffer): number {
  const flags = row[0];
  const start = HEADER + ((flags as number) & LEASED ? 8 : 0);
  if (flags === undefined || flags > (PUT | LEASED) || row.length < start)
    throw new CorruptRowError('a version has no header');
  return start;
}

function writeUint64(buffer: Buffer, value: number, at: number): void {
  const high = Math.floor(value / 2 ** 32);
  buffer.writeUInt32BE(high, at);
  buffer.writeUInt32BE(value - high * 2 ** 32, at + 4);
}

function readUint64(buffer: Buffer, at: number): number {
  return buffer.readUInt32BE(at) * 2 ** 32 + buffer.readUInt32BE(at + 4);
}
