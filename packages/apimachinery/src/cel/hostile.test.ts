/** Expressions that upstream bounds by their cost, and some that it does not bound. */
import { describe, expect, test } from 'vitest';
import { compiled } from './testing/evaluate.ts';
import { INT, listType, STRING } from './language/type.ts';
import { ArrayList } from './value/list.ts';

const variables = { list: listType(INT), text: STRING };
const data = {
  list: new ArrayList(Array.from({ length: 100_000 }, (_, i) => BigInt(i))),
  text: 'a'.repeat(3_000_000),
};

const chained = (count: number, body: string): string =>
  `optional.of([1])${`.optMap(x, ${body})`.repeat(count)}`;

describe('what costs too much ends', () => {
  test.each([
    ['nested quantifiers', 'list.all(a, list.all(b, list.all(c, a + b + c >= 0)))'],
    ['concatenation', 'list.map(x, text + text).size() > 0'],
    ['text that doubles', `optional.of(text)${'.optMap(x, x + x)'.repeat(30)}.hasValue()`],
    ['lists that double', `${chained(40, 'x + x')}.hasValue()`],
    ['nested lists that double', `${chained(40, '[x, x]')}.hasValue()`],
    ['comparison of such lists', `${chained(16, 'dyn([x, x])')} == ${chained(16, 'dyn([x, x])')}`],
    ['replacement at every place', 'text.replace("", text)'],
    ['a range of a billion', 'lists.range(1000000000).size()'],
    ['joining', 'list.map(x, text).join(text)'],
    ['formatting', `"${'%s'.repeat(1000)}".format([${Array(1000).fill('text').join(',')}])`],
    ['sorting', 'lists.range(100000).sort().size()'],
    ['distinct elements', 'list.distinct().size()'],
    ['sums of sums', 'list.map(x, list.sum())'],
    ['lists in lists', 'list.map(x, list + list).map(y, y[0])'],
  ])('%s', (_name, expression) => {
    const evaluation = compiled(expression, { variables }).evaluate(data);
    expect(evaluation).toMatchObject({
      value: { message: 'operation cancelled: actual cost limit exceeded' },
      cancelled: true,
    });
  });
});

test.each(['(a*)*b', '(a|a)*c', '(a+)+$', 'a{0,1000}b'])('the pattern %s takes linear time', (pattern) => {
  const program = compiled('text.matches(pattern)', { variables: { ...variables, pattern: STRING } });
  const { value, cancelled } = program.evaluate({ text: 'a'.repeat(100_000), pattern });
  expect([value, cancelled]).toEqual([pattern === '(a+)+$', false]);
});

test('a chain of macros is compiled in linear time', () => {
  const program = compiled(`${chained(200, 'x')}.hasValue()`);
  expect(program.evaluate({}, 1000).cancelled).toBe(true);
});
