import { type CommitRequest, InvalidRequestError, type Key } from '../contract.ts';

/** etcd's limit, some 285 years. */
const LONGEST_TTL = 9_000_000_000;

/** Throws `InvalidRequestError` for what no store can take. */
export function checkCommit({ conditions, operations }: CommitRequest): void {
  for (const { key } of conditions) checkKey(key);
  for (const operation of operations) {
    checkKey(operation.key);
    if (operation.type === 'put' && !(operation.value instanceof Uint8Array))
      throw new InvalidRequestError('a value is an array of bytes');
  }
  if (operations.length < 2) return;
  const keys = new Set<Key>();
  for (const { key } of operations) keys.add(key);
  if (keys.size < operations.length) throw new InvalidRequestError('duplicate key given in txn request');
}

export function checkLeaseTtl(ttl: number): void {
  if (!(ttl <= LONGEST_TTL)) throw new InvalidRequestError('too large lease TTL');
}

function checkKey(key: Key): void {
  if (key.length === 0) throw new InvalidRequestError('key is not provided');
  for (let i = 0; i < key.length; i++)
    if (key.charCodeAt(i) > 0xff)
      throw new InvalidRequestError('a key is a string of bytes; use keyFromText');
}
