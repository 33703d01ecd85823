/** Simple paths of fields, `.spec.replicas`: where a definition says that replicas, selectors and selectable fields are. */
import { getOwn, isJsonObject, setOwn, type JsonValue, type MutableJsonObject } from '@k8ts/apimachinery';

export function fieldNames(path: string): string[] {
  return path.replace(/^\./, '').split('.');
}

export function valueAt(object: unknown, names: readonly string[]): JsonValue | undefined {
  let value = object as JsonValue | undefined;
  for (const name of names) {
    if (!isJsonObject(value)) return undefined;
    value = getOwn(value, name);
  }
  return value;
}

/** Makes the objects on the way that are not there. Does nothing where something else is in the way. */
export function setValueAt(object: unknown, names: readonly string[], value: JsonValue): void {
  let target = object as MutableJsonObject;
  for (const name of names.slice(0, -1)) {
    const next = getOwn(target, name);
    if (next === undefined || next === null) setOwn(target, name, {});
    else if (!isJsonObject(next)) return;
    target = getOwn(target, name) as MutableJsonObject;
  }
  setOwn(target, names.at(-1) as string, value);
}
