/** CEL's types as the checker sees them, and as values (`type(1) == int`). */

export type TypeKind =
  | 'bool'
  | 'bytes'
  | 'double'
  | 'duration'
  | 'dyn'
  | 'error'
  | 'int'
  | 'list'
  | 'map'
  | 'null'
  | 'object'
  | 'opaque'
  | 'parameter'
  | 'string'
  | 'timestamp'
  | 'type'
  | 'uint'
  | 'unknown';

export class CelType {
  readonly kind: TypeKind;
  /** What `type(x)` prints, and what objects and opaque types are told apart by. */
  readonly name: string;
  readonly parameters: readonly CelType[];

  constructor(kind: TypeKind, name: string, parameters: readonly CelType[] = []) {
    this.kind = kind;
    this.name = name;
    this.parameters = parameters;
  }
}

export const BOOL: CelType = new CelType('bool', 'bool');
export const BYTES: CelType = new CelType('bytes', 'bytes');
export const DOUBLE: CelType = new CelType('double', 'double');
export const DURATION: CelType = new CelType('duration', 'google.protobuf.Duration');
export const DYN: CelType = new CelType('dyn', 'dyn');
export const ERROR: CelType = new CelType('error', 'error');
export const INT: CelType = new CelType('int', 'int');
export const NULL: CelType = new CelType('null', 'null_type');
export const STRING: CelType = new CelType('string', 'string');
export const TIMESTAMP: CelType = new CelType('timestamp', 'google.protobuf.Timestamp');
export const TYPE: CelType = new CelType('type', 'type');
export const UINT: CelType = new CelType('uint', 'uint');
export const UNKNOWN: CelType = new CelType('unknown', 'unknown');

export function listType(element: CelType): CelType {
  return new CelType('list', 'list', [element]);
}

export function mapType(key: CelType, value: CelType): CelType {
  return new CelType('map', 'map', [key, value]);
}

export function typeParameter(name: string): CelType {
  return new CelType('parameter', name);
}

export function typeOfType(type: CelType): CelType {
  return new CelType('type', 'type', [type]);
}

export function objectType(name: string): CelType {
  return new CelType('object', name);
}

export function opaqueType(name: string, parameters: readonly CelType[] = []): CelType {
  return new CelType('opaque', name, parameters);
}

export function optionalType(value: CelType): CelType {
  return opaqueType('optional_type', [value]);
}

export const LIST: CelType = listType(DYN);
export const MAP: CelType = mapType(DYN, DYN);
export const OPTIONAL: CelType = optionalType(DYN);

/** As messages name it: `list(string)`, `timestamp`, `optional_type(int)`. */
export function formatType(type: CelType): string {
  switch (type.kind) {
    case 'duration':
    case 'timestamp':
    case 'null':
      return type.kind;
    case 'error':
      return '!error!';
    default:
      return type.parameters.length === 0
        ? type.name
        : `${type.name}(${type.parameters.map(formatType).join(', ')})`;
  }
}

/** The same type throughout; names of type parameters count only where asked. */
export function sameType(a: CelType, b: CelType, compareParameterNames = true): boolean {
  if (a === b) return true;
  if (a.kind !== b.kind || a.parameters.length !== b.parameters.length) return false;
  if ((compareParameterNames || a.kind !== 'parameter') && a.name !== b.name) return false;
  return a.parameters.every((parameter, i) =>
    sameType(parameter, b.parameters[i] as CelType, compareParameterNames),
  );
}

export function isOptionalType(type: CelType): boolean {
  return type.kind === 'opaque' && type.name === 'optional_type';
}

/** The type inside `optional_type(T)`; other types as they are. */
export function unwrapOptional(type: CelType): CelType {
  return isOptionalType(type) ? (type.parameters[0] as CelType) : type;
}

/** As Go prints it: `list(string)`, `null_type`. */
export function goTypeText({ name, parameters }: CelType): string {
  return parameters.length === 0 ? name : `${name}(${parameters.map(goTypeText).join(', ')})`;
}
