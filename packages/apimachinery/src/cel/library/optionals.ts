/** Optional values (version 2 of cel-go's library) and the folds that make maps. */
import { declareFunction, memberOverload, overload } from '../language/function.ts';
import type { FunctionDeclaration } from '../language/function.ts';
import { MAP_INSERT } from '../language/macros.ts';
import { Operator } from '../language/operators.ts';
import { BOOL, DYN, INT, listType, mapType, optionalType, STRING, typeParameter } from '../language/type.ts';
import { ArrayList } from '../value/list.ts';
import { EntryMap } from '../value/map.ts';
import { spend } from '../value/meter.ts';
import { valueText } from '../value/text.ts';
import {
  CelDuration,
  CelError,
  CelList,
  CelMap,
  CelOptional,
  CelTimestamp,
  CelUint,
  OPTIONAL_NONE,
} from '../value/value.ts';
import type { CelResult, CelValue } from '../value/value.ts';

const K = typeParameter('K');
const V = typeParameter('V');
const OPTIONAL_V = optionalType(V);
const LIST_V = listType(V);
const MAP_KV = mapType(K, V);

/** Year 1, which Go takes for no time at all. */
const GO_ZERO_TIME = -62_135_596_800_000_000_000n;

function isZero(value: CelValue): boolean {
  if (value === null || value === false || value === 0n || value === 0 || value === '') return true;
  if (value instanceof CelList || value instanceof CelMap) return value.size === 0;
  if (value instanceof Uint8Array) return value.length === 0;
  if (value instanceof CelUint) return value.value === 0n;
  if (value instanceof CelDuration) return value.nanoseconds === 0n;
  if (value instanceof CelTimestamp) return value.nanoseconds === GO_ZERO_TIME;
  return value instanceof CelOptional && value.value === undefined;
}

function unwrap(list: CelList): CelResult {
  spend(list.size);
  const values: CelValue[] = [];
  for (let i = 0; i < list.size; i++) {
    const value = list.get(i);
    if (!(value instanceof CelOptional))
      return value instanceof CelError ? value : new CelError(`value ${valueText(value)} is not optional`);
    if (value.value !== undefined) values.push(value.value);
  }
  return new ArrayList(values);
}

function elementAt(list: CelList, position: number): CelResult {
  if (list.size === 0) return OPTIONAL_NONE;
  const value = list.get(position);
  return value instanceof CelError ? value : new CelOptional(value);
}

export const OPTIONALS_LIBRARY: readonly FunctionDeclaration[] = [
  declareFunction(
    'optional.of',
    overload('optional_of', [V], OPTIONAL_V, (value: CelValue) => new CelOptional(value)),
  ),
  declareFunction(
    'optional.ofNonZeroValue',
    overload('optional_ofNonZeroValue', [V], OPTIONAL_V, (value: CelValue) =>
      isZero(value) ? OPTIONAL_NONE : new CelOptional(value),
    ),
  ),
  declareFunction(
    'optional.none',
    overload('optional_none', [], OPTIONAL_V, () => OPTIONAL_NONE),
  ),
  declareFunction(
    'value',
    memberOverload(
      'optional_value',
      [OPTIONAL_V],
      V,
      (optional: CelOptional) => optional.value ?? absentValue(optional),
    ),
  ),
  declareFunction(
    'hasValue',
    memberOverload(
      'optional_hasValue',
      [OPTIONAL_V],
      BOOL,
      (optional: CelOptional) => optional.value !== undefined,
    ),
  ),
  declareFunction('or', memberOverload('optional_or_optional', [OPTIONAL_V, OPTIONAL_V], OPTIONAL_V)),
  declareFunction('orValue', memberOverload('optional_orValue_value', [OPTIONAL_V, V], V)),
  declareFunction(Operator.optionalSelect, overload('select_optional_field', [DYN, STRING], OPTIONAL_V)),
  declareFunction(
    Operator.optionalIndex,
    overload('list_optindex_optional_int', [LIST_V, INT], OPTIONAL_V),
    overload('optional_list_optindex_optional_int', [optionalType(LIST_V), INT], OPTIONAL_V),
    overload('map_optindex_optional_value', [MAP_KV, K], OPTIONAL_V),
    overload('optional_map_optindex_optional_value', [optionalType(MAP_KV), K], OPTIONAL_V),
  ),
  declareFunction(
    Operator.index,
    overload('optional_list_index_int', [optionalType(LIST_V), INT], OPTIONAL_V),
    overload('optional_map_index_value', [optionalType(MAP_KV), K], OPTIONAL_V),
  ),
  declareFunction(
    'first',
    memberOverload('list_first', [LIST_V], OPTIONAL_V, (list: CelList) => elementAt(list, 0)),
  ),
  declareFunction(
    'last',
    memberOverload('list_last', [LIST_V], OPTIONAL_V, (list: CelList) => elementAt(list, list.size - 1)),
  ),
  declareFunction('optional.unwrap', overload('optional_unwrap', [listType(OPTIONAL_V)], LIST_V, unwrap)),
  declareFunction('unwrapOpt', memberOverload('optional_unwrapOpt', [listType(OPTIONAL_V)], LIST_V, unwrap)),
];

/** null is a value. */
function absentValue(optional: CelOptional): CelResult {
  return optional.value === null ? null : new CelError('optional.none() dereference');
}

function insert(map: CelMap, key: CelValue, value: CelValue): EntryMap | CelError {
  if (map instanceof EntryMap) return map.insert(key, value);
  const copied = EntryMap.of([]);
  return copied instanceof CelError ? copied : copied.insert(key, value);
}

function insertAll(map: CelMap, added: CelMap): CelResult {
  let result: CelMap = map;
  spend(added.size);
  for (const key of added.keys()) {
    const value = added.find(key);
    if (value === undefined || value instanceof CelError) return value ?? new CelError('no such key');
    const next = insert(result, key, value);
    if (next instanceof CelError) return next;
    result = next;
  }
  return result;
}

export const COMPREHENSIONS_LIBRARY: readonly FunctionDeclaration[] = [
  declareFunction(
    MAP_INSERT,
    overload('@mapInsert_map_key_value', [MAP_KV, K, V], MAP_KV, insert),
    overload('@mapInsert_map_map', [MAP_KV, MAP_KV], MAP_KV, insertAll),
  ),
];
