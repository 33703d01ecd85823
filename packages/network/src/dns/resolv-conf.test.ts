import { describe, expect, it } from 'vitest';

import { VirtualClock } from '@k8ts/base';

import { parseResolvConf, resolvConfUpstreams } from './resolv-conf.ts';

describe('resolv.conf', () => {
  it('gives its name servers', () => {
    const text =
      '# a\nsearch x y\nnameserver 192.0.2.1\n  nameserver\tFD00::1 \nnameserver fe80::1%eth0\nnameserver x\nnameserver\noptions ndots:5';
    expect(parseResolvConf(text)).toEqual([
      { address: '192.0.2.1', port: 53 },
      { address: 'fd00::1', port: 53 },
      { address: 'fe80::1', port: 53 },
    ]);
    expect(parseResolvConf('nameserver 192.0.2.1\n'.repeat(100))).toHaveLength(15);
  });

  it('may be missing', async () => {
    expect(await resolvConfUpstreams('/nowhere/resolv.conf', new VirtualClock())()).toEqual([]);
  });
});
