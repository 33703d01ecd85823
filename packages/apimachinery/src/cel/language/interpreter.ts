/**
 * Runs checked expressions. Each becomes a `Step` once, and the steps run many times.
 *
 * Invariant: a step adds to the cost what cel-go's evaluator adds for the same expression. That explains the attributes: a
 * chain such as `self.spec.names[i]` costs one for its root and one for each link, and nothing for the variable `i`.
 */
import { listContains, valuesEqual } from '../value/equality.ts';
import { ArrayList, EMPTY_LIST } from '../value/list.ts';
import { EntryMap } from '../value/map.ts';
import { EvaluationCancelled } from '../value/meter.ts';
import { CelStruct } from '../value/struct.ts';
import { valueText } from '../value/text.ts';
import {
  CelError,
  CelList,
  CelMap,
  CelOptional,
  CelUint,
  NO_SUCH_OVERLOAD,
  OPTIONAL_NONE,
  typeOf,
} from '../value/value.ts';
import type { CelResult, CelValue } from '../value/value.ts';
import type { ComprehensionExpr, Expr, ListExpr, MapExpr, StructExpr } from './ast.ts';
import type { CheckedExpression, ResolvedCall } from './checker.ts';
import { LIST_COST, MAP_COST, STRUCT_COST } from './cost-factors.ts';
import { functionCall } from './function.ts';
import { Operator } from './operators.ts';
import { callCostOf } from './runtime-cost.ts';
import type { CelType } from './type.ts';

/** What one evaluation knows. */
export class Evaluation {
  readonly variables: ReadonlyMap<string, CelResult>;
  /** The variables of folds, by the number the planner gave them. */
  readonly slots: (CelResult | undefined)[] = [];
  readonly #limit: number;
  #cost = 0;

  constructor(variables: ReadonlyMap<string, CelResult>, limit: number) {
    this.variables = variables;
    this.#limit = limit;
  }

  get cost(): number {
    return this.#cost;
  }

  /** Throws EvaluationCancelled. */
  charge(cost: number): void {
    this.#cost += cost;
    if (this.#cost > this.#limit) throw new EvaluationCancelled();
  }
}

export interface Step {
  run(evaluation: Evaluation): CelResult;
  /** The value, where it never changes. */
  readonly constant: CelValue | undefined;
  /** Set for variables, selections and conditionals: what a further selection is added to. */
  readonly attribute: Attribute | undefined;
}

/** A constant part of the expression cannot be computed. */
export class PlanError extends Error {
  override readonly name = 'PlanError';
}

/** Throws PlanError. */
export function planExpression(checked: CheckedExpression): Step {
  return new Planner(checked).plan(checked.expr, undefined);
}

interface Link {
  /** The key, and what computing it costs. */
  key(evaluation: Evaluation): CelResult;
  readonly optional: boolean;
}

/** A root and the links behind it. */
class Attribute {
  readonly #root: (evaluation: Evaluation) => CelResult;
  readonly #links: readonly Link[];
  /** `has(…)`: the last link is only tested. */
  readonly #testOnly: boolean;
  readonly #cost: number;

  constructor(
    root: (evaluation: Evaluation) => CelResult,
    cost: number,
    links: readonly Link[] = [],
    testOnly = false,
  ) {
    this.#root = root;
    this.#cost = cost;
    this.#links = links;
    this.#testOnly = testOnly;
  }

