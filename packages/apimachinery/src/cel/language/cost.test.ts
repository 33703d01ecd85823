import { describe, expect, test } from 'vitest';
import { compiled } from '../testing/evaluate.ts';
import { compileSchemaRules } from '../schema/rule-compiler.ts';
import type { apiextensionsv1 } from '@k8ts/api';

type JSONSchemaProps = apiextensionsv1.JSONSchemaProps;

describe('what expressions cost', () => {
  // The figures are cel-go's, with Kubernetes' functions.
  test.each<[expression: string, cost: number, most: number]>([
    ['1', 0, 0],
    ['1 + 2', 1, 1],
    ['[1, 2, 3]', 0, 10],
    ['{"a": 1}', 0, 30],
    ['{"a": 1}.a', 2, 31],
    ['[1, 2][0]', 2, 11],
    ['has({"a": 1}.a)', 1, 30],
    ['true && false', 0, 0],
    ['1 in [1, 2]', 0, 12],
    ['true ? 1 + 1 : 2', 1, 1],
    ['duration("1h")', 0, 1],
    ['"a" + "b"', 1, 1],
    ['"aaaaaaaaaaa" == "b"', 1, 1],
    ['"aaaaaaaaaaa".contains("b")', 2, 2],
    ['"aaaaaaaaaaa".matches("a+b*c?")', 4, 4],
    ['[1, 2, 3].all(x, x > 0)', 16, 26],
    ['[1, 2, 3].exists(x, x > 5)', 19, 29],
    ['[1, 2].map(x, x)', 27, 47],
    ['[1, 2].filter(x, true)', 27, 47],
    ['[1, 2].sum()', 2, 12],
    ['optional.of(1).hasValue()', 2, 2],
    ['optional.none().orValue(1)', 1, 2],
    ['"a,b".split(",")', 1, 1],
    ['quantity("10").add(quantity("20")).isLessThan(quantity("1"))', 5, 5],
    ['quantity("1") == quantity("2")', 3, 3],
    ['sets.contains([1, 2], [1])', 3, 23],
    ['lists.range(5)', 16, 16],
    ['[3, 1, 2].sort()', 29, 39],
    ['format.dns1123Label().validate("abc")', 9, 33],
  ])('%s', (expression, cost, most) => {
    const program = compiled(expression);
    expect(program.evaluate({}).cost).toBe(cost);
    expect(program.maxCost).toBe(most);
  });

  test('an evaluation ends when it has cost too much', () => {
    const program = compiled('[1, 2, 3].all(x, x > 0)');
    expect(program.evaluate({}, 10)).toMatchObject({
      value: { message: 'operation cancelled: actual cost limit exceeded' },
      cancelled: true,
      cost: 11,
    });
    expect(program.evaluate({}, 16)).toMatchObject({ value: true, cancelled: false });
  });
});

describe('what rules may cost at most', () => {
  const rule = (text: string): Pick<JSONSchemaProps, 'x-kubernetes-validations'> => ({
    'x-kubernetes-validations': [{ rule: text }],
  });
  const list = (items: JSONSchemaProps, text: string, maxItems?: number): JSONSchemaProps => ({
    type: 'array',
    items,
    ...(maxItems === undefined ? {} : { maxItems }),
    ...rule(text),
  });
  const map = (values: JSONSchemaProps, text: string, maxProperties?: number): JSONSchemaProps => ({
    type: 'object',
    additionalProperties: values,
    ...(maxProperties === undefined ? {} : { maxProperties }),
    ...rule(text),
  });
  const text = (rules: string, more: JSONSchemaProps = {}): JSONSchemaProps => ({
    type: 'string',
    ...more,
    ...rule(rules),
  });

  // With and without bounds, as upstream's tests have them.
  test.each<[JSONSchemaProps, number]>([
    [list({ type: 'number' }, 'self.all(x, true)'), 4_718_591],
    [list({ type: 'number' }, 'self.all(x, true)', 10), 32],
    [list({ type: 'boolean' }, 'self.all(x, true)', 5), 17],
    [map({ type: 'number' }, 'self.all(x, true)'), 1_348_169],
    [map({ type: 'string' }, 'self.all(x, true)'), 1_179_647],
    [map({ type: 'string' }, 'self.all(x, true)', 3), 11],
    [map({ type: 'integer' }, 'oldSelf.size() == self.size()'), 5],
    [map({ type: 'string', format: 'duration' }, 'self["c"] == self["d"]'), 8],
    [text("self.lowerAscii() == 'lower!'"), 314_575],
    [text("self.lowerAscii() == 'lower!'", { maxLength: 10 }), 6],
    [text("self.contains('A')", { enum: ['A', 'B', 'C', 'LongValue'] }), 2],
    [text("self.contains('A')", { enum: ['A', 'B', 'C', 'LongValue'], maxLength: 1000 }), 401],
    [{ 'x-kubernetes-int-or-string': true, ...rule('isQuantity(self)') }, 314_574],
    [{ 'x-kubernetes-int-or-string': true, maxLength: 20, ...rule('isQuantity(self)') }, 9],
  ])('%j', (schema, cost) => {
    expect(compileSchemaRules(schema, false)).toEqual([
      expect.objectContaining({ cost, usesOldSelf: JSON.stringify(schema).includes('oldSelf') }),
    ]);
  });

  test('how often they may run', () => {
    const cardinality = (schema: JSONSchemaProps): number | undefined =>
      compileSchemaRules(schema, false)[0]?.cardinality;
    expect(cardinality({ type: 'boolean', ...rule('self') })).toBe(Math.floor(3145728 / 5));
    expect(
      cardinality({
        type: 'object',
        properties: { ab: { type: 'string' }, c: { type: 'string', default: '' } },
        required: ['ab', 'c'],
        ...rule('true'),
      }),
    ).toBe(Math.floor(3145728 / 11));
  });
});
