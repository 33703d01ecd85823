/**
 * What one call may cost, and how big its result may be, from the sizes of its arguments. The figures are part of the API:
 * they decide which rules a CRD may have (k8s.io/apiserver/pkg/cel/library/cost.go, cel-go's checker/cost.go and ext).
 */
import type { Expr } from './ast.ts';
import {
  AUTHORIZATION_CHECK_COST,
  LIST_COST,
  REGEX_FACTOR,
  selectorCost,
  TRAVERSAL_FACTOR,
} from './cost-factors.ts';
import { addRanges, fixed, multiplyRanges, scaleRange, UNBOUNDED, UNKNOWN_SIZE } from './size-range.ts';
import type { SizeRange } from './size-range.ts';
import { formatType } from './type.ts';
import type { CelType } from './type.ts';

export interface CallEstimate {
  readonly cost: SizeRange;
  readonly resultSize?: SizeRange;
}

/** An argument. */
export interface SizedNode {
  readonly expr: Expr;
  readonly type: CelType;
  /** undefined where nothing is known. */
  readonly size: SizeRange | undefined;
  /** The size of the elements of a list. */
  readonly element: () => SizeRange | undefined;
}

const ONE = fixed(1);
/** The longest pattern of a named format. */
const MAX_FORMAT_PATTERN = 128;
const MAX_FORMAT_SIZE = 64;

/** Without the cost of the arguments. */
export function estimateCall(
  name: string,
  overload: string,
  target: SizedNode | undefined,
  args: readonly SizedNode[],
): CallEstimate {
  return (
    LIST_CALLS.get(overload)?.(target, args) ??
    kubernetesCall(name, overload, target, args) ??
    standardCall(overload, target, args)
  );
}

function sizeOf(node: SizedNode | undefined): SizeRange {
  return node?.size ?? UNKNOWN_SIZE;
}

function traverse(size: SizeRange, factor = 1): SizeRange {
  return scaleRange(size, factor * TRAVERSAL_FACTOR);
}

function kubernetesCall(
  name: string,
  overload: string,
  target: SizedNode | undefined,
  args: readonly SizedNode[],
): CallEstimate | undefined {
  const [first, second] = args;
  switch (name) {
    case 'check':
      return { cost: fixed(AUTHORIZATION_CHECK_COST) };
    case 'fieldSelector':
    case 'labelSelector':
      return first === undefined ? undefined : { cost: selectorRange(sizeOf(first)) };
    case 'isSorted':
    case 'sum':
    case 'max':
    case 'min':
    case 'indexOf':
    case 'lastIndexOf':
      return target === undefined ? undefined : { cost: elementsCost(target) };
    case 'url':
    case 'jsonpatch.escapeKey':
      return first === undefined ? undefined : { cost: traverse(sizeOf(first)), resultSize: sizeOf(first) };
    case 'lowerAscii':
    case 'upperAscii':
    case 'substring':
    case 'trim':
      return target === undefined
        ? undefined
        : { cost: traverse(sizeOf(target)), resultSize: sizeOf(target) };
    case 'replace':
      return target === undefined || first === undefined || second === undefined
        ? undefined
        : {
            cost: traverse(sizeOf(target), 2),
            resultSize: replacedSize(sizeOf(target), sizeOf(first), sizeOf(second)),
          };
    case 'split':
      return target === undefined ? undefined : splitEstimate(target, second);
    case 'join':
      return target === undefined ? undefined : joinEstimate(target, first);
    case 'find':
    case 'findAll': {
      if (target === undefined || first === undefined) return undefined;
      const size = sizeOf(target);
      const text = traverse(addRanges(size, ONE));
      return {
        cost: multiplyRanges(text, scaleRange(sizeOf(first), REGEX_FACTOR)),
        resultSize: { min: 0, max: size.max },
      };
    }
    case 'ip':
      if (overload === 'cidr_ip') return { cost: ONE };
      return first === undefined ? undefined : { cost: traverse(sizeOf(first)) };
    case 'cidr':
    case 'isIP':
    case 'isCIDR':
    case 'quantity':
    case 'isQuantity':
    case 'semver':
    case 'isSemver':
      return first === undefined ? undefined : { cost: traverse(sizeOf(first)) };
    case 'ip.isCanonical':
      return first === undefined ? undefined : { cost: traverse(sizeOf(first), 2) };
    case 'containsIP':
    case 'containsCIDR':
      return first === undefined ? undefined : { cost: containmentCost(name, overload, first) };
    case 'validate':
      return first === undefined
        ? undefined
        : { cost: scaleRange(traverse(sizeOf(first)), MAX_FORMAT_PATTERN * REGEX_FACTOR) };
    case '_==_':
      return first === undefined || second === undefined ? undefined : equalityOfLibraryTypes(first, second);
    default:
      return NOMINAL.has(name) ? { cost: ONE } : undefined;
  }
}

