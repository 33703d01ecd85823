/**
 * Recursive descent over CEL's grammar (cel-spec, langdef.md). Messages of syntax errors are those of cel-go's generated
 * parser, as far as a hand-written one knows them; it goes on after an error by the same simple rules (skip one token, or
 * pretend one).
 *
 * Hostile input: expressions of more than 100,000 characters, and nesting or chains deeper than 250, are refused.
 */
import { CelUint } from '../value/value.ts';
import type { CelValue } from '../value/value.ts';
import type { Expr, MapEntryExpr, StructFieldExpr } from './ast.ts';
import { tokenize } from './lexer.ts';
import type { Token } from './lexer.ts';
import { expandMacro } from './macros.ts';
import { CALCULATIONS, Operator, RELATIONS } from './operators.ts';
import type { IssueList } from './source.ts';
import { bytesLiteral, LiteralError, stringLiteral } from './string-literal.ts';

const MAX_LENGTH = 100_000;
const MAX_DEPTH = 250;
const MAX_ERRORS = 100;

const RESERVED: ReadonlySet<string> = new Set([
  'as',
  'break',
  'const',
  'continue',
  'else',
  'for',
  'function',
  'if',
  'import',
  'let',
  'loop',
  'package',
  'namespace',
  'return',
  'var',
  'void',
  'while',
]);

/** undefined where `issues` says why. */
export function parseExpression(source: string, issues: IssueList): Expr | undefined {
  const length = [...source].length;
  if (length > MAX_LENGTH) {
    issues.add(-1, `expression code point size exceeds limit: size: ${length}, limit ${MAX_LENGTH}`);
    return undefined;
  }
  const tokens = tokenize(source, issues);
  try {
    const expr = new Parser(tokens, issues).parse();
    return issues.isEmpty ? expr : undefined;
  } catch (error) {
    if (error instanceof GiveUp) return undefined;
    throw error;
  }
}

/** Thrown where going on makes no sense; the issue is noted already. */
class GiveUp extends Error {}

type Rule = 'expr' | 'relation' | 'calc' | 'member' | 'unary';

/** In the order of the grammar's tokens, which is the order of cel-go's lists. */
const EXPECTED_TOKENS = [
  "'['",
  "']'",
  "'{'",
  "'}'",
  "'('",
  "')'",
  "'.'",
  "','",
  "'-'",
  "'!'",
  "'?'",
  "'true'",
  "'false'",
  "'null'",
  'NUM_FLOAT',
  'NUM_INT',
  'NUM_UINT',
  'STRING',
  'BYTES',
  'IDENTIFIER',
  'ESC_IDENTIFIER',
];
const EXPRESSION_START: ReadonlySet<string> = new Set(
  EXPECTED_TOKENS.filter((name) => !["']'", "'}'", "')'", "','", "'?'", 'ESC_IDENTIFIER'].includes(name)),
);

function expectedList(extra: readonly string[]): string {
  return `{${EXPECTED_TOKENS.filter((name) => EXPRESSION_START.has(name) || extra.includes(name)).join(', ')}}`;
}

class Parser {
  readonly #tokens: readonly Token[];
  readonly #issues: IssueList;
  readonly #depth: Record<Rule, number> = { expr: 0, relation: 0, calc: 0, member: 0, unary: 0 };
  #position = 0;
  /** After an error nothing more is reported until a token fits again. */
  #recovering = false;
  #lastErrorPosition = -1;

  constructor(tokens: readonly Token[], issues: IssueList) {
    this.#tokens = tokens;
    this.#issues = issues;
  }

