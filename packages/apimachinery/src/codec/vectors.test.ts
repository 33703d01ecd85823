import { readFileSync } from 'node:fs';
import { brotliDecompressSync } from 'node:zlib';
import { schemaOf } from '@k8ts/api';
import type { Schema } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import type { JsonObject } from '../json.ts';
import { appliedSet } from '../managed-fields/applied-set.ts';
import { compareObjects } from '../managed-fields/compare.ts';
import { difference, isEmptySet } from '../managed-fields/field-set.ts';
import { typedFaults } from '../managed-fields/validate-typed.ts';
import { normalizeObject } from './normalize.ts';

/** Upstream's own test vectors (k8s.io/api/testdata): every kind with every field set, as Go writes it. */
const vectors = JSON.parse(
  brotliDecompressSync(
    readFileSync(new URL('../../testdata/protobuf-vectors.json.br', import.meta.url)),
  ).toString('utf8'),
) as Readonly<Record<string, { readonly json: JsonObject }>>;

const cases = Object.entries(vectors).map(([name, { json }]) => {
  const [, group = '', version = '', kind = ''] = /^(.*)\.(v\w+)\.(\w+)$/.exec(name) ?? [];
  return { name, json, schema: schemaOf(group === 'core' ? '' : group, version, kind) as Schema };
});

describe('upstream’s vectors', () => {
  test.each(cases)('$name is in normal form', ({ schema, json }) => {
    const { object, strictErrors } = normalizeObject(json, schema);
    expect(strictErrors).toEqual([]);
    expect(object).toEqual(json);
  });

  test.each(cases)('$name fits its own schema, and every field it names is there', ({ schema, json }) => {
    if (!schema.fields.has('metadata')) return; // requests and answers are not applied
    expect(typedFaults(json, schema)).toEqual([]);
    const { added } = compareObjects({}, json, schema);
    const unowned = { 'f:apiVersion': {}, 'f:kind': {} };
    const { 'f:metadata': _metadata, ...applied } = difference(appliedSet(json, schema), unowned);
    expect(isEmptySet(difference(applied, added ?? {}))).toBe(true);
  });
});
