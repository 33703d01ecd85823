/**
 * Macros: what looks like a call and is rewritten before types are checked (cel-spec, langdef.md, "Macros"; cel-go's
 * extensions for optionals, two-variable comprehensions and `sortBy`).
 *
 *     list.all(x, p)      a fold whose accumulator stays true as long as p
 *     opt.optMap(x, e)    opt.hasValue() ? optional.of(e with x = opt.value()) : optional.none()
 */
import { ACCUMULATOR, OLD_ACCUMULATOR, UNUSED_VARIABLE } from './ast.ts';
import type { Expr } from './ast.ts';
import { Operator } from './operators.ts';
import type { IssueList } from './source.ts';

/** Thrown inside an expander: the call has the macro's name, but its arguments do not fit. */
class MacroError extends Error {
  readonly offset: number;

  constructor(offset: number, message: string) {
    super(message);
    this.offset = offset;
  }
}

type Expander = (node: Nodes, target: Expr, args: readonly Expr[]) => Expr;

/** The rewritten expression, an error node, or undefined where the call is no macro. */
export function expandMacro(
  offset: number,
  name: string,
  target: Expr | undefined,
  args: readonly Expr[],
  issues: IssueList,
): Expr | undefined {
  const expander =
    target === undefined ? GLOBAL_MACROS.get(name) : MEMBER_MACROS.get(`${name}:${args.length}`);
  if (expander === undefined || (target === undefined && args.length !== 1)) return undefined;
  try {
    return expander(new Nodes(offset), target ?? (args[0] as Expr), args);
  } catch (error) {
    if (!(error instanceof MacroError)) throw error;
    issues.add(error.offset, error.message);
    return { kind: 'error', offset };
  }
}

/** Makes nodes that all point at the macro's call. */
class Nodes {
  readonly offset: number;

  constructor(offset: number) {
    this.offset = offset;
  }

  literal(value: boolean | bigint): Expr {
    return { kind: 'literal', offset: this.offset, value };
  }

  ident(name: string): Expr {
    return { kind: 'ident', offset: this.offset, name };
  }

  accumulator(): Expr {
    return this.ident(ACCUMULATOR);
  }

  call(name: string, ...args: readonly Expr[]): Expr {
    return { kind: 'call', offset: this.offset, name, target: undefined, args };
  }

  memberCall(target: Expr, name: string, ...args: readonly Expr[]): Expr {
    return { kind: 'call', offset: this.offset, name, target, args };
  }

  list(...elements: readonly Expr[]): Expr {
    return { kind: 'list', offset: this.offset, elements, optionals: new Set() };
  }

  fold(
    range: Expr,
    variables: readonly [first: string, second?: string],
    fold: { readonly init: Expr; readonly condition?: Expr; readonly step: Expr; readonly result?: Expr },
  ): Expr {
    return {
      kind: 'comprehension',
      offset: this.offset,
      range,
      iterVar: variables[0],
      iterVar2: variables[1],
      accuVar: ACCUMULATOR,
      init: fold.init,
      condition: fold.condition ?? this.literal(true),
      step: fold.step,
      result: fold.result ?? this.accumulator(),
    };
  }

  /** `result` with `variable` standing for `value`. */
  bind(variable: string, value: Expr, result: Expr): Expr {
    return {
      kind: 'comprehension',
      offset: this.offset,
      range: this.list(),
      iterVar: UNUSED_VARIABLE,
      iterVar2: undefined,
      accuVar: variable,
      init: value,
      condition: this.literal(false),
      step: this.ident(variable),
      result,
    };
  }
}

type Variables = readonly [first: string, second?: string];

function all(node: Nodes, range: Expr, variables: Variables, predicate: Expr): Expr {
  return node.fold(range, variables, {
    init: node.literal(true),
    condition: node.call(Operator.notStrictlyFalse, node.accumulator()),
    step: node.call(Operator.and, node.accumulator(), predicate),
  });
}

function exists(node: Nodes, range: Expr, variables: Variables, predicate: Expr): Expr {
  return node.fold(range, variables, {
    init: node.literal(false),
    condition: node.call(Operator.notStrictlyFalse, node.call(Operator.not, node.accumulator())),
    step: node.call(Operator.or, node.accumulator(), predicate),
  });
}

function existsOne(node: Nodes, range: Expr, variables: Variables, predicate: Expr): Expr {
  return node.fold(range, variables, {
    init: node.literal(0n),
    step: node.call(
      Operator.conditional,
      predicate,
      node.call(Operator.add, node.accumulator(), node.literal(1n)),
      node.accumulator(),
    ),
    result: node.call(Operator.equals, node.accumulator(), node.literal(1n)),
  });
}

function collect(
  node: Nodes,
  range: Expr,
  variables: Variables,
  filter: Expr | undefined,
  init: Expr,
  added: Expr,
): Expr {
  return node.fold(range, variables, {
    init,
    step: filter === undefined ? added : node.call(Operator.conditional, filter, added, node.accumulator()),
  });
}

const append = (node: Nodes, element: Expr): Expr =>
  node.call(Operator.add, node.accumulator(), node.list(element));

const map: Expander = (node, range, args) => {
  const variables: Variables = [iterationVariable(args[0] as Expr, 'argument is not an identifier')];
  const filter = args.length === 3 ? args[1] : undefined;
  return collect(node, range, variables, filter, node.list(), append(node, args.at(-1) as Expr));
};

