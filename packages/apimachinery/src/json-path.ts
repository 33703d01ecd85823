/**
 * Kubernetes' dialect of JSONPath, as CRD printer columns and scale paths use it (k8s.io/client-go/util/jsonpath, without
 * its text templates): fields, quoted fields, indexes and slices, wildcards, descent, unions and simple filters. Keys that
 * are missing give nothing.
 *
 *     .spec.replicas   .metadata.labels['app\.kubernetes\.io/name']   .status.conditions[?(@.type=="Ready")].status
 */
import { getOwn, isJsonArray, isJsonObject } from './json.ts';
import type { JsonValue } from './json.ts';

export class JsonPathError extends Error {
  override readonly name = 'JsonPathError';
}

export interface JsonPath {
  /** All values that it leads to. */
  find(value: JsonValue): JsonValue[];
}

type Step =
  | { readonly kind: 'field'; readonly name: string }
  | { readonly kind: 'wildcard' }
  | { readonly kind: 'descent' }
  | { readonly kind: 'slice'; readonly from?: number; readonly to?: number; readonly by: number }
  | { readonly kind: 'index'; readonly at: number }
  | { readonly kind: 'union'; readonly steps: readonly Step[] }
  | { readonly kind: 'filter'; readonly left: Operand; readonly operator: Operator; readonly right: Operand };

type Operator = '==' | '!=' | '<' | '<=' | '>' | '>=' | 'exists';
type Operand = { readonly path: readonly Step[] } | { readonly literal: string | number | boolean };

const MAX_LENGTH = 4096;
/** A descent over a large object, twice, is more than any column needs. */
const MAX_RESULTS = 10_000;

