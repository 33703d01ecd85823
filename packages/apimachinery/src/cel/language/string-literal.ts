/** The value of a string or bytes literal (cel-spec, langdef.md, "String and Bytes Values"). */

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** What is wrong with a literal; the text is cel-go's. */
export class LiteralError extends Error {
  override readonly name = 'LiteralError';
}

export function stringLiteral(token: string): string {
  const { raw, content } = unquote(token);
  if (raw || !content.includes('\\')) return content;
  return content.replace(ESCAPE, (escape) => {
    const code = escapedCode(escape);
    if (code === undefined) return simpleEscape(escape);
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
      throw new LiteralError('invalid unicode code point');
    return String.fromCodePoint(code);
  });
}

/** Escapes by number are bytes here; everything else is UTF-8. */
export function bytesLiteral(token: string): Uint8Array {
  const { raw, content } = unquote(token.slice(1));
  if (raw) return new TextEncoder().encode(content);
  const parts: Uint8Array[] = [];
  let last = 0;
  for (const match of content.matchAll(ESCAPE)) {
    parts.push(new TextEncoder().encode(content.slice(last, match.index)));
    const code = escapedCode(match[0]);
    if (/^\\[uU]/.test(match[0])) throw new LiteralError('unable to unescape string');
    parts.push(code === undefined ? new TextEncoder().encode(simpleEscape(match[0])) : Uint8Array.of(code));
    last = match.index + match[0].length;
  }
  parts.push(new TextEncoder().encode(content.slice(last)));
  return new Uint8Array(Buffer.concat(parts));
}

const ESCAPE = /\\(?:[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}|[^])/g;

function unquote(token: string): { readonly raw: boolean; readonly content: string } {
  const normalized = token.replaceAll('\r\n', '\n').replaceAll('\r', '\n');
  const raw = /^[rR]/.test(normalized);
  const quoted = raw ? normalized.slice(1) : normalized;
  const width = quoted.length >= 6 && (quoted.startsWith('"""') || quoted.startsWith("'''")) ? 3 : 1;
  return { raw, content: quoted.slice(width, -width) };
}

function escapedCode(escape: string): number | undefined {
  if (/^\\[xXuU]/.test(escape)) return parseInt(escape.slice(2), 16);
  return /^\\[0-3]/.test(escape) ? parseInt(escape.slice(1), 8) : undefined;
}

function simpleEscape(escape: string): string {
  const character = escape[1] as string;
  return SIMPLE_ESCAPES[character] ?? character;
}
