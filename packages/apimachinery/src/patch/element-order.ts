/**
 * The order of a merged list (design proposal "preserve order in strategic merge patch"): what the patch names comes in
 * the patch's order, what only the server has keeps the server's order, and the two are interleaved by the server's order.
 *
 *     server [a b c d], patch order [d b]  →  [a c d b]: a and c come before d on the server
 */
import { getOwn, goValueText, isJsonObject } from '../json.ts';
import type { JsonArray, JsonValue } from '../json.ts';
import { badRequest } from '../status-error.ts';

/**
 * Puts `merged` into order. `patchOrder` lists elements (or just their keys) in the wished order; `serverOrder` is the
 * list before the patch. Without `mergeKey` the elements are scalars. Throws StatusError 400 where a key is missing.
 */
export function inServerOrder(
  merged: JsonArray,
  patchOrder: JsonArray,
  serverOrder: JsonArray,
  mergeKey: string,
): JsonArray {
  const keyOf = (element: JsonValue): JsonValue => {
    if (mergeKey === '') return element;
    const value = isJsonObject(element) ? getOwn(element, mergeKey) : undefined;
    if (value === undefined)
      throw badRequest(`map: ${goValueText(element)} does not contain declared merge key: ${mergeKey}`);
    return value;
  };
  const patchPlace = places(patchOrder, keyOf);
  const serverPlace = places(serverOrder, keyOf);
  const fromPatch: JsonValue[] = [];
  const fromServer: JsonValue[] = [];
  for (const element of merged) (patchPlace.has(keyOf(element)) ? fromPatch : fromServer).push(element);
  sortByPlace(fromPatch, patchPlace, keyOf);
  sortByPlace(fromServer, serverPlace, keyOf);

  const ordered: JsonValue[] = [];
  let next = 0;
  for (const element of fromPatch) {
    const place = serverPlace.get(keyOf(element));
    // Only what the server had can be placed relative to what the server has.
    while (place !== undefined && next < fromServer.length) {
      const serverElement = fromServer[next] as JsonValue;
      if ((serverPlace.get(keyOf(serverElement)) ?? Infinity) >= place) break;
      ordered.push(serverElement);
      next++;
    }
    ordered.push(element);
  }
  for (; next < fromServer.length; next++) ordered.push(fromServer[next] as JsonValue);
  return ordered;
}

function places(list: JsonArray, keyOf: (element: JsonValue) => JsonValue): ReadonlyMap<JsonValue, number> {
  const found = new Map<JsonValue, number>();
  for (const [position, element] of list.entries()) {
    const key = keyOf(element);
    if (!found.has(key)) found.set(key, position);
  }
  return found;
}

function sortByPlace(
  list: JsonValue[],
  place: ReadonlyMap<JsonValue, number>,
  keyOf: (element: JsonValue) => JsonValue,
): void {
  list.sort((a, b) => (place.get(keyOf(a)) ?? 0) - (place.get(keyOf(b)) ?? 0));
}
