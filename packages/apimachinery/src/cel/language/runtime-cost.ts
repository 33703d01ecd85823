/**
 * What a call costs when it runs, in units of about 50 ns (cel-go's interpreter/runtimecost.go, and
 * k8s.io/apiserver/pkg/cel/library/cost.go for Kubernetes' functions).
 */
import { codePointCount } from '../value/text.ts';
import { spend } from '../value/meter.ts';
import { CelList, CelMap, CelOpaque, CelOptional } from '../value/value.ts';
import type { CelResult } from '../value/value.ts';
import { LIST_COST, REGEX_FACTOR, TRAVERSAL_FACTOR } from './cost-factors.ts';

/**
 * Without `result`: what is known before the call, undefined where the cost depends on what it makes. So that what is too
 * expensive is not done first.
 */
export function callCost(
  name: string,
  overload: string,
  args: readonly CelResult[],
  result: CelResult | undefined,
): number | undefined {
  const size = (index: number): number => sizeOf(args[index]);
  const traverse = (length: number, factor = 1): number => Math.ceil(length * factor * TRAVERSAL_FACTOR);
  const list = LIST_CALLS.get(overload);
  if (list !== undefined) return list(args, result);
  switch (name) {
    case 'isSorted':
    case 'sum':
    case 'max':
    case 'min':
    case 'indexOf':
    case 'lastIndexOf':
      return traversalCost(args[0]);
    case 'url':
    case 'lowerAscii':
    case 'upperAscii':
    case 'substring':
    case 'trim':
    case 'cidr':
    case 'isIP':
    case 'isCIDR':
    case 'quantity':
    case 'isQuantity':
    case 'semver':
    case 'isSemver':
      return traverse(size(0));
    case 'ip':
      return overload === 'cidr_ip' ? 1 : traverse(size(0));
    case 'ip.isCanonical':
    case 'replace':
    case 'split':
      return traverse(size(0), 2);
    case 'join':
      return result === undefined ? undefined : traverse(sizeOf(result), 2);
    case 'find':
    case 'findAll':
      return traverse(1 + size(0)) * Math.ceil(size(1) * REGEX_FACTOR);
    case 'containsIP':
      return traverse(2 * size(0)) + (overload === 'cidr_contains_ip_string' ? traverse(size(1)) : 0);
    case 'containsCIDR':
      return (
        traverse(2 * size(0)) +
        traverse(size(0)) +
        1 +
        (overload === 'cidr_contains_cidr_string' ? traverse(size(1)) : 0)
      );
    case 'validate': {
      const format = args[0];
      const regexSize = format instanceof CelOpaque ? format.size : 1;
      return traverse(1 + size(1)) * Math.ceil(regexSize * REGEX_FACTOR);
    }
    case '_==_':
      if (args[0] instanceof CelOpaque) return 1;
      break;
    default:
      break;
  }
  switch (overload) {
    case 'starts_with_string':
    case 'ends_with_string':
    case 'string_to_bytes':
    case 'bytes_to_string':
    case 'strings_quote':
    case 'string_format':
      return traverse(size(0));
    case 'in_list':
      return size(1);
    case 'equals':
    case 'not_equals':
    case 'less_string':
    case 'less_equals_string':
    case 'greater_string':
    case 'greater_equals_string':
    case 'less_bytes':
    case 'less_equals_bytes':
    case 'greater_bytes':
    case 'greater_equals_bytes':
      return traverse(Math.min(size(0), size(1)));
    case 'add_string':
    case 'add_bytes':
      return traverse(size(0) + size(1));
    case 'matches_string':
      return traverse(1 + size(0)) * Math.ceil(size(1) * REGEX_FACTOR);
    case 'contains_string':
      return traverse(size(0)) * traverse(size(1));
    default:
      return 1;
  }
}

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
