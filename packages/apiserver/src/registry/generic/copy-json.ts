import { setOwn, type JsonValue, type MutableJsonObject } from '@k8ts/apimachinery';

/** A copy that shares nothing, for drafts made of shared objects; many times faster than structuredClone. */
export function copyJson<T>(value: T): T {
  return copy(value) as T;
}

function copy(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const items = new Array<unknown>(value.length);
    for (let at = 0; at < value.length; at++) items[at] = copy(value[at]);
    return items;
  }
  const object: Record<string, unknown> = {};
  for (const key in value) {
    const member = copy((value as Record<string, unknown>)[key]);
    if (key === '__proto__') setOwn(object as MutableJsonObject, key, member as JsonValue);
    else object[key] = member;
  }
  return object;
}
