/** Merging an applied configuration into an object, and taking fields out (structured-merge-diff, typed/merge.go, remove.go). */
import type { Schema } from '@k8ts/api';
import { getOwn, setOwn } from '../json.ts';
import type { JsonArray, JsonObject, JsonValue, MutableJsonObject } from '../json.ts';
import { isMember } from './field-set.ts';
import type { FieldSet } from './field-set.ts';
import { fieldSchemaOf, isEmptyContainer, listItemElement, relationOf } from './relation.ts';
import type { Relation } from './relation.ts';

/** `applied` wins where both have a leaf. Parts that only one side has are shared with the result. */
export function mergeObjects(live: JsonObject, applied: JsonObject, schema: Schema): JsonObject {
  const merged: MutableJsonObject = { ...live };
  for (const [name, value] of Object.entries(applied)) {
    if (value === undefined) continue;
    const current = getOwn(live, name);
    const fieldSchema = fieldSchemaOf(schema, name);
    setOwn(
      merged,
      name,
      current === undefined || fieldSchema === undefined ? value : mergeValues(current, value, fieldSchema),
    );
  }
  return merged;
}

function mergeValues(live: JsonValue, applied: JsonValue, schema: Schema): JsonValue {
  const relation = relationOf(schema, applied);
  const liveRelation = relationOf(schema, live);
  // Applying nothing to something that is merged leaves it as it is.
  if (applied === null && liveRelation !== 'leaf' && !isEmptyContainer(live)) return live;
  if (relation === 'leaf' || relation !== liveRelation || isEmptyContainer(live)) return applied;
  if (relation === 'fields') return mergeObjects(live as JsonObject, applied as JsonObject, schema);
  return mergeLists(live as JsonArray, applied as JsonArray, schema, relation);
}

/**
 * Items keep the order of the applied list; items that only the live list has stay where they are relative to the items
 * around them.
 *
 *     live [a b c d], applied [d b]  →  [a c d b]
 */
function mergeLists(live: JsonArray, applied: JsonArray, schema: Schema, relation: Relation): JsonArray {
  const itemSchema = schema.items as Schema;
  const liveElements = live.map((item) => listItemElement(schema, relation, item) ?? '');
  const appliedElements = applied.map((item) => listItemElement(schema, relation, item) ?? '');
  const liveItems = new Map<string, JsonValue | undefined>();
  for (const [position, element] of liveElements.entries()) {
    // Repeated items are not merged with, they are replaced.
    liveItems.set(element, liveItems.has(element) ? undefined : live[position]);
  }
  const appliedItems = new Set(appliedElements);
  const shared = appliedElements.filter((element) => liveItems.has(element));
  let nextShared = 0;
  const taken = new Set<string>();
  const merged: JsonValue[] = [];
  const takeApplied = (position: number): void => {
    const element = appliedElements[position] as string;
    taken.add(element);
    const current = liveItems.get(element);
    const item = applied[position] as JsonValue;
    merged.push(current === undefined ? item : mergeValues(current, item, itemSchema));
    if (shared[nextShared] === element) nextShared++;
  };
  let left = 0;
  let right = 0;
  while (left < live.length || right < applied.length) {
    const element = liveElements[left];
    if (element !== undefined && right < applied.length) {
      if (element === appliedElements[right]) {
        takeApplied(right);
        left++;
        right++;
        continue;
      }
      if (appliedItems.has(element) && nextShared < shared.length && shared[nextShared] !== element) {
        left++; // its turn comes with the applied list
        continue;
      }
    }
    if (element !== undefined) {
      if (!appliedItems.has(element)) {
        merged.push(live[left] as JsonValue);
        left++;
        continue;
      }
      if (taken.has(element)) {
        left++;
        if (right >= applied.length) continue;
      }
    }
    if (right < applied.length) {
      takeApplied(right);
      right++;
    }
  }
  return merged;
}

/** Takes the fields of a set out of an object. Containers that become empty are null. */
export function removeFields(object: JsonObject, set: FieldSet, schema: Schema): JsonObject {
  return (removeBelow(object, set, schema) ?? {}) as JsonObject;
}

function removeBelow(value: JsonValue, set: FieldSet, schema: Schema): JsonValue | undefined {
  const relation = relationOf(schema, value);
  if (relation === 'leaf') return typeof value === 'object' && value !== null ? undefined : value;
  if (relation === 'fields') return removeFromFields(value as JsonObject, set, schema);
  const kept: JsonValue[] = [];
  for (const item of value as JsonArray) {
    const element = listItemElement(schema, relation, item);
    const node = element === undefined ? undefined : set[element];
    if (node === undefined) {
      kept.push(item);
    } else if (!isMember(node)) {
      const rest = removeBelow(item, node, schema.items as Schema);
      if (rest !== undefined) kept.push(rest);
    }
  }
  return kept.length === 0 ? undefined : kept;
}

function removeFromFields(value: JsonObject, set: FieldSet, schema: Schema): JsonObject | undefined {
  const kept: MutableJsonObject = {};
  let any = false;
  for (const [name, child] of Object.entries(value)) {
    if (child === undefined) continue;
    const node = set[`f:${name}`];
    if (node !== undefined && isMember(node)) continue;
    const fieldSchema = fieldSchemaOf(schema, name);
    const rest =
      node === undefined || fieldSchema === undefined ? child : removeBelow(child, node, fieldSchema);
    // What became empty stays as null, which still counts as present while it is decided what to prune; decoding drops it.
    setOwn(kept, name, rest ?? null);
    any = true;
  }
  return any ? kept : undefined;
}
