import { describe, expect, it } from 'vitest';

import {
  canonicalAddress,
  cidrContains,
  cidrSize,
  familyOf,
  formatAddress,
  formatCidr,
  parseAddress,
  parseCidr,
  withoutContained,
} from './address.ts';
import type { Cidr } from './address.ts';

const cidr = (text: string): Cidr => {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
};

describe('addresses', () => {
  it.each([
    ['10.244.0.5', '10.244.0.5'],
    ['FD00:0:0:0:0:0:0:1', 'fd00::1'],
    ['fd00::', 'fd00::'],
    ['::', '::'],
    ['::1', '::1'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['1:2:3:4:5:0:7:8', '1:2:3:4:5:0:7:8'],
    ['::ffff:10.0.0.1', '::ffff:a00:1'],
    ['10.244.0.05', undefined],
    ['10.244.0', undefined],
    ['fe80::1%eth0', undefined],
    ['', undefined],
    ['web', undefined],
  ])('%s is %s', (text, canonical) => {
    expect(canonicalAddress(text)).toBe(canonical);
    const family = canonical === undefined ? undefined : familyOf(canonical);
    if (family !== undefined) expect(formatAddress(family, parseAddress(text) ?? -1n)).toBe(canonical);
    else expect(parseAddress(text)).toBeUndefined();
  });

  it.each([
    ['10.244.0.7/24', '10.244.0.0/24', 256n],
    [' 0.0.0.0/0 ', '0.0.0.0/0', 1n << 32n],
    ['10.0.0.1/32', '10.0.0.1/32', 1n],
    ['fd00::ffff/112', 'fd00::/112', 65_536n],
    ['10.0.0.0/33', undefined, 0n],
    ['10.0.0.0', undefined, 0n],
    ['10.0.0.0/-1', undefined, 0n],
    ['10.0.0.0/8/8', undefined, 0n],
  ])('the range %s is %s', (text, formatted, size) => {
    const parsed = parseCidr(text);
    expect(parsed && formatCidr(parsed)).toBe(formatted);
    if (parsed !== undefined) expect(cidrSize(parsed)).toBe(size);
  });

  it.each([
    ['10.244.0.0/24', '10.244.0.255', true],
    ['10.244.0.0/24', '10.244.1.0', false],
    ['10.244.0.0/24', 'fd00::1', false],
    ['0.0.0.0/0', '::1', false],
    ['fd00::/64', 'fd00::ffff', true],
    ['10.244.0.0/24', 'web', false],
  ])('%s contains %s: %s', (range, address, expected) => {
    expect(cidrContains(cidr(range), address)).toBe(expected);
  });

  it('drops ranges inside others', () => {
    const ranges = ['10.244.1.0/24', '10.244.0.0/16', '10.244.0.0/16', '10.245.0.0/16', 'fd00::/64'].map(
      cidr,
    );
    expect(withoutContained(ranges).map(formatCidr)).toEqual(['10.244.0.0/16', '10.245.0.0/16', 'fd00::/64']);
  });
});
