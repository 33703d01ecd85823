import { expect, test } from 'vitest';
import { formatFieldSelector, matchesFields, parseFieldSelector } from './fields.ts';

test.each([
  ['metadata.name=a', { 'metadata.name': 'a' }, true],
  ['metadata.name==a', { 'metadata.name': 'b' }, false],
  ['spec.nodeName!=n1', {}, true],
  ['spec.nodeName=', {}, true],
  ['a=1,b!=2', { a: '1', b: '2' }, false],
  ['x=a\\,b\\=c\\\\', { x: 'a,b=c\\' }, true],
  ['', {}, true],
  ['toString=', {}, true],
])('%s against %j: %s', (text, fields, expected) => {
  expect(matchesFields(parseFieldSelector(text), fields)).toBe(expected);
});

test.each([
  ['name', "invalid selector: 'name'; can't understand 'name'"],
  ['x=a=b', 'invalid field selector: unescaped character in value: 61'],
  ['x=\\n', 'invalid field selector: invalid escape sequence: \\n'],
  ['x=a\\', 'invalid field selector: invalid escape sequence: \\'],
])('%s is refused', (text, message) => {
  expect(() => parseFieldSelector(text)).toThrow(message);
});

test('is written back with escapes', () => {
  expect(formatFieldSelector(parseFieldSelector('b!=x\\,y,a==1'))).toBe('a=1,b!=x\\,y');
});
