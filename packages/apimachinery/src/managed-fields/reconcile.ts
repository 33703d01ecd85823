/**
 * Sets that were written under an older schema (structured-merge-diff, typed/reconcile_schema.go): where a granular type
 * has become atomic since, whoever owned something inside owns the whole.
 */
import type { Schema } from '@k8ts/api';
import { isEmptySet, LEAF } from './field-set.ts';
import type { FieldSet } from './field-set.ts';
import { fieldSchemaOf, relationOf } from './relation.ts';

// Sets that are known to fit. Both are shared and never change, and most sets outlive many writes.
const fitting = new WeakMap<FieldSet, Schema>();

/** Returns the set itself where it fits. */
export function reconcileWithSchema(set: FieldSet, schema: Schema): FieldSet {
  if (set === LEAF || fitting.get(set) === schema) return set;
  const reconciled = reconcileNode(set, schema);
  if (reconciled !== LEAF) fitting.set(reconciled, schema);
  return reconciled;
}

function reconcileNode(node: FieldSet, schema: Schema): FieldSet {
  let changed: Record<string, FieldSet> | undefined;
  for (const key in node) {
    if (key === '.') continue;
    const child = node[key] as FieldSet;
    if (isEmptySet(child)) continue;
    const childSchema = key.startsWith('f:') ? fieldSchemaOf(schema, key.slice(2)) : schema.items;
    if (childSchema === undefined) continue;
    const reconciled = isAtomic(childSchema) ? LEAF : reconcileNode(child, childSchema);
    if (reconciled === child) continue;
    changed ??= { ...node };
    changed[key] = reconciled;
  }
  return changed ?? node;
}

function isAtomic(schema: Schema): boolean {
  if (schema.type === 'array') return relationOf(schema, []) === 'leaf';
  return (schema.type === 'object' || schema.type === 'map') && relationOf(schema, {}) === 'leaf';
}
