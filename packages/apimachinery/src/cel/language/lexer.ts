/**
 * CEL's tokens (cel-spec, langdef.md, "Syntax"). Offsets count code points, as the errors do.
 */
import type { IssueList } from './source.ts';

type TokenKind =
  | 'identifier'
  | 'escapedIdentifier'
  | 'int'
  | 'uint'
  | 'float'
  | 'string'
  | 'bytes'
  | 'true'
  | 'false'
  | 'null'
  | 'in'
  | 'operator'
  | 'end';

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  readonly offset: number;
}

const OPERATORS = ['==', '!=', '<=', '>=', '&&', '||', ...'<>[]{}().,-!?:+*/%'];
const NUMBER =
  /(?:0x[0-9a-fA-F]+[uU]?|(?:[0-9]+\.[0-9]+|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|[0-9]+[uU]?)/y;
const IDENTIFIER = /[A-Za-z_][A-Za-z0-9_]*/y;
const ESCAPED_IDENTIFIER = /`[A-Za-z0-9_.\-/ ]+`/y;
const WHITESPACE = /(?:[\t \r\n\f]+|\/\/[^\n]*)+/y;
const STRING_START = /[bB]?[rR]?(?:"""|'''|"|')/y;
const ESCAPE = /\\(?:[abfnrtv"'\\?`]|[0-3][0-7][0-7]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})/y;

/** All tokens, the last of kind `end`. What is no token is reported and left out. */
export function tokenize(source: string, issues: IssueList): readonly Token[] {
  const tokens: Token[] = [];
  let index = 0;
  let offset = 0;
  const advance = (to: number): void => {
    offset += codePointsBetween(source, index, to);
    index = to;
  };
  while (index < source.length) {
    const blank = matchAt(WHITESPACE, source, index);
    if (blank !== undefined) {
      advance(index + blank.length);
      continue;
    }
    const literal = readString(source, index);
    if (literal?.closed === true) {
      tokens.push({
        kind: literal.bytes ? 'bytes' : 'string',
        text: source.slice(index, literal.end),
        offset,
      });
      advance(literal.end);
      continue;
    }
    const token = literal === undefined ? readWord(source, index) : undefined;
    if (token !== undefined) {
      tokens.push({ ...token, offset });
      advance(index + token.text.length);
      continue;
    }
    const end = literal === undefined ? unknownEnd(source, index) : literal.end;
    issues.add(offset, `Syntax error: token recognition error at: '${visible(source.slice(index, end))}'`);
    advance(end);
  }
  tokens.push({ kind: 'end', text: '<EOF>', offset });
  return tokens;
}

function readWord(source: string, index: number): Omit<Token, 'offset'> | undefined {
  const number = matchAt(NUMBER, source, index);
  if (number !== undefined) {
    if (/[uU]$/.test(number)) return { kind: 'uint', text: number };
    return { kind: !number.startsWith('0x') && /[.eE]/.test(number) ? 'float' : 'int', text: number };
  }
  const identifier = matchAt(IDENTIFIER, source, index);
  if (identifier !== undefined) {
    const keyword =
      identifier === 'true' || identifier === 'false' || identifier === 'null' || identifier === 'in';
    return { kind: keyword ? identifier : 'identifier', text: identifier };
  }
  const escaped = matchAt(ESCAPED_IDENTIFIER, source, index);
  if (escaped !== undefined) return { kind: 'escapedIdentifier', text: escaped };
  const operator = OPERATORS.find((candidate) => source.startsWith(candidate, index));
  return operator === undefined ? undefined : { kind: 'operator', text: operator };
}

interface StringExtent {
  /** Where the literal ends, or (not closed) where it stops being one. */
  readonly end: number;
  readonly closed: boolean;
  readonly bytes: boolean;
}

function readString(source: string, start: number): StringExtent | undefined {
  const opening = matchAt(STRING_START, source, start);
  if (opening === undefined) return undefined;
  const raw = /[rR]/.test(opening);
  const bytes = /^[bB]/.test(opening);
  const quote = /["']+$/.exec(opening)?.[0] as string;
  const multiline = quote.length === 3;
  let index = start + opening.length;
  while (index < source.length) {
    if (source.startsWith(quote, index)) return { end: index + quote.length, closed: true, bytes };
    const character = source[index] as string;
    if (!multiline && (character === '\n' || character === '\r')) break;
    if (character === '\\' && !raw) {
      const escape = matchAt(ESCAPE, source, index);
      if (escape === undefined) return { end: badEscapeEnd(source, index), closed: false, bytes };
      index += escape.length;
      continue;
    }
    index += character.length;
  }
  // `""` that opens no multi-line literal is an empty string.
  if (multiline) return { end: start + opening.length - 1, closed: true, bytes };
  return { end: index, closed: false, bytes };
}

/** The error names everything up to and with the character that made the escape wrong. */
function badEscapeEnd(source: string, index: number): number {
  const digits = /\\(?:[xX][0-9a-fA-F]?|u[0-9a-fA-F]{0,3}|U[0-9a-fA-F]{0,7}|[0-3][0-7]?)?/y;
  const end = index + (matchAt(digits, source, index)?.length ?? 1);
  return Math.min(end + 1, source.length);
}

/** A lone `|`, `&` or `=` is reported together with the character behind it. */
function unknownEnd(source: string, index: number): number {
  const first = characterAt(source, index);
  const next = index + first.length;
  return '|&='.includes(first) && next < source.length ? next + characterAt(source, next).length : next;
}

function characterAt(source: string, index: number): string {
  return String.fromCodePoint(source.codePointAt(index) as number);
}

function visible(text: string): string {
  return text.replaceAll('\n', '\\n').replaceAll('\t', '\\t').replaceAll('\r', '\\r');
}

function matchAt(pattern: RegExp, source: string, index: number): string | undefined {
  pattern.lastIndex = index;
  return pattern.exec(source)?.[0];
}

function codePointsBetween(source: string, from: number, to: number): number {
  let count = 0;
  for (let i = from; i < to; i++) {
    const unit = source.charCodeAt(i);
    if (unit < 0xdc00 || unit > 0xdfff) count++;
  }
  return count;
}
