/** CEL's own functions (cel-spec, langdef.md, "List of Standard Definitions"). */
import { declareDynamic, declareFunction, memberOverload, overload } from '../language/function.ts';
import type { FunctionDeclaration, Overload } from '../language/function.ts';
import { Operator } from '../language/operators.ts';
import {
  BOOL,
  BYTES,
  DOUBLE,
  DURATION,
  DYN,
  INT,
  listType,
  mapType,
  STRING,
  TIMESTAMP,
  TYPE,
  typeOfType,
  typeParameter,
  UINT,
} from '../language/type.ts';
import type { CelType } from '../language/type.ts';
import { add, divide, modulo, multiply, negate, subtract } from '../value/arithmetic.ts';
import { convert } from '../value/conversion.ts';
import { spendCharacters } from '../value/meter.ts';
import { compareValues, isComparable } from '../value/ordering.ts';
import { codePointCount } from '../value/text.ts';
import { timestampParts } from '../value/time.ts';
import type { TimestampParts } from '../value/time.ts';
import { CelError, CelList, CelMap, NO_SUCH_OVERLOAD, typeOf } from '../value/value.ts';
import type { CelResult, CelValue, CelDuration, CelTimestamp } from '../value/value.ts';
import { Re2Error } from '../../re2.ts';
import { compilePattern } from '../value/pattern-cache.ts';

const A = typeParameter('A');
const B = typeParameter('B');
const LIST_OF_A = listType(A);
const MAP_OF_AB = mapType(A, B);

/** The types in the ids of overloads. */
const ID_NAMES: ReadonlyMap<CelType, string> = new Map([
  [BOOL, 'bool'],
  [INT, 'int64'],
  [UINT, 'uint64'],
  [DOUBLE, 'double'],
  [STRING, 'string'],
  [BYTES, 'bytes'],
  [TIMESTAMP, 'timestamp'],
  [DURATION, 'duration'],
]);

function binaryOverload(prefix: string, left: CelType, right: CelType, result: CelType): Overload {
  const names = [left, right].map((type) => ID_NAMES.get(type) as string);
  const suffix =
    left === right && !['timestamp', 'duration'].includes(names[0] as string) ? names[0] : names.join('_');
  return overload(`${prefix}_${suffix}`, [left, right], result);
}

/** Operators look at their values themselves; a left side that knows no such operator is named. */
function binaryOperator(
  name: string,
  knows: (left: CelValue) => boolean,
  apply: (left: CelValue, right: CelValue) => CelResult,
  ...overloads: readonly Overload[]
): FunctionDeclaration {
  const dynamic = (left: CelValue, right: CelValue): CelResult => {
    const result = apply(left, right);
    return result === NO_SUCH_OVERLOAD && !knows(left) ? new CelError(`no such overload: ${name}`) : result;
  };
  return declareDynamic(name, dynamic, ...overloads);
}

function isOfKind(...kinds: readonly string[]): (value: CelValue) => boolean {
  return (value) => kinds.includes(typeOf(value).kind);
}

const ADDABLE = isOfKind('int', 'uint', 'double', 'string', 'bytes', 'list', 'timestamp', 'duration');
const NUMERIC = isOfKind('int', 'uint', 'double');
const SUBTRACTABLE = isOfKind('int', 'uint', 'double', 'timestamp', 'duration');

function addMetered(left: CelValue, right: CelValue): CelResult {
  if (typeof left === 'string' && typeof right === 'string') spendCharacters(left.length + right.length);
  return add(left, right);
}

