/**
 * What a call costs when it runs, in units of about 50 ns (cel-go's interpreter/runtimecost.go, and
 * k8s.io/apiserver/pkg/cel/library/cost.go for Kubernetes' functions).
 */
import { codePointCount } from '../value/text.ts';
import { spend } from '../value/meter.ts';
import { CelList, CelMap, CelOpaque, CelOptional } from '../value/value.ts';
import type { CelResult } from '../value/value.ts';
import {
  AUTHORIZATION_CHECK_COST,
  LIST_COST,
  REGEX_FACTOR,
  selectorCost,
  TRAVERSAL_FACTOR,
} from './cost-factors.ts';

/**
 * What a call costs: always the same, or by its arguments. Without `result` what is known before the call, undefined where
 * the cost depends on what it makes; so that what is too expensive is not done first.
 */
export type CallCost =
  number | ((args: readonly CelResult[], result: CelResult | undefined) => number | undefined);

/** `overload` is empty where several may be meant. */
export function callCostOf(name: string, overload: string): CallCost {
  return (
    LIST_CALLS.get(overload) ??
    NAMED_CALLS.get(`${name} ${overload}`) ??
    NAMED_CALLS.get(name) ??
    OVERLOADS.get(overload) ??
    1
  );
}

type ArgumentCost = (args: readonly CelResult[]) => number;

function characters(size: number, factor = 1): number {
  return Math.ceil(size * factor * TRAVERSAL_FACTOR);
}

/** A factor for each time that the argument is read. */
function reading(index: number, factor = 1): ArgumentCost {
  return (args) => characters(sizeOf(args[index]), factor);
}

const matching: ArgumentCost = (args) =>
  characters(1 + sizeOf(args[0])) * Math.ceil(sizeOf(args[1]) * REGEX_FACTOR);
const comparing: ArgumentCost = (args) => characters(Math.min(sizeOf(args[0]), sizeOf(args[1])));
const concatenating: ArgumentCost = (args) => characters(sizeOf(args[0]) + sizeOf(args[1]));
const validating: ArgumentCost = (args) => {
  const patternSize = args[0] instanceof CelOpaque ? args[0].size : 1;
  return characters(1 + sizeOf(args[1])) * Math.ceil(patternSize * REGEX_FACTOR);
};
const withinNetwork: ArgumentCost = (args) => characters(2 * sizeOf(args[0]));
const networkWithin: ArgumentCost = (args) => withinNetwork(args) + characters(sizeOf(args[0])) + 1;

/** By the name of the function, or by name and overload. */
const NAMED_CALLS: ReadonlyMap<string, CallCost> = new Map<string, CallCost>([
  ...['isSorted', 'sum', 'max', 'min', 'indexOf', 'lastIndexOf'].map(
    (name) => [name, (args: readonly CelResult[]) => traversalCost(args[0])] as const,
  ),
  ...[
    'url',
    'lowerAscii',
    'upperAscii',
    'substring',
    'trim',
    'cidr',
    'isIP',
    'isCIDR',
    'ip',
    'quantity',
    'isQuantity',
    'semver',
    'isSemver',
  ].map((name) => [name, reading(0)] as const),
  ['ip cidr_ip', 1],
  ...['ip.isCanonical', 'replace', 'split'].map((name) => [name, reading(0, 2)] as const),
  ['join', (_args, result) => (result === undefined ? undefined : characters(sizeOf(result), 2))],
  ['find', matching],
  ['findAll', matching],
  ['containsIP', withinNetwork],
  ['containsIP cidr_contains_ip_string', (args) => withinNetwork(args) + characters(sizeOf(args[1]))],
  ['containsCIDR', networkWithin],
  ['containsCIDR cidr_contains_cidr_string', (args) => networkWithin(args) + characters(sizeOf(args[1]))],
  ['validate', validating],
  ['jsonpatch.escapeKey', reading(0)],
  ['check', AUTHORIZATION_CHECK_COST],
  ...['fieldSelector', 'labelSelector'].map(
    (name) => [name, (args: readonly CelResult[]) => selectorCost(sizeOf(args[1]))] as const,
  ),
  ['_==_', (args) => (args[0] instanceof CelOpaque ? 1 : comparing(args))],
]);

