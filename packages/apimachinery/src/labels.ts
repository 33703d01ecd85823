/**
 * Label selectors: the query string's language (`app=web,tier in (a,b),!canary`), the object's form (`matchLabels`,
 * `matchExpressions`), and matching. Grammar and error texts are those of k8s.io/apimachinery/pkg/labels.
 */
import { goQuote } from './go-quote.ts';
import { parseInt64 } from './int64.ts';
import type { FieldError } from './status-error.ts';
import {
  aggregateText,
  child,
  fieldErrorText,
  index,
  invalidValue,
  key as keyed,
  notSupported,
} from './validation/field-errors.ts';
import { isQualifiedName, isValidLabelValue } from './validation/names.ts';
import type { LabelSelectorFields } from './validation/label-selector.ts';

export type Labels = Readonly<Record<string, string>>;

export type LabelOperator = '=' | '==' | '!=' | 'in' | 'notin' | 'exists' | '!' | 'gt' | 'lt';

export interface LabelRequirement {
  readonly key: string;
  readonly operator: LabelOperator;
  /** Sorted, without repetitions. */
  readonly values: readonly string[];
}

/** All requirements must hold. `nothing` matches no object, whatever its labels: the selector of an absent field. */
export interface LabelSelector {
  readonly requirements: readonly LabelRequirement[];
  readonly nothing: boolean;
}

export const EVERYTHING: LabelSelector = Object.freeze({ requirements: Object.freeze([]), nothing: false });
export const NOTHING: LabelSelector = Object.freeze({ requirements: Object.freeze([]), nothing: true });

/** A selector that cannot be understood; the API answers 400 with this text. */
export class SelectorError extends Error {
  override readonly name = 'SelectorError';
}

export function selectsEverything(selector: LabelSelector): boolean {
  return !selector.nothing && selector.requirements.length === 0;
}

export function matchesLabels(selector: LabelSelector, labels: Labels | undefined): boolean {
  if (selector.nothing) return false;
  for (const requirement of selector.requirements) {
    if (!matchesRequirement(requirement, labels)) return false;
  }
  return true;
}

function matchesRequirement(
  { key, operator, values }: LabelRequirement,
  labels: Labels | undefined,
): boolean {
  // Objects come from JSON and inherit `constructor` and the like, hence the look at the type.
  const found = labels === undefined ? undefined : labels[key];
  const value = typeof found === 'string' ? found : undefined;
  switch (operator) {
    case '=':
    case '==':
    case 'in':
      return value !== undefined && values.includes(value);
    case '!=':
    case 'notin':
      return value === undefined || !values.includes(value);
    case 'exists':
      return value !== undefined;
    case '!':
      return value === undefined;
    case 'gt':
    case 'lt': {
      const left = value === undefined ? undefined : parseInt64(value);
      const right = parseInt64(values[0] ?? '');
      if (left === undefined || right === undefined) return false;
      return operator === 'gt' ? left > right : left < right;
    }
  }
}

/** The value a selector asks for, where it asks for exactly one value of this label. */
export function requiresExactMatch(selector: LabelSelector, label: string): string | undefined {
  const requirement = selector.requirements.find(({ key }) => key === label);
  if (requirement === undefined || requirement.values.length !== 1) return undefined;
  const { operator } = requirement;
  return operator === '=' || operator === '==' || operator === 'in' ? requirement.values[0] : undefined;
}

/** Selects objects that have all these labels. No label is checked. */
export function selectorFromLabels(labels: Labels): LabelSelector {
  const requirements = Object.entries(labels).map(([key, value]): LabelRequirement => ({
    key,
    operator: '=',
    values: [value],
  }));
  return { requirements: sortByKey(requirements), nothing: false };
}

const OPERATORS: Readonly<Record<string, LabelOperator>> = {
  __proto__: null as never,
  In: 'in',
  NotIn: 'notin',
  Exists: 'exists',
  DoesNotExist: '!',
};

/** meta/v1's LabelSelector. Absent selects nothing, empty selects everything. Throws SelectorError. */
export function labelSelectorFromObject(selector: LabelSelectorFields | null | undefined): LabelSelector {
  if (selector === undefined || selector === null) return NOTHING;
  const requirements: LabelRequirement[] = [];
  for (const [key, value] of Object.entries(selector.matchLabels ?? {}))
    requirements.push(createRequirement(key, '=', [value]));
  for (const expression of selector.matchExpressions ?? []) {
    const operator = OPERATORS[expression.operator];
    if (operator === undefined)
      throw new SelectorError(`${goQuote(expression.operator)} is not a valid label selector operator`);
    requirements.push(createRequirement(expression.key, operator, expression.values ?? []));
  }
  return requirements.length === 0 ? EVERYTHING : { requirements: sortByKey(requirements), nothing: false };
}

