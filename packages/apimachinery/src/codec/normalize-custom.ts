/**
 * Custom resources in normal form: their metadata is that of every kind, what their schema does not describe goes, and all
 * other values stay as they were sent (validation names those of the wrong type).
 */
import { createSchema, schemaOf, type FieldSchema, type Schema } from '@k8ts/api';
import { isJsonObject } from '../json.ts';
import type { JsonObject, MutableJsonObject } from '../json.ts';
import { dropNulls } from '../schema/nulls.ts';
import { pruneObject } from '../schema/prune.ts';
import { coerceEmbeddedObjects } from '../structural/embedded-objects.ts';
import { countMembers } from './json-scan.ts';
import { DecodeError, normalizeObject } from './normalize.ts';
import type { Normalized } from './normalize.ts';

const ENVELOPE = ['apiVersion', 'kind', 'metadata'] as const;

function envelopeFields(): Map<string, FieldSchema> {
  const fields = schemaOf('', 'v1', 'ConfigMap')?.fields;
  if (fields === undefined) throw new Error('the tables have no ConfigMap');
  return new Map(ENVELOPE.map((name) => [name, fields.get(name) as FieldSchema]));
}

/** A custom resource's compiled schema with the fields that every kind has. */
export function withEnvelope(schema: Schema): Schema {
  return createSchema({ ...schema, fields: new Map([...schema.fields, ...envelopeFields()]) });
}

let envelope: Schema | undefined;

/** Throws DecodeError for what is no object, or has metadata of the wrong types. The schema is one `withEnvelope`. */
export function normalizeCustomObject(value: unknown, schema: Schema): Normalized {
  if (!isJsonObject(value)) throw new DecodeError('json: cannot unmarshal a value that is no object');
  const members = countMembers(value);
  envelope ??= createSchema({ type: 'object', fields: envelopeFields() });
  const head: MutableJsonObject = {};
  for (const name of ENVELOPE) if (value[name] !== undefined) head[name] = value[name];
  const { object, strictErrors } = normalizeObject(head, envelope);
  const pruned = pruneObject({ ...value, ...object }, schema);
  const coerced = coerceEmbeddedObjects(dropNulls(pruned.object, schema), schema);
  if (coerced.error !== undefined) throw new DecodeError(`${coerced.error.field}: ${coerced.error.body}`);
  return {
    object: withoutAbsent(coerced.value as JsonObject, object),
    strictErrors: [...strictErrors, ...coerced.strictErrors, ...pruned.strictErrors],
    members,
  };
}

/** A head that said `metadata: null` has none. */
function withoutAbsent(object: JsonObject, head: JsonObject): JsonObject {
  const absent = ENVELOPE.filter((name) => object[name] === null && head[name] === undefined);
  if (absent.length === 0) return object;
  return Object.fromEntries(Object.entries(object).filter(([name]) => !absent.includes(name as never)));
}
