/**
 * What changed between two versions of an object, as sets of fields (structured-merge-diff, typed/compare.go).
 *
 * Hot: runs on every write. A create walks the new object once and builds the set in its wire form; an update walks both,
 * skips what is shared, and builds nodes only along changed paths. Guarded by bench/managed-fields.bench.ts.
 */
import type { Schema } from '@k8ts/api';
import { jsonEqual } from '../json.ts';
import type { JsonArray, JsonObject, JsonValue } from '../json.ts';
import { LEAF, sorted } from './field-set.ts';
import type { FieldSet } from './field-set.ts';
import { fieldSchemaOf, isEmptyContainer, listItemElement, ownableFieldsOf, relationOf } from './relation.ts';
import type { Relation } from './relation.ts';

/** Undefined sets are empty. No field is in more than one. */
export interface Comparison {
  readonly removed: FieldSet | undefined;
  readonly modified: FieldSet | undefined;
  readonly added: FieldSet | undefined;
}

/** The node under construction at one place, for each of the three sets. */
interface Nodes {
  removed: FieldSet | undefined;
  modified: FieldSet | undefined;
  added: FieldSet | undefined;
}

type MutableFieldSet = Record<string, FieldSet>;

/** Never owned by anybody (upstream's stripmeta). */
const UNOWNED_METADATA: ReadonlySet<string> = new Set([
  'name',
  'namespace',
  'creationTimestamp',
  'selfLink',
  'uid',
  'clusterName',
  'generation',
  'managedFields',
  'resourceVersion',
]);

const isUnownedAtRoot = (name: string): boolean => name === 'apiVersion' || name === 'kind';
const isUnownedMetadata = (name: string): boolean => UNOWNED_METADATA.has(name);
const isOwned = (): boolean => false;

/** Compares two objects, without the fields that nobody owns (apiVersion, kind, metadata.name …). */
export function compareObjects(live: JsonObject, next: JsonObject, schema: Schema): Comparison {
  const nodes: Nodes = { removed: undefined, modified: undefined, added: undefined };
  if (live !== next) compareFields(live, next, schema, nodes, isUnownedAtRoot);
  return nodes;
}

/** Compares two values that differ in identity; both are present. Sets the nodes that this place has in each set. */
function compareValues(left: JsonValue, right: JsonValue, schema: Schema, nodes: Nodes): void {
  const relation = relationOf(schema, right);
  // Values of different form, such as a list and an object, are compared as a whole.
  const leftRelation = left === null ? relation : relationOf(schema, left);
  if (right === null && leftRelation !== 'leaf' && !isEmptyContainer(left)) {
    nodes.removed = withoutMark(addedSet(left, schema));
    return;
  }
  if (relation === 'leaf' || leftRelation !== relation || left === null) {
    if (left !== null || isEmptyContainer(right) || relation === 'leaf') {
      if (!jsonEqual(left, right)) nodes.modified = LEAF;
    } else {
      // Null holds nothing: everything inside is new, though the value itself is not.
      nodes.added = withoutMark(addedSet(right, schema));
    }
    return;
  }
  if (isEmptyContainer(left) && isEmptyContainer(right)) return;
  if (relation === 'fields') compareFields(left as JsonObject, right as JsonObject, schema, nodes, isOwned);
  else compareLists(left as JsonArray, right as JsonArray, schema, relation, nodes);
}

function withoutMark(node: FieldSet): FieldSet | undefined {
  if (node['.'] === undefined) return node;
  const { '.': _mark, ...rest } = node;
  return rest;
}

function compareFields(
  left: JsonObject,
  right: JsonObject,
  schema: Schema,
  nodes: Nodes,
  isUnowned: (name: string) => boolean,
): void {
  const isRoot = isUnowned === isUnownedAtRoot;
  for (const name of Object.keys(right)) {
    const value = right[name];
    if (value === undefined || isUnowned(name)) continue;
    const before = Object.hasOwn(left, name) ? left[name] : undefined;
    if (before === value) continue;
    const fieldSchema = fieldSchemaOf(schema, name);
    if (fieldSchema === undefined) continue;
    if (isRoot && name === 'metadata') {
      const child: Nodes = { removed: undefined, modified: undefined, added: undefined };
      compareFields(
        (before ?? LEAF) as JsonObject,
        value as JsonObject,
        fieldSchema,
        child,
        isUnownedMetadata,
      );
      attach(nodes, 'f:metadata', child);
    } else if (before === undefined) {
      nodes.added = put(nodes.added, `f:${name}`, addedSet(value, fieldSchema));
    } else if (typeof value !== 'object' && typeof before !== 'object') {
      nodes.modified = put(nodes.modified, `f:${name}`, LEAF);
    } else {
      const child: Nodes = { removed: undefined, modified: undefined, added: undefined };
      compareValues(before, value, fieldSchema, child);
      attach(nodes, `f:${name}`, child);
    }
  }
  for (const name of Object.keys(left)) {
    const value = left[name];
    if (value === undefined || isUnowned(name)) continue;
    if (Object.hasOwn(right, name) && right[name] !== undefined) continue;
    const fieldSchema = fieldSchemaOf(schema, name);
    if (fieldSchema === undefined) continue;
    nodes.removed = put(nodes.removed, `f:${name}`, addedSet(value, fieldSchema));
  }
  if (nodes.removed !== undefined) nodes.removed = sorted(nodes.removed);
  if (nodes.modified !== undefined) nodes.modified = sorted(nodes.modified);
  if (nodes.added !== undefined) nodes.added = sorted(nodes.added);
}

