import type { FieldFacts, PackageFacts, TypeFacts } from './facts.ts';
import { quote } from './literal.ts';

/**
 * The table of one package as a string of JSON, so that loading the program costs a scan of the text and no more; it is
 * parsed when a schema of the package is first asked for. The shape is described in packages/api/src/schema-tables.ts.
 */
export function generateTable(facts: PackageFacts): string {
  const types = Object.fromEntries(
    Object.entries(facts.types).map(([name, type]) => [name, tableType(type)]),
  );
  return `export const table: string =\n  ${quote(JSON.stringify(types))};\n`;
}

function tableType(type: TypeFacts): unknown {
  if (type.base !== undefined) {
    const extras = {
      ...(type.closed === true && type.enum !== undefined ? { e: type.enum } : {}),
      ...(type.protoWrapped === true ? { w: 1 } : {}),
    };
    return Object.keys(extras).length === 0 ? { b: type.base } : { b: type.base, ...extras };
  }
  return {
    f: (type.fields ?? []).map(tableField),
    ...(type.structType === undefined ? {} : { m: type.structType }),
  };
}

function tableField(field: FieldFacts): unknown[] {
  const flags =
    (field.optional === true ? 1 : 0) |
    (field.omitempty === true ? 2 : 0) |
    (field.required === true ? 4 : 0);
  const extras = {
    ...(field.listType === undefined ? {} : { l: field.listType }),
    ...(field.listMapKeys === undefined ? {} : { k: field.listMapKeys }),
    ...(field.mapType === undefined ? {} : { m: field.mapType }),
    ...(field.patchStrategy === undefined ? {} : { p: field.patchStrategy }),
    ...(field.patchMergeKey === undefined ? {} : { pk: field.patchMergeKey }),
    ...('default' in field ? { d: field.default } : {}),
  };
  const row: unknown[] = [field.name ?? '', field.type, field.proto ?? 0, flags];
  return Object.keys(extras).length === 0 ? row : [...row, extras];
}
