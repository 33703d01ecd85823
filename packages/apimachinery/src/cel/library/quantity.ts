/** Kubernetes' quantity library. */
import {
  addQuantities,
  compareQuantities,
  formatQuantity,
  parseQuantity,
  QuantityError,
  quantitySign,
  quantityToNumber,
  scaledQuantity,
  subtractQuantities,
} from '../../quantity.ts';
import type { ParsedQuantity } from '../../quantity.ts';
import { declareFunction, memberOverload, overload } from '../language/function.ts';
import type { FunctionDeclaration } from '../language/function.ts';
import { BOOL, DOUBLE, INT, objectType, STRING } from '../language/type.ts';
import type { CelType } from '../language/type.ts';
import { INT64_MAX, INT64_MIN } from '../value/arithmetic.ts';
import { CelError, CelOpaque, NO_SUCH_OVERLOAD } from '../value/value.ts';
import type { CelResult, CelValue } from '../value/value.ts';

const QUANTITY: CelType = objectType('kubernetes.Quantity');

class Quantity extends CelOpaque {
  readonly amount: ParsedQuantity;
  /** Upstream holds it as a 64-bit number with a scale; only such a quantity can be an integer. */
  readonly small: boolean;

  constructor(amount: ParsedQuantity, small: boolean) {
    super();
    this.amount = amount;
    this.small = small;
  }

  override get type(): CelType {
    return QUANTITY;
  }

  override equals(other: CelValue): boolean | CelError {
    return other instanceof Quantity ? compareQuantities(this.amount, other.amount) === 0 : NO_SUCH_OVERLOAD;
  }

  override toText(): string {
    return formatQuantity(this.amount);
  }

  toInteger(): bigint | undefined {
    if (!this.small || this.amount.scale < 0) return undefined;
    const value = scaledQuantity(this.amount, 0);
    return fitsInt64(value) ? value : undefined;
  }
}

function fitsInt64(value: bigint): boolean {
  return value <= INT64_MAX && value >= INT64_MIN;
}

function parse(text: string): Quantity | CelError {
  try {
    return new Quantity(parseQuantity(text), isSmall(text));
  } catch (error) {
    if (error instanceof QuantityError) return new CelError(error.message);
    throw error;
  }
}

const BINARY = /^[+-]?0*([0-9]*)(\.?)[0-9]*([KMGTPE])i$/;
const DECIMAL = /^[+-]?0*([0-9]*)(?:\.([0-9]*))?(.*)$/;
const DECIMAL_EXPONENTS: ReadonlyMap<string, number> = new Map([
  ['n', -9],
  ['u', -6],
  ['m', -3],
]);

/** Up to 18 digits and billionths; binary numbers less, by the size of their suffix. */
function isSmall(text: string): boolean {
  const binary = BINARY.exec(text);
  if (binary !== null) {
    const [, digits = '', point = '', suffix = ''] = binary;
    const exponent = 10 * (1 + 'KMGTPE'.indexOf(suffix));
    return point === '' && 15 - digits.length - Math.trunc((exponent * 3) / 10) - 1 >= 0;
  }
  const [, digits = '', fraction = '', suffix = ''] = DECIMAL.exec(text) ?? [];
  const exponent = DECIMAL_EXPONENTS.get(suffix) ?? (/^[eE]/.test(suffix) ? Number(suffix.slice(1)) || 0 : 0);
  return digits.length + fraction.length <= 18 && exponent - fraction.length >= -9;
}

function combine(
  operation: (left: ParsedQuantity, right: ParsedQuantity) => ParsedQuantity,
): (left: Quantity, right: Quantity | bigint) => CelResult {
  return (left, right) => {
    const other =
      typeof right === 'bigint'
        ? new Quantity({ mantissa: right, scale: 0, format: 'DecimalExponent', text: '' }, true)
        : right;
    const amount = operation(left.amount, other.amount);
    return new Quantity(amount, left.small && other.small && fitsInt64(amount.mantissa));
  };
}

const plus = combine(addQuantities);
const minus = combine(subtractQuantities);

export const QUANTITY_LIBRARY: readonly FunctionDeclaration[] = [
  declareFunction('quantity', overload('string_to_quantity', [STRING], QUANTITY, parse)),
  declareFunction(
    'isQuantity',
    overload('is_quantity_string', [STRING], BOOL, (text: string) => parse(text) instanceof Quantity),
  ),
  declareFunction(
    'sign',
    overload('quantity_sign', [QUANTITY], INT, (quantity: Quantity) => BigInt(quantitySign(quantity.amount))),
  ),
  declareFunction(
    'isGreaterThan',
    memberOverload(
      'quantity_is_greater_than',
      [QUANTITY, QUANTITY],
      BOOL,
      (a: Quantity, b: Quantity) => compareQuantities(a.amount, b.amount) > 0,
    ),
  ),
  declareFunction(
    'isLessThan',
    memberOverload(
      'quantity_is_less_than',
      [QUANTITY, QUANTITY],
      BOOL,
      (a: Quantity, b: Quantity) => compareQuantities(a.amount, b.amount) < 0,
    ),
  ),
  declareFunction(
    'compareTo',
    memberOverload('quantity_compare_to', [QUANTITY, QUANTITY], INT, (a: Quantity, b: Quantity) =>
      BigInt(compareQuantities(a.amount, b.amount)),
    ),
  ),
  declareFunction(
    'asApproximateFloat',
    memberOverload('quantity_get_float', [QUANTITY], DOUBLE, (quantity: Quantity) =>
      quantityToNumber(quantity.amount),
    ),
  ),
  declareFunction(
    'asInteger',
    memberOverload(
      'quantity_get_int',
      [QUANTITY],
      INT,
      (quantity: Quantity) => quantity.toInteger() ?? new CelError('cannot convert value to integer'),
    ),
  ),
  declareFunction(
    'isInteger',
    memberOverload(
      'quantity_is_integer',
      [QUANTITY],
      BOOL,
      (quantity: Quantity) => quantity.toInteger() !== undefined,
    ),
  ),
  declareFunction(
    'add',
    memberOverload('quantity_add', [QUANTITY, QUANTITY], QUANTITY, plus),
    memberOverload('quantity_add_int', [QUANTITY, INT], QUANTITY, plus),
  ),
  declareFunction(
    'sub',
    memberOverload('quantity_sub', [QUANTITY, QUANTITY], QUANTITY, minus),
    memberOverload('quantity_sub_int', [QUANTITY, INT], QUANTITY, minus),
  ),
];
