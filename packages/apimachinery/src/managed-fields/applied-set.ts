/** The fields an applied configuration names (structured-merge-diff, typed/tofieldset.go), and related views of sets. */
import type { Schema } from '@k8ts/api';
import type { JsonArray, JsonObject, JsonValue } from '../json.ts';
import { isMember, LEAF, sorted } from './field-set.ts';
import type { FieldSet } from './field-set.ts';
import { fieldSchemaOf, isEmptyContainer, isNamedField, listItemElement, relationOf } from './relation.ts';

type MutableFieldSet = Record<string, FieldSet>;

/**
 * Leaves, items of lists, and entries of maps. Unlike in the comparison of objects, the structs on the way are not owned:
 * whoever applies `spec.replicas` does not own `spec`.
 */
export function appliedSet(value: JsonObject, schema: Schema): FieldSet {
  return fieldsBelow(value, schema) ?? LEAF;
}

/** What is below a value; undefined for leaves, which are members where they hang. */
function below(value: JsonValue, schema: Schema): FieldSet | undefined {
  const relation = relationOf(schema, value);
  if (relation === 'leaf') return undefined;
  if (relation === 'fields') return fieldsBelow(value as JsonObject, schema);
  const node: MutableFieldSet = {};
  const repeated = new Set<string>();
  for (const item of value as JsonArray) {
    const element = listItemElement(schema, relation, item);
    if (element === undefined) continue;
    if (node[element] !== undefined) repeated.add(element);
    node[element] = repeated.has(element) ? LEAF : marked(below(item, schema.items as Schema));
  }
  return Object.keys(node).length === 0 ? undefined : sorted(node);
}

function fieldsBelow(value: JsonObject, schema: Schema): FieldSet | undefined {
  const node: MutableFieldSet = {};
  let any = false;
  for (const [name, child] of Object.entries(value)) {
    if (child === undefined) continue;
    const fieldSchema = fieldSchemaOf(schema, name);
    if (fieldSchema === undefined) continue;
    const children = below(child, fieldSchema);
    const relation = relationOf(fieldSchema, child);
    // An empty list that is merged by item names nothing at all.
    if (children === undefined && (relation === 'set' || relation === 'keyed')) {
      if (isNamedField(schema, name)) continue;
    }
    any = true;
    const member = children === undefined || isEmptyContainer(child) || !isNamedField(schema, name);
    node[`f:${name}`] = member ? marked(children) : children;
  }
  return any ? sorted(node) : undefined;
}

function marked(children: FieldSet | undefined): FieldSet {
  return children === undefined ? LEAF : { '.': LEAF, ...children };
}

/**
 * The set with every declared field on the way as a member too: `a.b.c` makes `a` and `a.b` members where they are fields
 * of structs, though not entries of maps or items of lists.
 */
export function withNamedFields(set: FieldSet, schema: Schema | undefined): FieldSet {
  const node: MutableFieldSet = {};
  for (const key of Object.keys(set)) {
    const child = set[key] as FieldSet;
    if (key === '.') {
      node['.'] = LEAF;
      continue;
    }
    const name = key.startsWith('f:') ? key.slice(2) : undefined;
    const hasChildren = Object.keys(child).some((childKey) => childKey !== '.');
    if (!hasChildren) {
      node[key] = child;
      continue;
    }
    const childSchema = schema === undefined ? undefined : elementSchema(schema, key, name);
    const expanded = withNamedFields(child, childSchema);
    const named = name !== undefined && schema !== undefined && isNamedField(schema, name);
    node[key] = named && !isMember(expanded) ? { '.': LEAF, ...expanded } : expanded;
  }
  return node;
}

function elementSchema(schema: Schema, key: string, name: string | undefined): Schema | undefined {
  if (name !== undefined) return fieldSchemaOf(schema, name);
  return key.startsWith('k:') ? schema.items : undefined;
}
