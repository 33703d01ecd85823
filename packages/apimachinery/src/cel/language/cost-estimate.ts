/**
 * The least and the most that a checked expression can cost, from the bounds that a schema sets to its data (cel-go's
 * checker/cost.go). Kubernetes refuses rules whose most is too much.
 *
 * Sizes are found by path: `self.names[0]` has the path `self`, `names`, `@items`. The paths of values that an expression
 * makes have no root, and are looked up as upstream does it, from the second element on.
 */
import { codePointCount } from '../value/text.ts';
import { CelDuration, CelTimestamp, CelUint } from '../value/value.ts';
import { ACCUMULATOR, OLD_ACCUMULATOR } from './ast.ts';
import type { CallExpr, ComprehensionExpr, Expr, SelectExpr } from './ast.ts';
import { estimateCall } from './call-estimate.ts';
import type { CallEstimate, SizedNode } from './call-estimate.ts';
import type { CheckedExpression } from './checker.ts';
import { LIST_COST, MAP_COST, TRAVERSAL_FACTOR } from './cost-factors.ts';
import {
  addRanges,
  enclose,
  fixed,
  multiplyRanges,
  scaleRange,
  UNBOUNDED,
  UNKNOWN_SIZE,
} from './size-range.ts';
import type { SizeRange } from './size-range.ts';
import { DYN } from './type.ts';
import type { CelType } from './type.ts';

/** The size of what lies at a path that begins with a variable; undefined where nothing is known. */
export type SizeEstimator = (path: readonly string[]) => SizeRange | undefined;

export function estimateCost(checked: CheckedExpression, sizes: SizeEstimator): SizeRange {
  return new Estimation(checked, sizes).cost(checked.expr);
}

interface EntrySize {
  readonly container: 'list' | 'map';
  readonly key: SizeRange;
  readonly value: SizeRange;
}

interface LocalVariable {
  readonly path: readonly string[];
  readonly size: SizeRange | undefined;
  readonly entries: EntrySize | undefined;
}

const NOTHING: SizeRange = fixed(0);
const ONE: SizeRange = fixed(1);
const NO_SIZE: SizeRange = { min: UNBOUNDED, max: 0 };

class Estimation {
  readonly #checked: CheckedExpression;
  readonly #sizeAt: SizeEstimator;
  readonly #costs = new Map<Expr, SizeRange>();
  readonly #paths = new Map<Expr, readonly string[]>();
  readonly #sizes = new Map<Expr, SizeRange>();
  readonly #entries = new Map<Expr, EntrySize>();
  readonly #locals = new Map<string, LocalVariable[]>();

  constructor(checked: CheckedExpression, sizes: SizeEstimator) {
    this.#checked = checked;
    this.#sizeAt = sizes;
  }

  cost(expr: Expr): SizeRange {
    const known = this.#costs.get(expr);
    if (known !== undefined) return known;
    const cost = this.#cost(expr);
    this.#costs.set(expr, cost);
    return cost;
  }

