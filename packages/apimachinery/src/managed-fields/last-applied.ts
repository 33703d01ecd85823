/**
 * The way from client-side to server-side apply: kubectl may take over what its annotation says it applied, and keeps the
 * annotation current where there is one (managedfields/internal/lastappliedmanager.go, lastappliedupdater.go).
 */
import type { Schema } from '@k8ts/api';
import { isJsonObject, isWithinDepth } from '../json.ts';
import type { JsonObject } from '../json.ts';
import { goJson } from '../validation/field-errors.ts';
import { TOTAL_ANNOTATION_SIZE_LIMIT } from '../validation/object-meta.ts';
import { appliedSet } from './applied-set.ts';
import { compareObjects } from './compare.ts';
import { difference } from './field-set.ts';
import type { FieldSet } from './field-set.ts';
import { typedFaults } from './validate-typed.ts';

export const LAST_APPLIED_ANNOTATION = 'kubectl.kubernetes.io/last-applied-configuration';

function annotationsOf(object: JsonObject | undefined): JsonObject | undefined {
  const metadata = object?.['metadata'];
  const annotations = isJsonObject(metadata) ? metadata['annotations'] : undefined;
  return isJsonObject(annotations) ? annotations : undefined;
}

/** The fields that client-side apply set and that still have that value; undefined without a usable annotation. */
export function fieldsOfLastApplied(
  live: JsonObject | undefined,
  apiVersion: string,
  schema: Schema,
): FieldSet | undefined {
  const annotation = annotationsOf(live)?.[LAST_APPLIED_ANNOTATION];
  if (live === undefined || typeof annotation !== 'string' || annotation === '') return undefined;
  let last: unknown;
  try {
    last = JSON.parse(annotation);
  } catch {
    return undefined;
  }
  if (!isJsonObject(last) || last['apiVersion'] !== apiVersion || !isWithinDepth(last)) return undefined;
  if (typedFaults(last, schema).length > 0) return undefined;
  let fields = appliedSet(last, schema);
  const { removed, modified, added } = compareObjects(last, live, schema);
  for (const changed of [modified, added, removed]) {
    if (changed !== undefined) fields = difference(fields, changed);
  }
  return fields;
}

/** Brings the annotation up to date, where kubectl applies and the object has one. Too large a one goes. */
export function withLastApplied(object: JsonObject, patch: JsonObject, manager: string): JsonObject {
  const annotations = annotationsOf(object);
  const present = annotations?.[LAST_APPLIED_ANNOTATION];
  if (manager !== 'kubectl' || annotations === undefined || typeof present !== 'string' || present === '')
    return object;
  const metadata = object['metadata'] as JsonObject;
  const value = `${goJson(withoutAnnotation(patch))}\n`;
  const { [LAST_APPLIED_ANNOTATION]: _previous, ...others } = annotations;
  let size = Buffer.byteLength(LAST_APPLIED_ANNOTATION) + Buffer.byteLength(value);
  for (const [name, text] of Object.entries(others))
    size += Buffer.byteLength(name) + (typeof text === 'string' ? Buffer.byteLength(text) : 0);
  const next = size > TOTAL_ANNOTATION_SIZE_LIMIT ? others : { ...others, [LAST_APPLIED_ANNOTATION]: value };
  return { ...object, metadata: { ...metadata, annotations: next } };
}

function withoutAnnotation(patch: JsonObject): JsonObject {
  const annotations = annotationsOf(patch);
  if (annotations?.[LAST_APPLIED_ANNOTATION] === undefined) return patch;
  const { [LAST_APPLIED_ANNOTATION]: _own, ...others } = annotations;
  return { ...patch, metadata: { ...(patch['metadata'] as JsonObject), annotations: others } };
}
