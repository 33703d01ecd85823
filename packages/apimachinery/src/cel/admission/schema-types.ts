/** The types of kinds as expressions see them (k8s.io/apiserver/pkg/cel/common/schemas.go). */
import { schemaOfType, type apiextensionsv1, type Schema } from '@k8ts/api';
import {
  BOOL,
  BYTES,
  DOUBLE,
  DYN,
  INT,
  listType,
  mapType,
  objectType,
  STRING,
  TIMESTAMP,
} from '../language/type.ts';
import type { CelType } from '../language/type.ts';
import { declaredTypeOf, TypeNames } from '../schema/declared-type.ts';

/** Gives objects names, so that the checker can ask for their fields. Schemas may be recursive. */
class SchemaTypes {
  readonly #names = new Map<Schema, string>();
  readonly #schemas = new Map<string, Schema>();

  typeOf(schema: Schema): CelType {
    const items = (): CelType => (schema.items === undefined ? DYN : this.typeOf(schema.items));
    switch (schema.type) {
      case 'object':
        return schema.fields.size === 0 ? DYN : objectType(this.#nameOf(schema));
      case 'array':
        return listType(items());
      case 'map':
        return mapType(STRING, items());
      case 'string':
      case 'duration':
        return STRING;
      case 'boolean':
        return BOOL;
      case 'int32':
      case 'int64':
      case 'uint64':
        return INT;
      case 'float64':
        return DOUBLE;
      case 'bytes':
        return BYTES;
      case 'time':
      case 'microTime':
        return TIMESTAMP;
      default:
        return DYN;
    }
  }

  fieldType(typeName: string, field: string): CelType | undefined {
    const found = this.#schemas.get(typeName)?.fields.get(field);
    return found === undefined ? undefined : this.typeOf(found.schema);
  }

  #nameOf(schema: Schema): string {
    const known = this.#names.get(schema);
    if (known !== undefined) return known;
    const name = `${schema.goName || 'Object'}${this.#names.size}`;
    this.#names.set(schema, name);
    this.#schemas.set(name, schema);
    return name;
  }
}

/** What is known of a kind: a table, or the schema that its server publishes. */
export type KindSchema = { readonly table: Schema } | { readonly published: apiextensionsv1.JSONSchemaProps };

type FieldType = (typeName: string, field: string) => CelType | undefined;

/** For expressions over objects of one kind, with parameters of another; undefined: nothing is known of those. */
export function kindExpressionTypes(
  object: KindSchema,
  params: KindSchema | undefined,
): { readonly object: CelType; readonly params: CelType; readonly fieldType: FieldType } {
  const tables = new SchemaTypes();
  const published = new TypeNames();
  const roots = new Set<string>();
  const typeOf = (kind: KindSchema, name: string): CelType => {
    if ('table' in kind) return tables.typeOf(kind.table);
    const declared = declaredTypeOf(kind.published, true);
    if (declared === undefined) return DYN;
    roots.add(name);
    return published.typeOf(declared, name);
  };
  return {
    object: typeOf(object, '@object'),
    params: params === undefined ? DYN : typeOf(params, '@params'),
    fieldType(typeName, field) {
      // Published schemas refer to it.
      if (roots.has(typeName) && field === 'metadata')
        return tables.typeOf(schemaOfType('metav1', 'ObjectMeta') as Schema);
      return tables.fieldType(typeName, field) ?? published.fieldType(typeName, field);
    },
  };
}
