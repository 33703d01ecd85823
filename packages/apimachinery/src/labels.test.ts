import { describe, expect, test } from 'vitest';
import {
  EVERYTHING,
  formatLabelSelector,
  labelSelectorFromObject,
  matchesLabels,
  parseLabelSelector,
  requiresExactMatch,
} from './labels.ts';

test.each([
  ['', ''],
  ['x=a,y=b,z=c', 'x=a,y=b,z=c'],
  ['z=c, x = a', 'x=a,z=c'],
  ['x!=a,y==b', 'x!=a,y==b'],
  ['x in (b, a)', 'x in (a,b)'],
  ['x notin ()', 'x notin ()'],
  ['x in (,a)', 'x in (,a)'],
  ['!x,y', '!x,y'],
  ['x>1,z<5', 'x>1,z<5'],
  ['in in (in)', 'in in (in)'],
  ['x=', 'x='],
])('%j is understood as %j', (text, formatted) => {
  expect(formatLabelSelector(parseLabelSelector(text))).toBe(formatted);
});

test.each([
  [
    'x=a||y=b',
    /^unable to parse requirement: values\[0\]\[x\]: Invalid value: "a\|\|y": a valid label must be/,
  ],
  ['x==a==b', "found '==', expected: ',' or 'end of string'"],
  ['!x=a', "found '=', expected: ',' or 'end of string'"],
  ['x,', "found '', expected: identifier after ','"],
  [',x', "found ',', expected: !, identifier, or 'end of string'"],
  ['x a', "unable to parse requirement: found 'a', expected: in, notin, =, ==, !=, gt, lt"],
  ['x in a', "unable to parse requirement: found 'a' expected: '('"],
  ['x in (a', "unable to parse requirement: found '', expected: ',' or ')'"],
  ['x>a', /for 'Gt', 'Lt' operators, the value must be an integer/],
  ['a^b=1', /^unable to parse requirement: <nil>: Invalid value: "a\^b": name part must consist of/],
])('%j is refused', (text, message) => {
  expect(() => parseLabelSelector(text)).toThrow(message);
});

describe('matching', () => {
  const labels = { app: 'web', tier: 'front', size: '10' };
  test.each([
    ['app=web', true],
    ['app=db', false],
    ['app!=db', true],
    ['missing!=x', true],
    ['app in (db,web)', true],
    ['app notin (db,web)', false],
    ['missing', false],
    ['!missing', true],
    ['size>9', true],
    ['size<9', false],
    ['app>1', false],
    ['constructor', false],
    ['!toString', true],
    ['', true],
  ])('%j: %s', (text, expected) => {
    expect(matchesLabels(parseLabelSelector(text), labels)).toBe(expected);
  });

  test('no selector selects nothing, an empty one everything', () => {
    expect(matchesLabels(labelSelectorFromObject(undefined), labels)).toBe(false);
    expect(labelSelectorFromObject({})).toBe(EVERYTHING);
    expect(matchesLabels(labelSelectorFromObject({}), undefined)).toBe(true);
  });

  test('the form of objects', () => {
    const selector = labelSelectorFromObject({
      matchLabels: { app: 'web' },
      matchExpressions: [{ key: 'tier', operator: 'In', values: ['front', 'back'] }],
    });
    expect(formatLabelSelector(selector)).toBe('app=web,tier in (back,front)');
    expect(matchesLabels(selector, labels)).toBe(true);
    expect(requiresExactMatch(selector, 'app')).toBe('web');
    expect(requiresExactMatch(selector, 'tier')).toBe(undefined);
    expect(() => labelSelectorFromObject({ matchExpressions: [{ key: 'a', operator: 'Like' }] })).toThrow(
      '"Like" is not a valid label selector operator',
    );
  });
});
