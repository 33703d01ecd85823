import { describe, expect, test } from 'vitest';
import { seededRandom } from '@k8ts/base';
import {
  addQuantities,
  canonicalQuantity,
  compareQuantities,
  formatQuantity,
  parseQuantity,
  QuantityError,
  quantityMilliValue,
  quantityToNumber,
  quantityValue,
  subtractQuantities,
} from './quantity.ts';

// Pairs of upstream's quantity_test.go, and what its fast path keeps as written.
test.each([
  ['0', '0'],
  ['-0', '0'],
  ['0Ki', '0'],
  ['00000', '0'],
  ['1', '1'],
  ['1000', '1k'],
  ['1000000', '1M'],
  ['100m', '100m'],
  ['0.1', '100m'],
  ['0.5', '500m'],
  ['1.5', '1500m'],
  ['.5', '500m'],
  ['1.', '1.'],
  ['1Ki', '1Ki'],
  ['8Ki', '8Ki'],
  ['1024Ki', '1Mi'],
  ['1024Mi', '1Gi'],
  ['1.5Gi', '1536Mi'],
  ['0.5Gi', '512Mi'],
  ['0.1Mi', '104857600m'],
  ['1023', '1023'],
  ['0.0001Ki', '102400u'],
  ['100000m', '100'],
  ['1e3', '1e3'],
  ['1E3', '1E3'],
  ['1e6', '1e6'],
  ['1.5e6', '1500e3'],
  ['1000e3', '1e6'],
  ['1e-3', '1e-3'],
  ['100e-3', '100e-3'],
  ['5e1', '50'],
  ['9223372036854775807Ki', '9223372036854775807'],
  ['1000Ei', '9223372036854775807'],
  ['0.1n', '1n'],
  ['0.0000000001', '1n'],
  ['-0.0000000001', '-1n'],
  ['1.1E', '1100P'],
  ['9Ei', '9223372036854775807'],
  ['7Ei', '7Ei'],
  ['-1.5Gi', '-1536Mi'],
  ['+1', '+1'],
  ['1.100', '1.100'],
  ['100000000000000000000000000', '100e24'],
])('%s is written as %s', (text, canonical) => {
  expect(canonicalQuantity(text)).toBe(canonical);
});

describe('refuses', () => {
  test.each(['', '1.1.M', '1+1.0M', '0.1am', 'aoeu', '-3.01e-1x', ' 1', '1 ', '1,5', '1'.repeat(1001)])(
    '%j as no quantity',
    (text) => {
      expect(() => parseQuantity(text)).toThrow(/^quantities must match the regular expression/);
    },
  );
  test.each(['0.1mi', '.5i', '1i', '1mm', '1e', '1e9999999999', '1E+1001'])('the suffix of %j', (text) => {
    expect(() => parseQuantity(text)).toThrow(new QuantityError("unable to parse quantity's suffix"));
  });
});

test('rounds up to whole units', () => {
  expect(quantityValue(parseQuantity('1500m'))).toBe(2);
  expect(quantityValue(parseQuantity('-1500m'))).toBe(-2);
  expect(quantityMilliValue(parseQuantity('1.0001'))).toBe(1001);
  expect(quantityMilliValue(parseQuantity('2'))).toBe(2000);
  expect(quantityValue(parseQuantity('1Gi'))).toBe(2 ** 30);
  expect(quantityToNumber(parseQuantity('100m'))).toBe(0.1);
});

test('the sum takes the format of the side that is not zero', () => {
  const sum = (a: string, b: string): string =>
    formatQuantity(addQuantities(parseQuantity(a), parseQuantity(b)));
  expect(sum('1Gi', '1Gi')).toBe('2Gi');
  expect(sum('0', '1Gi')).toBe('1Gi');
  expect(sum('100m', '1')).toBe('1100m');
  expect(formatQuantity(subtractQuantities(parseQuantity('2'), parseQuantity('500m')))).toBe('1500m');
});

test('canonical forms keep the value and are stable, for random quantities', () => {
  const random = seededRandom(7);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const suffixes = ['', 'n', 'u', 'm', 'k', 'M', 'G', 'T', 'Ki', 'Mi', 'Gi', 'Ti', 'e3', 'e-2', 'E5'];
  for (let i = 0; i < 3000; i++) {
    const whole = Math.floor(random() * 10 ** Math.floor(random() * 8));
    const fraction = random() < 0.5 ? '' : `.${Math.floor(random() * 1000)}`;
    const text = `${random() < 0.2 ? '-' : ''}${whole}${fraction}${pick(suffixes)}`;
    const parsed = parseQuantity(text);
    const canonical = formatQuantity(parsed);
    expect(canonicalQuantity(text), text).toBe(canonical);
    expect(compareQuantities(parseQuantity(canonical), parsed), text).toBe(0);
    expect(canonicalQuantity(canonical), text).toBe(canonical);
  }
});
