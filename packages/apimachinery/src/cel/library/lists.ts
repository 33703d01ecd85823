/** Lists: Kubernetes' library, cel-go's lists extension (version 3), and sets. */
import { declareDynamic, declareFunction, memberOverload, overload } from '../language/function.ts';
import type { FunctionDeclaration, Overload } from '../language/function.ts';
import {
  BOOL,
  BYTES,
  DOUBLE,
  DURATION,
  DYN,
  INT,
  listType,
  STRING,
  TIMESTAMP,
  typeParameter,
  UINT,
} from '../language/type.ts';
import type { CelType } from '../language/type.ts';
import { add } from '../value/arithmetic.ts';
import { listContains, valuesEqual } from '../value/equality.ts';
import { ArrayList } from '../value/list.ts';
import { spend } from '../value/meter.ts';
import { compareValues, isComparable } from '../value/ordering.ts';
import { CelDuration, CelError, CelList, CelUint, NO_SUCH_OVERLOAD, typeOf } from '../value/value.ts';
import type { CelResult, CelValue } from '../value/value.ts';

const A = typeParameter('A');
const T = typeParameter('T');
const LIST_OF_A = listType(A);
const LIST_OF_T = listType(T);

/** Comparable types as Kubernetes' overload ids name them. */
const COMPARABLE: readonly (readonly [name: string, type: CelType])[] = [
  ['int', INT],
  ['uint', UINT],
  ['double', DOUBLE],
  ['bool', BOOL],
  ['duration', DURATION],
  ['timestamp', TIMESTAMP],
  ['string', STRING],
  ['bytes', BYTES],
];

function* valuesOf(list: CelList): Iterable<CelResult> {
  spend(list.size);
  for (let i = 0; i < list.size; i++) yield list.get(i);
}

function isSorted(list: CelList): CelResult {
  let previous: CelValue | undefined;
  for (const value of valuesOf(list)) {
    if (value instanceof CelError) return value;
    if (!isComparable(value)) return NO_SUCH_OVERLOAD;
    if (previous !== undefined && compareValues(previous, value) === 1) return false;
    previous = value;
  }
  return true;
}

function sum(zero: CelValue): (list: CelList) => CelResult {
  return (list) => {
    let total = zero;
    for (const value of valuesOf(list)) {
      if (value instanceof CelError) return value;
      const next = add(total, value);
      if (next instanceof CelError) return next;
      total = next;
    }
    return total;
  };
}

/** `order`: what comparing the best so far with a better one gives. */
function best(name: string, order: number): (list: CelList) => CelResult {
  return (list) => {
    let result: CelValue | undefined;
    for (const value of valuesOf(list)) {
      if (value instanceof CelError) return value;
      if (!isComparable(value)) return NO_SUCH_OVERLOAD;
      if (result === undefined || compareValues(result, value) === order) result = value;
    }
    return result ?? new CelError(`${name} called on empty list`);
  };
}

function indexOf(list: CelList, item: CelValue): CelResult {
  spend(list.size);
  for (let i = 0; i < list.size; i++) if (equalTo(list.get(i), item)) return BigInt(i);
  return -1n;
}

function lastIndexOf(list: CelList, item: CelValue): CelResult {
  spend(list.size);
  for (let i = list.size - 1; i >= 0; i--) if (equalTo(list.get(i), item)) return BigInt(i);
  return -1n;
}

function equalTo(element: CelResult, item: CelValue): boolean {
  return !(element instanceof CelError) && valuesEqual(element, item) === true;
}

export const KUBERNETES_LISTS_LIBRARY: readonly FunctionDeclaration[] = [
  declareFunction(
    'isSorted',
    ...COMPARABLE.map(([name, type]) =>
      memberOverload(`list_${name}_is_sorted_bool`, [listType(type)], BOOL, isSorted),
    ),
  ),
  declareFunction(
    'sum',
    ...(
      [
        ['int', INT, 0n],
        ['uint', UINT, new CelUint(0n)],
        ['double', DOUBLE, 0],
        ['duration', DURATION, new CelDuration(0n)],
      ] as const
    ).map(([name, type, zero]) =>
      memberOverload(`list_${name}_sum_${name}`, [listType(type)], type, sum(zero)),
    ),
  ),
  ...(
    [
      ['max', -1],
      ['min', 1],
    ] as const
  ).map(([function_, order]) =>
    declareFunction(
      function_,
      ...COMPARABLE.map(([name, type]) =>
        memberOverload(`list_${name}_${function_}_${name}`, [listType(type)], type, best(function_, order)),
      ),
    ),
  ),
  declareFunction('indexOf', memberOverload('list_a_index_of_int', [LIST_OF_A, A], INT, indexOf)),
  declareFunction(
    'lastIndexOf',
    memberOverload('list_a_last_index_of_int', [LIST_OF_A, A], INT, lastIndexOf),
  ),
];

/** The numbers below `size`. Its cost is charged before anyone counts them. */
class NumberList extends CelList {
  readonly size: number;

  constructor(size: number) {
    super();
    this.size = size;
  }

  override get(position: number): CelValue {
    return BigInt(position);
  }

  override add(other: CelList): CelList {
    return new ArrayList(Array.from({ length: this.size }, (_, i) => BigInt(i))).add(other);
  }
}

function slice(list: CelList, start: bigint, end: bigint): CelResult {
  const fail = (message: string): CelError => new CelError(`cannot slice(${start}, ${end}), ${message}`);
  if (start < 0n || end < 0n) return fail('negative indexes not supported');
  if (start > end) return fail('start index must be less than or equal to end index');
  if (BigInt(list.size) < end) return fail(`list is length ${list.size}`);
  return collect(Number(end - start), (i) => list.get(Number(start) + i));
}

