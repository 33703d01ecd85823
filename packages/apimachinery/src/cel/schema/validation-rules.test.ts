import { describe, expect, test } from 'vitest';
import type { apiextensionsv1 } from '@k8ts/api';
import type { JsonValue } from '../../json.ts';
import { fieldErrorText } from '../../validation/field-errors.ts';
import { escapeName, unescapeName } from './escaping.ts';
import { ruleFieldPath } from './field-path.ts';
import { compileSchemaRules } from './rule-compiler.ts';
import { parseSchemaDuration } from './schema-duration.ts';
import { compileValidationRules, RuleBudget } from './validation-rules.ts';

type Props = apiextensionsv1.JSONSchemaProps;
type Rule = apiextensionsv1.ValidationRule;

const RULES = 'x-kubernetes-validations';
const LIST_TYPE = 'x-kubernetes-list-type';
const LIST_KEYS = 'x-kubernetes-list-map-keys';
const PRESERVE = 'x-kubernetes-preserve-unknown-fields';
const INT_OR_STRING = 'x-kubernetes-int-or-string';

const string: Props = { type: 'string' };
const integer: Props = { type: 'integer' };
const object = (properties: Record<string, Props>, more: Props = {}): Props => ({
  type: 'object',
  properties,
  ...more,
});
const list = (items: Props, more: Props = {}): Props => ({ type: 'array', items, ...more });
const map = (additionalProperties: Props, more: Props = {}): Props => ({
  type: 'object',
  additionalProperties,
  ...more,
});
const rules = (...all: (string | Rule)[]): Props => ({
  [RULES]: all.map((rule) => (typeof rule === 'string' ? { rule } : rule)),
});

interface CheckOptions {
  readonly old?: JsonValue;
  readonly isRoot?: boolean;
  readonly budget?: RuleBudget;
  readonly onWarning?: (text: string) => void;
}

function check(schema: Props, value: JsonValue, options: CheckOptions = {}): string[] {
  const { old, isRoot = false, budget = new RuleBudget(), onWarning } = options;
  return compileValidationRules(schema, { isRoot })
    .validate(value, old, 'root', budget, onWarning === undefined ? {} : { onWarning })
    .map(fieldErrorText);
}

/** Whether the rule holds for the field `x`. */
function holds(x: Props, value: JsonValue, rule: string): boolean | string {
  const errors = check(object({ x }, rules(rule)), { x: value });
  return (
    errors.length === 0 ||
    (errors[0] === `root: Invalid value: failed rule: ${rule}` ? false : (errors[0] as string))
  );
}