function put(set: FieldSet | undefined, element: string, node: FieldSet): FieldSet {
  const target: MutableFieldSet = set ?? {};
  target[element] = node;
  return target;
}

function attach(nodes: Nodes, element: string, child: Nodes): void {
  if (child.removed !== undefined) nodes.removed = put(nodes.removed, element, child.removed);
  if (child.modified !== undefined) nodes.modified = put(nodes.modified, element, child.modified);
  if (child.added !== undefined) nodes.added = put(nodes.added, element, child.added);
}

/**
 * All fields of a value that was not there before (or, seen the other way, is gone): leaves, and every object and list
 * on the way to them.
 */
function addedSet(value: JsonValue, schema: Schema): FieldSet {
  if (typeof value !== 'object' || value === null) return LEAF;
  const relation = relationOf(schema, value);
  if (relation === 'leaf') return LEAF;
  if (relation === 'fields') return addedFields(value as JsonObject, schema);
  if ((value as JsonArray).length === 0) return LEAF;
  return addedItems(value as JsonArray, schema, relation);
}

function addedFields(value: JsonObject, schema: Schema): FieldSet {
  const declared = ownableFieldsOf(schema);
  let node: MutableFieldSet | undefined;
  for (const name of inOrder(Object.keys(value))) {
    const child = value[name];
    if (child === undefined) continue;
    const field = declared.get(name);
    const fieldSchema = field === undefined ? fieldSchemaOf(schema, name) : field.schema;
    if (fieldSchema === undefined) continue;
    node ??= { '.': LEAF };
    node[field === undefined ? `f:${name}` : field.element] =
      typeof child === 'object' ? addedSet(child, fieldSchema) : LEAF;
  }
  return node ?? LEAF;
}

function inOrder(names: string[]): string[] {
  for (let i = 1; i < names.length; i++) {
    if ((names[i - 1] as string) > (names[i] as string)) return names.sort();
  }
  return names;
}

function addedItems(list: JsonArray, schema: Schema, relation: Relation): FieldSet {
  const node: MutableFieldSet = { '.': LEAF };
  for (const item of list) {
    const element = listItemElement(schema, relation, item);
    if (element === undefined) continue;
    // Repeated items are owned as one, whatever is inside.
    node[element] = node[element] === undefined ? addedSet(item, schema.items as Schema) : LEAF;
  }
  return sorted(node);
}

function compareLists(
  left: JsonArray,
  right: JsonArray,
  schema: Schema,
  relation: Relation,
  nodes: Nodes,
): void {
  // Most lists do not change, and comparing is cheaper than naming every item.
  if (jsonEqual(left, right)) return;
  const before = itemsByElement(left, schema, relation);
  const after = itemsByElement(right, schema, relation);
  for (const [element, values] of before) {
    const { removed, modified, added } = compareItems(
      values,
      after.get(element) ?? [],
      schema.items as Schema,
    );
    if (removed !== undefined) nodes.removed = put(nodes.removed, element, removed);
    if (modified !== undefined) nodes.modified = put(nodes.modified, element, modified);
    if (added !== undefined) nodes.added = put(nodes.added, element, added);
  }
  for (const [element, values] of after) {
    if (before.has(element)) continue;
    const node = values.length > 1 ? LEAF : addedSet(values[0] as JsonValue, schema.items as Schema);
    nodes.added = put(nodes.added, element, node);
  }
  if (nodes.removed !== undefined) nodes.removed = sorted(nodes.removed);
  if (nodes.modified !== undefined) nodes.modified = sorted(nodes.modified);
  if (nodes.added !== undefined) nodes.added = sorted(nodes.added);
}

/** The items of one path element on both sides; more than one means repeated items, which count as one whole. */
function compareItems(left: JsonArray, right: JsonArray, schema: Schema): Nodes {
  const nodes: Nodes = { removed: undefined, modified: undefined, added: undefined };
  if (left.length > 1 && right.length > 1) {
    if (!jsonEqual(left, right)) nodes.modified = LEAF;
  } else if (left.length > 1) {
    if (right.length === 1) nodes.added = addedSet(right[0] as JsonValue, schema);
    nodes.removed = LEAF;
  } else if (right.length > 1) {
    nodes.removed = addedSet(left[0] as JsonValue, schema);
    nodes.added = LEAF;
  } else if (right.length === 0) {
    nodes.removed = addedSet(left[0] as JsonValue, schema);
  } else if (left[0] !== right[0]) {
    compareValues(left[0] as JsonValue, right[0] as JsonValue, schema, nodes);
  }
  return nodes;
}

function itemsByElement(list: JsonArray, schema: Schema, relation: Relation): Map<string, JsonValue[]> {
  const items = new Map<string, JsonValue[]>();
  for (const item of list) {
    const element = listItemElement(schema, relation, item);
    if (element === undefined) continue;
    const known = items.get(element);
    if (known === undefined) items.set(element, [item]);
    else known.push(item);
  }
  return items;
}