function selectorRange({ min, max }: SizeRange): SizeRange {
  return { min: selectorCost(min), max: Math.min(selectorCost(max), UNBOUNDED) };
}

/** Accessors, and operations on small values. */
const NOMINAL: ReadonlySet<string> = new Set([
  'masked',
  'prefixLength',
  'family',
  'isUnspecified',
  'isLoopback',
  'isLinkLocalMulticast',
  'isLinkLocalUnicast',
  'isGlobalUnicast',
  'format.named',
  'sign',
  'asInteger',
  'isInteger',
  'asApproximateFloat',
  'isGreaterThan',
  'isLessThan',
  'compareTo',
  'add',
  'sub',
  'major',
  'minor',
  'patch',
  'getScheme',
  'getHostname',
  'getHost',
  'getPort',
  'getEscapedPath',
  'getQuery',
]);

function elementsCost(target: SizedNode): SizeRange {
  const element = target.type.parameters[0];
  if (element === undefined) return traverse(sizeOf(target));
  let cost = ONE;
  if (element.kind === 'string' || element.kind === 'bytes')
    cost = addRanges(cost, traverse(target.element() ?? UNKNOWN_SIZE));
  return multiplyRanges(sizeOf(target), cost);
}

/** The text that `replace` may make: many short pieces replaced by long ones, or the other way round. */
function replacedSize(text: SizeRange, old: SizeRange, replacement: SizeRange): SizeRange {
  let maxCount = 0;
  let maxKept = 0;
  if (old.min === 0) {
    maxCount = text.max < UNBOUNDED ? text.max + 1 : text.max;
    maxKept = text.max;
  } else if (replacement.max <= old.min) {
    maxKept = text.max;
  } else {
    maxCount = Math.ceil(text.max / old.min);
  }
  let minCount = 0;
  let minKept = 0;
  if (old.max === 0) {
    minCount = text.min + 1;
    minKept = text.min;
  } else if (old.max <= replacement.min) {
    minKept = text.min;
  } else {
    minCount = Math.ceil(text.min / old.max);
  }
  return addRanges(multiplyRanges({ min: minCount, max: maxCount }, replacement), {
    min: minKept,
    max: maxKept,
  });
}

function splitEstimate(target: SizedNode, limit: SizedNode | undefined): CallEstimate {
  const size = sizeOf(target);
  const literal = limit?.expr.kind === 'literal' ? limit.expr.value : undefined;
  // A negative number means no limit; upstream reads it as a huge one.
  const max = typeof literal === 'bigint' ? (literal < 0n ? UNBOUNDED : Number(literal)) : size.max;
  return { cost: traverse(size, 2), resultSize: { min: 0, max } };
}

function joinEstimate(target: SizedNode, separator: SizedNode | undefined): CallEstimate {
  const list = sizeOf(target);
  let size = fixed(0);
  if (target.type.parameters.length > 0) size = multiplyRanges(list, target.element() ?? UNKNOWN_SIZE);
  if (separator !== undefined) {
    const separators = { min: Math.max(list.min - 1, 0), max: Math.max(list.max - 1, 0) };
    size = addRanges(size, multiplyRanges(sizeOf(separator), separators));
  }
  return { cost: traverse(size), resultSize: size };
}

function containmentCost(name: string, overload: string, other: SizedNode): SizeRange {
  const address = { min: 4, max: 16 };
  let cost = traverse(addRanges(address, address));
  if (name === 'containsCIDR') cost = addRanges(cost, traverse(address), ONE);
  if (overload === 'cidr_contains_ip_string' || overload === 'cidr_contains_cidr_string')
    cost = addRanges(cost, traverse(sizeOf(other)));
  return cost;
}

function equalityOfLibraryTypes(left: SizedNode, right: SizedNode): CallEstimate | undefined {
  if (formatType(left.type) !== formatType(right.type)) return undefined;
  switch (left.type.name) {
    case 'net.IP':
    case 'net.CIDR':
    case 'kubernetes.Quantity':
    case 'kubernetes.Semver':
      return { cost: ONE };
    case 'kubernetes.NamedFormat':
      return { cost: traverse({ min: 1, max: MAX_FORMAT_SIZE }) };
    case 'kubernetes.URL':
      return { cost: traverse({ min: 1, max: right.size === undefined ? 1 : right.size.max }) };
    default:
      return undefined;
  }
}