describe('values by their schema', () => {
  const keyed = list(object({ k: string, v: integer }, { required: ['k'] }), {
    [LIST_TYPE]: 'map',
    [LIST_KEYS]: ['k'],
  });
  test.each<[Props, JsonValue, string]>([
    [integer, 3, 'self.x == 3 && type(self.x) == int'],
    [{ type: 'number' }, 3, 'self.x == 3.0 && type(self.x) == double'],
    [string, 'a', 'self.x.startsWith("a")'],
    [{ type: 'boolean' }, true, 'self.x'],
    [
      { type: 'string', format: 'date-time' },
      '2020-01-01T00:00:00+01:00',
      'self.x == timestamp("2019-12-31T23:00:00Z")',
    ],
    [{ type: 'string', format: 'date' }, '2020-02-29', 'self.x.getDayOfYear() == 59'],
    [{ type: 'string', format: 'duration' }, '90s', 'self.x == duration("1m30s")'],
    [{ type: 'string', format: 'byte' }, 'AAEC', 'self.x == b"\\x00\\x01\\x02" && self.x.size() == 3'],
    [{ type: 'string', format: 'uuid' }, 'x', 'self.x == "x"'],
    [{ [INT_OR_STRING]: true }, 5, 'type(self.x) == int && self.x == 5'],
    [{ [INT_OR_STRING]: true }, '5%', 'type(self.x) == string && self.x.endsWith("%")'],
    [list(integer), [1, 2], 'self.x == [1, 2] && self.x != [2, 1] && self.x[0] + self.x[1] == 3'],
    [list(integer), [1], '(self.x + [2]).size() == 2 && self.x + [2] == [1, 2]'],
    [list(string, { [LIST_TYPE]: 'set' }), ['a', 'b'], 'self.x == ["b", "a"]'],
    [list(string, { [LIST_TYPE]: 'set' }), ['a', 'b'], 'self.x + ["b", "c"] == ["c", "b", "a"]'],
    [
      keyed,
      [
        { k: 'a', v: 1 },
        { k: 'b', v: 2 },
      ],
      'self.x == self.x.sortBy(e, -e.v)',
    ],
    [keyed, [{ k: 'a', v: 1 }], '(self.x + self.x).size() == 1'],
    [map(integer), { a: 1, b: 2 }, 'self.x.a == 1 && self.x["b"] == 2 && self.x.all(k, self.x[k] > 0)'],
    [map(integer), { a: 1 }, 'self.x == {"a": 1} && self.x.size() == 1 && "a" in self.x'],
    [object({ a: string }), {}, '!has(self.x.a) && self.x.?a.orValue("z") == "z"'],
    [object({ a: { type: 'string', nullable: true } }), { a: null }, '!has(self.x.a)'],
    [map({ type: 'string', nullable: true }), { a: null }, 'self.x.a == dyn(null)'],
    [
      object({ 'a-b': integer, namespace: integer, a__b: integer, 'c.d/e': integer }),
      { 'a-b': 1, namespace: 2, a__b: 3, 'c.d/e': 4 },
      'self.x.a__dash__b == 1 && self.x.__namespace__ == 2 && self.x.a__underscores__b == 3 && self.x.c__dot__d__slash__e == 4',
    ],
    [object({ a: object({ b: integer }) }), { a: { b: 1 } }, 'self.x.a == self.x.a && self.x.a.b == 1'],
    [object({ kept: { [PRESERVE]: true }, a: integer }), { kept: { z: [1] }, a: 1 }, 'self.x == self.x'],
    [
      object({}, { 'x-kubernetes-embedded-resource': true, [PRESERVE]: true }),
      { kind: 'Pod', apiVersion: 'v1', metadata: { name: 'a' } },
      'self.x.kind == "Pod" && self.x.metadata.name == "a" && !has(self.x.metadata.generateName)',
    ],
  ])('%j %j: %s', (schema, value, rule) => {
    expect(holds(schema, value, rule)).toBe(true);
  });

  test.each<[Props, JsonValue, string, string]>([
    [integer, 'a', 'self.x == 1', 'invalid data, expected int, got string'],
    [integer, null, 'self.x == 1', 'no such key: x'],
    [{ type: 'string', format: 'date' }, 'x', 'self.x == self.x', 'Invalid date formatted string x'],
    [
      { [INT_OR_STRING]: true },
      'a',
      'self.x > 5',
      "'no such overload': call arguments did not match a supported operator, function or macro signature for rule: self.x > 5",
    ],
    [list(integer), [1], 'self.x[1] == 1', 'index out of bounds: 1 evaluating rule: self.x[1] == 1'],
    [integer, 0, '1 / self.x == 1', 'division by zero evaluating rule: 1 / self.x == 1'],
    [object({ a: integer }), {}, 'self.x.a == 1', 'no such key: a evaluating rule: self.x.a == 1'],
  ])('%j %j: %s fails', (schema, value, rule, message) => {
    expect(holds(schema, value, rule)).toContain(`root: Invalid value: "object": ${message}`);
  });
});

test('words of the language are fields with or without the escape', () => {
  const schema = object({ namespace: integer, if: integer, in: integer });
  expect(holds(schema, { namespace: 1, if: 2, in: 3 }, 'self.x.namespace == 1 && self.x.if == 2')).toBe(true);
  expect(
    holds(schema, { namespace: 1, if: 2, in: 3 }, 'self.x.__namespace__ == 1 && self.x.__in__ == 3'),
  ).toBe(true);
  expect(holds(schema, {}, 'has(self.x.namespace) || has(self.x.__if__)')).toBe(false);
});

