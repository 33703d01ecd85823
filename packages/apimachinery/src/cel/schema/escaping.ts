/**
 * Property names as identifiers (k8s.io/apiserver/pkg/cel/escaping.go):
 *
 *     a.b-c/d   a__dot__b__dash__c__slash__d
 *     a__b      a__underscores__b
 *     namespace __namespace__
 */
const RESERVED: ReadonlySet<string> = new Set([
  'true',
  'false',
  'null',
  'in',
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

const SYMBOLS: ReadonlyMap<string, string> = new Map([
  ['__', '__underscores__'],
  ['.', '__dot__'],
  ['-', '__dash__'],
  ['/', '__slash__'],
]);
const NAMES: ReadonlyMap<string, string> = new Map([...SYMBOLS].map(([symbol, name]) => [name, symbol]));

/** Words of the language: fields of these names may be written with or without the escape. */
export function isReserved(name: string): boolean {
  return RESERVED.has(name);
}

/** undefined for what cannot be an identifier: `1a`, `a b`, the empty name. */
export function escapeName(name: string): string | undefined {
  if (RESERVED.has(name)) return `__${name}__`;
  if (!/^[A-Za-z0-9_./-]+$/.test(name) || /^[0-9]/.test(name)) return undefined;
  return name.replace(/__|[-./]/g, (symbol) => SYMBOLS.get(symbol) as string);
}

/** undefined for what `escapeName` does not make. */
export function unescapeName(escaped: string): string | undefined {
  let valid = true;
  const name = escaped.replace(/__[^_]+__/g, (part) => {
    const symbol = NAMES.get(part);
    if (symbol !== undefined) return symbol;
    const word = part.slice(2, -2);
    if (!RESERVED.has(word) || part.length !== escaped.length) valid = false;
    return word;
  });
  return valid ? name : undefined;
}
