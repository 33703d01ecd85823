/**
 * `'%s is %d'.format([a, b])`: the clauses of cel-go's strings extension, version 2. `%f` and `%e` print as its en_US
 * does: `1,234.500000`, `1.500000×10⁰³`.
 */
import { goQuote } from '../../go-quote.ts';
import { convert, formatDouble } from '../value/conversion.ts';
import { spendCharacters } from '../value/meter.ts';
import { compareStrings } from '../value/ordering.ts';
import { formatCelDuration, formatTimestamp } from '../value/time.ts';
import { CelDuration, CelError, CelList, CelMap, CelTimestamp, CelUint, typeOf } from '../value/value.ts';
import type { CelResult, CelValue } from '../value/value.ts';
import { STRING } from '../language/type.ts';
import type { CelType } from '../language/type.ts';

export type FormatClause = 's' | 'd' | 'f' | 'e' | 'b' | 'x' | 'X' | 'o';

/** What a clause cannot print. */
export class FormatError extends Error {
  override readonly name = 'FormatError';
}

const DEFAULT_PRECISION = 6;
/** No double has more decimals. */
const MAX_PRECISION = 1100;

/**
 * Calls `print` for each clause in turn and puts its answer into the text. Throws FormatError; what `print` throws is
 * shown as an error "during formatting".
 */
export function formatText(
  format: string,
  argumentCount: number,
  print: (clause: FormatClause, precision: number, index: number) => string,
): string {
  const parts: string[] = [];
  let argument = 0;
  let position = 0;
  while (position < format.length) {
    const percent = format.indexOf('%', position);
    if (percent < 0) break;
    parts.push(format.slice(position, percent));
    position = percent + 1;
    if (format[position] === '%') {
      parts.push('%');
      position++;
      continue;
    }
    if (argument >= argumentCount) throw new FormatError(`index ${argument} out of range`);
    if (position >= format.length) throw new FormatError('unexpected end of string');
    const { clause, precision, end } = parseClause(format, position);
    let text: string;
    try {
      text = print(clause, precision, argument);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      throw new FormatError(`error during formatting: ${error.message}`, { cause: argument });
    }
    spendCharacters(text.length);
    parts.push(text);
    position = end;
    argument++;
  }
  parts.push(format.slice(position));
  return parts.join('');
}

function parseClause(
  format: string,
  start: number,
): { readonly clause: FormatClause; readonly precision: number; readonly end: number } {
  const fail = (message: string): FormatError =>
    new FormatError(`could not parse formatting clause: ${message}`);
  let position = start;
  let precision = DEFAULT_PRECISION;
  if (format[position] === '.') {
    const digits = /^[0-9]*/.exec(format.slice(position + 1, position + 32))?.[0] ?? '';
    position += 1 + digits.length;
    if (position >= format.length)
      throw fail('error while parsing precision: could not find end of precision specifier');
    if (digits === '' || digits.length > 18)
      throw fail(
        `error while parsing precision: error while converting precision to integer: strconv.Atoi: parsing ${goQuote(digits)}: invalid syntax`,
      );
    precision = Number(digits);
  }
  const clause = String.fromCodePoint(format.codePointAt(position) as number);
  if (!/^[sdfebxXo]$/.test(clause)) throw fail(`unrecognized formatting clause "${clause}"`);
  return { clause: clause as FormatClause, precision, end: position + 1 };
}

/** As an expression calls it. */
export function formatValues(format: string, args: CelList): CelResult {
  try {
    return formatText(format, args.size, (clause, precision, index) => {
      const value = args.get(index);
      if (value instanceof CelError) throw new FormatError(value.message);
      return formatClause(clause, precision, value);
    });
  } catch (error) {
    if (error instanceof FormatError) return new CelError(error.message);
    throw error;
  }
}

/** What kinds of values a clause prints, and what is said of others. */
export const CLAUSE_RULES: Readonly<
  Record<FormatClause, { readonly kinds: readonly CelType['kind'][]; readonly message: string }>
> = {
  s: {
    kinds: [
      'list',
      'map',
      'int',
      'uint',
      'double',
      'bool',
      'string',
      'timestamp',
      'bytes',
      'duration',
      'type',
      'null',
    ],
    message:
      'string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given',
  },
  d: { kinds: ['int', 'uint'], message: 'decimal clause can only be used on integers, was given' },
  f: { kinds: ['double', 'string'], message: 'fixed-point clause can only be used on doubles, was given' },
  e: { kinds: ['double', 'string'], message: 'scientific clause can only be used on doubles, was given' },
  b: {
    kinds: ['int', 'uint', 'bool'],
    message: 'only integers and bools can be formatted as binary, was given',
  },
  x: {
    kinds: ['int', 'uint', 'string', 'bytes'],
    message: 'only integers, byte buffers, and strings can be formatted as hex, was given',
  },
  X: {
    kinds: ['int', 'uint', 'string', 'bytes'],
    message: 'only integers, byte buffers, and strings can be formatted as hex, was given',
  },
  o: { kinds: ['int', 'uint'], message: 'octal clause can only be used on integers, was given' },
};

