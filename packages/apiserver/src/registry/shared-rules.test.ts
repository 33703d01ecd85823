import { schemaOfType, type Schema } from '@k8ts/api';
import { fieldErrorText, type FieldError } from '@k8ts/apimachinery';
import { describe, expect, test } from 'vitest';
import { builtinStrategies } from './builtin-strategies.ts';
import { domainPrefixedPath } from './field-rules.ts';
import { amountOf, isNotMoreThan100Percent, validateIntOrPercent } from './int-or-percent.ts';
import {
  cidrContains,
  cidrWarnings,
  formatIp,
  ipWarnings,
  parseCidr,
  parseIp,
  validateCidr,
  validateIp,
  validateLegacyIp,
  type Cidr,
  type IpAddress,
} from './ip-addresses.ts';
import { compareAmounts, roundUpToMilli } from './quantities.ts';
import { semanticEqual } from './semantic-equal.ts';

const texts = (errors: readonly FieldError[]): readonly string[] => errors.map(fieldErrorText);

describe('addresses', () => {
  test.each([
    ['10.0.0.1', '10.0.0.1'],
    ['010.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['2001:DB8::0:1', '2001:db8::1'],
    ['::', '::'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['300.0.0.1', undefined],
    ['1.2.3', undefined],
    ['1::2::3', undefined],
    ['fe80::1%eth0', undefined],
    ['x'.repeat(1000), undefined],
  ])('%s is %s', (text, canonical) => {
    const address = parseIp(text);
    expect(address === undefined ? undefined : formatIp(address)).toBe(canonical);
  });

  test('ranges', () => {
    const range = parseCidr('10.96.0.0/12') as Cidr;
    expect(cidrContains(range, parseIp('10.111.255.255') as IpAddress)).toBe(true);
    expect(cidrContains(range, parseIp('10.112.0.0') as IpAddress)).toBe(false);
    expect(cidrContains(range, parseIp('::1') as IpAddress)).toBe(false);
    expect(parseCidr('10.0.0.0/33')).toBeUndefined();
  });

  test('messages', () => {
    expect(texts(validateIp('x', 'p'))).toEqual([
      'p: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
    ]);
    expect(texts(validateIp('2001:DB8::1', 'p'))).toEqual([
      'p: Invalid value: "2001:DB8::1": must be in canonical form ("2001:db8::1")',
    ]);
    expect(texts(validateLegacyIp('010.0.0.1', 'p'))).toHaveLength(1);
    expect(texts(validateLegacyIp('010.0.0.1', 'p', ['010.0.0.1']))).toEqual([]);
    expect(texts(validateCidr('10.0.0.0', 'p'))).toEqual([
      'p: Invalid value: "10.0.0.0": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
    ]);
    expect(ipWarnings('010.0.0.1', 'p')).toEqual([
      'p: non-standard IP address "010.0.0.1" is invalid: use "10.0.0.1"',
    ]);
    expect(cidrWarnings('10.0.0.1/8', 'p')[0]).toBe(
      'p: CIDR value "10.0.0.1/8" is ambiguous in this context (should be "10.0.0.0/8" or "10.0.0.1/32"?)',
    );
  });
});

describe('specs that mean the same', () => {
  const podSpec = schemaOfType('corev1', 'PodSpec') as Schema;
  const spec = { containers: [{ name: 'c', resources: { limits: { cpu: '1' } } }] };

  test.each<[string, unknown, boolean]>([
    ['itself', spec, true],
    [
      'quantities in other words',
      { containers: [{ name: 'c', resources: { limits: { cpu: '1000m' } } }] },
      true,
    ],
    ['values that are zero', { ...spec, hostNetwork: false, nodeName: '', volumes: [] }, true],
    ['another number', { containers: [{ name: 'c', resources: { limits: { cpu: '2' } } }] }, false],
    ['another container', { containers: [...spec.containers, { name: 'd' }] }, false],
    ['a pointer to zero', { ...spec, activeDeadlineSeconds: 0 }, false],
    ['a map that is empty', { ...spec, nodeSelector: {} }, true],
  ])('%s', (_, other, equal) => {
    expect(semanticEqual(podSpec, spec, other)).toBe(equal);
    expect(semanticEqual(podSpec, other, spec)).toBe(equal);
  });
});

test('amounts', () => {
  expect(compareAmounts('1Gi', '1073741824')).toBe(0);
  expect(compareAmounts('999m', '1')).toBeLessThan(0);
  const list = { cpu: '0.1234', memory: '1Gi' };
  roundUpToMilli(list);
  expect(list).toEqual({ cpu: '124m', memory: '1Gi' });
});

test('counts that may be shares', () => {
  expect(texts(validateIntOrPercent(-1, 'p'))).toEqual([
    'p: Invalid value: -1: must be greater than or equal to 0',
  ]);
  expect(texts(isNotMoreThan100Percent('101%', 'p'))).toEqual([
    'p: Invalid value: "101%": must not be greater than 100%',
  ]);
  expect([amountOf(3), amountOf('25%'), amountOf('x')]).toEqual([3, 25, 0]);
});

test('paths with domains', () => {
  expect(texts(domainPrefixedPath('a.b/c', 'p'))).toEqual([]);
  expect(texts(domainPrefixedPath('', 'p'))).toEqual(['p: Required value']);
  expect(texts(domainPrefixedPath('abc', 'p'))).toEqual([
    'p: Invalid value: "abc": must be a domain-prefixed path (such as "acme.io/foo")',
  ]);
});

test('every kind is listed once, and its columns begin with a name or a time', () => {
  const strategies = builtinStrategies();
  const names = strategies.map(({ type }) => `${type.group}/${type.resource}`);
  expect(new Set(names).size).toBe(names.length);
  for (const { columns } of strategies)
    if (columns !== undefined) expect(columns[0]?.name).toMatch(/^(Name|Last Seen)$/);
});
