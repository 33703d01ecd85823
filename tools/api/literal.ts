/** A JSON value as TypeScript source in this repository's style: single quotes, spaces after commas. */
export function writeJsonLiteral(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(writeJsonLiteral).join(', ')}]`;
  if (typeof value !== 'string') return JSON.stringify(value);
  return quote(value);
}

/** A single-quoted string literal. */
export function quote(text: string): string {
  const escaped = text.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n');
  return `'${escaped}'`;
}
