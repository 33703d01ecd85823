import { seededRandom } from '@k8ts/base';
import { describe, expect, test } from 'vitest';
import { createObjectEncoding, encodeStored } from '../storage/object-encoding.ts';
import { ObjectRecord, type RecordFamily } from '../storage/object-record.ts';
import { OrderedRecords } from './ordered-records.ts';

const family: RecordFamily = {
  encoding: createObjectEncoding('v1', 'ConfigMap'),
  selectableFields: undefined,
  upgrade: (object) => object,
  upgradeAll: false,
  isForeign: false,
  freeze: () => undefined,
};

function record(key: string, revision: number): ObjectRecord {
  const stored = encodeStored(family.encoding, { metadata: { name: key } });
  return ObjectRecord.fromStored(family, key, '', key, revision, stored, undefined);
}

function keysOf(records: OrderedRecords, start = '', end = '\uffff', limit?: number): string[] {
  return records
    .snapshot(start, end, limit)
    .flatMap(({ records: leaf, from, to }) => leaf.slice(from, to).map(({ key }) => key));
}

describe('ordered records', () => {
  test('agree with a sorted list through thousands of random changes', () => {
    const random = seededRandom(7);
    const records = new OrderedRecords();
    const model = new Set<string>();
    for (let step = 0; step < 6_000; step++) {
      const key = `key-${String(Math.floor(random() * 900)).padStart(4, '0')}`;
      if (random() < 0.6) {
        records.set(record(key, step + 1));
        model.add(key);
      } else {
        expect(records.delete(key) !== undefined).toBe(model.delete(key));
      }
      if (step % 500 !== 0) continue;
      const sorted = [...model].sort();
      expect(keysOf(records)).toEqual(sorted);
      const from = sorted[Math.floor(sorted.length / 3)] ?? '';
      const to = sorted[Math.floor((sorted.length * 2) / 3)] ?? '';
      const between = sorted.filter((candidate) => candidate >= from && candidate < to);
      expect(keysOf(records, from, to)).toEqual(between);
      expect(keysOf(records, from, to, 5)).toEqual(between.slice(0, 5));
      expect(records.range(from, to).map(({ key }) => key)).toEqual(between);
      expect(records.count(from, to)).toBe(between.length);
      expect(records.size).toBe(sorted.length);
    }
  });

  test('names that grow keep their leaves full', () => {
    const records = new OrderedRecords();
    for (let at = 0; at < 1_000; at++) records.set(record(String(at).padStart(5, '0'), at + 1));
    expect(records.snapshot('', '\uffff').length).toBeLessThanOrEqual(9);
  });

  test('a snapshot stays what it was', () => {
    const records = new OrderedRecords();
    records.load(['a', 'b', 'c'].map((key) => record(key, 1)));
    const before = records.snapshot('', '\uffff');
    records.set(record('bb', 2));
    records.delete('a');
    expect(
      before.flatMap(({ records: leaf, from, to }) => leaf.slice(from, to).map(({ key }) => key)),
    ).toEqual(['a', 'b', 'c']);
    expect(keysOf(records)).toEqual(['b', 'bb', 'c']);
  });

  test.each(['set', 'delete'] as const)('%s forgets the joined bytes of its leaf', (change) => {
    const records = new OrderedRecords();
    records.load(['a', 'b'].map((key) => record(key, 1)));
    const [stretch] = records.snapshot('', '\uffff');
    if (stretch?.leaf !== undefined) stretch.leaf.joined = Buffer.from('joined');
    if (change === 'set') records.set(record('a', 2));
    else records.delete('a');
    expect(records.snapshot('', '\uffff')[0]?.leaf?.joined).toBeUndefined();
  });
});