function standardCall(
  overload: string,
  target: SizedNode | undefined,
  args: readonly SizedNode[],
): CallEstimate {
  const [first, second] = args;
  switch (overload) {
    case 'string_format':
      return { cost: traverse(sizeOf(target)) };
    case 'string_to_bytes': {
      const size = sizeOf(first);
      return { cost: traverse(size), resultSize: { min: size.min, max: Math.min(size.max * 4, UNBOUNDED) } };
    }
    case 'bytes_to_string': {
      const size = sizeOf(first);
      return { cost: traverse(size), resultSize: { min: Math.trunc(size.min / 4), max: size.max } };
    }
    case 'strings_quote': {
      const size = sizeOf(first);
      return {
        cost: traverse(size),
        resultSize: { min: size.min + 2, max: Math.min(size.max * 2 + 2, UNBOUNDED) },
      };
    }
    case 'starts_with_string':
    case 'ends_with_string':
      return { cost: traverse(sizeOf(first)) };
    case 'in_list':
      return { cost: sizeOf(second) };
    case 'matches_string': {
      if (target === undefined) break;
      const text = traverse(addRanges(sizeOf(target), ONE));
      return { cost: multiplyRanges(text, scaleRange(sizeOf(first), REGEX_FACTOR)) };
    }
    case 'contains_string':
      return { cost: multiplyRanges(traverse(sizeOf(target)), traverse(sizeOf(first))) };
    case 'less_string':
    case 'greater_string':
    case 'less_equals_string':
    case 'greater_equals_string':
    case 'less_bytes':
    case 'greater_bytes':
    case 'less_equals_bytes':
    case 'greater_equals_bytes':
    case 'equals':
    case 'not_equals': {
      const max = Math.min(sizeOf(first).max, sizeOf(second).max);
      return { cost: traverse({ min: max > 0 ? 1 : 0, max }) };
    }
    default:
      break;
  }
  return { cost: ONE };
}

type ListEstimate = (target: SizedNode | undefined, args: readonly SizedNode[]) => CallEstimate | undefined;

function allocating(factor: number, size: SizeRange): CallEstimate {
  return { cost: addRanges(scaleRange(size, factor), ONE, fixed(LIST_COST)), resultSize: size };
}

function literalInt(node: SizedNode | undefined, otherwise: number): number {
  const value = node?.expr.kind === 'literal' ? node.expr.value : undefined;
  return typeof value === 'bigint' ? Math.max(Number(value), 0) : otherwise;
}

function squared(size: SizeRange): SizeRange {
  return multiplyRanges(size, size);
}

const sets =
  (factor: number): ListEstimate =>
  (_target, [a, b]) => ({
    cost: addRanges(scaleRange(multiplyRanges(sizeOf(a), sizeOf(b)), factor), ONE),
  });
const flatten: ListEstimate = (target, args) =>
  allocating(args.length === 1 ? literalInt(args[0], UNBOUNDED) : 1, sizeOf(target));

const LIST_CALLS: ReadonlyMap<string, ListEstimate> = new Map([
  [
    'list_slice',
    (target, [start, end]) =>
      allocating(1, fixed(literalInt(end, sizeOf(target).max) - literalInt(start, 0))),
  ],
  ['lists_range', (_target, [count]) => allocating(1, fixed(literalInt(count, UNBOUNDED)))],
  ['list_reverse', (target) => allocating(1, sizeOf(target))],
  ['list_flatten', flatten],
  ['list_flatten_int', flatten],
  ['list_distinct', (target) => allocating(2, squared(sizeOf(target)))],
  ...[
    'int',
    'uint',
    'double',
    'bool',
    'google.protobuf.Duration',
    'google.protobuf.Timestamp',
    'string',
    'bytes',
  ].flatMap((type): readonly (readonly [string, ListEstimate])[] => {
    const factor = type === 'string' || type === 'bytes' ? 2 + TRAVERSAL_FACTOR : 2;
    return [
      [`list_${type}_sort`, (target) => allocating(factor, squared(sizeOf(target)))],
      [`list_${type}_sortByAssociatedKeys`, (_target, [keys]) => allocating(factor, squared(sizeOf(keys)))],
    ];
  }),
  ['list_sets_contains_list', sets(1)],
  ['list_sets_intersects_list', sets(1)],
  ['list_sets_equivalent_list', sets(2)],
] satisfies readonly (readonly [string, ListEstimate])[]);