/** Throws JsonPathError. */
export function parseJsonPath(text: string): JsonPath {
  if (text.length > MAX_LENGTH) throw new JsonPathError('the path is too long');
  const parser = new Parser(text);
  const steps = parser.steps();
  if (!parser.atEnd) throw new JsonPathError(`unexpected character ${JSON.stringify(parser.rest)}`);
  return { find: (value) => follow(steps, [value]) };
}

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
    if (this.#peek() === '$' || this.#peek() === '@') this.#at++;
  }

  get atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  get rest(): string {
    return this.#text.slice(this.#at);
  }

  steps(): Step[] {
    const steps: Step[] = [];
    for (;;) {
      if (this.#take('..')) {
        steps.push({ kind: 'descent' });
        if (this.#peek() !== '[' && !this.atEnd) steps.push(this.#name());
      } else if (this.#take('.')) {
        if (this.#peek() !== '[' && !this.atEnd) steps.push(this.#name());
      } else if (this.#take('[')) steps.push(this.#bracket());
      else if (steps.length === 0 && /[A-Za-z_]/.test(this.#peek())) steps.push(this.#name());
      else return steps;
    }
  }

  #peek(): string {
    return this.#text[this.#at] ?? '';
  }

  #take(token: string): boolean {
    if (!this.#text.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }

  #name(): Step {
    if (this.#take('*')) return { kind: 'wildcard' };
    let name = '';
    for (let char = this.#peek(); char !== ''; char = this.#peek()) {
      if (char === '\\') {
        this.#at++;
        name += this.#peek();
      } else if (/[\s.[\](){}=!<>,]/.test(char)) break;
      else name += char;
      this.#at++;
    }
    if (name === '') throw new JsonPathError(`unexpected character ${JSON.stringify(this.rest)}`);
    return { kind: 'field', name };
  }

  #bracket(): Step {
    if (this.#take('?(')) return this.#filter();
    const end = closingBracket(this.#text, this.#at);
    if (end < 0) throw new JsonPathError('unterminated array');
    const parts = splitOutsideQuotes(this.#text.slice(this.#at, end));
    this.#at = end + 1;
    const steps = parts.map((part) => bracketStep(part.trim()));
    return steps.length === 1 ? (steps[0] as Step) : { kind: 'union', steps };
  }

  #filter(): Step {
    const left = this.#operand();
    this.#skipSpaces();
    if (this.#take(')]')) return { kind: 'filter', left, operator: 'exists', right: left };
    const operator = (['==', '!=', '<=', '>=', '<', '>'] as const).find((each) => this.#take(each));
    if (operator === undefined) throw new JsonPathError('unrecognized filter operator');
    const right = this.#operand();
    this.#skipSpaces();
    if (!this.#take(')]')) throw new JsonPathError('unterminated filter');
    return { kind: 'filter', left, operator, right };
  }

  #operand(): Operand {
    this.#skipSpaces();
    const char = this.#peek();
    if (char === '@' || char === '$') {
      this.#at++;
      return { path: this.steps() };
    }
    if (char === '"' || char === "'") {
      const end = endOfQuote(this.#text, this.#at);
      if (end < 0) throw new JsonPathError('unterminated quoted string');
      const literal = unquote(this.#text.slice(this.#at, end + 1));
      this.#at = end + 1;
      return { literal };
    }
    const [word = ''] = /^[^\s)=!<>]+/.exec(this.rest) ?? [];
    this.#at += word.length;
    if (word === 'true' || word === 'false') return { literal: word === 'true' };
    if (/^-?\d+(\.\d+)?$/.test(word)) return { literal: Number(word) };
    throw new JsonPathError(`unrecognized identifier ${word}`);
  }

  #skipSpaces(): void {
    while (/\s/.test(this.#peek())) this.#at++;
  }
}

function bracketStep(part: string): Step {
  if (part === '*') return { kind: 'wildcard' };
  if (/^(['"]).*\1$/s.test(part)) return { kind: 'field', name: unquote(part) };
  if (/^-?\d+$/.test(part)) return { kind: 'index', at: Number(part) };
  const slice = /^(-?\d+)?:(-?\d+)?(?::(\d+))?$/.exec(part);
  if (slice === null) throw new JsonPathError(`invalid array index ${part}`);
  const [, from, to, by] = slice;
  return {
    kind: 'slice',
    by: by === undefined ? 1 : Math.max(1, Number(by)),
    ...(from === undefined ? {} : { from: Number(from) }),
    ...(to === undefined ? {} : { to: Number(to) }),
  };
}

function endOfQuote(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === text[start]) return at;
  }
  return -1;
}

function closingBracket(text: string, start: number): number {
  for (let at = start; at < text.length; at++) {
    const char = text[at];
    if (char === ']') return at;
    if (char !== '"' && char !== "'") continue;
    at = endOfQuote(text, at);
    if (at < 0) return -1;
  }
  return -1;
}

function splitOutsideQuotes(text: string): string[] {
  const parts: string[] = [];
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '"' || char === "'") at = endOfQuote(text, at);
    else if (char === ',') {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  return [...parts, text.slice(start)];
}

function unquote(quoted: string): string {
  return quoted.slice(1, -1).replace(/\\(.)/gs, '$1');
}

function follow(steps: readonly Step[], values: JsonValue[]): JsonValue[] {
  let current = values;
  for (const step of steps) {
    const next: JsonValue[] = [];
    for (const value of current) {
      for (const found of take(step, value)) next.push(found);
      if (next.length > MAX_RESULTS) return [];
    }
    current = next;
  }
  return current;
}

function take(step: Step, value: JsonValue): readonly JsonValue[] {
  switch (step.kind) {
    case 'field': {
      const found = isJsonObject(value) ? getOwn(value, step.name) : undefined;
      return found === undefined ? [] : [found];
    }
    case 'wildcard':
      return childrenOf(value);
    case 'descent':
      return descendants(value);
    case 'index': {
      if (!isJsonArray(value)) return [];
      const found = value[step.at < 0 ? value.length + step.at : step.at];
      return found === undefined ? [] : [found];
    }
    case 'slice':
      return isJsonArray(value)
        ? value.slice(step.from ?? 0, step.to ?? value.length).filter((_, index) => index % step.by === 0)
        : [];
    case 'union':
      return step.steps.flatMap((each) => take(each, value));
    case 'filter':
      return isJsonArray(value) ? value.filter((element) => passes(step, element)) : [];
  }
}

function childrenOf(value: JsonValue): readonly JsonValue[] {
  if (isJsonArray(value)) return value;
  return isJsonObject(value) ? Object.values(value).filter((child) => child !== undefined) : [];
}

function descendants(value: JsonValue): JsonValue[] {
  const found: JsonValue[] = [];
  const pending: JsonValue[] = [value];
  for (let next = pending.pop(); next !== undefined && found.length <= MAX_RESULTS; next = pending.pop()) {
    found.push(next);
    pending.push(...[...childrenOf(next)].reverse());
  }
  return found;
}

function passes({ left, operator, right }: Step & { readonly kind: 'filter' }, element: JsonValue): boolean {
  const value = (operand: Operand): JsonValue | undefined =>
    'literal' in operand ? operand.literal : follow(operand.path, [element])[0];
  const [a, b] = [value(left), value(right)];
  if (operator === 'exists') return a !== undefined;
  if (a === undefined || b === undefined || a === null || b === null) return false;
  if (operator === '==') return a === b;
  if (operator === '!=') return a !== b;
  if (typeof a !== typeof b || typeof a === 'object' || typeof a === 'boolean') return false;
  switch (operator) {
    case '<':
      return a < b;
    case '<=':
      return a <= b;
    case '>':
      return a > b;
    case '>=':
      return a >= b;
  }
}