  parse(): Expr {
    const expr = this.#expression([]);
    if (this.#token.kind !== 'end') {
      const extraneous = this.#peek(1).kind === 'end';
      this.#syntaxError(
        extraneous
          ? `extraneous input '${this.#token.text}' expecting <EOF>`
          : `mismatched input '${this.#token.text}' expecting <EOF>`,
      );
    }
    return expr;
  }

  get #token(): Token {
    return this.#tokens[this.#position] as Token;
  }

  #peek(distance: number): Token {
    return this.#tokens[Math.min(this.#position + distance, this.#tokens.length - 1)] as Token;
  }

  #consume(): Token {
    const token = this.#token;
    if (token.kind !== 'end') this.#position++;
    this.#recovering = false;
    return token;
  }

  #is(text: string, token: Token = this.#token): boolean {
    return token.text === text && (token.kind === 'operator' || token.kind === 'in');
  }

  #accept(text: string): Token | undefined {
    return this.#is(text) ? this.#consume() : undefined;
  }

  #expect(text: string): void {
    if (this.#accept(text) !== undefined) return;
    const found = this.#token.text;
    if (this.#is(text, this.#peek(1))) {
      this.#syntaxError(`extraneous input '${found}' expecting '${text}'`);
      this.#consume();
      this.#consume();
    } else if (canFollow(this.#token)) {
      this.#syntaxError(`missing '${text}' at '${found}'`);
    } else {
      this.#syntaxError(`mismatched input '${found}' expecting '${text}'`);
      throw new GiveUp();
    }
  }

  #syntaxError(message: string): void {
    if (!this.#recovering) this.#issues.add(this.#token.offset, `Syntax error: ${message}`);
    this.#recovering = true;
    if (this.#issues.count >= MAX_ERRORS || this.#lastErrorPosition === this.#position) throw new GiveUp();
    this.#lastErrorPosition = this.#position;
  }

  #error(offset: number, message: string): Expr {
    this.#issues.add(offset, message);
    return { kind: 'error', offset };
  }

  #enter(rule: Rule): void {
    if (++this.#depth[rule] > MAX_DEPTH) {
      this.#issues.add(-1, `expression recursion limit exceeded: ${MAX_DEPTH}`);
      throw new GiveUp();
    }
  }

  #leave(rule: Rule, times = 1): void {
    this.#depth[rule] -= times;
  }

  /** `closers`: the tokens that could stand here instead of an expression, for the message. */
  #expression(closers: readonly string[]): Expr {
    this.#enter('expr');
    let expr = this.#logical('||', closers);
    const question = this.#accept('?');
    if (question !== undefined) {
      const whenTrue = this.#logical('||', []);
      this.#expect(':');
      const whenFalse = this.#expression([]);
      expr = this.#call(question.offset, Operator.conditional, [expr, whenTrue, whenFalse]);
    }
    this.#leave('expr');
    return expr;
  }

  /** `a || b || c` is one node of three terms; errors point at the first operator. */
  #logical(operator: '||' | '&&', closers: readonly string[]): Expr {
    const next = (own: readonly string[]): Expr =>
      operator === '||' ? this.#logical('&&', own) : this.#relation(own);
    const terms = [next(closers)];
    let offset = -1;
    while (this.#is(operator)) {
      const token = this.#consume();
      if (offset < 0) offset = token.offset;
      terms.push(next([]));
    }
    if (terms.length === 1) return terms[0] as Expr;
    return this.#call(offset, operator === '||' ? Operator.or : Operator.and, terms);
  }

  #relation(closers: readonly string[]): Expr {
    this.#enter('relation');
    let entered = 1;
    let left = this.#calculation(1, closers);
    for (;;) {
      const name = RELATIONS.get(this.#token.text);
      if (name === undefined || !this.#is(this.#token.text)) break;
      this.#enter('relation');
      entered++;
      const operator = this.#consume();
      this.#enter('relation');
      const right = this.#calculation(1, []);
      this.#leave('relation');
      left = this.#call(operator.offset, name, [left, right]);
    }
    this.#leave('relation', entered);
    return left;
  }

  #calculation(minimum: number, closers: readonly string[]): Expr {
    this.#enter('calc');
    let entered = 1;
    let left = this.#unary(closers);
    for (;;) {
      const found = CALCULATIONS.get(this.#token.text);
      if (found === undefined || found[1] < minimum || !this.#is(this.#token.text)) break;
      this.#enter('calc');
      entered++;
      const operator = this.#consume();
      const right = this.#calculation(found[1] + 1, []);
      left = this.#call(operator.offset, found[0], [left, right]);
    }
    this.#leave('calc', entered);
    return left;
  }

  #unary(closers: readonly string[]): Expr {
    for (const [sign, name] of [
      ['!', Operator.not],
      ['-', Operator.negate],
    ] as const) {
      if (!this.#is(sign)) continue;
      if (sign === '-' && this.#isNumber(this.#peek(1))) break;
      const first = this.#consume();
      let count = 1;
      // The last minus before a number belongs to the number.
      while (this.#is(sign) && !(sign === '-' && this.#isNumber(this.#peek(1)))) {
        this.#consume();
        count++;
      }
      const operand = this.#member([]);
      return count % 2 === 0 ? operand : this.#call(first.offset, name, [operand]);
    }
    return this.#member(closers);
  }

  #isNumber(token: Token): boolean {
    return token.kind === 'int' || token.kind === 'float';
  }

  #member(closers: readonly string[]): Expr {
    this.#enter('member');
    let entered = 1;
    let expr = this.#primary(closers);
    for (;;) {
      if (this.#is('.')) {
        this.#enter('member');
        entered++;
        expr = this.#selection(expr);
      } else if (this.#is('[')) {
        this.#enter('member');
        entered++;
        const bracket = this.#consume();
        const optional = this.#accept('?') !== undefined;
        const index = this.#expression([]);
        this.#expect(']');
        expr = this.#call(bracket.offset, optional ? Operator.optionalIndex : Operator.index, [expr, index]);
      } else {
        break;
      }
    }
    this.#leave('member', entered);
    return expr;
  }

  #selection(operand: Expr): Expr {
    const dot = this.#consume();
    const optional = this.#accept('?') !== undefined;
    const name = this.#token;
    if (name.kind !== 'identifier' && name.kind !== 'escapedIdentifier') {
      if (name.kind === 'true' || name.kind === 'false' || name.kind === 'null')
        this.#syntaxError(`mismatched input '${name.text}' expecting IDENTIFIER`);
      else this.#syntaxError(`no viable alternative at input '.${name.kind === 'end' ? '' : name.text}'`);
      throw new GiveUp();
    }
    this.#consume();
    if (!optional && name.kind === 'identifier' && this.#is('(')) {
      const parenthesis = this.#consume();
      const args = this.#arguments();
      return this.#call(parenthesis.offset, name.text, args, operand);
    }
    if (name.kind === 'escapedIdentifier') this.#error(name.offset, "unsupported syntax: '`'");
    if (!optional) return { kind: 'select', offset: dot.offset, operand, field: name.text, testOnly: false };
    const field: Expr = { kind: 'literal', offset: name.offset, value: name.text };
    return this.#call(dot.offset, Operator.optionalSelect, [operand, field]);
  }

  #arguments(): readonly Expr[] {
    const args: Expr[] = [];
    if (this.#accept(')') !== undefined) return args;
    args.push(this.#expression(["')'"]));
    while (this.#accept(',') !== undefined) args.push(this.#expression([]));
    this.#expect(')');
    return args;
  }

  #primary(closers: readonly string[]): Expr {
    const token = this.#token;
    switch (token.kind) {
      case 'identifier':
        return this.#identifier(token.offset, '');
      case 'int':
      case 'uint':
      case 'float':
        return this.#number('');
      case 'string':
      case 'bytes':
        return this.#quoted();
      case 'true':
      case 'false':
        this.#consume();
        return { kind: 'literal', offset: token.offset, value: token.kind === 'true' };
      case 'null':
        this.#consume();
        return { kind: 'literal', offset: token.offset, value: null };
      case 'operator':
        break;
      default:
        return this.#unexpected(closers);
    }
    switch (token.text) {
      case '(': {
        this.#consume();
        const expr = this.#expression([]);
        this.#expect(')');
        return expr;
      }
      case '[':
        return this.#list();
      case '{':
        return this.#map();
      case '-':
        if (this.#isNumber(this.#peek(1))) {
          this.#consume();
          return this.#number('-', token.offset);
        }
        return this.#unexpected(closers);
      case '.':
        if (this.#peek(1).kind === 'identifier') {
          this.#consume();
          return this.#identifier(token.offset, '.');
        }
        return this.#unexpected(closers);
      default:
        return this.#unexpected(closers);
    }
  }

  #unexpected(closers: readonly string[]): Expr {
    const token = this.#token;
    const expected = expectedList(closers);
    if (token.kind !== 'end' && canStart(this.#peek(1))) {
      this.#syntaxError(`extraneous input '${token.text}' expecting ${expected}`);
      this.#consume();
      this.#recovering = true;
      return this.#primary(closers);
    }
    this.#syntaxError(`mismatched input '${token.text}' expecting ${expected}`);
    while (!canFollow(this.#token)) this.#position++;
    return { kind: 'error', offset: token.offset };
  }

  #number(sign: string, offset: number = this.#token.offset): Expr {
    const token = this.#consume();
    const value = numberLiteral(token, sign);
    if (value === undefined)
      return this.#error(offset, `invalid ${token.kind === 'float' ? 'double' : token.kind} literal`);
    return { kind: 'literal', offset, value };
  }

  #quoted(): Expr {
    const token = this.#consume();
    try {
      const value = token.kind === 'bytes' ? bytesLiteral(token.text) : stringLiteral(token.text);
      return { kind: 'literal', offset: token.offset, value };
    } catch (error) {
      if (error instanceof LiteralError) return this.#error(token.offset, error.message);
      throw error;
    }
  }

  /** A name, a call, or the construction of a message: `a`, `a(…)`, `a.b{…}`. */
  #identifier(offset: number, prefix: string): Expr {
    const messageEnd = this.#messageNameEnd();
    if (messageEnd > 0) {
      let typeName = prefix;
      for (let i = 0; i < messageEnd; i++) typeName += this.#consume().text;
      return this.#struct(typeName);
    }
    const token = this.#consume();
    if (this.#is('(')) {
      const parenthesis = this.#consume();
      if (RESERVED.has(token.text)) this.#error(offset, `reserved identifier: ${token.text}`);
      return this.#call(parenthesis.offset, prefix + token.text, this.#arguments());
    }
    if (RESERVED.has(token.text)) return this.#error(offset, `reserved identifier: ${token.text}`);
    return { kind: 'ident', offset: token.offset, name: prefix + token.text };
  }

  /** How many tokens of `a.b.C` stand before a `{`; 0 where none does. */
  #messageNameEnd(): number {
    let distance = 1;
    while (this.#is('.', this.#peek(distance)) && this.#peek(distance + 1).kind === 'identifier')
      distance += 2;
    return this.#is('{', this.#peek(distance)) ? distance : 0;
  }

  #list(): Expr {
    const { offset } = this.#consume();
    const elements: Expr[] = [];
    const optionals = new Set<number>();
    while (!this.#is(']')) {
      if (elements.length === 0 && this.#is(',')) {
        this.#consume();
        break;
      }
      if (this.#accept('?') !== undefined) optionals.add(elements.length);
      elements.push(this.#expression(elements.length === 0 ? ["']'", "','", "'?'"] : ["']'", "'?'"]));
      if (this.#accept(',') === undefined) break;
    }
    this.#expect(']');
    return { kind: 'list', offset, elements, optionals };
  }

  #map(): Expr {
    const { offset } = this.#consume();
    const entries: MapEntryExpr[] = [];
    while (!this.#is('}')) {
      if (entries.length === 0 && this.#accept(',') !== undefined) break;
      const optional = this.#accept('?') !== undefined;
      const key = this.#expression(entries.length === 0 ? ["'}'", "','", "'?'"] : ["'}'", "'?'"]);
      this.#expect(':');
      entries.push({ key, value: this.#expression([]), optional });
      if (this.#accept(',') === undefined) break;
    }
    this.#expect('}');
    return { kind: 'map', offset, entries };
  }

  #struct(typeName: string): Expr {
    const { offset } = this.#consume();
    const fields: StructFieldExpr[] = [];
    while (!this.#is('}')) {
      if (fields.length === 0 && this.#accept(',') !== undefined) break;
      const optional = this.#accept('?') !== undefined;
      const name = this.#token;
      if (name.kind !== 'identifier' && name.kind !== 'escapedIdentifier') {
        this.#syntaxError(
          `mismatched input '${name.text}' expecting {'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}`,
        );
        throw new GiveUp();
      }
      this.#consume();
      if (name.kind === 'escapedIdentifier') this.#error(name.offset, "unsupported syntax: '`'");
      const colon = this.#token.offset;
      this.#expect(':');
      fields.push({ offset: colon, name: name.text, value: this.#expression([]), optional });
      if (this.#accept(',') === undefined) break;
    }
    this.#expect('}');
    return { kind: 'struct', offset, typeName, fields };
  }

  #call(offset: number, name: string, args: readonly Expr[], target?: Expr): Expr {
    const expanded = expandMacro(offset, name, target, args, this.#issues);
    return expanded ?? { kind: 'call', offset, name, target, args };
  }
}

function canStart(token: Token): boolean {
  switch (token.kind) {
    case 'end':
    case 'in':
    case 'escapedIdentifier':
      return false;
    case 'operator':
      return ['[', '{', '(', '.', '-', '!'].includes(token.text);
    default:
      return true;
  }
}

/** Whether the token may stand behind a complete expression somewhere. */
function canFollow(token: Token): boolean {
  return (
    token.kind === 'end' ||
    token.kind === 'in' ||
    (token.kind === 'operator' && !['{', '(', '!'].includes(token.text))
  );
}

const INT64_MAX = 2n ** 63n - 1n;
const UINT64_MAX = 2n ** 64n - 1n;

function numberLiteral(token: Token, sign: string): CelValue | undefined {
  if (token.kind === 'float') {
    const value = Number(sign + token.text);
    return Number.isFinite(value) ? value : undefined;
  }
  if (token.text.length > 100) return undefined;
  const digits = token.kind === 'uint' ? token.text.slice(0, -1) : token.text;
  const magnitude = BigInt(digits);
  if (token.kind === 'uint') return magnitude > UINT64_MAX ? undefined : new CelUint(magnitude);
  const value = sign === '-' ? -magnitude : magnitude;
  return value > INT64_MAX || value < -INT64_MAX - 1n ? undefined : value;
}
