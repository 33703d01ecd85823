import { describe, expect, test } from 'vitest';
import { issueOf } from '../testing/evaluate.ts';
import { DYN, INT, listType, objectType, STRING } from './type.ts';

const START =
  "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";
const RESERVED = [
  'as',
  'break',
  'const',
  'continue',
  'else',
  'for',
  'function',
  'if',
  'import',
  'let',
  'loop',
  'package',
  'namespace',
  'return',
  'var',
  'void',
  'while',
];

const variables = { self: objectType('selfType'), list: listType(INT), text: STRING, any: DYN };
const fieldType = (type: string, field: string): typeof INT | undefined =>
  type === 'selfType' && field === 'count' ? INT : undefined;

function issues(expression: string): string[] {
  return issueOf(expression, { variables, fieldType })
    .split('\n')
    .filter((line) => !line.startsWith(' | '))
    .map((line) => line.replace('ERROR: <input>:', ''));
}

test('errors show the line and a caret', () => {
  expect(issueOf('self.x > 1', { variables, fieldType })).toBe(
    "ERROR: <input>:1:5: undefined field 'x'\n | self.x > 1\n | ....^",
  );
  expect(issueOf('"a" +\n\t"é" + y')).toBe(
    "ERROR: <input>:2:8: undeclared reference to 'y' (in container '')\n |  \"é\" + y\n | ..．....^",
  );
  expect(issueOf('é')).toContain("token recognition error at: 'é'\n | é\n | ＾");
});

describe('syntax', () => {
  test.each<[string, string[]]>([
    ['1 +', [`1:4: Syntax error: mismatched input '<EOF>' expecting ${START}`]],
    [
      '1 + $',
      [
        "1:5: Syntax error: token recognition error at: '$'",
        `1:6: Syntax error: mismatched input '<EOF>' expecting ${START}`,
      ],
    ],
    [
      '1 + +',
      [
        `1:5: Syntax error: mismatched input '+' expecting ${START}`,
        `1:6: Syntax error: mismatched input '<EOF>' expecting ${START}`,
      ],
    ],
    [
      'in',
      [
        `1:1: Syntax error: mismatched input 'in' expecting ${START}`,
        `1:3: Syntax error: mismatched input '<EOF>' expecting ${START}`,
      ],
    ],
    ['*a', [`1:1: Syntax error: extraneous input '*' expecting ${START}`]],
    [
      'a | b',
      [
        "1:3: Syntax error: token recognition error at: '| '",
        "1:5: Syntax error: extraneous input 'b' expecting <EOF>",
      ],
    ],
    ['1 + 2\n3 +', ["2:1: Syntax error: mismatched input '3' expecting <EOF>"]],
    ['TestAllTypes(){}', ["1:15: Syntax error: mismatched input '{' expecting <EOF>"]],
    [
      '{',
      [
        `1:2: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '}', '(', '.', ',', '-', '!', '?', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}`,
      ],
    ],
    ['{"a": 1}."a"', ['1:10: Syntax error: no viable alternative at input \'."a"\'']],
    ['text.true', ["1:6: Syntax error: mismatched input 'true' expecting IDENTIFIER"]],
    ['(1', ["1:3: Syntax error: missing ')' at '<EOF>'"]],
    [
      '"\\xFh"',
      [
        "1:1: Syntax error: token recognition error at: '\"\\xFh'",
        "1:6: Syntax error: token recognition error at: '\"'",
        `1:7: Syntax error: mismatched input '<EOF>' expecting ${START}`,
      ],
    ],
    [
      '"abc',
      [
        "1:1: Syntax error: token recognition error at: '\"abc'",
        `1:5: Syntax error: mismatched input '<EOF>' expecting ${START}`,
      ],
    ],
    ['{"a": 1}.`b`', ["1:10: unsupported syntax: '`'"]],
    ['', [`1:1: Syntax error: mismatched input '<EOF>' expecting ${START}`]],
  ])('%s', (expression, expected) => {
    expect(issues(expression)).toEqual(expected);
  });

  test.each(RESERVED)('%s is reserved', (word) => {
    expect(issues(word)).toEqual([`1:1: reserved identifier: ${word}`]);
    expect(issueOf(`{"a": 1}.${word}`)).toBe('');
  });
});

