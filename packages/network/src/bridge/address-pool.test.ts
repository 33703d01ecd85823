import { describe, expect, it } from 'vitest';

import { parseCidr } from '../address.ts';
import { AddressPool } from './address-pool.ts';

function pool(text: string): AddressPool {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new Error(text);
  return new AddressPool(cidr);
}

describe('AddressPool', () => {
  it('gives each address once, freed ones as late as possible', () => {
    const addresses = pool('10.244.0.0/29');
    expect(addresses.gateway).toBe('10.244.0.1');
    expect([1, 2, 3].map(() => addresses.allocate())).toEqual(['10.244.0.2', '10.244.0.3', '10.244.0.4']);
    addresses.release('10.244.0.2');
    addresses.release('10.244.0.3');
    expect([1, 2, 3, 4].map(() => addresses.allocate())).toEqual([
      '10.244.0.5',
      '10.244.0.6',
      '10.244.0.2',
      '10.244.0.3',
    ]);
    expect(() => addresses.allocate()).toThrow(
      'no IP addresses available in range set: 10.244.0.2-10.244.0.6',
    );
  });

  it('goes on behind what was in use before a restart', () => {
    const addresses = pool('10.244.0.0/24');
    expect(addresses.take('10.244.0.9')).toBe(true);
    expect(addresses.take('10.244.0.9')).toBe(false);
    expect(addresses.allocate()).toBe('10.244.0.10');
  });

  it.each(['10.244.0.0', '10.244.0.1', '10.244.0.255', '10.244.1.2', 'fd00::2', 'x'])(
    'does not take %s, which is nobody’s or another network’s',
    (address) => {
      expect(pool('10.244.0.0/24').take(address)).toBe(false);
    },
  );

  it('needs room for pods', () => {
    expect(() => pool('10.244.0.0/31')).toThrow('the pod CIDR 10.244.0.0/31 is too small for pods');
    expect(pool('10.244.0.0/30').allocate()).toBe('10.244.0.2');
    expect(pool('fd00::/64').gateway).toBe('fd00::1');
  });
});
