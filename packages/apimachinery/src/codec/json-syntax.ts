/**
 * The slow look at JSON text, for the two cases in which JSON.parse does not say enough: the text is malformed (the error
 * is to read as Go's encoding/json words it), or members are repeated (each is to be named by its path).
 */
import { MAX_JSON_DEPTH } from '../json.ts';

/** The text is no JSON. The message is Go's. */
export class JsonSyntaxError extends Error {
  override readonly name = 'JsonSyntaxError';
}

const MAX_REPORTED = 100;

interface Parser {
  readonly text: string;
  position: number;
  depth: number;
  /** Path of the value being read: `spec`, `.containers`, `[0]` … */
  readonly path: string[];
  readonly duplicates: Set<string>;
}

/** The paths of repeated members, `spec.replicas`, at most 100. Throws JsonSyntaxError. */
export function findDuplicateMembers(text: string): readonly string[] {
  const parser: Parser = { text, position: 0, depth: 0, path: [], duplicates: new Set() };
  skipSpace(parser);
  readValue(parser);
  skipSpace(parser);
  if (parser.position < text.length) throw unexpected(parser, 'after top-level value');
  return [...parser.duplicates];
}

function skipSpace(parser: Parser): void {
  while (/[ \t\r\n]/.test(parser.text[parser.position] ?? '')) parser.position++;
}

function unexpected(parser: Parser, where: string): JsonSyntaxError {
  const { text, position } = parser;
  if (position >= text.length) return new JsonSyntaxError('unexpected end of JSON input');
  const char = String.fromCodePoint(text.codePointAt(position) as number);
  // Go looks at bytes, so it never sees more than the first one of a character.
  const [byte = 0] = Buffer.from(char);
  const shown = byte < 0x80 ? char : String.fromCharCode(byte);
  return new JsonSyntaxError(`invalid character ${quoteCharacter(shown)} ${where}`);
}

function quoteCharacter(char: string): string {
  if (char === "'") return `'\\''`;
  if (char === '"') return `'"'`;
  const escapes: Readonly<Record<string, string>> = {
    '\n': '\\n',
    '\r': '\\r',
    '\t': '\\t',
    '\b': '\\b',
    '\f': '\\f',
    '\v': '\\v',
    '\x07': '\\a',
    '\\': '\\\\',
  };
  const code = char.charCodeAt(0);
  const escape =
    escapes[char] ?? (code < 0x20 || code === 0x7f ? `\\x${code.toString(16).padStart(2, '0')}` : char);
  return `'${escape}'`;
}

function readValue(parser: Parser): void {
  const char = parser.text[parser.position];
  switch (char) {
    case '{':
      return nested(parser, readObject);
    case '[':
      return nested(parser, readArray);
    case '"':
      return void readString(parser);
    case 't':
      return readWord(parser, 'true');
    case 'f':
      return readWord(parser, 'false');
    case 'n':
      return readWord(parser, 'null');
    default:
      if (char === '-' || (char !== undefined && /[0-9]/.test(char))) return readNumber(parser);
      throw unexpected(parser, 'looking for beginning of value');
  }
}

function nested(parser: Parser, read: (parser: Parser) => void): void {
  if (++parser.depth > MAX_JSON_DEPTH) throw new JsonSyntaxError('exceeded max depth');
  parser.position++;
  read(parser);
  parser.depth--;
}

function readObject(parser: Parser): void {
  const { text, path } = parser;
  const seen = new Set<string>();
  skipSpace(parser);
  if (text[parser.position] === '}') return void parser.position++;
  for (;;) {
    skipSpace(parser);
    if (text[parser.position] !== '"') throw unexpected(parser, 'looking for beginning of object key string');
    const key = readString(parser);
    path.push(path.length === 0 ? key : `.${key}`);
    if (seen.has(key) && parser.duplicates.size < MAX_REPORTED) parser.duplicates.add(path.join(''));
    seen.add(key);
    skipSpace(parser);
    if (text[parser.position] !== ':') throw unexpected(parser, 'after object key');
    parser.position++;
    skipSpace(parser);
    readValue(parser);
    path.pop();
    skipSpace(parser);
    const next = text[parser.position];
    if (next === '}') return void parser.position++;
    if (next !== ',') throw unexpected(parser, 'after object key:value pair');
    parser.position++;
  }
}

function readArray(parser: Parser): void {
  const { text, path } = parser;
  skipSpace(parser);
  if (text[parser.position] === ']') return void parser.position++;
  for (let index = 0; ; index++) {
    skipSpace(parser);
    path.push(`[${index}]`);
    readValue(parser);
    path.pop();
    skipSpace(parser);
    const next = text[parser.position];
    if (next === ']') return void parser.position++;
    if (next !== ',') throw unexpected(parser, 'after array element');
    parser.position++;
  }
}

function readString(parser: Parser): string {
  const { text } = parser;
  const start = parser.position++;
  for (;;) {
    const char = text[parser.position];
    if (char === undefined) throw unexpected(parser, '');
    if (char === '"') {
      parser.position++;
      return JSON.parse(text.slice(start, parser.position)) as string;
    }
    if (char < ' ') throw unexpected(parser, 'in string literal');
    parser.position++;
    if (char === '\\') readEscape(parser);
  }
}

function readEscape(parser: Parser): void {
  const { text } = parser;
  const char = text[parser.position] ?? '';
  if (char !== 'u') {
    if (char === '' || !'"\\/bfnrt'.includes(char)) throw unexpected(parser, 'in string escape code');
    parser.position++;
    return;
  }
  parser.position++;
  for (let i = 0; i < 4; i++) {
    if (!/[0-9a-fA-F]/.test(text[parser.position] ?? ''))
      throw unexpected(parser, 'in \\u hexadecimal character escape');
    parser.position++;
  }
}

function readWord(parser: Parser, word: string): void {
  for (let i = 0; i < word.length; i++) {
    if (parser.text[parser.position] !== word[i])
      throw unexpected(parser, `in literal ${word} (expecting ${quoteCharacter(word[i] as string)})`);
    parser.position++;
  }
}

function readNumber(parser: Parser): void {
  const { text } = parser;
  const digits = (where: string): void => {
    if (!/[0-9]/.test(text[parser.position] ?? '')) throw unexpected(parser, where);
    while (/[0-9]/.test(text[parser.position] ?? '')) parser.position++;
  };
  if (text[parser.position] === '-') parser.position++;
  if (text[parser.position] === '0') parser.position++;
  else digits('in numeric literal');
  if (text[parser.position] === '.') {
    parser.position++;
    digits('after decimal point in numeric literal');
  }
  if (/[eE]/.test(text[parser.position] ?? '')) {
    parser.position++;
    if (/[+-]/.test(text[parser.position] ?? '')) parser.position++;
    digits('in exponent of numeric literal');
  }
}
