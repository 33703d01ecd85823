import { readFile } from 'node:fs/promises';

import type { Clock } from '@k8ts/base';

import { canonicalAddress } from '../address.ts';

/** A server that answers for the rest of the world. */
export interface Upstream {
  readonly address: string;
  readonly port: number;
}

/** Three are what the C library uses (resolv.conf(5)); CoreDNS takes 15. */
const MAX_UPSTREAMS = 15;

/** The name servers of a resolv.conf(5). Lines that make no sense are passed over, as the C library does. */
export function parseResolvConf(text: string): readonly Upstream[] {
  const upstreams: Upstream[] = [];
  for (const line of text.split('\n')) {
    const [keyword, value] = line.trim().split(/\s+/);
    if (keyword !== 'nameserver' || value === undefined) continue;
    const address = canonicalAddress(value.replace(/%.*$/, ''));
    if (address !== undefined && upstreams.length < MAX_UPSTREAMS) upstreams.push({ address, port: 53 });
  }
  return upstreams;
}

/** Milliseconds for which a resolv.conf is not read again: it changes when a laptop changes its network. */
const REREAD_AFTER = 5_000;

/** Reads the machine's resolv.conf when somebody needs it, at most every five seconds. */
export function resolvConfUpstreams(path: string, clock: Clock): () => Promise<readonly Upstream[]> {
  let readAt = -Infinity;
  let current: Promise<readonly Upstream[]> = Promise.resolve([]);
  return () => {
    if (clock.monotonic() - readAt >= REREAD_AFTER) {
      readAt = clock.monotonic();
      current = readFile(path, 'utf8').then(parseResolvConf, () => []);
    }
    return current;
  };
}
