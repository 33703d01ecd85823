/** What mutations give, as JSON (k8s.io/apiserver/pkg/cel/mutation). */
import type { JsonValue, MutableJsonObject } from '../../json.ts';
import { goQuote } from '../../go-quote.ts';
import { formatCelDuration, formatTimestamp } from '../value/time.ts';
import { CelStruct } from '../value/struct.ts';
import {
  CelDuration,
  CelError,
  CelList,
  CelMap,
  CelOptional,
  CelTimestamp,
  CelUint,
  typeOf,
} from '../value/value.ts';
import type { CelValue } from '../value/value.ts';

/** The object that `Object{…}` stands for. Throws an Error for types that are not where their names say. */
export function appliedObject(value: CelValue): JsonValue {
  checkTypeNames(value);
  return jsonOf(value);
}

/** The operations of a list of `JSONPatch{…}`. Throws an Error. */
export function jsonPatchOperations(value: CelValue): readonly JsonValue[] {
  if (!(value instanceof CelList))
    throw new Error('type mismatch: JSONPatchType.expression should evaluate to array');
  return elementsOf(value).map((element) => {
    if (!(element instanceof CelStruct))
      throw new Error('type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch');
    const text = (name: string): string => {
      const field = element.fields.get(name);
      return typeof field === 'string' ? field : '';
    };
    const operand = element.fields.get('value');
    if (operand instanceof CelStruct) checkTypeNames(operand);
    return {
      op: text('op'),
      path: text('path'),
      ...(text('from') === '' ? {} : { from: text('from') }),
      ...(operand === undefined ? {} : { value: jsonOf(operand) }),
    };
  });
}

function elementsOf(list: CelList): readonly CelValue[] {
  return Array.from({ length: list.size }, (_, i) => known(list.get(i)));
}

function known(value: CelValue | CelError | undefined): CelValue {
  if (value instanceof CelError) throw new Error(value.message);
  return value ?? null;
}

function jsonOf(value: CelValue): JsonValue {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'number':
      return value;
    case 'bigint':
      return Number(value);
    default:
      break;
  }
  if (value === null) return null;
  if (value instanceof CelList) return elementsOf(value).map(jsonOf);
  if (value instanceof CelMap) return mapJson(value);
  if (value instanceof CelStruct) {
    const object: MutableJsonObject = {};
    for (const [name, field] of value.fields) define(object, name, jsonOf(field));
    return object;
  }
  if (value instanceof CelUint) return Number(value.value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (value instanceof CelTimestamp) return formatTimestamp(value);
  if (value instanceof CelDuration) return formatCelDuration(value);
  if (value instanceof CelOptional && value.value !== undefined) return jsonOf(value.value);
  throw new Error(`type ${typeOf(value).name} cannot be part of an object`);
}

function mapJson(map: CelMap): JsonValue {
  const object: MutableJsonObject = {};
  for (const key of map.keys()) {
    if (typeof key !== 'string') throw new Error(`map key of type ${typeOf(key).name} is not a string`);
    define(object, key, jsonOf(known(map.find(key))));
  }
  return object;
}

function define(object: MutableJsonObject, name: string, value: JsonValue): void {
  Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
}

/** `Object.spec` is what stands in the field `spec`; lists and maps between do not count. */
function checkTypeNames(value: CelValue): void {
  const problems: string[] = [];
  const check = (part: CelValue, path: string): void => {
    if (part instanceof CelStruct) {
      const { name } = part.type;
      if (name !== path)
        problems.push(
          `unexpected type name ${goQuote(name)}, expected ${goQuote(path)}, which matches field name path from root Object type`,
        );
      for (const [field, inner] of part.fields) check(inner, `${path}.${field}`);
    } else if (part instanceof CelList) for (const element of elementsOf(part)) check(element, path);
    else if (part instanceof CelMap) for (const key of part.keys()) check(known(part.find(key)), path);
  };
  if (value instanceof CelStruct) check(value, value.type.name);
  if (problems.length > 0) throw new Error(`type mismatch: ${problems.join('\n')}`);
}