const has: Expander = (node, argument) => {
  if (argument.kind !== 'select') throw new MacroError(argument.offset, 'invalid argument to has() macro');
  return { ...argument, offset: node.offset, testOnly: true };
};

const filter: Expander = (node, range, args) => {
  const variable = args[0] as Expr;
  const variables: Variables = [iterationVariable(variable, 'argument is not an identifier')];
  return collect(node, range, variables, args[1], node.list(), append(node, variable));
};

/** The forms with one variable and with two differ in the variables only. */
function quantifier(make: typeof all): Expander {
  return (node, range, args) =>
    args.length === 2
      ? make(node, range, [iterationVariable(args[0] as Expr, SIMPLE_NAME)], args[1] as Expr)
      : make(node, range, twoVariables(args), args[2] as Expr);
}

const transformList: Expander = (node, range, args) => {
  const variables = twoVariables(args);
  const filter = args.length === 4 ? args[2] : undefined;
  return collect(node, range, variables, filter, node.list(), append(node, args.at(-1) as Expr));
};

const transformMap: Expander = (node, range, args) => {
  const variables = twoVariables(args);
  const insert = node.call(MAP_INSERT, node.accumulator(), node.ident(variables[0]), args.at(-1) as Expr);
  return collect(node, range, variables, args.length === 4 ? args[2] : undefined, emptyMap(node), insert);
};

const transformMapEntry: Expander = (node, range, args) => {
  const variables = twoVariables(args);
  const insert = node.call(MAP_INSERT, node.accumulator(), args.at(-1) as Expr);
  return collect(node, range, variables, args.length === 4 ? args[2] : undefined, emptyMap(node), insert);
};

const optMap: Expander = (node, target, args) => {
  const variable = optionalVariable(args[0] as Expr, 'optMap');
  const bound = node.bind(variable, node.memberCall(target, 'value'), args[1] as Expr);
  return node.call(
    Operator.conditional,
    node.memberCall(target, 'hasValue'),
    node.call('optional.of', bound),
    node.call('optional.none'),
  );
};

const optFlatMap: Expander = (node, target, args) => {
  const variable = optionalVariable(args[0] as Expr, 'optFlatMap');
  return node.call(
    Operator.conditional,
    node.memberCall(target, 'hasValue'),
    node.bind(variable, node.memberCall(target, 'value'), args[1] as Expr),
    node.call('optional.none'),
  );
};

const SORT_INPUT = '@__sortBy_input__';
const sortBy: Expander = (node, target, args) => {
  if (target.kind === 'literal' || target.kind === 'map' || target.kind === 'struct')
    throw new MacroError(
      target.offset,
      'sortBy can only be applied to a list, identifier, comprehension, call or select expression',
    );
  const keys = map(node, node.ident(SORT_INPUT), args);
  return node.bind(
    SORT_INPUT,
    target,
    node.memberCall(node.ident(SORT_INPUT), '@sortByAssociatedKeys', keys),
  );
};

export const MAP_INSERT = 'cel.@mapInsert';
const SIMPLE_NAME = 'argument must be a simple name';

const GLOBAL_MACROS: ReadonlyMap<string, Expander> = new Map([['has', has]]);
const MEMBER_MACROS: ReadonlyMap<string, Expander> = new Map([
  ['all:2', quantifier(all)],
  ['all:3', quantifier(all)],
  ['exists:2', quantifier(exists)],
  ['exists:3', quantifier(exists)],
  ['exists_one:2', quantifier(existsOne)],
  ['exists_one:3', quantifier(existsOne)],
  ['existsOne:2', quantifier(existsOne)],
  ['existsOne:3', quantifier(existsOne)],
  ['map:2', map],
  ['map:3', map],
  ['filter:2', filter],
  ['transformList:3', transformList],
  ['transformList:4', transformList],
  ['transformMap:3', transformMap],
  ['transformMap:4', transformMap],
  ['transformMapEntry:3', transformMapEntry],
  ['transformMapEntry:4', transformMapEntry],
  ['optMap:2', optMap],
  ['optFlatMap:2', optFlatMap],
  ['sortBy:2', sortBy],
]);

function emptyMap(node: Nodes): Expr {
  return { kind: 'map', offset: node.offset, entries: [] };
}

function iterationVariable(expr: Expr, message: string): string {
  if (expr.kind !== 'ident') throw new MacroError(expr.offset, message);
  if (expr.name === ACCUMULATOR || expr.name === OLD_ACCUMULATOR)
    throw new MacroError(expr.offset, 'iteration variable overwrites accumulator variable');
  return expr.name;
}

function optionalVariable(expr: Expr, macro: string): string {
  if (expr.kind === 'ident') return expr.name;
  throw new MacroError(expr.offset, `${macro}() variable name must be a simple identifier`);
}

function twoVariables(args: readonly Expr[]): readonly [string, string] {
  const [first, second] = args as readonly [Expr, Expr];
  if (first.kind !== 'ident') throw new MacroError(first.offset, SIMPLE_NAME);
  if (second.kind !== 'ident') throw new MacroError(second.offset, SIMPLE_NAME);
  if (first.name === second.name)
    throw new MacroError(second.offset, `duplicate variable name: ${first.name}`);
  return [iterationVariable(first, SIMPLE_NAME), iterationVariable(second, SIMPLE_NAME)];
}
