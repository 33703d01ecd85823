/**
 * Whether two values mean the same to Kubernetes, as apiequality.Semantic.DeepEqual compares Go structs: an absent field
 * is its zero value unless Go has a pointer there, empty lists and maps are absent ones, and quantities are numbers
 * (`1000m` is `1`). Used to decide whether a spec changed.
 *
 *     semanticEqual(podSpec, {containers: [c]}, {containers: [c], hostNetwork: false}) → true
 */
import { schemaOf, type FieldSchema, type KubeObject, type ResourceType, type Schema } from '@k8ts/api';
import { compareQuantities, parseQuantity } from '@k8ts/apimachinery';

type Fields = Readonly<Record<string, unknown>>;

export function semanticEqual(schema: Schema | undefined, left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (schema === undefined) return isEmpty(left) ? isEmpty(right) : plainEqual(left, right);
  switch (schema.type) {
    case 'object':
      return objectsEqual(schema, (left ?? {}) as Fields, (right ?? {}) as Fields);
    case 'array':
      return arraysEqual(schema.items, (left ?? []) as unknown[], (right ?? []) as unknown[]);
    case 'map':
      return mapsEqual(schema.items, (left ?? {}) as Fields, (right ?? {}) as Fields);
    case 'quantity':
      return quantitiesEqual(left ?? '0', right ?? '0');
    case 'string':
    case 'bytes':
    case 'duration':
    case 'time':
    case 'microTime':
      return (left ?? '') === (right ?? '');
    case 'boolean':
      return (left ?? false) === (right ?? false);
    case 'int32':
    case 'int64':
    case 'uint64':
    case 'float64':
    case 'intOrString':
      return (left ?? 0) === (right ?? 0);
    default:
      return plainEqual(left, right);
  }
}

function objectsEqual(schema: Schema, left: Fields, right: Fields): boolean {
  for (const name in left) if (!fieldEqual(schema.fields.get(name), left[name], right[name])) return false;
  for (const name in right)
    if (!(name in left) && !fieldEqual(schema.fields.get(name), left[name], right[name])) return false;
  return true;
}

function fieldEqual(field: FieldSchema | undefined, left: unknown, right: unknown): boolean {
  // Behind a pointer, absent is not zero.
  if (field?.pointer === true && ((left ?? undefined) === undefined) !== ((right ?? undefined) === undefined))
    return false;
  return semanticEqual(field?.schema, left, right);
}

function arraysEqual(
  items: Schema | undefined,
  left: readonly unknown[],
  right: readonly unknown[],
): boolean {
  if (left.length !== right.length) return false;
  for (let i = 0; i < left.length; i++) if (!semanticEqual(items, left[i], right[i])) return false;
  return true;
}

function mapsEqual(items: Schema | undefined, left: Fields, right: Fields): boolean {
  const keys = Object.keys(left);
  if (keys.length !== Object.keys(right).length) return false;
  for (const key of keys)
    if (!Object.hasOwn(right, key) || !semanticEqual(items, left[key], right[key])) return false;
  return true;
}

function quantitiesEqual(left: unknown, right: unknown): boolean {
  try {
    return compareQuantities(parseQuantity(String(left)), parseQuantity(String(right))) === 0;
  } catch {
    return String(left) === String(right);
  }
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

/** JSON values without a schema: the same keys and the same values. */
function plainEqual(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false;
  if (Array.isArray(left) !== Array.isArray(right)) return false;
  const keys = Object.keys(left);
  if (keys.length !== Object.keys(right).length) return false;
  for (const key of keys)
    if (!Object.hasOwn(right, key) || !plainEqual((left as Fields)[key], (right as Fields)[key]))
      return false;
  return true;
}

/** Compares one top-level field (`spec`, `template`) of two objects of a kind. */
export function fieldComparison(
  type: ResourceType<KubeObject>,
  ...path: readonly string[]
): (left: unknown, right: unknown) => boolean {
  let schema: Schema | undefined;
  return (left, right) => {
    if (left === right) return true;
    schema ??= schemaAt(type, path);
    return semanticEqual(schema, left, right);
  };
}

function schemaAt(type: ResourceType<KubeObject>, path: readonly string[]): Schema {
  let schema = schemaOf(type.group, type.version, type.kind);
  for (const name of path) {
    if (schema?.type === 'array' && name === '*') schema = schema.items;
    else schema = schema?.fields.get(name)?.schema;
  }
  if (schema === undefined) throw new Error(`${type.kind} has no field ${path.join('.')}`);
  return schema;
}