describe('what a schema shows', () => {
  test.each<[Props, string]>([
    [object({ a: { [PRESERVE]: true } }, rules('has(self.a)')), "undefined field 'a'"],
    [object({ a: list({ [PRESERVE]: true }) }, rules('has(self.a)')), "undefined field 'a'"],
    [object({ a: object({}, { [PRESERVE]: true }) }, rules('has(self.a.b)')), "undefined field 'b'"],
    [object({ '1a': integer }, rules('has(self.a)')), "undefined field 'a'"],
    [
      object({ metadata: object({ labels: map(string) }) }, rules('has(self.metadata.labels)')),
      "undefined field 'labels'",
    ],
    [object({}, rules('self.metadata.namespace == ""')), "undefined field 'namespace'"],
    [object({ a: integer }, rules('self.a')), ''],
    [
      object({ a: integer }, rules('oldSelf.hasValue()')),
      "found no matching overload for 'hasValue' applied to 'selfType.()'",
    ],
  ])('%j', (schema, message) => {
    const [result] = compileSchemaRules(schema, true);
    if (message === '') expect(result?.error?.detail).toBe('cel expression must evaluate to a bool');
    else expect(result?.error?.detail).toContain(message);
  });

  test('errors carry the compiler’s text', () => {
    expect(compileSchemaRules(object({ a: integer }, rules('self.x > 1')), false)).toEqual([
      {
        cost: 0,
        cardinality: 1_048_576,
        usesOldSelf: false,
        error: {
          detail: "compilation failed: ERROR: <input>:1:5: undefined field 'x'\n | self.x > 1\n | ....^",
        },
      },
    ]);
  });

  test.each<[Rule, Record<string, unknown>]>([
    [{ rule: ' ' }, { cost: 0 }],
    [
      { rule: 'int("x") == 1' },
      { error: { detail: "program instantiation failed: type conversion error from 'string' to 'int'" } },
    ],
    [
      { rule: 'true', messageExpression: '1' },
      { messageExpressionError: 'messageExpression must evaluate to a string' },
    ],
    [
      { rule: 'true', messageExpression: 'x' },
      {
        messageExpressionError:
          "messageExpression compilation failed: ERROR: <input>:1:1: undeclared reference to 'x' (in container '')\n | x\n | ^",
      },
    ],
    [{ rule: 'true', messageExpression: '"a" + "b"' }, { messageExpressionCost: 1 }],
    [{ rule: 'self == oldSelf' }, { usesOldSelf: true }],
    [{ rule: 'oldSelf.hasValue()', optionalOldSelf: true }, { usesOldSelf: true }],
  ])('%j', (rule, expected) => {
    expect(compileSchemaRules({ ...integer, ...rules(rule) }, false)).toEqual([
      expect.objectContaining(expected),
    ]);
  });

  test('a schema that cannot be seen', () => {
    expect(() => compileSchemaRules({ [PRESERVE]: true, ...rules('true') }, false)).toThrow(
      'unable to convert structural schema to CEL declarations',
    );
  });
});

describe('rules', () => {
  test('errors are reported at their place', () => {
    const schema = object(
      {
        spec: object(
          { min: integer, max: integer, names: list(string, rules('self.size() < 2')) },
          rules('self.min <= self.max'),
        ),
        labels: map({ ...string, ...rules('self != "bad"') }),
      },
      rules({ rule: 'has(self.spec)', message: ' there must be a spec ' }),
    );
    expect(check(schema, { spec: { min: 3, max: 2, names: ['a', 'b'] }, labels: { 'a.b': 'bad' } })).toEqual([
      'root.spec: Invalid value: failed rule: self.min <= self.max',
      'root.spec.names: Invalid value: failed rule: self.size() < 2',
      'root.labels[a.b]: Invalid value: "bad": failed rule: self != "bad"',
    ]);
    expect(check(schema, {})).toEqual(['root: Invalid value: there must be a spec']);
    expect(check(schema, { spec: null as never })).toEqual(['root: Invalid value: there must be a spec']);
  });

  test.each<[Partial<Rule>, string]>([
    [{}, 'root: Invalid value: 5: failed rule: self < 5'],
    [{ message: 'too much' }, 'root: Invalid value: 5: too much'],
    [{ messageExpression: '"found " + string(self)' }, 'root: Invalid value: 5: found 5'],
    [{ message: 'too much', messageExpression: '" "' }, 'root: Invalid value: 5: too much'],
    [{ messageExpression: '"a\\nb"' }, 'root: Invalid value: 5: failed rule: self < 5'],
    [{ messageExpression: 'string(1 / (self - 5))' }, 'root: Invalid value: 5: failed rule: self < 5'],
    [{ reason: 'FieldValueForbidden' }, 'root: Forbidden: failed rule: self < 5'],
    [{ reason: 'FieldValueRequired', message: 'x' }, 'root: Required value: x'],
    [{ reason: 'FieldValueDuplicate' }, 'root: Duplicate value: 5'],
    [{ reason: 'FieldValueInvalid' }, 'root: Invalid value: 5: failed rule: self < 5'],
  ])('%j', (more, expected) => {
    expect(check({ ...integer, ...rules({ rule: 'self < 5', ...more }) }, 5)).toEqual([expected]);
  });

  test('an error may belong to a field', () => {
    const schema = object({ a: object({ b: integer }), m: map(integer) });
    const at = (fieldPath: string): string[] =>
      check({ ...schema, ...rules({ rule: 'false', fieldPath }) }, {});
    expect(at('.a.b')).toEqual(['root.a.b: Invalid value: failed rule: false']);
    expect(at(".m['x.y']")).toEqual(['root.m[x.y]: Invalid value: failed rule: false']);
    expect(at('.c')).toEqual(['root: Invalid value: failed rule: false']);
  });

  test('names and kinds are known at the root', () => {
    const schema = object(
      {},
      rules('self.metadata.name == "a" && self.kind == "K" && self.apiVersion == "g/v1"'),
    );
    const value = { apiVersion: 'g/v1', kind: 'K', metadata: { name: 'a', labels: { x: 'y' } } };
    expect(check(schema, value, { isRoot: true })).toEqual([]);
    expect(check(schema, { ...value, metadata: { name: 'b' } }, { isRoot: true })).toHaveLength(1);
  });

  test('allOf adds rules', () => {
    const schema = object(
      { a: integer },
      { allOf: [{ properties: { a: rules('self > 1') } }, rules('has(self.a)')] },
    );
    expect(check(schema, { a: 1 })).toEqual(['root.a: Invalid value: 1: failed rule: self > 1']);
    expect(check(schema, {})).toEqual(['root: Invalid value: failed rule: has(self.a)']);
  });
});

