import type { KubeObject } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import { createObjectEncoding, encodeServed, encodeStored } from './object-encoding.ts';
import { ObjectRecord, type RecordFamily } from './object-record.ts';

const encoding = createObjectEncoding('apps/v1', 'Deployment');
const family: RecordFamily = {
  encoding,
  selectableFields: () => ({ 'spec.x': 'y' }),
  upgrade: (object) => ({ ...object, apiVersion: 'apps/v1', kind: 'Deployment' }),
  upgradeAll: false,
  isForeign: false,
  freeze: (object) => Object.freeze(object),
};

type Parts = KubeObject & { readonly spec?: unknown };
const object: Parts = {
  spec: { replicas: 1, nothing: undefined },
  apiVersion: 'apps/v1',
  metadata: { name: 'wéb', labels: { 'a"b': 'c' }, resourceVersion: '3' },
  kind: 'Deployment',
};

function stored(): Buffer {
  return encodeStored(encoding, object);
}

function record(revision = 12): ObjectRecord {
  return ObjectRecord.fromStored(family, '/k', 'ns', 'wéb', revision, stored(), undefined);
}

describe('stored bytes', () => {
  test('start with kind, apiVersion and metadata, without the resource version', () => {
    expect(stored().toString()).toBe(
      '{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"wéb","labels":{"a\\"b":"c"}},"spec":{"replicas":1}}\n',
    );
  });

  test('are served with the resource version first', () => {
    expect(record().bytes.toString()).toContain('"metadata":{"resourceVersion":"12","name":"wéb"');
    expect(encodeServed(encoding, object).toString()).toContain('"metadata":{"resourceVersion":"3","name"');
  });
});

describe('a record', () => {
  test('gives the same bytes and object to everybody', () => {
    const one = record();
    expect(one.bytes).toBe(one.bytes);
    expect(one.object).toBe(one.object);
    expect(one.object).toEqual({
      ...JSON.parse(stored().toString()),
      metadata: { name: 'wéb', labels: { 'a"b': 'c' }, resourceVersion: '12' },
    });
    expect(Object.isFrozen(one.object)).toBe(true);
  });

  test('takes the object that is known already, with its new resource version', () => {
    const known = structuredClone(object);
    const one = ObjectRecord.fromStored(family, '/k', 'ns', 'wéb', 99, stored(), known);
    expect(one.object).toBe(known);
    expect(known.metadata.resourceVersion).toBe('99');
  });

  test('is respelled for another version of the same shape', () => {
    const beta = createObjectEncoding('apps/v1beta2', 'Deployment');
    const bytes = record().bytesAs(beta).toString();
    expect(JSON.parse(bytes)).toEqual({ ...record().object, apiVersion: 'apps/v1beta2' });
  });

  test.each([false, true])('is shown at a later revision (bytes made: %s)', (made) => {
    const one = record(9);
    if (made) void one.bytes;
    const later = one.at(100_000);
    expect(JSON.parse(later.bytes.toString())).toEqual({
      ...one.object,
      metadata: { ...one.object.metadata, resourceVersion: '100000' },
    });
    expect(later.object.metadata.resourceVersion).toBe('100000');
    expect(one.object.metadata.resourceVersion).toBe('9');
  });

  test.each([false, true])('knows its stored form (bytes made: %s)', (made) => {
    const one = record();
    if (made) void one.bytes;
    expect(one.isStoredAs(stored())).toBe(true);
    expect(one.isStoredAs(encodeStored(encoding, { ...object, spec: { replicas: 2 } } as Parts))).toBe(false);
    expect(one.isStoredAs(encodeStored(encoding, { ...object, spec: {} } as Parts))).toBe(false);
  });

  test('offers its fields to selectors', () => {
    expect(record().fields).toEqual({ 'metadata.name': 'wéb', 'metadata.namespace': 'ns', 'spec.x': 'y' });
    expect(record().labels).toEqual({ 'a"b': 'c' });
  });

  test('is brought up from an older storage version', () => {
    const old = Buffer.from('{"kind":"Deployment","apiVersion":"apps/v1beta1","metadata":{"name":"w"}}\n');
    const one = ObjectRecord.fromStored(family, '/k', '', 'w', 5, old, undefined);
    expect(one.object).toEqual({
      kind: 'Deployment',
      apiVersion: 'apps/v1',
      metadata: { resourceVersion: '5', name: 'w' },
    });
  });
});
