/** Plain JSON values and what is done to them everywhere. Objects of the API are shared: nothing here changes its input. */
export type JsonValue = null | boolean | number | string | JsonArray | JsonObject;
export type JsonArray = readonly JsonValue[];
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined;
}

/** An object under construction. */
export type MutableJsonObject = Record<string, JsonValue | undefined>;

/**
 * How deep values may be nested. Upstream stops at 10,000; the walkers here are recursive and must not run out of stack,
 * and the deepest legitimate objects (schemas inside custom resource definitions) stay below 100.
 */
export const MAX_JSON_DEPTH = 500;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isJsonArray(value: unknown): value is JsonArray {
  return Array.isArray(value);
}

/** What Go's encoding/json calls a value in its errors: `array`, `bool`, `string`, … */
export function goJsonKind(value: unknown): string {
  if (isJsonArray(value)) return 'array';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

/** An own property, also where the key is `__proto__` (a legal key of a ConfigMap). */
export function setOwn(object: MutableJsonObject, key: string, value: JsonValue | undefined): void {
  if (key === '__proto__')
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  else object[key] = value;
}

export function getOwn(object: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** Whether containers are nested at most `limit` deep. Does not recurse, so it is safe on anything JSON.parse returns. */
export function isWithinDepth(value: unknown, limit: number = MAX_JSON_DEPTH): boolean {
  let level: object[] = typeof value === 'object' && value !== null ? [value] : [];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth >= limit) return false;
    const below: object[] = [];
    for (const container of level) {
      for (const child of Array.isArray(container) ? container : Object.values(container)) {
        if (typeof child === 'object' && child !== null) below.push(child as object);
      }
    }
    level = below;
  }
  return true;
}

/** Equal as JSON: absent and undefined are the same, the order of keys does not matter. Shared parts cost nothing. */
export function jsonEqual(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false;
  if (Array.isArray(left)) {
    if (!Array.isArray(right) || left.length !== right.length) return false;
    for (let i = 0; i < left.length; i++) {
      if (!jsonEqual(left[i], right[i])) return false;
    }
    return true;
  }
  if (Array.isArray(right)) return false;
  let leftKeys = 0;
  for (const key of Object.keys(left)) {
    const value = (left as JsonObject)[key];
    if (value === undefined) continue;
    leftKeys++;
    if (!Object.hasOwn(right, key) || !jsonEqual(value, (right as JsonObject)[key])) return false;
  }
  let rightKeys = 0;
  for (const key of Object.keys(right)) if ((right as JsonObject)[key] !== undefined) rightKeys++;
  return leftKeys === rightKeys;
}

/** As Go's `%v` prints decoded JSON: `map[a:1 b:[x y]]`, keys sorted. */
export function goValueText(value: unknown): string {
  if (value === null || value === undefined) return '<nil>';
  if (Array.isArray(value)) return `[${value.map(goValueText).join(' ')}]`;
  if (typeof value !== 'object') return `${value as string | number | boolean}`;
  const entries = Object.entries(value as JsonObject)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, child]) => `${key}:${goValueText(child)}`);
  return `map[${entries.join(' ')}]`;
}