const arithmetic: readonly FunctionDeclaration[] = [
  binaryOperator(
    Operator.add,
    ADDABLE,
    addMetered,
    binaryOverload('add', BYTES, BYTES, BYTES),
    binaryOverload('add', DOUBLE, DOUBLE, DOUBLE),
    binaryOverload('add', DURATION, DURATION, DURATION),
    binaryOverload('add', DURATION, TIMESTAMP, TIMESTAMP),
    binaryOverload('add', TIMESTAMP, DURATION, TIMESTAMP),
    binaryOverload('add', INT, INT, INT),
    overload('add_list', [LIST_OF_A, LIST_OF_A], LIST_OF_A),
    binaryOverload('add', STRING, STRING, STRING),
    binaryOverload('add', UINT, UINT, UINT),
  ),
  binaryOperator(
    Operator.subtract,
    SUBTRACTABLE,
    subtract,
    binaryOverload('subtract', DOUBLE, DOUBLE, DOUBLE),
    binaryOverload('subtract', DURATION, DURATION, DURATION),
    binaryOverload('subtract', INT, INT, INT),
    binaryOverload('subtract', TIMESTAMP, DURATION, TIMESTAMP),
    binaryOverload('subtract', TIMESTAMP, TIMESTAMP, DURATION),
    binaryOverload('subtract', UINT, UINT, UINT),
  ),
  ...(
    [
      [Operator.multiply, 'multiply', multiply, [DOUBLE, INT, UINT]],
      [Operator.divide, 'divide', divide, [DOUBLE, INT, UINT]],
      [Operator.modulo, 'modulo', modulo, [INT, UINT]],
    ] as const
  ).map(([name, prefix, apply, types]) =>
    binaryOperator(
      name,
      name === Operator.modulo ? isOfKind('int', 'uint') : NUMERIC,
      apply,
      ...types.map((type) => binaryOverload(prefix, type, type, type)),
    ),
  ),
  declareDynamic(
    Operator.negate,
    (value: CelValue) =>
      isOfKind('int', 'double', 'duration')(value)
        ? negate(value)
        : typeof value === 'boolean'
          ? NO_SUCH_OVERLOAD
          : new CelError(`no such overload: ${Operator.negate}`),
    overload('negate_double', [DOUBLE], DOUBLE),
    overload('negate_int64', [INT], INT),
  ),
];

const COMPARED: readonly (readonly [CelType, CelType])[] = [
  [BOOL, BOOL],
  [INT, INT],
  [INT, DOUBLE],
  [INT, UINT],
  [UINT, UINT],
  [UINT, DOUBLE],
  [UINT, INT],
  [DOUBLE, DOUBLE],
  [DOUBLE, INT],
  [DOUBLE, UINT],
  [STRING, STRING],
  [BYTES, BYTES],
  [TIMESTAMP, TIMESTAMP],
  [DURATION, DURATION],
];

function comparison(name: string, prefix: string, holds: (order: number) => boolean): FunctionDeclaration {
  const apply = (left: CelValue, right: CelValue): CelResult => {
    const order = compareValues(left, right);
    return order instanceof CelError ? order : holds(order);
  };
  const overloads = COMPARED.map(([left, right]) => {
    const names = [left, right].map((type) => ID_NAMES.get(type) as string);
    return overload(`${prefix}_${left === right ? names[0] : names.join('_')}`, [left, right], BOOL);
  });
  return binaryOperator(name, isComparable, apply, ...overloads);
}

const logic: readonly FunctionDeclaration[] = [
  declareFunction(Operator.conditional, overload('conditional', [BOOL, A, A], A)),
  declareFunction(Operator.and, overload('logical_and', [BOOL, BOOL], BOOL)),
  declareFunction(Operator.or, overload('logical_or', [BOOL, BOOL], BOOL)),
  declareDynamic(
    Operator.not,
    (value: CelValue) => (typeof value === 'boolean' ? !value : NO_SUCH_OVERLOAD),
    overload('logical_not', [BOOL], BOOL),
  ),
  declareFunction(Operator.notStrictlyFalse, overload('not_strictly_false', [BOOL], BOOL)),
  declareFunction(Operator.equals, overload('equals', [A, A], BOOL)),
  declareFunction(Operator.notEquals, overload('not_equals', [A, A], BOOL)),
  comparison(Operator.less, 'less', (order) => order < 0),
  comparison(Operator.lessEquals, 'less_equals', (order) => order <= 0),
  comparison(Operator.greater, 'greater', (order) => order > 0),
  comparison(Operator.greaterEquals, 'greater_equals', (order) => order >= 0),
  declareFunction(
    Operator.index,
    overload('index_list', [LIST_OF_A, INT], A),
    overload('index_map', [MAP_OF_AB, A], B),
  ),
  declareFunction(
    Operator.in,
    overload('in_list', [A, LIST_OF_A], BOOL),
    overload('in_map', [A, MAP_OF_AB], BOOL),
  ),
];

