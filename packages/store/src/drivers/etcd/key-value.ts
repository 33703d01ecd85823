import type { Key, KeyValue } from '../../contract.ts';
import { toBigInt, toNumber, type WireKeyValue } from './messages.ts';

const EMPTY = Buffer.alloc(0);

export function keyBytes(key: Key): Buffer {
  return Buffer.from(key, 'latin1');
}

/** The start of a range: etcd has no empty key, its first one is a zero byte. */
export function startBytes(start: Key): Buffer {
  return start === '' ? Buffer.of(0) : keyBytes(start);
}

export function keyValue(wire: WireKeyValue): KeyValue {
  const lease = toBigInt(wire.lease);
  return {
    key: wire.key.toString('latin1'),
    value: wire.value.length === 0 ? EMPTY : wire.value, // an absent field decodes to an empty array, not to bytes
    createRevision: toNumber(wire.createRevision),
    modRevision: toNumber(wire.modRevision),
    version: toNumber(wire.version),
    ...(lease === 0n ? {} : { lease }),
  };
}