describe('transitions', () => {
  const immutable = { ...integer, ...rules('self == oldSelf') };
  const changed = 'failed rule: self == oldSelf';

  test('need an old value', () => {
    const schema = object({ a: immutable });
    expect(check(schema, { a: 1 })).toEqual([]);
    expect(check(schema, { a: 1 }, { old: { a: 1 } })).toEqual([]);
    expect(check(schema, { a: 1 }, { old: {} })).toEqual([]);
    expect(check(schema, { a: 1 }, { old: { a: null } })).toEqual([]);
    expect(check(schema, { a: 1 }, { old: { a: 2 } })).toEqual([`root.a: Invalid value: 1: ${changed}`]);
  });

  test('correlate maps by key and keyed lists by their keys', () => {
    expect(check(map(immutable), { a: 1, b: 2 }, { old: { a: 1, b: 3 } })).toEqual([
      `root[b]: Invalid value: 2: ${changed}`,
    ]);
    const item = object({ k: string, l: integer, v: immutable });
    const keyed = list(item, { [LIST_TYPE]: 'map', [LIST_KEYS]: ['k', 'l'] });
    const old = [
      { k: 'b', l: 1, v: 1 },
      { k: 'a', l: 1, v: 2 },
    ];
    expect(
      check(
        keyed,
        [
          { k: 'a', l: 1, v: 2 },
          { k: 'b', l: 1, v: 5 },
          { k: 'b', l: 2, v: 6 },
        ],
        { old },
      ),
    ).toEqual([`root[1].v: Invalid value: 5: ${changed}`]);
    expect(check(list(item), [{ k: 'a', l: 1, v: 3 }], { old })).toEqual([]);
  });

  test('may take the old value as optional', () => {
    const rule = { rule: 'oldSelf.hasValue() || self == 1', optionalOldSelf: true };
    const schema = { ...integer, ...rules(rule) };
    expect(check(schema, 1)).toEqual([]);
    expect(check(schema, 2)).toHaveLength(1);
    expect(check(schema, 2, { old: 1 })).toEqual([]);
    const value = { ...integer, ...rules({ rule: 'oldSelf.orValue(5) == 5', optionalOldSelf: true }) };
    expect(check(value, 2)).toEqual([]);
    expect(check(value, 2, { old: 4 })).toHaveLength(1);
  });
});

describe('ratcheting', () => {
  const schema = object({
    a: { ...integer, ...rules('self > 10') },
    b: list({ ...integer, ...rules('self > 10') }),
    c: object({ d: integer }, rules('self.d > 10')),
    keyed: list(object({ k: string, v: { ...integer, ...rules('self > 10') } }), {
      [LIST_TYPE]: 'map',
      [LIST_KEYS]: ['k'],
    }),
  });

  test('what did not change is let pass with a warning', () => {
    const warnings: string[] = [];
    const old = {
      a: 1,
      b: [1, 2],
      c: { d: 1 },
      keyed: [
        { k: 'x', v: 1 },
        { k: 'y', v: 2 },
      ],
    };
    const options = { old, onWarning: (text: string) => warnings.push(text) };
    expect(check(schema, old, options)).toEqual([]);
    expect(warnings).toEqual([
      'root.a: Invalid value: 1: failed rule: self > 10',
      'root.b[0]: Invalid value: 1: failed rule: self > 10',
      'root.b[1]: Invalid value: 2: failed rule: self > 10',
      'root.c: Invalid value: failed rule: self.d > 10',
      'root.keyed[0].v: Invalid value: 1: failed rule: self > 10',
      'root.keyed[1].v: Invalid value: 2: failed rule: self > 10',
    ]);
    expect(check(schema, { ...old, a: 2 }, { old })).toEqual([
      'root.a: Invalid value: 2: failed rule: self > 10',
    ]);
    expect(check(schema, { ...old, b: [1, 3] }, { old })).toHaveLength(2);
    expect(
      check(
        schema,
        {
          ...old,
          keyed: [
            { k: 'y', v: 2 },
            { k: 'x', v: 3 },
          ],
        },
        { old },
      ),
    ).toEqual(['root.keyed[1].v: Invalid value: 3: failed rule: self > 10']);
  });

  test('rules that look at the old value are not', () => {
    const transition = { ...integer, ...rules('self > oldSelf') };
    expect(check(transition, 1, { old: 1 })).toHaveLength(1);
  });
});

