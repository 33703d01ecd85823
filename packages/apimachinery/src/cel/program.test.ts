import { describe, expect, test } from 'vitest';
import { compiled, evaluated } from './testing/evaluate.ts';
import { DYN, INT, listType, mapType, STRING } from './language/type.ts';
import { celValueOf } from './value/json-value.ts';
import { ArrayList } from './value/list.ts';
import { CelError } from './value/value.ts';

/** Expression and value, one row each. */
function table(rows: readonly (readonly [expression: string, value: string])[]): void {
  test.each(rows)('%s → %s', (expression, value) => {
    expect(evaluated(expression)).toBe(value);
  });
}

describe('literals', () => {
  table([
    ['1', '1'],
    ['-1', '-1'],
    ['0xff', '255'],
    ['-0x10', '-16'],
    ['7u', '7u'],
    ['0xFFu', '255u'],
    ['1.5', '1.5'],
    ['.5', '0.5'],
    ['1e3', '1000.0'],
    ['-2.5e-1', '-0.25'],
    ['9223372036854775807', '9223372036854775807'],
    ['-9223372036854775808', '-9223372036854775808'],
    ['9223372036854775808', 'issue: invalid int literal'],
    ['18446744073709551616u', 'issue: invalid uint literal'],
    ['1.99e90000009', 'issue: invalid double literal'],
    ['true', 'true'],
    ['null', 'null'],
    ['"a\\tb"', '"a\\tb"'],
    [`'it''s'`, "issue: Syntax error: extraneous input ''s'' expecting <EOF>"],
    ['"\\x41\\101\\u0041\\U00000041"', '"AAAA"'],
    ['"\\U0001F431"', '"🐱"'],
    ['"\\uD800"', 'issue: invalid unicode code point'],
    ['r"\\n"', '"\\\\n"'],
    ['"""a\nb"c"""', '"a\\nb\\"c"'],
    ["'''a\r\nb'''", '"a\\nb"'],
    ['b"\\xff\\101"', 'b"ff41"'],
    ['b"é"', 'b"c3a9"'],
    ['b"\\u00e9"', 'issue: unable to unescape string'],
    ['[1, 2,]', '[1, 2]'],
    ['[,]', '[]'],
    ['{"a": 1,}', '{"a": 1}'],
    ['{1: "a", 2u: "b", true: "c"}', "issue: expected type 'int' but found 'uint'"],
    ['// nothing\n1', '1'],
  ]);
});

describe('arithmetic', () => {
  table([
    ['1 + 2 * 3 - 4', '3'],
    ['(1 + 2) * 3', '9'],
    ['7 / 2', '3'],
    ['-7 / 2', '-3'],
    ['-7 % 3', '-1'],
    ['7u / 2u', '3u'],
    ['1.0 / 0.0', 'Infinity'],
    ['1 / 0', 'error: division by zero'],
    ['1 % 0', 'error: modulus by zero'],
    ['1u % 0u', 'error: modulus by zero'],
    ['9223372036854775807 + 1', 'error: integer overflow'],
    ['-9223372036854775808 - 1', 'error: integer overflow'],
    ['-(-9223372036854775808)', 'error: integer overflow'],
    ['-9223372036854775808 / -1', 'error: integer overflow'],
    ['-9223372036854775808 % -1', 'error: integer overflow'],
    ['4611686018427387904 * 2', 'error: integer overflow'],
    ['0u - 1u', 'error: unsigned integer overflow'],
    ['18446744073709551615u + 1u', 'error: unsigned integer overflow'],
    ['--1', '1'],
    ['!!true', 'true'],
    ['"a" + "b"', '"ab"'],
    ['b"a" + b"b"', 'b"6162"'],
    ['[1] + [2, 3]', '[1, 2, 3]'],
    ['1 + 1.0', "issue: found no matching overload for '_+_' applied to '(int, double)'"],
    ['dyn(1) + 1.0', 'error: no such overload'],
    ['dyn(true) + 1', 'error: no such overload: _+_'],
    ['-dyn("a")', 'error: no such overload: -_'],
    ['!dyn(1)', 'error: no such overload'],
  ]);
});