function size(value: CelValue): CelResult {
  if (typeof value === 'string') return BigInt(codePointCount(value));
  if (value instanceof Uint8Array) return BigInt(value.length);
  if (value instanceof CelList || value instanceof CelMap) return BigInt(value.size);
  return new CelError('no such overload: size');
}

const sizes = declareDynamic(
  'size',
  size,
  ...[
    ['bytes', BYTES] as const,
    ['list', LIST_OF_A] as const,
    ['map', MAP_OF_AB] as const,
    ['string', STRING] as const,
  ].flatMap(([name, type]) => [
    overload(`size_${name}`, [type], INT),
    memberOverload(`${name}_size`, [type], INT),
  ]),
);

function conversion(
  name: string,
  to: CelType,
  ids: readonly (readonly [id: string, from: CelType])[],
): FunctionDeclaration {
  return declareFunction(
    name,
    ...ids.map(([id, from]) => overload(id, [from], to, (value: CelValue) => convert(value, to))),
  );
}

const conversions: readonly FunctionDeclaration[] = [
  declareDynamic('type', (value: CelValue) => typeOf(value), overload('type', [A], typeOfType(A))),
  declareDynamic('dyn', (value: CelValue) => value, overload('to_dyn', [A], DYN)),
  conversion('bool', BOOL, [
    ['bool_to_bool', BOOL],
    ['string_to_bool', STRING],
  ]),
  conversion('bytes', BYTES, [
    ['bytes_to_bytes', BYTES],
    ['string_to_bytes', STRING],
  ]),
  conversion('double', DOUBLE, [
    ['double_to_double', DOUBLE],
    ['int64_to_double', INT],
    ['string_to_double', STRING],
    ['uint64_to_double', UINT],
  ]),
  conversion('duration', DURATION, [
    ['duration_to_duration', DURATION],
    ['int64_to_duration', INT],
    ['string_to_duration', STRING],
  ]),
  conversion('int', INT, [
    ['int64_to_int64', INT],
    ['double_to_int64', DOUBLE],
    ['duration_to_int64', DURATION],
    ['string_to_int64', STRING],
    ['timestamp_to_int64', TIMESTAMP],
    ['uint64_to_int64', UINT],
  ]),
  conversion('string', STRING, [
    ['string_to_string', STRING],
    ['bool_to_string', BOOL],
    ['bytes_to_string', BYTES],
    ['double_to_string', DOUBLE],
    ['duration_to_string', DURATION],
    ['int64_to_string', INT],
    ['timestamp_to_string', TIMESTAMP],
    ['uint64_to_string', UINT],
  ]),
  conversion('timestamp', TIMESTAMP, [
    ['timestamp_to_timestamp', TIMESTAMP],
    ['int64_to_timestamp', INT],
    ['string_to_timestamp', STRING],
  ]),
  conversion('uint', UINT, [
    ['uint64_to_uint64', UINT],
    ['double_to_uint64', DOUBLE],
    ['int64_to_uint64', INT],
    ['string_to_uint64', STRING],
  ]),
];

function matches(text: string, pattern: string): CelResult {
  try {
    return compilePattern(pattern).test(text);
  } catch (error) {
    if (error instanceof Re2Error) return new CelError(error.message);
    throw error;
  }
}