  with(link: Link, testOnly = false): Attribute {
    return new Attribute(this.#root, testOnly ? 0 : this.#cost, [...this.#links, link], testOnly);
  }

  run(evaluation: Evaluation): CelResult {
    const value = this.resolve(evaluation);
    evaluation.charge(this.#cost);
    return value;
  }

  /** The value without the root's cost: so branches of conditionals and keys are read. */
  resolve(evaluation: Evaluation): CelResult {
    let value = this.#root(evaluation);
    if (value instanceof CelError || this.#links.length === 0) return value;
    let optional = false;
    if (value instanceof CelOptional) {
      if (value.value === undefined) return this.#testOnly ? false : value;
      value = value.value;
      optional = true;
    }
    const last = this.#testOnly ? this.#links.length - 1 : -1;
    for (let i = 0; i < this.#links.length; i++) {
      const link = this.#links[i] as Link;
      optional ||= link.optional;
      const tested = i === last;
      const key = link.key(evaluation);
      const found: CelResult | undefined =
        key instanceof CelError ? key : findMember(value, key, optional || tested);
      if (!optional) evaluation.charge(1);
      if (found instanceof CelError) return found;
      if (found === undefined) return this.#testOnly ? false : OPTIONAL_NONE;
      if (optional) evaluation.charge(1);
      if (tested) return true;
      value = found;
    }
    return optional ? new CelOptional(value) : value;
  }
}

/** `value[key]`; undefined where it is absent and that is no error. */
function findMember(value: CelValue, key: CelValue, mayBeAbsent: boolean): CelResult | undefined {
  if (value instanceof CelMap) {
    const found = value.find(key);
    return found === undefined ? absent(`no such key: ${valueText(key)}`, mayBeAbsent) : found;
  }
  if (value instanceof CelList) {
    const position = listPosition(key);
    if (position instanceof CelError) return position;
    if (position >= 0 && position < value.size) return value.get(position);
    return absent(`index out of bounds: ${valueText(key)}`, mayBeAbsent);
  }
  if (value instanceof CelStruct && typeof key === 'string') {
    const found = value.fields.get(key);
    if (found !== undefined) return found;
  }
  return absent(`no such key: ${valueText(key)}`, mayBeAbsent);
}

function absent(message: string, mayBeAbsent: boolean): CelError | undefined {
  return mayBeAbsent ? undefined : new CelError(message);
}

function listPosition(key: CelValue): number | CelError {
  if (typeof key === 'bigint') return Number(key);
  if (key instanceof CelUint) return Number(key.value);
  if (typeof key !== 'number') return new CelError(`unsupported index type '${typeOf(key).name}' in list`);
  return Number.isInteger(key) ? key : new CelError(`unsupported index value ${valueText(key)} in list`);
}

/** Where the planner finds the slot of a variable. */
interface SlotScope {
  readonly name: string;
  readonly slot: number;
  /** Computes the value on first use; the accumulator's start. */
  readonly initial: Step | undefined;
  readonly outer: SlotScope | undefined;
}

const CONVERSIONS: ReadonlySet<string> = new Set([
  'bool',
  'bytes',
  'double',
  'duration',
  'dyn',
  'int',
  'string',
  'timestamp',
  'type',
  'uint',
]);

class Planner {
  readonly #checked: CheckedExpression;
  readonly #planned = new Map<Expr, { readonly scope: SlotScope | undefined; readonly step: Step }>();
  #slots = 0;

  constructor(checked: CheckedExpression) {
    this.#checked = checked;
  }

  plan(expr: Expr, scope: SlotScope | undefined): Step {
    const known = this.#planned.get(expr);
    if (known !== undefined && known.scope === scope) return known.step;
    const planned = this.#plan(expr, scope);
    this.#planned.set(expr, { scope, step: planned });
    return planned;
  }

  #plan(expr: Expr, scope: SlotScope | undefined): Step {
    const name = this.#checked.names.get(expr);
    if (name?.kind === 'type') return constant(name.type);
    if (name?.kind === 'variable') return attributeStep(this.#variable(name.name, scope));
    switch (expr.kind) {
      case 'literal':
        return constant(expr.value);
      case 'select': {
        const operand = asAttribute(this.plan(expr.operand, scope));
        const key = expr.field;
        return attributeStep(operand.with({ key: () => key, optional: false }, expr.testOnly));
      }
      case 'call':
        return this.#call(expr, scope);
      case 'list':
        return this.#list(expr, scope);
      case 'map':
        return this.#map(expr, scope);
      case 'struct':
        return this.#struct(expr, scope);
      case 'comprehension':
        return this.#comprehension(expr, scope);
      default:
        throw new PlanError(`unsupported expr: ${expr.kind}`);
    }
  }

  #variable(name: string, scope: SlotScope | undefined): Attribute {
    for (let level = scope; level !== undefined; level = level.outer) {
      if (level.name !== name) continue;
      const { slot, initial } = level;
      if (initial === undefined) return new Attribute(({ slots }) => slots[slot] as CelResult, 1);
      return new Attribute((evaluation) => {
        const known = evaluation.slots[slot];
        if (known !== undefined) return known;
        const value = initial.run(evaluation);
        evaluation.slots[slot] = value;
        return value;
      }, 1);
    }
    const missing = new CelError(`no such attribute(s): ${name}`);
    return new Attribute(({ variables }) => {
      const value = variables.get(name);
      return value === undefined ? missing : value;
    }, 1);
  }

  #call(expr: Expr, scope: SlotScope | undefined): Step {
    const call = this.#checked.calls.get(expr);
    if (call === undefined) throw new PlanError('unsupported expr: call');
    const args = call.args.map((arg) => this.plan(arg, scope));
    const [first, second, third] = args as readonly Step[] as readonly [Step, Step, Step];
    switch (call.declaration.name) {
      case Operator.and:
        return step((evaluation) => logical(evaluation, args, false));
      case Operator.or:
        return step((evaluation) => logical(evaluation, args, true));
      case Operator.conditional:
        return attributeStep(conditional(first, second, third));
      case Operator.index:
        return this.#index(first, second, false);
      case Operator.optionalIndex:
      case Operator.optionalSelect:
        return this.#index(first, second, true);
      case Operator.in: {
        const elements = call.overloads[0] === 'in_list' ? second.constant : undefined;
        const members = elements instanceof CelList ? memberSet(elements) : undefined;
        return members === undefined ? functionStep(call, args) : membershipStep(first, members);
      }
      case 'or':
        return optionalChoice(first, second, (chosen) => chosen);
      case 'orValue':
        return optionalChoice(first, second, (chosen) => chosen.value as CelValue);
      default:
        return this.#foldConstant(call, args);
    }
  }

  /** Conversions of constants are computed once. */
  #foldConstant(call: ResolvedCall, args: readonly Step[]): Step {
    const { declaration, overloads } = call;
    const only = args.length === 1 ? args[0]?.constant : undefined;
    if (only === undefined || !CONVERSIONS.has(declaration.name)) return functionStep(call, args);
    const value = functionCall(declaration, overloads)([only]);
    if (value instanceof CelError) throw new PlanError(value.message);
    return constant(value);
  }

