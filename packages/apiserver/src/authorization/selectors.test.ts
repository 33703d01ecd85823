import { expect, test } from 'vitest';
import { reviewedSelectors, selectorsOfReview, selectorsOfText } from './selectors.ts';

test('selectors of queries and of reviews come out the same in reviews to webhooks', () => {
  const text = selectorsOfText('spec.nodeName=n1,status.phase!=Failed', 'app in (b,a),!canary,tier,x=1,n>5');
  expect(reviewedSelectors(text)).toEqual({
    fieldSelector: {
      requirements: [
        { key: 'spec.nodeName', operator: 'In', values: ['n1'] },
        { key: 'status.phase', operator: 'NotIn', values: ['Failed'] },
      ],
    },
    labelSelector: {
      requirements: [
        { key: 'app', operator: 'In', values: ['a', 'b'] },
        { key: 'canary', operator: 'DoesNotExist' },
        { key: 'tier', operator: 'Exists' },
        { key: 'x', operator: 'In', values: ['1'] },
      ].sort((a, b) => a.key.localeCompare(b.key)),
    },
  });
  const { fieldSelector, labelSelector } = reviewedSelectors(text);
  const again = selectorsOfReview({
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
    ...(labelSelector === undefined ? {} : { labelSelector }),
  });
  expect(reviewedSelectors(again)).toEqual(reviewedSelectors(text));
  expect(selectorsOfText(undefined, '')).toEqual({});
});

test.each([
  [{ key: 'a', operator: 'In', values: ['x', 'y'] }, 'fieldSelectors do not yet support multiple values'],
  [{ key: 'a', operator: 'In' }, 'fieldSelectors in must have one value'],
  [{ key: 'a', operator: 'NotIn' }, 'fieldSelectors not in must have one value'],
  [{ key: 'a', operator: 'Exists' }, 'fieldSelectors do not yet support Exists'],
  [{ key: 'a', operator: 'Foo' }, '"Foo" is not a valid field selector operator'],
])('what is not understood is left out: %o', (requirement, error) => {
  const good = { key: 'b', operator: 'In', values: ['1'] };
  expect(selectorsOfReview({ fieldSelector: { requirements: [requirement, good] } })).toEqual({
    fieldSelector: { requirements: [{ field: 'b', operator: '=', value: '1' }], error },
  });
});

test('text that is no selector requires nothing', () => {
  const { fieldSelector, labelSelector } = selectorsOfText('a', 'a=(');
  expect(fieldSelector?.requirements).toEqual([]);
  expect(fieldSelector?.error).toContain("can't understand 'a'");
  expect(labelSelector?.requirements).toEqual([]);
  expect(labelSelector?.error).toBeDefined();
});
