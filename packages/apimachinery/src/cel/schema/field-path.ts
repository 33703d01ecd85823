/**
 * Where a rule says its error belongs: `.spec.replicas`, `.labels['app.name']` (pkg/apiserver/schema/cel/validation.go,
 * ValidFieldPath).
 */
import type { apiextensionsv1 } from '@k8ts/api';
import { child, key } from '../../validation/field-errors.ts';
import { valuesOf } from './declared-type.ts';

type JSONSchemaProps = apiextensionsv1.JSONSchemaProps;

const SIMPLE_ESCAPES: ReadonlyMap<string, string> = new Map([
  ['a', '\x07'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['v', '\v'],
  ["'", "'"],
  ['\\', '\\'],
]);

/** The path as field errors print it; undefined where the schema has no such place. */
export function ruleFieldPath(text: string, schema: JSONSchemaProps): string | undefined {
  let path = '';
  let current = schema;
  for (const name of segments(text) ?? [undefined]) {
    if (name === undefined) return undefined;
    const { properties } = current;
    const next =
      properties === undefined
        ? valuesOf(current)
        : Object.hasOwn(properties, name)
          ? properties[name]
          : undefined;
    if (next === undefined) return undefined;
    path = properties === undefined ? key(path, name) : child(path, name);
    current = next;
  }
  return path;
}

/** `.a['b'].c` → a, b, c; undefined for what is no path. */
function segments(text: string): readonly string[] | undefined {
  const names: string[] = [];
  let rest = text;
  while (rest !== '') {
    const match = /^\.([^.[\]']+)|^\['((?:[^'\\]|\\.)*)'\]/s.exec(rest);
    if (match === null) return undefined;
    const name = match[1] ?? unescape(match[2] ?? '');
    if (name === undefined) return undefined;
    names.push(name);
    rest = rest.slice(match[0].length);
  }
  return names;
}

function unescape(text: string): string | undefined {
  let valid = true;
  const result = text.replace(/\\(.)/gs, (_escape, character: string) => {
    const replaced = SIMPLE_ESCAPES.get(character);
    if (replaced === undefined) valid = false;
    return replaced ?? '';
  });
  return valid ? result : undefined;
}