function formatClause(clause: FormatClause, precision: number, value: CelValue): string {
  const refused = (): FormatError => new FormatError(`${CLAUSE_RULES[clause].message} ${typeOf(value).name}`);
  if (!CLAUSE_RULES[clause].kinds.includes(typeOf(value).kind)) throw refused();
  const integer = value instanceof CelUint ? value.value : value;
  switch (clause) {
    case 's':
      return textOf(value);
    case 'd':
      return (integer as bigint).toString();
    case 'b':
      return typeof integer === 'boolean' ? String(Number(integer)) : (integer as bigint).toString(2);
    case 'o':
      return (integer as bigint).toString(8);
    case 'x':
    case 'X': {
      const hex =
        typeof integer === 'bigint'
          ? integer.toString(16)
          : Buffer.from(integer as string | Uint8Array).toString('hex');
      return clause === 'X' ? hex.toUpperCase() : hex;
    }
    default: {
      const number = typeof value === 'string' ? SPECIAL_NUMBERS.get(value) : (value as number);
      if (number === undefined) throw refused();
      return clause === 'f' ? fixedPoint(number, precision) : scientific(number, precision);
    }
  }
}

const SPECIAL_NUMBERS: ReadonlyMap<string, number> = new Map([
  ['NaN', NaN],
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
]);

function special(value: number): string | undefined {
  if (Number.isNaN(value)) return 'NaN';
  return Number.isFinite(value) ? undefined : value > 0 ? '∞' : '-∞';
}

function fixedPoint(value: number, precision: number): string {
  return (
    special(value) ??
    plainFixed(value, precision).replace(/^(-?)([0-9]+)/, (_all, sign: string, digits: string) => {
      return sign + digits.replace(/\B(?=([0-9]{3})+$)/g, ',');
    })
  );
}

/** Go's `%.nf`. */
function plainFixed(value: number, precision: number): string {
  const decimals = Math.min(precision, MAX_PRECISION);
  if (Math.abs(value) >= 1e21) return `${BigInt(value)}${decimals === 0 ? '' : `.${'0'.repeat(decimals)}`}`;
  const text = halfToEven(value, Math.min(decimals, 100));
  return decimals > 100 ? text + '0'.repeat(decimals - 100) : text;
}

/** JavaScript rounds what lies exactly between two numbers up, Go to the even one. */
function halfToEven(value: number, decimals: number): string {
  const exact = value.toFixed(100);
  const end = exact.indexOf('.') + 1 + decimals;
  const kept = exact.slice(0, end).replace(/\.$/, '');
  return /^50*$/.test(exact.slice(end)) && /[02468]$/.test(kept) ? kept : value.toFixed(decimals);
}

const SUPERSCRIPTS = '⁰¹²³⁴⁵⁶⁷⁸⁹';

function scientific(value: number, precision: number): string {
  const known = special(value);
  if (known !== undefined) return known;
  const [digits = '', exponent = '0'] = value.toExponential(Math.min(precision, 100)).split('e');
  const power = Math.abs(Number(exponent)).toString().padStart(2, '0');
  const raised = [...power].map((digit) => SUPERSCRIPTS[Number(digit)] as string).join('');
  return `${digits}×10${Number(exponent) < 0 ? '⁻' : ''}${raised}`;
}

function textOf(value: CelValue): string {
  if (value === null) return 'null';
  if (value instanceof CelList) return listText(value);
  if (value instanceof CelMap) return mapText(value);
  const text = convert(value, STRING);
  if (typeof text === 'string') return text;
  throw new FormatError(text instanceof CelError ? text.message : 'could not convert argument to string');
}

function listText(list: CelList): string {
  const parts: string[] = [];
  for (let i = 0; i < list.size; i++) parts.push(memberText(list.get(i)));
  return metered(`[${parts.join(', ')}]`);
}

function mapText(map: CelMap): string {
  const entries: (readonly [key: string, text: string])[] = [];
  for (const key of map.keys()) {
    if (!['string', 'bool', 'int', 'uint'].includes(typeOf(key).kind))
      throw new FormatError(`no formatting function for map key of type ${typeOf(key).name}`);
    const text = memberText(key);
    entries.push([text, `${text}:${memberText(map.find(key) as CelResult)}`]);
  }
  entries.sort((a, b) => compareStrings(a[0], b[0]));
  return metered(`{${entries.map(([, text]) => text).join(', ')}}`);
}

function metered(text: string): string {
  spendCharacters(text.length);
  return text;
}

/** Inside lists and maps values look like literals. */
function memberText(value: CelResult): string {
  if (value instanceof CelError) throw new FormatError(value.message);
  spendCharacters(32);
  if (typeof value === 'string') return goQuote(value);
  if (typeof value === 'number') {
    const text = Number.isFinite(value) ? plainFixed(value, DEFAULT_PRECISION) : formatDouble(value);
    return Number.isFinite(value) ? text : `"${text}"`;
  }
  if (value instanceof CelTimestamp) return `timestamp("${formatTimestamp(value)}")`;
  if (value instanceof CelDuration) return `duration("${formatCelDuration(value)}")`;
  if (value instanceof Uint8Array) return `b${goQuote(textOf(value))}`;
  if (!CLAUSE_RULES.s.kinds.includes(typeOf(value).kind))
    throw new FormatError(`no formatting function for ${typeOf(value).name}`);
  return textOf(value);
}
