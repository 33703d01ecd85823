/**
 * JSON Merge Patch (RFC 7386): null removes, objects merge, everything else replaces. Nulls inside of what is added are
 * dropped, in lists too, as the library upstream uses does (evanphx/json-patch v4).
 */
import { getOwn, isJsonArray, isJsonObject, isWithinDepth, setOwn } from '../json.ts';
import type { JsonObject, JsonValue, MutableJsonObject } from '../json.ts';
import { badRequest } from '../status-error.ts';

/** The document stays as it is; parts the patch does not touch are shared with the result. Throws StatusError 400. */
export function applyJsonMergePatch(document: JsonObject, patch: unknown): JsonObject {
  if (!isJsonObject(patch)) throw badRequest('Invalid JSON Patch');
  if (!isWithinDepth(patch)) throw badRequest('exceeded max depth');
  return mergeObject(document, patch);
}

function mergeObject(target: JsonObject, patch: JsonObject): JsonObject {
  const merged: MutableJsonObject = { ...target };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null || value === undefined) {
      delete merged[key];
      continue;
    }
    const current = getOwn(target, key);
    setOwn(
      merged,
      key,
      isJsonObject(value) && isJsonObject(current) ? mergeObject(current, value) : withoutNulls(value),
    );
  }
  return merged;
}

function withoutNulls(value: JsonValue): JsonValue {
  if (isJsonArray(value)) return value.map(withoutNulls);
  if (!isJsonObject(value)) return value;
  const kept: MutableJsonObject = {};
  for (const [key, member] of Object.entries(value)) {
    if (member !== null && member !== undefined) setOwn(kept, key, withoutNulls(member));
  }
  return kept;
}
