/**
 * Static types (after cel-go's checker): every expression gets one, every name is resolved, every call gets the ids of the
 * overloads that may be meant. Messages are cel-go's.
 */
import { qualifiedName } from './ast.ts';
import type { CallExpr, ComprehensionExpr, Expr, ListExpr, MapExpr, SelectExpr, StructExpr } from './ast.ts';
import type { FunctionDeclaration } from './function.ts';
import { Operator } from './operators.ts';
import type { IssueList } from './source.ts';
import type { CelType } from './type.ts';
import {
  BOOL,
  BYTES,
  DOUBLE,
  DYN,
  ERROR,
  formatType,
  INT,
  isOptionalType,
  listType,
  mapType,
  NULL,
  optionalType,
  STRING,
  typeOfType,
  UINT,
  unwrapOptional,
} from './type.ts';
import { mostGeneral, Unifier } from './unification.ts';
import { typeOf } from '../value/value.ts';

/** What names mean. */
export interface Declarations {
  readonly variables: ReadonlyMap<string, CelType>;
  /** Types by the names that expressions use for them. */
  readonly types: ReadonlyMap<string, CelType>;
  readonly functions: ReadonlyMap<string, FunctionDeclaration>;
  /** The type of an object's field; undefined where the type has no such field. */
  readonly fieldType: (typeName: string, field: string) => CelType | undefined;
  /** The type that `name{…}` makes; undefined where there is none of that name. */
  readonly messageType: (name: string) => CelType | undefined;
}

/** A call, as the checker resolved it: `a.f(x)` may call the function `a.f`. */
export interface ResolvedCall {
  readonly declaration: FunctionDeclaration;
  readonly overloads: readonly string[];
  /** Target first, if the function takes one. */
  readonly args: readonly Expr[];
  readonly target: Expr | undefined;
}

/** A name that is no selection: a variable, or a type. */
type ResolvedName =
  { readonly kind: 'variable'; readonly name: string } | { readonly kind: 'type'; readonly type: CelType };

export interface CheckedExpression {
  readonly expr: Expr;
  readonly type: CelType;
  readonly types: ReadonlyMap<Expr, CelType>;
  readonly calls: ReadonlyMap<Expr, ResolvedCall>;
  readonly names: ReadonlyMap<Expr, ResolvedName>;
  /** The variables of the environment that the expression mentions. */
  readonly variables: ReadonlySet<string>;
}

/** undefined where `issues` says why. */
export function checkExpression(
  expr: Expr,
  declarations: Declarations,
  issues: IssueList,
): CheckedExpression | undefined {
  const checker = new Checker(declarations, issues);
  checker.check(expr, undefined);
  return issues.isEmpty ? checker.result(expr) : undefined;
}

/** Variables of the folds around an expression, innermost first. */
interface Scope {
  readonly variables: ReadonlyMap<string, CelType>;
  readonly outer: Scope | undefined;
}

class Checker {
  readonly #declarations: Declarations;
  readonly #issues: IssueList;
  readonly #unifier = new Unifier();
  readonly #types = new Map<Expr, CelType>();
  readonly #calls = new Map<Expr, ResolvedCall>();
  readonly #names = new Map<Expr, ResolvedName>();
  readonly #variables = new Set<string>();

  constructor(declarations: Declarations, issues: IssueList) {
    this.#declarations = declarations;
    this.#issues = issues;
  }

  result(expr: Expr): CheckedExpression {
    const types = new Map<Expr, CelType>();
    for (const [node, type] of this.#types) types.set(node, this.#unifier.substitute(type, true));
    return {
      expr,
      type: types.get(expr) ?? ERROR,
      types,
      calls: this.#calls,
      names: this.#names,
      variables: this.#variables,
    };
  }

  check(expr: Expr, scope: Scope | undefined): CelType {
    const known = this.#types.get(expr);
    if (known !== undefined) return known;
    const type = this.#typeOf(expr, scope);
    this.#types.set(expr, type);
    return type;
  }

  #typeOf(expr: Expr, scope: Scope | undefined): CelType {
    switch (expr.kind) {
      case 'literal':
        return literalType(expr.value);
      case 'ident': {
        const type = this.#resolve(expr, expr.name, scope);
        if (type === undefined) this.#undeclared(expr, expr.name);
        return type ?? ERROR;
      }
      case 'select':
        return this.#select(expr, scope);
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
        return ERROR;
    }
  }

