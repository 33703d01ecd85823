import type { Expr } from './ast.ts';
import { Operator } from './operators.ts';

/** Whether `variable.field`, `has(variable.field)` or `variable.?field` is anywhere in the tree. */
export function selectsField(root: Expr, variable: string, field: string): boolean {
  const seen = new Set<Expr>();
  const pending: Expr[] = [root];
  for (let expr = pending.pop(); expr !== undefined; expr = pending.pop()) {
    if (seen.has(expr)) continue;
    seen.add(expr);
    if (isSelection(expr, variable, field)) return true;
    pending.push(...partsOf(expr));
  }
  return false;
}

function isSelection(expr: Expr, variable: string, field: string): boolean {
  if (expr.kind === 'select') return isIdent(expr.operand, variable) && expr.field === field;
  if (expr.kind !== 'call' || expr.name !== Operator.optionalSelect) return false;
  const [operand, name] = expr.args;
  return isIdent(operand, variable) && name?.kind === 'literal' && name.value === field;
}

function isIdent(expr: Expr | undefined, name: string): boolean {
  return expr?.kind === 'ident' && expr.name === name;
}

function partsOf(expr: Expr): readonly Expr[] {
  switch (expr.kind) {
    case 'select':
      return [expr.operand];
    case 'call':
      return expr.target === undefined ? expr.args : [expr.target, ...expr.args];
    case 'list':
      return expr.elements;
    case 'map':
      return expr.entries.flatMap(({ key, value }) => [key, value]);
    case 'struct':
      return expr.fields.map(({ value }) => value);
    case 'comprehension':
      return [expr.range, expr.init, expr.condition, expr.step, expr.result];
    default:
      return [];
  }
}
