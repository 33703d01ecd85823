/** The paths that selectable fields and CEL rules name, against a schema (pkg/apiserver/schema/cel, ValidFieldPath). */
import { child, key } from '@k8ts/apimachinery';
import { additionalSchema, hasProperties, type SchemaProps } from './schema-walk.ts';

export interface FieldPath {
  /** `spec.a[b]` */
  readonly path: string;
  /** The first name; empty for the path of nothing. */
  readonly root: string;
  readonly schema: SchemaProps;
}

const NO_FIELD = 'does not refer to a valid field';
const UNEXPECTED_END = 'unexpected end of JSON path';

/** The path in normal form, or what is wrong with it. */
export function resolveFieldPath(
  text: string,
  schema: SchemaProps,
  { allowArrayNotation = true }: { readonly allowArrayNotation?: boolean } = {},
): FieldPath | string {
  const tokens = tokensOf(text);
  let found: FieldPath = { path: '', root: '', schema };
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i] as string;
    if (token !== '[' && token !== '.') return `expected [ or . but got: ${token}`;
    if (token === '[' && !allowArrayNotation) return 'array notation is not allowed';
    const next = tokens[++i];
    if (next === undefined) return UNEXPECTED_END;
    const name = token === '.' ? { text: next } : unquote(next);
    if (typeof name === 'string') return name;
    const step = enter(found, name.text);
    if (step === undefined) return NO_FIELD;
    found = step;
    if (token === '.') continue;
    const close = tokens[++i];
    if (close === undefined) return UNEXPECTED_END;
    if (close !== ']') return `expected ] but got ${close}`;
  }
  return found;
}

/** Delimiters, quoted strings, and what is between them. */
function tokensOf(text: string): string[] {
  const tokens: string[] = [];
  for (let at = 0; at < text.length;) {
    const end = endOfToken(text, at);
    tokens.push(text.slice(at, end));
    at = end;
  }
  return tokens;
}

function endOfToken(text: string, start: number): number {
  if (text[start] === "'") {
    for (let at = start + 1; at < text.length; at++)
      if (text[at] === "'" && text[at - 1] !== '\\') return at + 1;
    return text.length;
  }
  let at = start;
  while (at < text.length && !'.[]'.includes(text[at] as string)) at++;
  return at === start ? start + 1 : at;
}

function enter({ path, root, schema }: FieldPath, name: string): FieldPath | undefined {
  if (hasProperties(schema)) {
    const below = Object.hasOwn(schema.properties ?? {}, name) ? schema.properties?.[name] : undefined;
    return below && { path: child(path, name), root: root || name, schema: below };
  }
  const below = additionalSchema(schema);
  return below && { path: key(path, name), root: root || `[${name}]`, schema: below };
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  "'": "'",
  '\\': '\\',
};

function unquote(token: string): { readonly text: string } | string {
  if (token.length < 2 || !token.startsWith("'") || !token.endsWith("'"))
    return `expected single quoted string but got ${token}`;
  let problem: string | undefined;
  const text = token.slice(1, -1).replaceAll(/\\./gs, (escape) => {
    const char = ESCAPES[escape.slice(1)];
    if (char === undefined) problem = `invalid string literal: invalid escape char ${escape}`;
    return char ?? '';
  });
  return problem ?? { text };
}