  #cost(expr: Expr): SizeRange {
    const name = this.#checked.names.get(expr);
    if (name !== undefined && expr.kind !== 'ident') return ONE;
    switch (expr.kind) {
      case 'ident':
        this.#paths.set(expr, this.#local(expr.name)?.path ?? [expr.name]);
        return ONE;
      case 'select':
        return this.#select(expr);
      case 'call':
        return this.#call(expr);
      case 'list': {
        const costs = expr.elements.map((element) => this.cost(element));
        let value = expr.elements.length === 0 ? NOTHING : NO_SIZE;
        for (const element of expr.elements) value = enclose(value, this.sizeOrUnknown(element));
        this.#entries.set(expr, { container: 'list', key: ONE, value });
        return addRanges(...costs, fixed(LIST_COST));
      }
      case 'map': {
        const costs = expr.entries.flatMap((entry) => [this.cost(entry.key), this.cost(entry.value)]);
        let key = expr.entries.length === 0 ? NOTHING : NO_SIZE;
        let value = key;
        for (const entry of expr.entries) {
          key = enclose(key, this.sizeOrUnknown(entry.key));
          value = enclose(value, this.sizeOrUnknown(entry.value));
        }
        this.#entries.set(expr, { container: 'map', key, value });
        return addRanges(...costs, fixed(MAP_COST));
      }
      case 'comprehension':
        return isBinding(expr) ? this.#binding(expr) : this.#comprehension(expr);
      default:
        return NOTHING;
    }
  }

  #select(expr: SelectExpr): SizeRange {
    const operand = this.cost(expr.operand);
    if (expr.testOnly) return operand;
    this.#paths.set(expr, [...this.#path(expr.operand), expr.field]);
    const { kind } = this.#type(expr.operand);
    return ['map', 'object', 'parameter'].includes(kind) ? addRanges(operand, ONE) : operand;
  }

  #call(expr: CallExpr): SizeRange {
    const call = this.#checked.calls.get(expr);
    if (call === undefined) return NOTHING;
    const { name } = call.declaration;
    if (name === 'dyn') {
      const argument = expr.args[0] as Expr;
      const cost = addRanges(ONE, this.cost(argument));
      this.#copySizes(expr, argument);
      return cost;
    }
    const argCosts = expr.args.map((arg) => this.cost(arg));
    const args = expr.args.map((arg) => this.#node(arg));
    let targetCost = NOTHING;
    let target: SizedNode | undefined;
    if (call.target !== undefined) {
      targetCost = this.cost(call.target);
      target = this.#node(call.target);
    }
    let total = NO_SIZE;
    let size: SizeRange | undefined;
    for (const overload of call.overloads) {
      const estimate = this.#overload(expr, name, overload, target, args, argCosts);
      total = enclose(total, estimate.cost);
      if (estimate.resultSize !== undefined)
        size = size === undefined ? estimate.resultSize : enclose(size, estimate.resultSize);
      const step = overload === 'index_list' ? '@items' : overload === 'index_map' ? '@values' : undefined;
      if (step !== undefined) {
        const container = expr.args[0] as Expr;
        size = this.#entrySize(container)?.value;
        this.#paths.set(expr, [...this.#path(container), step]);
      }
      size ??= this.#size(expr);
    }
    if (size !== undefined) this.#sizes.set(expr, size);
    return addRanges(targetCost, total);
  }

  #overload(
    expr: CallExpr,
    name: string,
    overload: string,
    target: SizedNode | undefined,
    args: readonly SizedNode[],
    argCosts: readonly SizeRange[],
  ): CallEstimate {
    const argCost = addRanges(...argCosts);
    switch (overload) {
      case 'logical_or':
      case 'logical_and':
        return { cost: { min: (argCosts[0] as SizeRange).min, max: argCost.max } };
      case 'conditional': {
        const [test, whenTrue, whenFalse] = argCosts as readonly [SizeRange, SizeRange, SizeRange];
        const [, left, right] = expr.args as readonly [Expr, Expr, Expr];
        this.#encloseEntries(expr, left, right);
        return {
          cost: addRanges(test, enclose(whenTrue, whenFalse)),
          resultSize: enclose(this.sizeOrUnknown(left), this.sizeOrUnknown(right)),
        };
      }
      case 'add_string':
      case 'add_bytes':
      case 'add_list': {
        const [left, right] = expr.args as readonly [Expr, Expr];
        const resultSize = addRanges(this.sizeOrUnknown(left), this.sizeOrUnknown(right));
        this.#encloseEntries(expr, left, right);
        const own = overload === 'add_list' ? ONE : scaleRange(resultSize, TRAVERSAL_FACTOR);
        return { cost: addRanges(own, argCost), resultSize };
      }
      default: {
        const estimate = estimateCall(name, overload, target, args);
        return {
          cost: addRanges(estimate.cost, argCost),
          ...(estimate.resultSize === undefined ? {} : { resultSize: estimate.resultSize }),
        };
      }
    }
  }

  #encloseEntries(expr: Expr, left: Expr, right: Expr): void {
    const a = this.#entrySize(left);
    const b = this.#entrySize(right);
    if (a === undefined || b === undefined) return;
    this.#entries.set(expr, {
      container: a.container,
      key: enclose(a.key, b.key),
      value: enclose(a.value, b.value),
    });
  }

  #comprehension(expr: ComprehensionExpr): SizeRange {
    const before = addRanges(this.cost(expr.range), this.cost(expr.init));
    this.#push(expr.accuVar, this.#localFor(expr.init));
    const variables = this.#iterationVariables(expr);
    for (const [name, variable] of variables) this.#push(name, variable);
    const condition = this.cost(expr.condition);
    const step = this.cost(expr.step);
    for (const [name] of variables) this.#pop(name);
    const result = this.cost(expr.result);
    this.#pop(expr.accuVar);
    const count = this.sizeOrUnknown(expr.range);
    const loop = multiplyRanges(count, addRanges(step, condition));
    if (expr.init.kind === 'literal') {
      const size = this.#size(expr.init);
      if (size !== undefined) this.#sizes.set(expr, size);
    } else if (expr.init.kind === 'list' || expr.init.kind === 'map') {
      this.#sizes.set(expr, count);
      const entries = this.#entrySize(expr.step);
      if (entries !== undefined) this.#entries.set(expr, entries);
    }
    return addRanges(before, result, loop);
  }

  #iterationVariables(expr: ComprehensionExpr): readonly (readonly [string, LocalVariable])[] {
    const entries = this.#entrySize(expr.range);
    const path = this.#path(expr.range);
    const container = entries?.container ?? this.#type(expr.range).kind;
    const isList = container === 'list';
    const value: LocalVariable = {
      path: [...path, isList ? '@items' : '@values'],
      size: entries?.value,
      entries: undefined,
    };
    if (expr.iterVar2 === undefined) {
      const single = isList ? value : { path: [...path, '@keys'], size: entries?.key, entries: undefined };
      return [[expr.iterVar, single]];
    }
    const key = { path: [...path, isList ? '@indices' : '@keys'], size: entries?.key, entries: undefined };
    return [
      [expr.iterVar, key],
      [expr.iterVar2, value],
    ];
  }

  #binding(expr: ComprehensionExpr): SizeRange {
    const before = addRanges(this.cost(expr.range), this.cost(expr.init));
    this.#push(expr.accuVar, this.#localFor(expr.init));
    const result = this.cost(expr.result);
    // The sizes are asked for while the variable still has its meaning.
    this.#copySizes(expr, expr.result);
    this.#pop(expr.accuVar);
    return addRanges(before, result);
  }

  #localFor(value: Expr): LocalVariable {
    return { path: this.#path(value), size: this.#size(value), entries: this.#entrySize(value) };
  }

  #push(name: string, variable: LocalVariable): void {
    const stack = this.#locals.get(name);
    if (stack === undefined) this.#locals.set(name, [variable]);
    else stack.push(variable);
  }

  #pop(name: string): void {
    this.#locals.get(name)?.pop();
  }

  #local(name: string): LocalVariable | undefined {
    return this.#locals.get(name)?.at(-1);
  }

  #type(expr: Expr): CelType {
    return this.#checked.types.get(expr) ?? DYN;
  }

  #path(expr: Expr): readonly string[] {
    const local = expr.kind === 'ident' ? this.#local(expr.name) : undefined;
    return local?.path ?? this.#paths.get(expr) ?? [];
  }

  #node(expr: Expr): SizedNode {
    const path = this.#path(expr);
    const hidden = path[0] === ACCUMULATOR || path[0] === OLD_ACCUMULATOR;
    return {
      expr,
      type: this.#type(expr),
      size: this.#size(expr) ?? (hidden ? undefined : this.#lookup(path)),
      element: () => (hidden || path.length === 0 ? undefined : this.#lookup([...path, '@items'])),
    };
  }

  #lookup(path: readonly string[]): SizeRange | undefined {
    return path.length === 0 ? undefined : this.#sizeAt(path);
  }

  sizeOrUnknown(expr: Expr): SizeRange {
    return this.#size(expr) ?? UNKNOWN_SIZE;
  }

  #copySizes(to: Expr, from: Expr): void {
    const size = this.#size(from);
    if (size !== undefined) this.#sizes.set(to, size);
    const entries = this.#entrySize(from);
    if (entries !== undefined) this.#entries.set(to, entries);
  }

  #size(expr: Expr): SizeRange | undefined {
    const known = this.#sizes.get(expr) ?? literalSize(expr);
    if (known !== undefined) return known;
    const declared = this.#lookup(this.#path(expr));
    if (declared !== undefined) {
      this.#sizes.set(expr, declared);
      return declared;
    }
    if (isScalar(this.#type(expr))) return ONE;
    return expr.kind === 'ident' ? this.#local(expr.name)?.size : undefined;
  }

  #entrySize(expr: Expr): EntrySize | undefined {
    const known = this.#entries.get(expr);
    if (known !== undefined) return known;
    return expr.kind === 'ident' ? this.#local(expr.name)?.entries : undefined;
  }
}

