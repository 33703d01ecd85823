import type { KubeObject } from '@k8ts/api';
import type { JsonValue } from '@k8ts/apimachinery';
import { fieldNames, valueAt } from './field-path.ts';
import type { DefinitionVersion } from './rows.ts';

/** Field selectors of one version: strings as they are, other scalars in words, nothing where there is nothing. */
export function selectableFieldsOf(
  version: DefinitionVersion,
): ((object: KubeObject) => Readonly<Record<string, string>>) | undefined {
  const paths = (version.selectableFields ?? []).map(({ jsonPath }) => fieldNames(jsonPath));
  if (paths.length === 0) return undefined;
  return (object) =>
    Object.fromEntries(paths.map((names) => [names.join('.'), textOf(valueAt(object, names))]));
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : '';
}