const OVERLOADS: ReadonlyMap<string, CallCost> = new Map<string, CallCost>([
  ...[
    'starts_with_string',
    'ends_with_string',
    'string_to_bytes',
    'bytes_to_string',
    'strings_quote',
    'string_format',
  ].map((id) => [id, reading(0)] as const),
  ['in_list', (args) => sizeOf(args[1])],
  ...[
    'not_equals',
    ...['less', 'less_equals', 'greater', 'greater_equals'].flatMap((id) => [`${id}_string`, `${id}_bytes`]),
  ].map((id) => [id, comparing] as const),
  ['add_string', concatenating],
  ['add_bytes', concatenating],
  ['matches_string', matching],
  ['contains_string', (args) => characters(sizeOf(args[0])) * characters(sizeOf(args[1]))],
]);

type ListCost = (args: readonly CelResult[], result: CelResult | undefined) => number | undefined;

const ofResult: ListCost = (_args, result) =>
  result === undefined ? undefined : listCost(1, sizeOf(result));
const flatten: ListCost = (args) =>
  listCost(typeof args[1] === 'bigint' ? Number(args[1]) : 1, sizeOf(args[0]));
const selfCompare =
  (index: number): ListCost =>
  (args) => {
    const list = args[index];
    const first = list instanceof CelList && list.size > 0 ? list.get(0) : null;
    const text = typeof first === 'string' || first instanceof Uint8Array;
    return listCost(text ? 2 + TRAVERSAL_FACTOR : 2, sizeOf(list) ** 2);
  };
const product =
  (factor: number): ListCost =>
  (args) =>
    1 + Math.trunc(sizeOf(args[0]) * sizeOf(args[1]) * factor);

const LIST_CALLS: ReadonlyMap<string, ListCost> = new Map([
  ['list_slice', ofResult],
  ['lists_range', ofResult],
  ['list_reverse', ofResult],
  ['list_flatten', flatten],
  ['list_flatten_int', flatten],
  ['list_distinct', selfCompare(0)],
  ...[
    'int',
    'uint',
    'double',
    'bool',
    'google.protobuf.Duration',
    'google.protobuf.Timestamp',
    'string',
    'bytes',
  ].flatMap(
    (type) =>
      [
        [`list_${type}_sort`, selfCompare(0)],
        [`list_${type}_sortByAssociatedKeys`, selfCompare(1)],
      ] as const,
  ),
  ['list_sets_contains_list', product(1)],
  ['list_sets_intersects_list', product(1)],
  ['list_sets_equivalent_list', product(2)],
]);

function listCost(factor: number, size: number): number {
  return Math.trunc(size * factor) + 1 + LIST_COST;
}

/** Characters, bytes, elements or entries; 1 for all else. */
function sizeOf(value: CelResult | undefined): number {
  if (typeof value === 'string') return codePointCount(value);
  if (value instanceof CelList || value instanceof CelMap || value instanceof CelOpaque) return value.size;
  if (value instanceof Uint8Array) return value.length;
  return value instanceof CelOptional && value.value !== undefined ? sizeOf(value.value) : 1;
}

/** One for each leaf, a tenth for each byte of text. */
function traversalCost(value: CelResult | undefined): number {
  if (typeof value === 'string') return Math.trunc(Buffer.byteLength(value) * TRAVERSAL_FACTOR);
  if (value instanceof Uint8Array) return Math.trunc(value.length * TRAVERSAL_FACTOR);
  let cost = 0;
  if (value instanceof CelList) {
    spend(value.size);
    for (let i = 0; i < value.size; i++) cost += traversalCost(value.get(i));
    return cost;
  }
  if (value instanceof CelMap) {
    spend(value.size);
    for (const key of value.keys()) cost += traversalCost(key) + traversalCost(value.find(key));
    return cost;
  }
  return 1;
}
