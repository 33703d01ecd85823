/** Random objects for property tests: valid ones by schema, and ones that somebody tampered with. */
import type { Schema } from '@k8ts/api';
import type { Random } from '@k8ts/base';
import { isJsonArray, isJsonObject, setOwn } from '../json.ts';
import type { JsonValue, MutableJsonObject } from '../json.ts';

const WORDS = ['a', 'b', 'web', 'x-1', 'Always', 'TCP', '10.0.0.1'];

function pick<T>(random: Random, list: readonly T[]): T {
  return list[Math.floor(random() * list.length)] as T;
}

/** A value that fits the schema's types (not its validation), nested at most `depth` deep. */
export function randomValue(schema: Schema, random: Random, depth: number): JsonValue {
  const below = (items: Schema | undefined): JsonValue =>
    items === undefined ? null : randomValue(items, random, depth - 1);
  switch (schema.type) {
    case 'object': {
      const object: MutableJsonObject = {};
      if (depth <= 0) return object;
      for (const { name, schema: fieldSchema } of schema.fields.values()) {
        const chance = depth > 4 ? 0.6 : 0.25;
        if (random() < chance) object[name] = below(fieldSchema);
      }
      return object;
    }
    case 'map': {
      const map: MutableJsonObject = {};
      if (depth > 0) for (let i = 0; i < random() * 3; i++) map[pick(random, WORDS)] = below(schema.items);
      return map;
    }
    case 'array':
      return depth <= 0 ? [] : Array.from({ length: Math.floor(random() * 4) }, () => below(schema.items));
    case 'boolean':
      return random() < 0.5;
    case 'int32':
    case 'int64':
    case 'uint64':
    case 'float64':
      return Math.floor(random() * 5);
    case 'intOrString':
      return random() < 0.5 ? Math.floor(random() * 5) : pick(random, WORDS);
    case 'quantity':
      return pick(random, ['1', '0.5', '100m', '1Gi', '1024Mi', 2]);
    case 'time':
      return pick(random, ['2026-01-31T12:00:00Z', '2026-01-31T12:00:00+01:00']);
    case 'microTime':
      return '2026-01-31T12:00:00.000001Z';
    case 'duration':
      return pick(random, ['90s', '1h', '0']);
    case 'bytes':
      return pick(random, ['', 'YQ==', 'YWJj']);
    case 'rawExtension':
    case 'json':
      return { a: [1, { b: null }] };
    case 'fieldsV1':
      return { 'f:a': {} };
    case 'schemaOrBool':
      return random() < 0.5 ? true : below(schema.items);
    case 'schemaOrArray':
      return below(schema.items);
    case 'schemaOrStringArray':
      return random() < 0.5 ? ['a'] : below(schema.items);
    case 'string':
      return pick(random, WORDS);
  }
}

const HOSTILE: readonly JsonValue[] = [
  null,
  true,
  -1,
  1e300,
  0.1,
  '',
  '\u0000',
  '\ud800',
  'x'.repeat(300),
  [],
  [[]],
  {},
  { __proto__: null },
  { $patch: 'replace' },
  { $patch: 'delete', name: 'a' },
  { $patch: 5 },
  { '$setElementOrder/containers': [{ name: 'a' }] },
  { $retainKeys: ['type'] },
];
const HOSTILE_KEYS: readonly string[] = [
  '__proto__',
  'constructor',
  'toString',
  '',
  '$patch',
  '$retainKeys',
  '$setElementOrder/containers',
  '$deleteFromPrimitiveList/finalizers',
  'metadata',
  '.',
  'f:x',
];

/** A copy in which, here and there, values are replaced, members added, or elements repeated. */
export function tampered(value: JsonValue, random: Random, chance = 0.05): JsonValue {
  if (random() < chance) return pick(random, HOSTILE);
  if (isJsonArray(value)) {
    const list = value.map((element) => tampered(element, random, chance));
    if (list.length > 0 && random() < chance) list.push(list[0] as JsonValue);
    return list;
  }
  if (!isJsonObject(value)) return value;
  const copy: MutableJsonObject = {};
  for (const [name, member] of Object.entries(value)) {
    if (member !== undefined) setOwn(copy, name, tampered(member, random, chance));
  }
  if (random() < chance) setOwn(copy, pick(random, HOSTILE_KEYS), pick(random, HOSTILE));
  return copy;
}