/** A list of `size` values, or the first error among them. */
function collect(size: number, get: (position: number) => CelResult): CelResult {
  spend(size);
  const values: CelValue[] = [];
  for (let i = 0; i < size; i++) {
    const value = get(i);
    if (value instanceof CelError) return value;
    values.push(value);
  }
  return new ArrayList(values);
}

function flatten(list: CelList, depth = 1n): CelResult {
  if (depth < 0n) return new CelError('level must be non-negative');
  const values: CelValue[] = [];
  const error = flattenInto(values, list, depth);
  return error ?? new ArrayList(values);
}

function flattenInto(values: CelValue[], list: CelList, depth: bigint): CelError | undefined {
  for (const value of valuesOf(list)) {
    if (value instanceof CelError) return value;
    if (!(value instanceof CelList) || depth === 0n) {
      values.push(value);
      continue;
    }
    const error = flattenInto(values, value, depth - 1n);
    if (error !== undefined) return error;
  }
  return undefined;
}

function sortByKeys(list: CelList, keys: CelList): CelResult {
  if (list.size !== keys.size)
    return new CelError(
      `@sortByAssociatedKeys() expected a list of the same size as the associated keys list, but got ${list.size} and ${keys.size} elements respectively`,
    );
  if (list.size === 0) return list;
  spend(list.size);
  const entries: { readonly key: CelValue; readonly position: number }[] = [];
  for (let position = 0; position < keys.size; position++) {
    const key = keys.get(position);
    if (key instanceof CelError) return key;
    if (!isComparable(key)) return new CelError('list elements must be comparable');
    const kind = typeOf(entries[0]?.key ?? key).kind;
    if (typeOf(key).kind !== kind) return new CelError('list elements must have the same type');
    entries.push({ key, position });
  }
  entries.sort((a, b) => {
    const order = compareValues(a.key, b.key);
    return order instanceof CelError ? 0 : order;
  });
  return collect(entries.length, (i) => list.get((entries[i] as { readonly position: number }).position));
}

function distinct(list: CelList): CelResult {
  const values: CelValue[] = [];
  for (const value of valuesOf(list)) {
    if (value instanceof CelError) return value;
    spend(values.length);
    if (!values.some((known) => valuesEqual(value, known) === true)) values.push(value);
  }
  return new ArrayList(values);
}

function perComparable(make: (id: string, type: CelType) => Overload): readonly Overload[] {
  return COMPARABLE.map(([, type]) => make(type.name, type));
}

export const LISTS_LIBRARY: readonly FunctionDeclaration[] = [
  declareFunction('slice', memberOverload('list_slice', [LIST_OF_T, INT, INT], LIST_OF_T, slice)),
  declareDynamic(
    'flatten',
    (list: CelValue, depth?: CelValue) =>
      list instanceof CelList && (depth === undefined || typeof depth === 'bigint')
        ? flatten(list, depth)
        : new CelError(
            `no such overload: ${typeOf(list).name}.flatten(${depth === undefined ? '' : typeOf(depth).name})`,
          ),
    memberOverload('list_flatten', [listType(LIST_OF_T)], LIST_OF_T),
    memberOverload('list_flatten_int', [listType(DYN), INT], listType(DYN)),
  ),
  declareDynamic(
    'sort',
    (list: CelValue) =>
      list instanceof CelList ? sortByKeys(list, list) : new CelError('no such overload: sort'),
    ...perComparable((id, type) => memberOverload(`list_${id}_sort`, [listType(type)], listType(type))),
  ),
  declareDynamic(
    '@sortByAssociatedKeys',
    (list: CelValue, keys: CelValue) =>
      list instanceof CelList && keys instanceof CelList
        ? sortByKeys(list, keys)
        : new CelError('no such overload: @sortByAssociatedKeys'),
    ...perComparable((id, type) =>
      memberOverload(`list_${id}_sortByAssociatedKeys`, [LIST_OF_T, listType(type)], LIST_OF_T),
    ),
  ),
  declareFunction(
    'lists.range',
    overload(
      'lists_range',
      [INT],
      listType(INT),
      (size: bigint) => new NumberList(size < 0n ? 0 : Number(size)),
    ),
  ),
  declareFunction(
    'reverse',
    memberOverload('list_reverse', [LIST_OF_T], LIST_OF_T, (list: CelList) =>
      collect(list.size, (i) => list.get(list.size - 1 - i)),
    ),
  ),
  declareFunction('distinct', memberOverload('list_distinct', [LIST_OF_T], LIST_OF_T, distinct)),
];

function containsAll(list: CelList, part: CelList): CelResult {
  for (const value of valuesOf(part)) {
    if (value instanceof CelError) return value;
    if (!listContains(list, value)) return false;
  }
  return true;
}

function intersects(a: CelList, b: CelList): CelResult {
  for (const value of valuesOf(a)) if (!(value instanceof CelError) && listContains(b, value)) return true;
  return false;
}

function equivalent(a: CelList, b: CelList): CelResult {
  const contains = containsAll(a, b);
  return contains === true ? containsAll(b, a) : contains;
}

export const SETS_LIBRARY: readonly FunctionDeclaration[] = [
  declareFunction(
    'sets.contains',
    overload('list_sets_contains_list', [LIST_OF_T, LIST_OF_T], BOOL, containsAll),
  ),
  declareFunction(
    'sets.equivalent',
    overload('list_sets_equivalent_list', [LIST_OF_T, LIST_OF_T], BOOL, equivalent),
  ),
  declareFunction(
    'sets.intersects',
    overload('list_sets_intersects_list', [LIST_OF_T, LIST_OF_T], BOOL, intersects),
  ),
];