  #index(operand: Step, index: Step, optional: boolean): Step {
    const known = index.constant;
    const attribute = index.attribute;
    const key =
      known !== undefined
        ? (): CelResult => known
        : attribute !== undefined
          ? (evaluation: Evaluation): CelResult => attribute.resolve(evaluation)
          : (evaluation: Evaluation): CelResult => index.run(evaluation);
    return attributeStep(asAttribute(operand).with({ key, optional }));
  }

  #list(expr: ListExpr, scope: SlotScope | undefined): Step {
    const elements = expr.elements.map((element) => this.plan(element, scope));
    if (expr.optionals.size === 0 && elements.every((element) => element.constant !== undefined))
      return constant(
        elements.length === 0
          ? EMPTY_LIST
          : new ArrayList(elements.map((element) => element.constant as CelValue)),
      );
    return step((evaluation) => {
      const values: CelValue[] = [];
      for (const [i, element] of elements.entries()) {
        const value = element.run(evaluation);
        if (value instanceof CelError) return value;
        if (!expr.optionals.has(i)) values.push(value);
        else if (!(value instanceof CelOptional))
          return new CelError(
            `cannot initialize optional list element from non-optional value ${valueText(value)}`,
          );
        else if (value.value !== undefined) values.push(value.value);
      }
      evaluation.charge(LIST_COST);
      return new ArrayList(values);
    });
  }

  #map(expr: MapExpr, scope: SlotScope | undefined): Step {
    const entries = expr.entries.map((entry) => ({
      key: this.plan(entry.key, scope),
      value: this.plan(entry.value, scope),
      optional: entry.optional,
    }));
    if (
      entries.every(
        ({ key, value, optional }) => !optional && key.constant !== undefined && value.constant !== undefined,
      )
    ) {
      const map = EntryMap.of(
        entries.map(({ key, value }) => [key.constant as CelValue, value.constant as CelValue] as const),
      );
      if (!(map instanceof CelError)) return constant(map);
    }
    return step((evaluation) => {
      const values: (readonly [CelValue, CelValue])[] = [];
      for (const entry of entries) {
        const key = entry.key.run(evaluation);
        if (key instanceof CelError) return key;
        const value = entry.value.run(evaluation);
        if (value instanceof CelError) return value;
        if (!entry.optional) values.push([key, value]);
        else if (!(value instanceof CelOptional))
          return new CelError(
            `cannot initialize optional entry '${valueText(key)}' from non-optional value ${valueText(value)}`,
          );
        else if (value.value !== undefined) values.push([key, value.value]);
      }
      evaluation.charge(MAP_COST);
      return EntryMap.of(values);
    });
  }

  #struct(expr: StructExpr, scope: SlotScope | undefined): Step {
    const type = this.#checked.types.get(expr) as CelType;
    const fields = expr.fields.map(({ name, value, optional }) => ({
      name,
      optional,
      value: this.plan(value, scope),
    }));
    return step((evaluation) => {
      const values = new Map<string, CelValue>();
      for (const field of fields) {
        const value = field.value.run(evaluation);
        if (value instanceof CelError) return value;
        if (!field.optional) values.set(field.name, value);
        else if (!(value instanceof CelOptional))
          return new CelError(
            `cannot initialize optional entry '${field.name}' from non-optional value ${valueText(value)}`,
          );
        else if (value.value !== undefined) values.set(field.name, value.value);
      }
      evaluation.charge(STRUCT_COST);
      return new CelStruct(type, values);
    });
  }

  #comprehension(expr: ComprehensionExpr, scope: SlotScope | undefined): Step {
    const range = this.plan(expr.range, scope);
    const initial = this.plan(expr.init, scope);
    const accumulator: SlotScope = { name: expr.accuVar, slot: this.#slots++, initial, outer: scope };
    let inner: SlotScope = {
      name: expr.iterVar,
      slot: this.#slots++,
      initial: undefined,
      outer: accumulator,
    };
    const firstSlot = inner.slot;
    let secondSlot = -1;
    if (expr.iterVar2 !== undefined) {
      inner = { name: expr.iterVar2, slot: this.#slots++, initial: undefined, outer: inner };
      secondSlot = inner.slot;
    }
    const condition = this.plan(expr.condition, inner);
    const next = this.plan(expr.step, inner);
    const result = this.plan(expr.result, accumulator);
    return step((evaluation) => {
      const { slots } = evaluation;
      // The same fold may run inside itself only through another slot, so what is there is left from an earlier run.
      slots[accumulator.slot] = undefined;
      const values = range.run(evaluation);
      if (values instanceof CelError) return values;
      /** False ends the fold. */
      const element = (first: CelResult, second: CelResult): boolean => {
        slots[firstSlot] = first;
        if (secondSlot >= 0) slots[secondSlot] = second;
        if (condition.run(evaluation) === false) return false;
        slots[accumulator.slot] = next.run(evaluation);
        return true;
      };
      if (values instanceof CelList) {
        for (let i = 0; i < values.size; i++) {
          const value = values.get(i);
          if (!(secondSlot < 0 ? element(value, value) : element(BigInt(i), value))) break;
        }
      } else if (values instanceof CelMap) {
        for (const key of values.keys()) {
          const value = secondSlot < 0 ? key : (values.find(key) ?? NO_SUCH_OVERLOAD);
          if (!element(key, value)) break;
        }
      } else {
        return new CelError(`got '${typeOf(values).name}', expected iterable type`);
      }
      return result.run(evaluation);
    });
  }
}

