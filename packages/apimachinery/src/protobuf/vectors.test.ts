import { readFileSync } from 'node:fs';
import { brotliDecompressSync } from 'node:zlib';
import { schemaOf } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import { decodeProtobuf, encodeProtobuf, encodeProtobufMessage, readProtobufEnvelope } from './index.ts';

interface Vector {
  readonly json: object;
  readonly protobuf: string;
}

/** Upstream's own test vectors (k8s.io/api/testdata), packed by tools/import-protobuf-vectors.ts. */
const vectors = JSON.parse(
  brotliDecompressSync(
    readFileSync(new URL('../../testdata/protobuf-vectors.json.br', import.meta.url)),
  ).toString('utf8'),
) as Readonly<Record<string, Vector>>;

const cases = Object.entries(vectors).map(([name, { json, protobuf }]) => {
  const [, group = '', version = '', kind = ''] = /^(.*)\.(v\w+)\.(\w+)$/.exec(name) ?? [];
  const schema = schemaOf(group === 'core' ? '' : group, version, kind);
  if (schema === undefined) throw new Error(`${name} has no schema`);
  return { name, schema, json, bytes: new Uint8Array(Buffer.from(protobuf, 'base64')) };
});

describe('upstream’s vectors', () => {
  test('there are vectors for all groups', () => {
    expect(cases.length).toBeGreaterThan(180);
  });

  test.each(cases)('$name is decoded', ({ schema, json, bytes }) => {
    expect(decodeProtobuf(schema, bytes)).toEqual(json);
  });

  test.each(cases)('$name is encoded byte for byte', ({ schema, json, bytes }) => {
    expect(hex(encodeProtobuf(schema, json))).toBe(hex(bytes));
    expect(hex(encodeProtobufMessage(schema, json))).toBe(hex(readProtobufEnvelope(bytes).raw));
  });
});

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