const BINARY_OPERATORS: readonly LabelOperator[] = ['in', 'notin', '=', '==', '!=', 'gt', 'lt'];
const VALID_OPERATORS: readonly LabelOperator[] = [...BINARY_OPERATORS, 'exists', '!'];

/** Throws SelectorError with everything that is wrong. */
function createRequirement(
  key: string,
  operator: LabelOperator,
  values: readonly string[],
): LabelRequirement {
  const errors: FieldError[] = [];
  const keyMessages = isQualifiedName(key);
  if (keyMessages.length > 0) errors.push(invalidValue('key', key, keyMessages.join('; ')));
  switch (operator) {
    case 'in':
    case 'notin':
      if (values.length === 0)
        errors.push(invalidValue('values', values, "for 'in', 'notin' operators, values set can't be empty"));
      break;
    case '=':
    case '==':
    case '!=':
      if (values.length !== 1)
        errors.push(invalidValue('values', values, 'exact-match compatibility requires one single value'));
      break;
    case 'exists':
    case '!':
      if (values.length !== 0)
        errors.push(invalidValue('values', values, 'values set must be empty for exists and does not exist'));
      break;
    case 'gt':
    case 'lt':
      if (values.length !== 1)
        errors.push(
          invalidValue('values', values, "for 'Gt', 'Lt' operators, exactly one value is required"),
        );
      for (const [position, value] of values.entries()) {
        if (parseInt64(value) === undefined)
          errors.push(
            invalidValue(
              index('values', position),
              value,
              "for 'Gt', 'Lt' operators, the value must be an integer",
            ),
          );
      }
      break;
    default:
      errors.push(notSupported(child('', 'operator'), operator, VALID_OPERATORS));
  }
  for (const [position, value] of values.entries()) {
    const messages = isValidLabelValue(value);
    if (messages.length > 0)
      errors.push(invalidValue(keyed(index('values', position), key), value, messages.join('; ')));
  }
  if (errors.length > 0) throw new SelectorError(aggregateText(errors.map(fieldErrorText)));
  return { key, operator, values };
}

function sortByKey(requirements: readonly LabelRequirement[]): readonly LabelRequirement[] {
  return [...requirements].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
}

/** `app=web,tier in (a,b),!canary`, as kubectl prints selectors. The nothing selector is empty too. */
export function formatLabelSelector(selector: LabelSelector): string {
  return selector.requirements.map(formatRequirement).join(',');
}

function formatRequirement({ key, operator, values }: LabelRequirement): string {
  const list = [...values].sort().join(',');
  switch (operator) {
    case 'exists':
      return key;
    case '!':
      return `!${key}`;
    case 'in':
    case 'notin':
      return `${key} ${operator} (${list})`;
    case 'gt':
      return `${key}>${list}`;
    case 'lt':
      return `${key}<${list}`;
    default:
      return `${key}${operator}${list}`;
  }
}

/** Parses a query's selector. The empty text selects everything. Throws SelectorError. */
export function parseLabelSelector(text: string): LabelSelector {
  if (text === '') return EVERYTHING;
  const parser: Parser = { tokens: tokenize(text), position: 0 };
  const requirements: LabelRequirement[] = [];
  for (;;) {
    const { kind, text: found } = peek(parser);
    if (kind === 'end') break;
    if (kind !== 'identifier' && kind !== '!' && kind !== 'in' && kind !== 'notin')
      throw new SelectorError(`found '${found}', expected: !, identifier, or 'end of string'`);
    requirements.push(parseRequirement(parser));
    const separator = next(parser);
    if (separator.kind === 'end') break;
    if (separator.kind !== ',')
      throw new SelectorError(`found '${separator.text}', expected: ',' or 'end of string'`);
    const following = peek(parser);
    if (!isIdentifier(following) && following.kind !== '!')
      throw new SelectorError(`found '${following.text}', expected: identifier after ','`);
  }
  return { requirements: sortByKey(requirements), nothing: false };
}

function parseRequirement(parser: Parser): LabelRequirement {
  try {
    return parseTerm(parser);
  } catch (error) {
    if (!(error instanceof SelectorError)) throw error;
    throw new SelectorError(`unable to parse requirement: ${error.message}`);
  }
}

