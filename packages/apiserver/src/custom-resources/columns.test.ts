import type { KubeObject } from '@k8ts/api';
import { expect, test } from 'vitest';
import { columnsOf } from './columns.ts';

const NOW = Date.UTC(2026, 0, 1, 0, 1);
const OBJECT = {
  metadata: { name: 'a', creationTimestamp: '2026-01-01T00:00:00Z' },
  spec: {
    text: 'x',
    number: 1.5,
    flag: false,
    nothing: null,
    empty: '',
    date: '2026-01-01T02:00:30+02:00',
    loose: '2026',
    list: [{ name: 'a' }, { name: 'b' }],
  },
} as unknown as KubeObject;

const cell = (type: string, jsonPath: string): unknown =>
  columnsOf([{ name: 'C', type, jsonPath }])[1]?.cell(OBJECT, NOW);

test.each([
  ['string', '.spec.text', 'x'],
  ['string', '.spec.number', '1.5'],
  ['string', '.spec.flag', 'false'],
  ['string', '.spec.nothing', '<no value>'],
  ['string', '.spec.empty', ''],
  ['string', '.spec.missing', null],
  ['string', '.spec.list', '[{"name":"a"},{"name":"b"}]'],
  // Only the first: that is all that upstream shows.
  ['string', '.spec.list[*].name', 'a'],
  ['integer', '.spec.number', 1],
  ['integer', '.spec.text', null],
  ['number', '.spec.number', 1.5],
  ['boolean', '.spec.flag', false],
  ['boolean', '.spec.text', null],
  ['boolean', '.spec.nothing', null],
  ['date', '.spec.date', '30s'],
  ['date', '.spec.empty', '<unknown>'],
  ['date', '.spec.loose', '<invalid>'],
  ['date', '.spec.text', '<invalid>'],
  ['date', '.spec.number', null],
])('a %s at %s: %j', (type, path, expected) => {
  expect(cell(type, path)).toBe(expected);
});

test('without columns there is the age', () => {
  const [name, age, ...more] = columnsOf([]);
  expect([name?.name, age?.name, more.length]).toEqual(['Name', 'Age', 0]);
  expect(age?.cell(OBJECT, NOW)).toBe('60s');
});