describe('types', () => {
  test.each<[string, string[]]>([
    ['foo', ["1:1: undeclared reference to 'foo' (in container '')"]],
    ['foo.bar', ["1:1: undeclared reference to 'foo' (in container '')"]],
    ['fun()', ["1:4: undeclared reference to 'fun' (in container '')"]],
    ["'a'.fun()", ["1:8: undeclared reference to 'fun' (in container '')"]],
    ['self.count == "1"', ["1:12: found no matching overload for '_==_' applied to '(int, string)'"]],
    ['self == 1', ["1:6: found no matching overload for '_==_' applied to '(selfType, int)'"]],
    ['self.a || self.b', ["1:5: undefined field 'a'", "1:15: undefined field 'b'"]],
    ['text.size(1)', ["1:10: found no matching overload for 'size' applied to 'string.(int)'"]],
    ['text.b', ["1:5: type 'string' does not support field selection"]],
    ['[].length', ["1:3: type 'list(_var0)' does not support field selection"]],
    ['list.all(x, x)', ["1:13: expected type 'bool' but found 'int'"]],
    ['list[text]', ["1:5: found no matching overload for '_[_]' applied to '(list(int), string)'"]],
    ['list + ["a"]', ["1:6: found no matching overload for '_+_' applied to '(list(int), list(string))'"]],
    ['[1, "a"]', ["1:5: expected type 'int' but found 'string'"]],
    ['[1, any]', ["1:5: expected type 'int' but found 'dyn'"]],
    ['{"a": 1, "b": "c"}', ["1:15: expected type 'int' but found 'string'"]],
    ['{"a": 1, 2: 3}', ["1:10: expected type 'string' but found 'int'"]],
    ['int{}', ["1:4: 'int' is not a message type"]],
    ['Msg{}', ["1:4: undeclared reference to 'Msg' (in container '')"]],
    ['text.matches("(")', ['1:14: invalid matches argument']],
    ['timestamp("x")', ['1:11: invalid timestamp argument']],
    [
      '"%d".format(["x"])',
      ['1:14: error during formatting: decimal clause can only be used on integers, was given string'],
    ],
    ['"%d %s".format([1])', ['1:15: index 1 out of range']],
    ['"a".format([1])', ['1:11: too many arguments supplied to string.format (expected 0, got 1)']],
    ['"%s %d".format(["a", 1])', ['']],
    ['any.a.b[1].c == 1 && any', ['']],
    ['text == null', ["1:6: found no matching overload for '_==_' applied to '(string, null)'"]],
    ['self == null', ['']],
  ])('%s', (expression, expected) => {
    expect(issues(expression)).toEqual(expected);
  });
});

describe('limits', () => {
  test.each([
    ['parentheses', '('.repeat(300) + '1' + ')'.repeat(300)],
    ['lists', '['.repeat(50_000)],
    ['a chain of sums', '1' + '+1'.repeat(300)],
    ['a chain of fields', 'any' + '.a'.repeat(300)],
    ['conditionals', 'true?1:'.repeat(300) + '1'],
  ])('%s', (_name, expression) => {
    expect(issueOf(expression, { variables })).toBe(
      'ERROR: <input>:-1:0: expression recursion limit exceeded: 250',
    );
  });

  test('length', () => {
    expect(issueOf('1'.repeat(100_001))).toBe(
      'ERROR: <input>:-1:0: expression code point size exceeds limit: size: 100001, limit 100000',
    );
  });

  test('many terms are no nesting', () => {
    expect(issueOf('true' + ' && true'.repeat(5000))).toBe('');
    expect(issueOf('!'.repeat(5000) + 'true')).toBe('');
  });
});