describe('comparison', () => {
  table([
    ['1 < 2', 'true'],
    ['1 < 1.5', 'true'],
    ['1u >= 1', 'true'],
    ['2.0 == dyn(2)', 'true'],
    ['dyn(1u) == 1', 'true'],
    ['dyn("1") == 1', 'false'],
    ['dyn(null) == 1', 'false'],
    ['1 == 1.0', "issue: found no matching overload for '_==_' applied to '(int, double)'"],
    ['0.0 / 0.0 == 0.0 / 0.0', 'false'],
    ['0.0 / 0.0 < 1.0', 'error: NaN values cannot be ordered'],
    ['dyn(9223372036854775807) < 9223372036854775808.0', 'false'],
    ['18446744073709551615u > -1', 'true'],
    ['"a" < "b"', 'true'],
    ['"🐱" > "\uffff"', 'true'],
    ['b"a" < b"b"', 'true'],
    ['false < true', 'true'],
    ['timestamp("2020-01-01T00:00:00Z") < timestamp("2021-01-01T00:00:00Z")', 'true'],
    ['duration("1m") == duration("60s")', 'true'],
    ['[1, 2] == [1, 2]', 'true'],
    ['[1, 2] == [2, 1]', 'false'],
    ['{"a": 1, "b": 2} == {"b": 2, "a": 1}', 'true'],
    ['{"a": 1} == {"a": 2}', 'false'],
    ['[[1]] != [[2]]', 'true'],
    ['type(1) == int', 'true'],
    ['type([]) == list', 'true'],
    ['type(null) == null_type', 'true'],
    ['type(type(1)) == type', 'true'],
    ['dyn([1]) < dyn([2])', 'error: no such overload: _<_'],
    ['dyn(1) < dyn("a")', 'error: no such overload'],
  ]);
});

describe('logic', () => {
  table([
    ['true || 1 / 0 == 1', 'true'],
    ['1 / 0 == 1 || true', 'true'],
    ['1 / 0 == 1 && false', 'false'],
    ['1 / 0 == 1 && true', 'error: division by zero'],
    ['1 / 0 == 1 || false', 'error: division by zero'],
    ['dyn(1) || true', 'true'],
    ['dyn(1) && true', 'error: no such overload'],
    ['true ? 1 : 1 / 0', '1'],
    ['false ? 1 / 0 : 2', '2'],
    ['1 / 0 == 1 ? 1 : 2', 'error: division by zero'],
    ['true ? (true ? 1 : 2) : 3', '1'],
    ['false ? 1 : true ? 2 : 3', '2'],
    ['1 ? 2 : 3', "issue: found no matching overload for '_?_:_' applied to '(int, int, int)'"],
    ['true && 1', "issue: expected type 'bool' but found 'int'"],
  ]);
});

describe('collections', () => {
  table([
    ['[1, 2, 3][1]', '2'],
    ['[1, 2, 3][dyn(1.0)]', '2'],
    ['[1][1]', 'error: index out of bounds: 1'],
    ['[1][-1]', 'error: index out of bounds: -1'],
    ['[1][dyn("a")]', "error: unsupported index type 'string' in list"],
    ['{"a": 1}["a"]', '1'],
    ['{"a": 1}.a', '1'],
    ['{"a": 1}.b', 'error: no such key: b'],
    ['{1: "a"}[dyn(1u)]', '"a"'],
    ['{1: "a"}[2]', 'error: no such key: 2'],
    ['has({"a": 1}.a)', 'true'],
    ['has({"a": 1}.b)', 'false'],
    ['has({"a": {"b": 1}}.a.b)', 'true'],
    ['has({"a": {"b": 1}}.c.b)', 'error: no such key: c'],
    ['2 in [1, 2, 3]', 'true'],
    ['dyn(2.0) in [1, 2]', 'true'],
    ['1 in []', 'false'],
    ['"a" in {"a": 1}', 'true'],
    ['"b" in {"a": 1}', 'false'],
    ['size([1, 2])', '2'],
    ['{"a": 1}.size()', '1'],
    ['size("héllo🐱")', '6'],
    ['size(b"é")', '2'],
  ]);
});