/** Folds over nothing that only give a name to a value. */
function isBinding(expr: ComprehensionExpr): boolean {
  return (
    expr.range.kind === 'list' &&
    expr.range.elements.length === 0 &&
    expr.condition.kind === 'literal' &&
    expr.condition.value === false &&
    expr.accuVar !== OLD_ACCUMULATOR
  );
}

function literalSize(expr: Expr): SizeRange | undefined {
  switch (expr.kind) {
    case 'literal': {
      const { value } = expr;
      if (typeof value === 'string') return fixed(codePointCount(value));
      if (value instanceof Uint8Array) return fixed(value.length);
      const scalar =
        value === null ||
        ['boolean', 'bigint', 'number'].includes(typeof value) ||
        value instanceof CelUint ||
        value instanceof CelTimestamp ||
        value instanceof CelDuration;
      return scalar ? ONE : undefined;
    }
    case 'list':
      return fixed(expr.elements.length);
    case 'map':
      return fixed(expr.entries.length);
    default:
      return undefined;
  }
}

function isScalar(type: CelType): boolean {
  switch (type.kind) {
    case 'bool':
    case 'double':
    case 'duration':
    case 'int':
    case 'timestamp':
    case 'uint':
      return true;
    case 'opaque':
      return type.name === 'optional_type' && isScalar(type.parameters[0] as CelType);
    default:
      return false;
  }
}
