/**
 * The syntax tree after macros were expanded. `offset` says where an error about the node points: the operator or the
 * opening bracket of compound expressions, the first token otherwise.
 *
 * Nodes are compared by identity: the checker's findings are kept beside the tree, in maps. A macro may use a node
 * twice, so the tree is a graph; who walks it remembers what was seen (see `optMap`, which would double it each time).
 */
import type { CelValue } from '../value/value.ts';

export type Expr =
  | LiteralExpr
  | IdentExpr
  | SelectExpr
  | CallExpr
  | ListExpr
  | MapExpr
  | StructExpr
  | ComprehensionExpr
  | ErrorExpr;

interface LiteralExpr {
  readonly kind: 'literal';
  readonly offset: number;
  readonly value: CelValue;
}

interface IdentExpr {
  readonly kind: 'ident';
  readonly offset: number;
  readonly name: string;
}

export interface SelectExpr {
  readonly kind: 'select';
  readonly offset: number;
  readonly operand: Expr;
  readonly field: string;
  /** `has(operand.field)` */
  readonly testOnly: boolean;
}

export interface CallExpr {
  readonly kind: 'call';
  readonly offset: number;
  /** Operators have names such as `_+_`, see `operators.ts`. */
  readonly name: string;
  readonly target: Expr | undefined;
  readonly args: readonly Expr[];
}

export interface ListExpr {
  readonly kind: 'list';
  readonly offset: number;
  readonly elements: readonly Expr[];
  /** Positions of the elements written `?x`. */
  readonly optionals: ReadonlySet<number>;
}

export interface MapExpr {
  readonly kind: 'map';
  readonly offset: number;
  readonly entries: readonly MapEntryExpr[];
}

export interface MapEntryExpr {
  readonly key: Expr;
  readonly value: Expr;
  readonly optional: boolean;
}

/** `TypeName{field: value}` */
export interface StructExpr {
  readonly kind: 'struct';
  readonly offset: number;
  readonly typeName: string;
  readonly fields: readonly StructFieldExpr[];
}

export interface StructFieldExpr {
  readonly offset: number;
  readonly name: string;
  readonly value: Expr;
  readonly optional: boolean;
}

/**
 * Folds `range`: `accuVar` starts as `init` and becomes `step` for each element while `condition` holds; `result` is the
 * value. A fold over an empty list binds `accuVar` to `init`.
 */
export interface ComprehensionExpr {
  readonly kind: 'comprehension';
  readonly offset: number;
  readonly range: Expr;
  readonly iterVar: string;
  /** Two-variable form: `iterVar` is index or key, `iterVar2` the value. */
  readonly iterVar2: string | undefined;
  readonly accuVar: string;
  readonly init: Expr;
  readonly condition: Expr;
  readonly step: Expr;
  readonly result: Expr;
}

/** Stands where a syntax error was; never reaches the checker. */
interface ErrorExpr {
  readonly kind: 'error';
  readonly offset: number;
}

/** The name that macros give their accumulator; no identifier can be written so. */
export const ACCUMULATOR = '@result';
/** The name it had before; still refused for iteration variables. */
export const OLD_ACCUMULATOR = '__result__';
/** The iteration variable of a fold that only binds. */
export const UNUSED_VARIABLE = '#unused';

/** `a.b.c` for a chain of plain selections; undefined for all else. */
export function qualifiedName(expr: Expr): string | undefined {
  const parts: string[] = [];
  let current = expr;
  while (current.kind === 'select') {
    if (current.testOnly) return undefined;
    parts.push(current.field);
    current = current.operand;
  }
  if (current.kind !== 'ident') return undefined;
  parts.push(current.name);
  return parts.reverse().join('.');
}