describe('budgets', () => {
  const OUT = 'validation failed due to running out of cost budget, no further validation rules will be run';

  test('are shared and end validation', () => {
    const schema = object({
      a: { ...integer, ...rules('self > 0', 'self > 1') },
      b: { ...integer, ...rules('self > 0') },
    });
    const budget = new RuleBudget(4);
    expect(check(schema, { a: 1, b: 1 }, { budget })).toEqual([
      'root.a: Invalid value: 1: failed rule: self > 1',
      `root.b: Invalid value: "integer": ${OUT}`,
    ]);
    expect(budget.isExhausted).toBe(true);
    expect(check({ ...integer, ...rules('self > 0') }, 1, { budget })).toEqual([
      `root: Invalid value: "integer": ${OUT}`,
    ]);
  });

  test('are checked after each rule', () => {
    const budget = new RuleBudget(3);
    expect(check({ ...integer, ...rules('self + self + self + self > 0') }, 1, { budget })).toEqual([
      `root: Invalid value: "integer": ${OUT}`,
    ]);
  });

  test('one rule must not cost too much', () => {
    const rule = 'self.all(a, self.all(b, self.all(c, a + b + c > 0)))';
    const value = Array.from({ length: 200 }, () => 1);
    expect(check(list(integer, rules(rule, 'true')), value)).toEqual([
      `root: Invalid value: "array": 'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: ${rule}`,
    ]);
  });

  test('message expressions count', () => {
    const messageExpression =
      'self.map(a, self.map(b, self.map(c, string(a))).size()).size() > 0 ? "x" : "y"';
    const value = Array.from({ length: 100 }, () => 1);
    expect(check(list(integer, rules({ rule: 'false', messageExpression })), value)).toEqual([
      `root: Invalid value: "array": no further validation rules will be run due to call cost exceeds limit for messageExpression: ${JSON.stringify(messageExpression)}`,
    ]);
    const budget = new RuleBudget(500_000);
    expect(check(list(integer, rules({ rule: 'false', messageExpression })), value, { budget })).toEqual([
      'root: Invalid value: "array": messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run',
    ]);
  });
});

test.each([
  ['a', 'a'],
  ['a.b-c/d', 'a__dot__b__dash__c__slash__d'],
  ['a__b', 'a__underscores__b'],
  ['a___b', 'a__underscores___b'],
  ['namespace', '__namespace__'],
  ['_a', '_a'],
  ['in', '__in__'],
])('%s is escaped as %s', (name, escaped) => {
  expect(escapeName(name)).toBe(escaped);
  expect(unescapeName(escaped)).toBe(name);
});

test('what cannot be escaped', () => {
  expect(['', '1a', 'a b', 'é', 'a$'].map(escapeName)).toEqual(Array(5).fill(undefined));
  expect(['a__x__', '__if__a', '__nothing__'].map(unescapeName)).toEqual(Array(3).fill(undefined));
});

test.each([
  ['.a.b', 'a.b'],
  [".m['x']", 'm[x]'],
  [".m['it\\'s']", "m[it's]"],
  ['', ''],
  ['a', undefined],
  ['.b', undefined],
  [".m['x", undefined],
  ['.a[0]', undefined],
])('the path %s', (path, expected) => {
  expect(ruleFieldPath(path, object({ a: object({ b: integer }), m: map(integer) }))).toBe(expected);
});

test.each([
  ['1h30m', 5_400_000_000_000n],
  ['3 days', 259_200_000_000_000n],
  ['2 weeks 1 hour', 1_213_200_000_000_000n],
  ['5', undefined],
  ['x', undefined],
])('the duration %s', (text, expected) => {
  expect(parseSchemaDuration(text)).toBe(expected);
});
