/** The types of built-in kinds as expressions see them (k8s.io/apiserver/pkg/cel/common/schemas.go). */
import type { Schema } from '@k8ts/api';
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

/** For expressions over objects of one kind, with parameters of another; undefined: nothing is known of those. */
export function schemaExpressionTypes(
  object: Schema,
  params: Schema | undefined,
): {
  readonly object: CelType;
  readonly params: CelType;
  readonly fieldType: (typeName: string, field: string) => CelType | undefined;
} {
  const types = new SchemaTypes();
  return {
    object: types.typeOf(object),
    params: params === undefined ? DYN : types.typeOf(params),
    fieldType: (typeName, field) => types.fieldType(typeName, field),
  };
}