describe('macros', () => {
  table([
    ['[1, 2, 3].all(x, x > 0)', 'true'],
    ['[1, 2, 3].all(x, x > 1)', 'false'],
    ['[0, 1].all(x, 1 / x > 5)', 'false'],
    ['[0, 1].all(x, 1 / x > 0)', 'error: division by zero'],
    ['[].all(x, false)', 'true'],
    ['[1, 2].exists(x, x == 2)', 'true'],
    ['[0, 1].exists(x, 1 / x == 1)', 'true'],
    ['[0].exists(x, 1 / x == 1)', 'error: division by zero'],
    ['[1, 2, 2].exists_one(x, x == 2)', 'false'],
    ['[1, 2].existsOne(x, x == 2)', 'true'],
    ['[1, 2].map(x, x * 2)', '[2, 4]'],
    ['[1, 2, 3].map(x, x > 1, x * 2)', '[4, 6]'],
    ['[1, 2, 3].filter(x, x % 2 == 1)', '[1, 3]'],
    ['{"a": 1, "b": 2}.all(k, k < "c")', 'true'],
    ['{"a": 1, "b": 2}.map(k, k + k)', '["aa", "bb"]'],
    ['{"a": 1, "b": 2}.filter(k, k == "a")', '["a"]'],
    ['[[1], [2, 3]].map(x, x.map(y, y + 1))', '[[2], [3, 4]]'],
    ['[1, 2].map(x, [3].map(x, x))', '[[3], [3]]'],
    ['[5, 6].all(i, v, v == i + 5)', 'true'],
    ['{"a": 1}.exists(k, v, k == "a" && v == 1)', 'true'],
    ['[3, 4].existsOne(i, v, v == 4 && i == 1)', 'true'],
    ['[3, 4].exists_one(i, v, v > 2)', 'false'],
    ['[3, 4].transformList(i, v, i * v)', '[0, 4]'],
    ['[3, 4].transformList(i, v, i > 0, v)', '[4]'],
    ['{"a": 1}.transformMap(k, v, v + 1)', '{"a": 2}'],
    ['{"a": 1, "b": 2}.transformMap(k, v, v > 1, v)', '{"b": 2}'],
    ['[1, 2].transformMap(i, v, v)', '{0: 1, 1: 2}'],
    ['{"a": "x", "b": "y"}.transformMapEntry(k, v, {v: k})', '{"x": "a", "y": "b"}'],
    ['[1, 1].transformMapEntry(i, v, {v: i})', 'error: insert failed: key 1 already exists'],
    ['[3, 1, 2].sortBy(x, -x)', '[3, 2, 1]'],
    ['1.all(2, 3)', 'issue: argument must be a simple name'],
    ['[].map(a.b, 1)', 'issue: argument is not an identifier'],
    ['[].all(__result__, true)', 'issue: iteration variable overwrites accumulator variable'],
    ['[].all(x, x, true)', 'issue: duplicate variable name: x'],
    ['has(1)', 'issue: invalid argument to has() macro'],
    [
      '1.all(x, true)',
      "issue: expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)",
    ],
    ['dyn(1).all(x, true)', "error: got 'int', expected iterable type"],
  ]);
});