function step(run: (evaluation: Evaluation) => CelResult): Step {
  return { run, constant: undefined, attribute: undefined };
}

function constant(value: CelValue): Step {
  return { run: () => value, constant: value, attribute: undefined };
}

function attributeStep(attribute: Attribute): Step {
  return { run: (evaluation) => attribute.run(evaluation), constant: undefined, attribute };
}

function asAttribute(operand: Step): Attribute {
  return operand.attribute ?? new Attribute((evaluation) => operand.run(evaluation), 1);
}

function conditional(test: Step, whenTrue: Step, whenFalse: Step): Attribute {
  return new Attribute((evaluation) => {
    const truth = test.run(evaluation);
    if (truth !== true && truth !== false) return truth instanceof CelError ? truth : NO_SUCH_OVERLOAD;
    const branch = truth ? whenTrue : whenFalse;
    return branch.attribute === undefined ? branch.run(evaluation) : branch.attribute.resolve(evaluation);
  }, 0);
}

/** `&&` (decided by false) and `||` (decided by true): an error counts only if no other term decides. */
function logical(evaluation: Evaluation, terms: readonly Step[], decisive: boolean): CelResult {
  let error: CelError | undefined;
  for (const term of terms) {
    const value = term.run(evaluation);
    if (value === decisive) return decisive;
    if (typeof value !== 'boolean') error ??= value instanceof CelError ? value : NO_SUCH_OVERLOAD;
  }
  return error ?? !decisive;
}

