/** The function names that operators stand for, as they appear in messages. */
export const Operator = {
  conditional: '_?_:_',
  and: '_&&_',
  or: '_||_',
  not: '!_',
  equals: '_==_',
  notEquals: '_!=_',
  less: '_<_',
  lessEquals: '_<=_',
  greater: '_>_',
  greaterEquals: '_>=_',
  in: '@in',
  add: '_+_',
  subtract: '_-_',
  multiply: '_*_',
  divide: '_/_',
  modulo: '_%_',
  negate: '-_',
  index: '_[_]',
  optionalIndex: '_[?_]',
  optionalSelect: '_?._',
  notStrictlyFalse: '@not_strictly_false',
} as const;

export const RELATIONS: ReadonlyMap<string, string> = new Map([
  ['<', Operator.less],
  ['<=', Operator.lessEquals],
  ['>=', Operator.greaterEquals],
  ['>', Operator.greater],
  ['==', Operator.equals],
  ['!=', Operator.notEquals],
  ['in', Operator.in],
]);

/** Arithmetic by precedence: the higher binds tighter. */
export const CALCULATIONS: ReadonlyMap<string, readonly [name: string, precedence: number]> = new Map([
  ['+', [Operator.add, 1]],
  ['-', [Operator.subtract, 1]],
  ['*', [Operator.multiply, 2]],
  ['/', [Operator.divide, 2]],
  ['%', [Operator.modulo, 2]],
]);