describe('optionals', () => {
  table([
    ['optional.of(1)', 'optional(1)'],
    ['optional.none()', 'none'],
    ['optional.ofNonZeroValue(0)', 'none'],
    ['optional.ofNonZeroValue("a")', 'optional("a")'],
    ['optional.of(1).hasValue()', 'true'],
    ['optional.none().hasValue()', 'false'],
    ['optional.of(1).value()', '1'],
    ['optional.none().value()', 'error: optional.none() dereference'],
    ['{"a": 1}.?a', 'optional(1)'],
    ['{"a": 1}.?b', 'none'],
    ['{"a": 1}.?b.orValue(2)', '2'],
    ['{"a": {"b": 1}}.?a.b', 'optional(1)'],
    ['{"a": {"b": 1}}.?x.b', 'none'],
    ['{"a": 1}[?"a"]', 'optional(1)'],
    ['[1, 2][?1]', 'optional(2)'],
    ['[1, 2][?5].hasValue()', 'false'],
    ['{}.?a.or({"b": 1}.?b)', 'optional(1)'],
    ['optional.of(1).orValue(1 / 0)', '1'],
    ['optional.of(1).optMap(x, x + 1)', 'optional(2)'],
    ['optional.none().optMap(x, x)', 'none'],
    ['optional.of({"a": 1}).optFlatMap(x, x.?a)', 'optional(1)'],
    ['[?optional.of(1), ?optional.none(), 2]', '[1, 2]'],
    ['{?"a": optional.of(1), ?"b": optional.none()}', '{"a": 1}'],
    ['[?1]', "issue: expected type 'optional_type(int)' but found 'int'"],
    ['[1, 2].first()', 'optional(1)'],
    ['[].last()', 'none'],
    ['[optional.of(1), optional.none()].unwrapOpt()', '[1]'],
    ['optional.unwrap([optional.of(1)])', '[1]'],
    ['has({"a": {"b": 1}}.?a.b)', 'true'],
    ['has({}.?a.b)', 'false'],
    ['optional.of(1) == optional.of(1)', 'true'],
    ['optional.none() == optional.of(1)', 'false'],
  ]);
});

describe('conversions', () => {
  table([
    ['int(3.9)', '3'],
    ['int(-3.9)', '-3'],
    ['int("42")', '42'],
    ['int(5u)', '5'],
    ['int(timestamp("1970-01-01T00:01:00Z"))', '60'],
    ['int(duration("1us"))', '1000'],
    ['int(dyn(1e19))', 'issue: integer overflow'],
    ['[1e19].map(x, int(x))', 'error: integer overflow'],
    ['int("x")', "issue: type conversion error from 'string' to 'int'"],
    ['[dyn("x")].map(x, int(x))', "error: type conversion error from 'string' to 'int'"],
    ['uint(3.9)', '3u'],
    ['[-1].map(x, uint(x))', 'error: unsigned integer overflow'],
    ['double("1.5")', '1.5'],
    ['double("Inf")', 'Infinity'],
    ['double(3)', '3.0'],
    ['bool("true")', 'true'],
    ['bool("T")', 'true'],
    ['["yes"].map(x, bool(x))', "error: type conversion error from 'string' to 'bool'"],
    ['string(1)', '"1"'],
    ['string(1u)', '"1"'],
    ['string(1.5)', '"1.5"'],
    ['string(1e21)', '"1e+21"'],
    ['string(0.00001)', '"1e-05"'],
    ['string(true)', '"true"'],
    ['string(b"abc")', '"abc"'],
    ['[b"\\xff"].map(x, string(x))', 'error: invalid UTF-8 in bytes, cannot convert to string'],
    ['string(timestamp("2020-01-02T03:04:05.600Z"))', '"2020-01-02T03:04:05.6Z"'],
    ['string(timestamp("2020-01-02T03:04:05+02:00"))', '"2020-01-02T03:04:05+02:00"'],
    ['string(duration("1h1.5s"))', '"3601.5s"'],
    ['bytes("é")', 'b"c3a9"'],
    ['timestamp(60)', 'timestamp(1970-01-01T00:01:00Z)'],
    ['timestamp("0000-01-01T00:00:00Z")', 'issue: invalid timestamp argument'],
    ['duration("90s")', 'duration(90s)'],
    ['duration("x")', 'issue: invalid duration argument'],
    ['type(dyn(1u))', 'uint'],
  ]);
});