function optionalChoice(left: Step, right: Step, choose: (chosen: CelOptional) => CelResult): Step {
  return step((evaluation) => {
    const value = left.run(evaluation);
    if (!(value instanceof CelOptional)) return value;
    return value.value === undefined ? right.run(evaluation) : choose(value);
  });
}

/** `x in [1, 2, 3]` of constants is free. */
function membershipStep(value: Step, members: ReadonlySet<unknown>): Step {
  return step((evaluation) => {
    const found = value.run(evaluation);
    return found instanceof CelError ? found : members.has(memberKey(found));
  });
}

/** undefined unless all elements are plain scalars. */
function memberSet(list: CelList): ReadonlySet<unknown> | undefined {
  const members = new Set<unknown>();
  for (let i = 0; i < list.size; i++) {
    const element = list.get(i) as CelValue;
    const key = memberKey(element);
    if (key === undefined) return undefined;
    if (!Number.isNaN(key)) members.add(key);
  }
  return members;
}

/** Equal numbers of different types have one key; undefined for what is no scalar. */
function memberKey(value: CelValue): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'bigint':
      return value;
    case 'number':
      return Number.isInteger(value) ? BigInt(value) : value;
    default:
      return value instanceof CelUint ? value.value : undefined;
  }
}

function functionStep(call: ResolvedCall, args: readonly Step[]): Step {
  const { name } = call.declaration;
  const strict = name !== Operator.notStrictlyFalse;
  const overload =
    name === Operator.equals || name === Operator.notEquals || call.overloads.length === 1
      ? (call.overloads[0] as string)
      : '';
  const cost = callCostOf(name, overload);
  const invoke = invocationOf(call);
  return step((evaluation) => {
    const values: CelResult[] = [];
    let error: CelError | undefined;
    for (let i = 0; i < args.length; i++) {
      const value = (args[i] as Step).run(evaluation);
      if (value instanceof CelError && strict) {
        if (args.length > 2) return value;
        error ??= value;
      }
      values.push(value);
    }
    const before = typeof cost === 'number' ? cost : cost(values, undefined);
    if (before !== undefined) evaluation.charge(before);
    const result = error ?? invoke(values as readonly CelValue[]);
    if (before === undefined && typeof cost !== 'number') evaluation.charge(cost(values, result) ?? 1);
    return result;
  });
}

function invocationOf({ declaration, overloads }: ResolvedCall): (values: readonly CelValue[]) => CelResult {
  switch (declaration.name) {
    case Operator.notStrictlyFalse:
      return ([value]) => value !== false;
    case Operator.equals:
      return ([left, right]) => valuesEqual(left as CelValue, right as CelValue);
    case Operator.notEquals:
      return ([left, right]) => valuesEqual(left as CelValue, right as CelValue) !== true;
    case Operator.in:
      return ([value, container]) => {
        if (container instanceof CelList) return listContains(container, value as CelValue);
        if (!(container instanceof CelMap)) return NO_SUCH_OVERLOAD;
        return container.find(value as CelValue) !== undefined;
      };
    default:
      return functionCall(declaration, overloads);
  }
}