function parseTerm(parser: Parser): LabelRequirement {
  let token = next(parser);
  const absent = token.kind === '!';
  if (absent) token = next(parser);
  if (!isIdentifier(token)) throw new SelectorError(`found '${token.text}', expected: identifier`);
  const key = token.text;
  const messages = isQualifiedName(key);
  // Go prints the nil path of this one as "<nil>".
  if (messages.length > 0)
    throw new SelectorError(fieldErrorText(invalidValue('<nil>', key, messages.join('; '))));
  const { kind } = peek(parser);
  if (absent) return createRequirement(key, '!', []);
  if (kind === 'end' || kind === ',') return createRequirement(key, 'exists', []);
  const operator = parseOperator(next(parser));
  const values = operator === 'in' || operator === 'notin' ? parseValues(parser) : parseExactValue(parser);
  return createRequirement(key, operator, [...values].sort());
}

function parseOperator({ kind, text }: Token): LabelOperator {
  switch (kind) {
    case 'in':
    case 'notin':
    case '=':
    case '==':
    case '!=':
      return kind;
    case '>':
      return 'gt';
    case '<':
      return 'lt';
    default:
      throw new SelectorError(`found '${text}', expected: ${BINARY_OPERATORS.join(', ')}`);
  }
}

/** `(a,b)`; `()` and missing elements stand for the empty value. */
function parseValues(parser: Parser): ReadonlySet<string> {
  const open = next(parser);
  if (open.kind !== '(') throw new SelectorError(`found '${open.text}' expected: '('`);
  const first = peek(parser);
  if (first.kind === ')') {
    next(parser);
    return new Set(['']);
  }
  if (!isIdentifier(first) && first.kind !== ',')
    throw new SelectorError(`found '${first.text}', expected: ',', ')' or identifier`);
  const values = new Set<string>();
  for (;;) {
    const token = next(parser);
    const following = peek(parser).kind;
    if (isIdentifier(token)) {
      values.add(token.text);
      if (following === ',') continue;
      if (following === ')') break;
      throw new SelectorError(`found '${peek(parser).text}', expected: ',' or ')'`);
    }
    if (token.kind !== ',') throw new SelectorError(`found '${token.text}', expected: ',', or identifier`);
    if (values.size === 0 || following === ',' || following === ')') values.add('');
    if (following === ')') break;
  }
  next(parser); // the closing parenthesis
  return values;
}

function parseExactValue(parser: Parser): readonly string[] {
  const { kind } = peek(parser);
  if (kind === 'end' || kind === ',') return [''];
  const token = next(parser);
  if (isIdentifier(token)) return [token.text];
  throw new SelectorError(`found '${token.text}', expected: identifier`);
}

type TokenKind =
  'end' | 'error' | 'identifier' | ')' | ',' | '!' | '==' | '=' | '>' | 'in' | '<' | '!=' | 'notin' | '(';

interface Token {
  readonly kind: TokenKind;
  readonly text: string;
}

interface Parser {
  readonly tokens: readonly Token[];
  position: number;
}

const END: Token = { kind: 'end', text: '' };

function peek(parser: Parser): Token {
  return parser.tokens[parser.position] ?? END;
}

function next(parser: Parser): Token {
  return parser.tokens[parser.position++] ?? END;
}

/** `in` and `notin` are operators only where one is expected. */
function isIdentifier({ kind }: Token): boolean {
  return kind === 'identifier' || kind === 'in' || kind === 'notin';
}

const SPECIAL = '=!(),><';
const SPACE = ' \t\r\n';
const SYMBOLS: ReadonlySet<string> = new Set([')', ',', '!', '==', '=', '>', '<', '!=', '(']);

function tokenize(text: string): readonly Token[] {
  const tokens: Token[] = [];
  let position = 0;
  while (position < text.length) {
    const char = text[position] as string;
    if (SPACE.includes(char)) {
      position++;
    } else if (char === '\0') {
      break; // upstream's lexer takes a zero byte for the end
    } else if (SPECIAL.includes(char)) {
      const pair = text.slice(position, position + 2);
      const symbol = SYMBOLS.has(pair) ? pair : char;
      tokens.push({ kind: symbol as TokenKind, text: symbol });
      position += symbol.length;
    } else {
      const start = position;
      while (position < text.length && !isDelimiter(text[position] as string)) position++;
      const word = text.slice(start, position);
      tokens.push({ kind: word === 'in' || word === 'notin' ? word : 'identifier', text: word });
    }
  }
  return tokens;
}

function isDelimiter(char: string): boolean {
  return char === '\0' || SPECIAL.includes(char) || SPACE.includes(char);
}
