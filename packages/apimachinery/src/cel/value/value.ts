/**
 * Values at run time:
 *
 *     null, bool      null, boolean          list        CelList
 *     int             bigint                 map, object CelMap
 *     uint            CelUint                timestamp   CelTimestamp
 *     double          number                 duration    CelDuration
 *     string          string                 type        CelType
 *     bytes           Uint8Array             optional    CelOptional
 *
 * and CelOpaque for the types of libraries. What goes wrong is a value too (CelError), for `||`, `&&` and the quantifiers
 * may absorb it.
 */
import {
  BOOL,
  BYTES,
  CelType,
  DOUBLE,
  DURATION,
  INT,
  LIST,
  MAP,
  NULL,
  OPTIONAL,
  STRING,
  TIMESTAMP,
  TYPE,
  UINT,
} from '../language/type.ts';

export type CelValue =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | CelUint
  | CelTimestamp
  | CelDuration
  | CelType
  | CelList
  | CelMap
  | CelOptional
  | CelOpaque;

export type CelResult = CelValue | CelError;

export class CelError {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

export const NO_SUCH_OVERLOAD: CelError = new CelError('no such overload');

export class CelUint {
  readonly value: bigint;

  constructor(value: bigint) {
    this.value = value;
  }
}

/** A moment in nanoseconds since the epoch. */
export class CelTimestamp {
  readonly nanoseconds: bigint;
  /** Minutes east of UTC, as it was written; texts keep it, nothing else sees it. */
  readonly zone: number;

  constructor(nanoseconds: bigint, zone = 0) {
    this.nanoseconds = nanoseconds;
    this.zone = zone;
  }
}

export class CelDuration {
  readonly nanoseconds: bigint;

  constructor(nanoseconds: bigint) {
    this.nanoseconds = nanoseconds;
  }
}

export class CelOptional {
  readonly value: CelValue | undefined;

  constructor(value: CelValue | undefined) {
    this.value = value;
  }
}

export const OPTIONAL_NONE: CelOptional = new CelOptional(undefined);

export abstract class CelList {
  abstract readonly size: number;
  /** The element at a position that exists. */
  abstract get(position: number): CelResult;
  /** `this + other` */
  abstract add(other: CelList): CelList;
  /** For lists with an equality of their own; undefined means element by element. */
  equals(_other: CelValue): boolean | CelError | undefined {
    return undefined;
  }
}

export abstract class CelMap {
  abstract readonly size: number;
  /** undefined where the key is absent; an error where it cannot be a key. */
  abstract find(key: CelValue): CelResult | undefined;
  abstract keys(): Iterable<CelValue>;
  /** For maps with an equality of their own; undefined means entry by entry. */
  equals(_other: CelValue): boolean | CelError | undefined {
    return undefined;
  }
}

/** A value of a library's type. */
export abstract class CelOpaque {
  abstract readonly type: CelType;
  abstract equals(other: CelValue): boolean | CelError;
  /** What cost accounting takes for its size. */
  get size(): number {
    return 1;
  }
  /** The text that messages show. */
  abstract toText(): string;
}

export function typeOf(value: CelValue): CelType {
  switch (typeof value) {
    case 'boolean':
      return BOOL;
    case 'bigint':
      return INT;
    case 'number':
      return DOUBLE;
    case 'string':
      return STRING;
    default:
      break;
  }
  if (value === null) return NULL;
  if (value instanceof CelMap) return MAP;
  if (value instanceof CelList) return LIST;
  if (value instanceof CelUint) return UINT;
  if (value instanceof CelTimestamp) return TIMESTAMP;
  if (value instanceof CelDuration) return DURATION;
  if (value instanceof CelOptional) return OPTIONAL;
  if (value instanceof CelType) return TYPE;
  return value instanceof Uint8Array ? BYTES : value.type;
}
