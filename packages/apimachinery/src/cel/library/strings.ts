/** cel-go's strings extension, version 2. Positions count code points. */
import { declareFunction, memberOverload, overload } from '../language/function.ts';
import type { FunctionDeclaration } from '../language/function.ts';
import { DYN, INT, listType, STRING } from '../language/type.ts';
import { stringList } from '../value/list.ts';
import { spend, spendCharacters } from '../value/meter.ts';
import { valueText } from '../value/text.ts';
import { CelError } from '../value/value.ts';
import type { CelList, CelResult } from '../value/value.ts';
import { formatValues } from './string-format.ts';

const STRINGS = listType(STRING);

function outOfRange(position: bigint): CelError {
  return new CelError(`index out of range: ${position}`);
}

function charAt(text: string, position: bigint): CelResult {
  const characters = [...text];
  if (position < 0n || position > BigInt(characters.length)) return outOfRange(position);
  return characters[Number(position)] ?? '';
}

function indexOf(text: string, part: string, offset = 0n): CelResult {
  if (part === '') return offset;
  if (offset < 0n) return outOfRange(offset);
  const characters = [...text];
  if (offset >= BigInt(characters.length)) return -1n;
  const start = characters.slice(0, Number(offset)).join('').length;
  const found = text.indexOf(part, start);
  return found < 0 ? -1n : BigInt([...text.slice(0, found)].length);
}

function lastIndexOf(text: string, part: string): CelResult {
  const length = [...text].length;
  if (part === '') return BigInt(length);
  if (Buffer.byteLength(text) < Buffer.byteLength(part)) return -1n;
  return lastIndexOfOffset(text, part, BigInt(length - 1));
}

function lastIndexOfOffset(text: string, part: string, offset: bigint): CelResult {
  if (part === '') return offset;
  if (offset < 0n) return outOfRange(offset);
  const characters = [...text];
  if (offset >= BigInt(characters.length)) return -1n;
  const start = characters.slice(0, Number(offset)).join('').length;
  const found = text.lastIndexOf(part, start);
  return found < 0 ? -1n : BigInt([...text.slice(0, found)].length);
}

function asciiCase(pattern: RegExp, change: (letters: string) => string): (text: string) => string {
  return (text) => text.replace(pattern, change);
}

function replace(text: string, old: string, replacement: string, limit = -1n): CelResult {
  const all = limit < 0n || limit > BigInt(text.length + 1);
  const pieces = old === '' ? [...text] : text.split(old);
  const possible = old === '' ? pieces.length + 1 : pieces.length - 1;
  const count = all ? possible : Math.min(possible, Number(limit));
  spend(pieces.length);
  spendCharacters(text.length + count * replacement.length);
  if (old !== '') {
    const head = pieces.slice(0, count + 1).join(replacement);
    return count === possible ? head : [head, ...pieces.slice(count + 1)].join(old);
  }
  // Before each character and at the end, as often as allowed.
  let result = '';
  pieces.forEach((character, i) => {
    result += (i < count ? replacement : '') + character;
  });
  return count > pieces.length ? result + replacement : result;
}

function split(text: string, separator: string, limit = -1n): CelResult {
  if (limit === 0n) return stringList([]);
  const pieces = separator === '' ? [...text] : text.split(separator);
  spend(pieces.length);
  if (limit < 0n || limit >= BigInt(pieces.length)) return stringList(pieces);
  const kept = pieces.slice(0, Number(limit) - 1);
  return stringList([...kept, pieces.slice(kept.length).join(separator)]);
}

function substring(text: string, start: bigint, end?: bigint): CelResult {
  const characters = [...text];
  const length = BigInt(characters.length);
  if (end !== undefined && start > end)
    return new CelError(`invalid substring range. start: ${start}, end: ${end}`);
  if (start < 0n || start > length) return outOfRange(start);
  if (end !== undefined && (end < 0n || end > length)) return outOfRange(end);
  return characters.slice(Number(start), end === undefined ? undefined : Number(end)).join('');
}

/** Go's strings.TrimSpace: Unicode's white space, without the zero-width mark that JavaScript trims too. */
function trim(text: string): string {
  return text.replace(/^[\s\u0085]+|[\s\u0085]+$/gu, (space) =>
    space.includes('\ufeff') ? trimMarked(space) : '',
  );
}

function trimMarked(space: string): string {
  const first = space.indexOf('\ufeff');
  return space.slice(first, space.lastIndexOf('\ufeff') + 1);
}

function join(list: CelList, separator = ''): CelResult {
  spend(list.size);
  const parts: string[] = [];
  for (let i = 0; i < list.size; i++) {
    const element = list.get(i);
    if (typeof element !== 'string')
      return element instanceof CelError
        ? element
        : new CelError(`join: invalid input: ${valueText(element)}`);
    spendCharacters(element.length + separator.length);
    parts.push(element);
  }
  return parts.join(separator);
}

const QUOTED: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
  '"': '\\"',
};

function quote(text: string): string {
  return `"${text.replace(/[\x07\b\f\n\r\t\v\\"]/g, (character) => QUOTED[character] as string)}"`;
}

export const STRINGS_LIBRARY: readonly FunctionDeclaration[] = [
  declareFunction('charAt', memberOverload('string_char_at_int', [STRING, INT], STRING, charAt)),
  declareFunction(
    'indexOf',
    memberOverload('string_index_of_string', [STRING, STRING], INT, indexOf),
    memberOverload('string_index_of_string_int', [STRING, STRING, INT], INT, indexOf),
  ),
  declareFunction(
    'lastIndexOf',
    memberOverload('string_last_index_of_string', [STRING, STRING], INT, lastIndexOf),
    memberOverload('string_last_index_of_string_int', [STRING, STRING, INT], INT, lastIndexOfOffset),
  ),
  declareFunction(
    'lowerAscii',
    memberOverload(
      'string_lower_ascii',
      [STRING],
      STRING,
      asciiCase(/[A-Z]+/g, (letters) => letters.toLowerCase()),
    ),
  ),
  declareFunction(
    'upperAscii',
    memberOverload(
      'string_upper_ascii',
      [STRING],
      STRING,
      asciiCase(/[a-z]+/g, (letters) => letters.toUpperCase()),
    ),
  ),
  declareFunction(
    'replace',
    memberOverload('string_replace_string_string', [STRING, STRING, STRING], STRING, replace),
    memberOverload('string_replace_string_string_int', [STRING, STRING, STRING, INT], STRING, replace),
  ),
  declareFunction(
    'split',
    memberOverload('string_split_string', [STRING, STRING], STRINGS, split),
    memberOverload('string_split_string_int', [STRING, STRING, INT], STRINGS, split),
  ),
  declareFunction(
    'substring',
    memberOverload('string_substring_int', [STRING, INT], STRING, substring),
    memberOverload('string_substring_int_int', [STRING, INT, INT], STRING, substring),
  ),
  declareFunction('trim', memberOverload('string_trim', [STRING], STRING, trim)),
  declareFunction(
    'join',
    memberOverload('list_join', [STRINGS], STRING, join),
    memberOverload('list_join_string', [STRINGS, STRING], STRING, join),
  ),
  declareFunction('format', memberOverload('string_format', [STRING, listType(DYN)], STRING, formatValues)),
  declareFunction('strings.quote', overload('strings_quote', [STRING], STRING, quote)),
];