function textTest(
  name: string,
  id: string,
  test: (text: string, part: string) => boolean,
): FunctionDeclaration {
  const dynamic = (text: CelValue, part: CelValue): CelResult =>
    typeof text === 'string' && typeof part === 'string' ? test(text, part) : NO_SUCH_OVERLOAD;
  return declareDynamic(name, dynamic, memberOverload(id, [STRING, STRING], BOOL));
}

const strings: readonly FunctionDeclaration[] = [
  textTest('contains', 'contains_string', (text, part) => text.includes(part)),
  textTest('endsWith', 'ends_with_string', (text, end) => text.endsWith(end)),
  textTest('startsWith', 'starts_with_string', (text, start) => text.startsWith(start)),
  binaryOperator(
    'matches',
    isOfKind('string'),
    (text, pattern) =>
      typeof text === 'string' && typeof pattern === 'string' ? matches(text, pattern) : NO_SUCH_OVERLOAD,
    overload('matches', [STRING, STRING], BOOL),
    memberOverload('matches_string', [STRING, STRING], BOOL),
  ),
];

function timePart(
  name: string,
  id: string,
  part: (parts: TimestampParts) => number,
  ofDuration?: readonly [id: string, nanoseconds: bigint],
): FunctionDeclaration {
  const read = (timestamp: CelTimestamp, zone: string): CelResult => {
    const parts = timestampParts(timestamp, zone);
    return parts instanceof CelError ? parts : BigInt(part(parts));
  };
  const overloads = [
    memberOverload(id, [TIMESTAMP], INT, (timestamp: CelTimestamp) => read(timestamp, 'UTC')),
    memberOverload(`${id}_with_tz`, [TIMESTAMP, STRING], INT, read),
  ];
  if (ofDuration !== undefined) {
    const [durationId, unit] = ofDuration;
    overloads.push(
      memberOverload(durationId, [DURATION], INT, (duration: CelDuration) => duration.nanoseconds / unit),
    );
  }
  return declareFunction(name, ...overloads);
}

const times: readonly FunctionDeclaration[] = [
  timePart('getFullYear', 'timestamp_to_year', (parts) => parts.year),
  timePart('getMonth', 'timestamp_to_month', (parts) => parts.month),
  timePart('getDayOfYear', 'timestamp_to_day_of_year', (parts) => parts.dayOfYear),
  timePart('getDayOfMonth', 'timestamp_to_day_of_month', (parts) => parts.dayOfMonth - 1),
  timePart('getDate', 'timestamp_to_day_of_month_1_based', (parts) => parts.dayOfMonth),
  timePart('getDayOfWeek', 'timestamp_to_day_of_week', (parts) => parts.dayOfWeek),
  timePart('getHours', 'timestamp_to_hours', (parts) => parts.hours, [
    'duration_to_hours',
    3_600_000_000_000n,
  ]),
  timePart('getMinutes', 'timestamp_to_minutes', (parts) => parts.minutes, [
    'duration_to_minutes',
    60_000_000_000n,
  ]),
  timePart('getSeconds', 'timestamp_to_seconds', (parts) => parts.seconds, [
    'duration_to_seconds',
    1_000_000_000n,
  ]),
  timePart('getMilliseconds', 'timestamp_to_milliseconds', (parts) => parts.milliseconds, [
    'duration_to_milliseconds',
    1_000_000n,
  ]),
];

export const STANDARD_LIBRARY: readonly FunctionDeclaration[] = [
  ...logic,
  ...arithmetic,
  sizes,
  ...conversions,
  ...strings,
  ...times,
];

/** The types that expressions may name. */
export const STANDARD_TYPES: readonly CelType[] = [
  BOOL,
  BYTES,
  DOUBLE,
  DURATION,
  INT,
  STRING,
  TIMESTAMP,
  TYPE,
  UINT,
];
