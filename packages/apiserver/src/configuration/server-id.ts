import { createHash } from 'node:crypto';
import { hostname } from 'node:os';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';

/** `apiserver-…`: how servers are told apart in metrics (k8s.io/apiserver/pkg/server, NewConfig). */
export function apiServerId(host: string = hostname()): string {
  const digest = createHash('sha256').update(host).digest().subarray(0, 16);
  let bits = 0n;
  for (const byte of digest) bits = (bits << 8n) | BigInt(byte);
  bits <<= 2n; // 128 bits in 26 letters of 5
  let text = '';
  for (let at = 25n; at >= 0n; at--) text += ALPHABET[Number((bits >> (at * 5n)) & 31n)] as string;
  return `apiserver-${text}`;
}