  #error(expr: { readonly offset: number }, message: string): void {
    this.#issues.add(expr.offset, message);
  }

  #undeclared(expr: Expr, name: string): void {
    this.#error(expr, `undeclared reference to '${name}' (in container '')`);
  }

  #resolve(expr: Expr, written: string, scope: Scope | undefined): CelType | undefined {
    const name = written.startsWith('.') ? written.slice(1) : written;
    for (let level = scope; level !== undefined; level = level.outer) {
      const type = level.variables.get(name);
      if (type === undefined) continue;
      this.#names.set(expr, { kind: 'variable', name });
      return type;
    }
    const variable = this.#declarations.variables.get(name);
    if (variable !== undefined) {
      this.#variables.add(name);
      this.#names.set(expr, { kind: 'variable', name });
      return variable;
    }
    const type = this.#declarations.types.get(name);
    if (type === undefined) return undefined;
    this.#names.set(expr, { kind: 'type', type });
    return typeOfType(type);
  }

  #select(expr: SelectExpr, scope: Scope | undefined): CelType {
    const name = qualifiedName(expr);
    const resolved = name === undefined ? undefined : this.#resolve(expr, name, scope);
    if (resolved !== undefined) return resolved;
    const field = this.#field(expr, expr.operand, expr.field, false, scope);
    return expr.testOnly ? BOOL : this.#unifier.substitute(field, false);
  }

  #field(expr: Expr, operand: Expr, field: string, optional: boolean, scope: Scope | undefined): CelType {
    const operandType = this.#unifier.substitute(this.check(operand, scope), false);
    const target = unwrapOptional(operandType);
    let result = ERROR;
    switch (target.kind) {
      case 'map':
        result = target.parameters[1] as CelType;
        break;
      case 'object': {
        const declared = this.#declarations.fieldType(target.name, field);
        if (declared === undefined) this.#error(expr, `undefined field '${field}'`);
        result = declared ?? ERROR;
        break;
      }
      case 'parameter':
        this.#unifier.assign(DYN, target);
        result = DYN;
        break;
      default:
        if (target.kind !== 'dyn' && target.kind !== 'error')
          this.#error(expr, `type '${formatType(target)}' does not support field selection`);
        result = DYN;
    }
    return optional || isOptionalType(operandType) ? optionalType(result) : result;
  }

  #call(expr: CallExpr, scope: Scope | undefined): CelType {
    if (expr.name === Operator.optionalSelect) return this.#optionalSelect(expr, scope);
    for (const arg of expr.args) this.check(arg, scope);
    if (expr.target === undefined) {
      const name = expr.name.startsWith('.') ? expr.name.slice(1) : expr.name;
      return this.#resolveCall(expr, this.#declarations.functions.get(name), undefined);
    }
    // `a.b.f(x)`: the function `a.b.f`, or `f` with the target `a.b`.
    const prefix = qualifiedName(expr.target);
    const qualified =
      prefix === undefined
        ? undefined
        : this.#declarations.functions.get(
            `${prefix.startsWith('.') ? prefix.slice(1) : prefix}.${expr.name}`,
          );
    if (qualified !== undefined) return this.#resolveCall(expr, qualified, undefined);
    this.check(expr.target, scope);
    return this.#resolveCall(expr, this.#declarations.functions.get(expr.name), expr.target);
  }

  #optionalSelect(expr: CallExpr, scope: Scope | undefined): CelType {
    const [operand, field] = expr.args as readonly [Expr, Expr];
    const name = field.kind === 'literal' && typeof field.value === 'string' ? field.value : '';
    const type = this.#unifier.substitute(this.#field(expr, operand, name, true, scope), false);
    const declaration = this.#declarations.functions.get(Operator.optionalSelect);
    if (declaration !== undefined)
      this.#calls.set(expr, {
        declaration,
        overloads: ['select_optional_field'],
        args: expr.args,
        target: undefined,
      });
    return type;
  }

  #resolveCall(
    expr: CallExpr,
    declaration: FunctionDeclaration | undefined,
    target: Expr | undefined,
  ): CelType {
    if (declaration === undefined) {
      this.#undeclared(expr, expr.name);
      return ERROR;
    }
    const args = target === undefined ? expr.args : [target, ...expr.args];
    const argTypes = args.map((arg) => this.#types.get(arg) ?? ERROR);
    if (declaration.name === Operator.and || declaration.name === Operator.or)
      return this.#logical(expr, declaration, argTypes);
    const overloads: string[] = [];
    let result: CelType | undefined;
    for (const candidate of declaration.overloads) {
      if (candidate.member !== (target !== undefined)) continue;
      if (candidate.parameters.length !== argTypes.length) continue;
      const [returned, ...parameters] = this.#unifier.instantiate([
        candidate.result,
        ...candidate.parameters,
      ]) as readonly [CelType, ...CelType[]];
      if (!this.#unifier.assignAll(argTypes, parameters)) continue;
      overloads.push(candidate.id);
      const type = this.#unifier.substitute(returned, false);
      if (result === undefined) result = type;
      else if (result.kind !== 'dyn' && formatType(result) !== formatType(type)) result = DYN;
    }
    if (result === undefined) {
      const types = argTypes.map((type) => formatType(this.#unifier.substitute(type, true)));
      const receiver = target === undefined ? '' : `${types.shift() ?? ''}.`;
      this.#error(
        expr,
        `found no matching overload for '${declaration.name}' applied to '${receiver}(${types.join(', ')})'`,
      );
      return ERROR;
    }
    this.#calls.set(expr, { declaration, overloads, args, target });
    return result;
  }

  #logical(expr: CallExpr, declaration: FunctionDeclaration, argTypes: readonly CelType[]): CelType {
    let fits = true;
    argTypes.forEach((type, i) => {
      if (this.#unifier.assign(type, BOOL)) return;
      this.#mismatch(expr.args[i] as Expr, BOOL, type);
      fits = false;
    });
    if (!fits) return ERROR;
    const overloads = declaration.overloads.map((candidate) => candidate.id);
    this.#calls.set(expr, { declaration, overloads, args: expr.args, target: undefined });
    return BOOL;
  }

  #mismatch(expr: Expr, expected: CelType, actual: CelType): void {
    this.#error(expr, `expected type '${formatType(expected)}' but found '${formatType(actual)}'`);
  }

  /** The type of what is written `?x`; it must be optional. */
  #unwrap(expr: Expr, type: CelType): CelType {
    if (!isOptionalType(type) && type.kind !== 'dyn') this.#mismatch(expr, optionalType(type), type);
    return unwrapOptional(type);
  }

  /** Elements of different types make a list of dyn; `literal-checks.ts` refuses most of them. */
  #join(previous: CelType | undefined, current: CelType): CelType {
    if (previous === undefined) return current;
    return this.#unifier.assign(previous, current) ? mostGeneral(previous, current) : DYN;
  }

  #list(expr: ListExpr, scope: Scope | undefined): CelType {
    let element: CelType | undefined;
    expr.elements.forEach((member, i) => {
      const type = this.check(member, scope);
      element = this.#join(element, expr.optionals.has(i) ? this.#unwrap(member, type) : type);
    });
    return listType(element ?? this.#unifier.freshParameter());
  }

  #map(expr: MapExpr, scope: Scope | undefined): CelType {
    let key: CelType | undefined;
    let value: CelType | undefined;
    for (const entry of expr.entries) {
      key = this.#join(key, this.check(entry.key, scope));
      const type = this.check(entry.value, scope);
      value = this.#join(value, entry.optional ? this.#unwrap(entry.value, type) : type);
    }
    return mapType(key ?? this.#unifier.freshParameter(), value ?? this.#unifier.freshParameter());
  }

  #struct(expr: StructExpr, scope: Scope | undefined): CelType {
    const name = expr.typeName.startsWith('.') ? expr.typeName.slice(1) : expr.typeName;
    const message = this.#declarations.messageType(name);
    if (message !== undefined) return this.#message(expr, message, scope);
    for (const field of expr.fields) this.check(field.value, scope);
    const type = this.#declarations.types.get(name);
    if (type === undefined) this.#undeclared(expr, expr.typeName);
    else this.#error(expr, `'${type.name}' is not a message type`);
    return ERROR;
  }

  #message(expr: StructExpr, message: CelType, scope: Scope | undefined): CelType {
    for (const field of expr.fields) {
      const given = this.check(field.value, scope);
      const type = field.optional ? this.#unwrap(field.value, given) : given;
      const declared = this.#declarations.fieldType(message.name, field.name);
      if (declared === undefined) this.#error(field, `undefined field '${field.name}'`);
      else if (!this.#unifier.assign(declared, type))
        this.#error(
          field,
          `expected type of field '${field.name}' is '${formatType(declared)}' but provided type is '${formatType(type)}'`,
        );
    }
    return message;
  }

  #comprehension(expr: ComprehensionExpr, scope: Scope | undefined): CelType {
    this.check(expr.range, scope);
    const accumulator = this.check(expr.init, scope);
    const range = this.#unifier.substitute(this.check(expr.range, scope), false);
    const outer: Scope = { variables: new Map([[expr.accuVar, accumulator]]), outer: scope };
    const [first, second] = this.#iterationTypes(expr, range);
    const variables = new Map([[expr.iterVar, first]]);
    if (expr.iterVar2 !== undefined) variables.set(expr.iterVar2, second);
    const inner: Scope = { variables, outer };
    this.#expect(expr.condition, this.check(expr.condition, inner), BOOL);
    this.#expect(expr.step, this.check(expr.step, inner), accumulator);
    return this.#unifier.substitute(this.check(expr.result, outer), false);
  }

  #expect(expr: Expr, actual: CelType, expected: CelType): void {
    if (!this.#unifier.assign(expected, actual)) this.#mismatch(expr, expected, actual);
  }

  #iterationTypes(expr: ComprehensionExpr, range: CelType): readonly [CelType, CelType] {
    switch (range.kind) {
      case 'list': {
        const element = range.parameters[0] as CelType;
        return expr.iterVar2 === undefined ? [element, DYN] : [INT, element];
      }
      case 'map':
        return [range.parameters[0] as CelType, range.parameters[1] as CelType];
      case 'dyn':
      case 'error':
      case 'parameter':
        this.#unifier.assign(DYN, range);
        return [DYN, DYN];
      default:
        this.#error(
          expr.range,
          `expression of type '${formatType(range)}' cannot be range of a comprehension (must be list, map, or dynamic)`,
        );
        return [ERROR, ERROR];
    }
  }
}

function literalType(value: Parameters<typeof typeOf>[0]): CelType {
  const type = typeOf(value);
  return [BOOL, BYTES, DOUBLE, INT, NULL, STRING, UINT].includes(type) ? type : ERROR;
}
