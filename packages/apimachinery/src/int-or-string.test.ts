import { expect, test } from 'vitest';
import { intValueOf, parseIntOrString, scaledIntOrPercent } from './int-or-string.ts';

test.each([
  [3, 10, true, 3],
  ['25%', 10, true, 3],
  ['25%', 10, false, 2],
  ['0%', 10, true, 0],
  ['200%', 3, false, 6],
  ['-50%', 3, true, -1],
] as const)('%s of %s, rounded up: %s', (value, total, roundUp, expected) => {
  expect(scaledIntOrPercent(value, total, roundUp)).toBe(expected);
});

test.each([
  ['3', 'invalid value for IntOrString: invalid type: string is not a percentage'],
  ['x%', 'invalid value for IntOrString: invalid value "x%": strconv.Atoi: parsing "x": invalid syntax'],
])('%j is refused', (value, message) => {
  expect(() => scaledIntOrPercent(value, 10, true)).toThrow(message);
});

test('texts and numbers', () => {
  expect(parseIntOrString('8080')).toBe(8080);
  expect(parseIntOrString('http')).toBe('http');
  expect(parseIntOrString('99999999999')).toBe('99999999999');
  expect(intValueOf('42')).toBe(42);
  expect(intValueOf('x')).toBe(0);
});