describe('time', () => {
  const at = 'timestamp("2024-02-29T23:30:15.789Z")';
  table([
    [`${at}.getFullYear()`, '2024'],
    [`${at}.getMonth()`, '1'],
    [`${at}.getDayOfMonth()`, '28'],
    [`${at}.getDate()`, '29'],
    [`${at}.getDayOfYear()`, '59'],
    [`${at}.getDayOfWeek()`, '4'],
    [`${at}.getHours()`, '23'],
    [`${at}.getMinutes()`, '30'],
    [`${at}.getSeconds()`, '15'],
    [`${at}.getMilliseconds()`, '789'],
    [`${at}.getHours("+01:00")`, '0'],
    [`${at}.getDate("+01:00")`, '1'],
    [`${at}.getHours("-02:30")`, '21'],
    [`${at}.getHours("America/New_York")`, '18'],
    [`${at}.getHours("Nowhere/Here")`, 'error: unknown time zone Nowhere/Here'],
    [`${at} + duration("1h")`, 'timestamp(2024-03-01T00:30:15.789Z)'],
    [`${at} - ${at}`, 'duration(0s)'],
    [`${at} - duration("1s")`, 'timestamp(2024-02-29T23:30:14.789Z)'],
    ['duration("1s") + duration("1m")', 'duration(61s)'],
    ['duration("1h").getMinutes()', '60'],
    ['duration("-90m").getHours()', '-1'],
    ['timestamp("9999-12-31T23:59:59Z") + duration("1s")', 'error: timestamp overflow'],
    ['duration("2562047h") + duration("2562047h")', 'error: duration overflow'],
  ]);
});

test('variables', () => {
  const program = compiled('list.all(x, x in map) && name.startsWith("a")', {
    variables: { list: listType(STRING), map: mapType(STRING, INT), name: STRING, other: DYN },
  });
  expect([...program.variables].sort()).toEqual(['list', 'map', 'name']);
  expect(program.evaluate({ list: new ArrayList([]), name: 'abc' }).value).toBe(true);
  expect(program.evaluate({ list: new ArrayList([]) }).value).toEqual(
    new CelError('no such attribute(s): name'),
  );
});

test('an accumulated list does not change the lists it was made of', () => {
  expect(evaluated('[[1, 2].map(x, x)].map(l, [l + [3], l + [4], l])')).toBe(
    '[[[1, 2, 3], [1, 2, 4], [1, 2]]]',
  );
});

describe('JSON without a schema', () => {
  const object = celValueOf({
    spec: { replicas: 3, ratio: 0.5, names: ['a', 'b'], none: null },
    gone: undefined,
  });

  test.each([
    'object.spec.replicas == 3 && type(object.spec.replicas) == int',
    'object.spec.ratio < 1.0',
    'object.spec.names.all(n, n in ["a", "b"]) && object.spec.names + ["c"] == ["a", "b", "c"]',
    'object.spec.none == null && has(object.spec.none)',
    '!has(object.gone) && object.size() == 1 && object.spec == object.spec',
    'object.?spec.?replicas.orValue(1) == 3',
    'object.spec.map(k, k) == ["replicas", "ratio", "names", "none"]',
  ])('%s', (expression) => {
    const program = compiled(expression, { variables: { object: DYN } });
    expect(program.evaluate({ object })).toMatchObject({ value: true });
  });

  test.each([
    ['object.spec.replicas.startsWith("a")', 'no such overload'],
    ['object.spec.replicas.matches("a")', 'no such overload: matches'],
    ['object.spec.replicas.lowerAscii() == "a"', 'no such overload: lowerAscii(int)'],
    ['int(object.spec.names) == 1', 'no such overload: int(list)'],
    ['object.spec.replicas.x == 1', 'no such key: x'],
    ['object.spec.replicas.size() == 1', 'no such overload: size'],
    ['object.spec.names.sum() == 1', 'no such overload: sum(list)'],
  ])('%s fails', (expression, message) => {
    const program = compiled(expression, { variables: { object: DYN } });
    expect(program.evaluate({ object }).value).toEqual(new CelError(message));
  });
});
