/**
 * What is checked once types are known: literals that only fail when they are used (`duration('x')`, bad patterns and
 * formats), and lists and maps that mix types through `dyn`.
 */
import { Re2Error } from '../../re2.ts';
import { compilePattern } from '../value/pattern-cache.ts';
import { CLAUSE_RULES, FormatError, formatText } from '../library/string-format.ts';
import type { FormatClause } from '../library/string-format.ts';
import { CelError } from '../value/value.ts';
import type { CelValue } from '../value/value.ts';
import type { CallExpr, Expr } from './ast.ts';
import type { CheckedExpression, ResolvedCall } from './checker.ts';
import { functionCall } from './function.ts';
import type { IssueList } from './source.ts';
import { DYN, formatType, sameType, unwrapOptional } from './type.ts';
import type { CelType } from './type.ts';

export function checkLiterals(checked: CheckedExpression, issues: IssueList): void {
  const seen = new Set<Expr>();
  const visit = (expr: Expr, insideFormat: boolean): void => {
    if (seen.has(expr)) return;
    seen.add(expr);
    const call = checked.calls.get(expr);
    let exempt = insideFormat;
    if (expr.kind === 'call' && call !== undefined) {
      checkCall(checked, expr, call, issues);
      exempt ||= call.declaration.name === 'format';
    }
    if (!insideFormat) checkHomogeneous(checked, expr, issues);
    for (const child of childrenOf(expr)) visit(child, exempt);
  };
  visit(checked.expr, false);
}

function childrenOf(expr: Expr): readonly Expr[] {
  switch (expr.kind) {
    case 'select':
      return [expr.operand];
    case 'call':
      return expr.target === undefined ? expr.args : [expr.target, ...expr.args];
    case 'list':
      return expr.elements;
    case 'map':
      return expr.entries.flatMap(({ key, value }) => [key, value]);
    case 'comprehension':
      return [expr.range, expr.init, expr.condition, expr.step, expr.result];
    default:
      return [];
  }
}

function checkCall(checked: CheckedExpression, expr: CallExpr, call: ResolvedCall, issues: IssueList): void {
  const { name } = call.declaration;
  const first = expr.args[0];
  const literal = first?.kind === 'literal' ? first.value : undefined;
  if (first !== undefined && literal !== undefined) {
    const invalid =
      name === 'duration' || name === 'timestamp'
        ? functionCall(call.declaration, call.overloads)([literal]) instanceof CelError
        : name === 'matches' && !isPattern(literal);
    if (invalid) issues.add(first.offset, `invalid ${name} argument`);
  }
  if (name === 'format') checkFormat(checked, expr, issues);
}

function isPattern(value: CelValue): boolean {
  if (typeof value !== 'string') return true;
  try {
    compilePattern(value);
    return true;
  } catch (error) {
    if (error instanceof Re2Error) return false;
    throw error;
  }
}

function checkFormat(checked: CheckedExpression, expr: CallExpr, issues: IssueList): void {
  const format = expr.target?.kind === 'literal' ? expr.target.value : undefined;
  const list = expr.args[0];
  if (typeof format !== 'string' || list?.kind !== 'list') return;
  const { elements } = list;
  let used = 0;
  let offset = expr.offset;
  try {
    formatText(format, elements.length, (clause, _precision, index) => {
      used = index + 1;
      const bad = unprintable(checked, clause, elements[index] as Expr);
      if (bad === undefined) return '';
      offset = bad.offset;
      throw new FormatError(`${CLAUSE_RULES[clause].message} ${typeOf(checked, bad).name}`);
    });
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    issues.add(offset, error.message);
    return;
  }
  if (elements.length > used)
    issues.add(
      expr.offset,
      `too many arguments supplied to string.format (expected ${used}, got ${elements.length})`,
    );
}

function typeOf(checked: CheckedExpression, expr: Expr): CelType {
  return checked.types.get(expr) ?? DYN;
}

/** The part of the argument that the clause cannot print. */
function unprintable(checked: CheckedExpression, clause: FormatClause, expr: Expr): Expr | undefined {
  const { kind } = typeOf(checked, expr);
  if (kind !== 'dyn' && !CLAUSE_RULES[clause].kinds.includes(kind)) return expr;
  if (clause !== 's' || (expr.kind !== 'list' && expr.kind !== 'map')) return undefined;
  for (const child of childrenOf(expr)) {
    const bad = unprintable(checked, clause, child);
    if (bad !== undefined) return bad;
  }
  return undefined;
}

function checkHomogeneous(checked: CheckedExpression, expr: Expr, issues: IssueList): void {
  if (expr.kind === 'list') {
    const types = expr.elements.map((element, i) => {
      const type = typeOf(checked, element);
      return expr.optionals.has(i) ? unwrapOptional(type) : type;
    });
    const odd = types.findIndex((type) => !sameType(types[0] as CelType, type, false));
    if (odd >= 0) mismatch(expr.elements[odd] as Expr, types[0] as CelType, types[odd] as CelType, issues);
  } else if (expr.kind === 'map') {
    const types = expr.entries.map(({ key, value, optional }) => {
      const valueType = typeOf(checked, value);
      return { key: typeOf(checked, key), value: optional ? unwrapOptional(valueType) : valueType };
    });
    const first = types[0];
    if (first === undefined) return;
    expr.entries.forEach((entry, i) => {
      const { key, value } = types[i] as { readonly key: CelType; readonly value: CelType };
      if (!sameType(first.key, key, false)) mismatch(entry.key, first.key, key, issues);
      if (!sameType(first.value, value, false)) mismatch(entry.value, first.value, value, issues);
    });
  }
}

function mismatch(expr: Expr, expected: CelType, actual: CelType, issues: IssueList): void {
  issues.add(expr.offset, `expected type '${formatType(expected)}' but found '${formatType(actual)}'`);
}
