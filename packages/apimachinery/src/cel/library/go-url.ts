/** URLs as Go's net/url reads those of requests (ParseRequestURI): absolute, or a path that begins with a slash. */
import { goQuote } from '../../go-quote.ts';

export interface GoUrl {
  readonly scheme: string;
  readonly opaque: string;
  readonly user: string | undefined;
  /** With the port. */
  readonly host: string;
  readonly escapedPath: string;
  /** Without the question mark; undefined where there is none. */
  readonly query: string | undefined;
}

/** The message is Go's: `parse "x": invalid URI for request`. */
export class UrlError extends Error {
  override readonly name = 'UrlError';
}

/** Throws UrlError. */
export function parseRequestUri(raw: string): GoUrl {
  try {
    return parse(raw);
  } catch (error) {
    if (error instanceof Problem) throw new UrlError(`parse ${goQuote(raw)}: ${error.message}`);
    throw error;
  }
}

class Problem extends Error {}

const NO_AUTHORITY = { user: undefined, host: '' };

function parse(raw: string): GoUrl {
  if (/[\x00-\x1f\x7f]/.test(raw)) throw new Problem('net/url: invalid control character in URL');
  if (raw === '') throw new Problem('empty url');
  if (raw === '*') return { scheme: '', opaque: '', ...NO_AUTHORITY, escapedPath: '*', query: undefined };
  const { scheme, rest: afterScheme } = splitScheme(raw);
  const mark = afterScheme.indexOf('?');
  const query = mark < 0 ? undefined : afterScheme.slice(mark + 1);
  const rest = mark < 0 ? afterScheme : afterScheme.slice(0, mark);
  if (!rest.startsWith('/')) {
    if (scheme === '') throw new Problem('invalid URI for request');
    return { scheme, opaque: rest, ...NO_AUTHORITY, escapedPath: '', query };
  }
  if (scheme === '' || !rest.startsWith('//'))
    return { scheme, opaque: '', ...NO_AUTHORITY, escapedPath: escapedPath(rest), query };
  const slash = rest.indexOf('/', 2);
  const authority = slash < 0 ? rest.slice(2) : rest.slice(2, slash);
  const path = slash < 0 ? '' : rest.slice(slash);
  return { scheme, opaque: '', ...parseAuthority(authority), escapedPath: escapedPath(path), query };
}

function splitScheme(raw: string): { readonly scheme: string; readonly rest: string } {
  const match = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(raw);
  if (match !== null) return { scheme: (match[1] as string).toLowerCase(), rest: raw.slice(match[0].length) };
  if (raw.startsWith(':')) throw new Problem('missing protocol scheme');
  return { scheme: '', rest: raw };
}

function parseAuthority(authority: string): { readonly user: string | undefined; readonly host: string } {
  const at = authority.lastIndexOf('@');
  const host = parseHost(at < 0 ? authority : authority.slice(at + 1));
  if (at < 0) return { user: undefined, host };
  const user = authority.slice(0, at);
  if (!/^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(user)) throw new Problem('net/url: invalid userinfo');
  unescape(user);
  return { user, host };
}

function parseHost(host: string): string {
  if (host.startsWith('[')) {
    const end = host.lastIndexOf(']');
    if (end < 0) throw new Problem("missing ']' in host");
    checkPort(host.slice(end + 1));
  } else {
    const colon = host.lastIndexOf(':');
    if (colon >= 0) checkPort(host.slice(colon));
  }
  const bad = /[^A-Za-z0-9\-._~!$&'()*+,;=:[\]<>"%\u0080-\uffff]/.exec(host);
  if (bad !== null) throw new Problem(`invalid character ${goQuote(bad[0])} in host name`);
  // In host names only bytes beyond ASCII are escaped; a zone's percent sign is an exception.
  for (const [escape, hex] of host.matchAll(/%(.{0,2})/g)) {
    if (!/^[0-9a-fA-F]{2}$/.test(hex as string) || (parseInt(hex as string, 16) < 0x80 && escape !== '%25'))
      throw new Problem(`invalid URL escape ${goQuote(escape)}`);
  }
  return host.includes('%') ? Buffer.from(unescape(host)).toString() : host;
}

function checkPort(port: string): void {
  if (port !== '' && !/^:[0-9]*$/.test(port)) throw new Problem(`invalid port ${goQuote(port)} after host`);
}

/** The bytes behind the escapes. */
function unescape(text: string): Uint8Array {
  const bytes = Buffer.from(text);
  const result: number[] = [];
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] !== 0x25) {
      result.push(bytes[i] as number);
      continue;
    }
    const escape = bytes.subarray(i, i + 3).toString('latin1');
    if (!/^%[0-9a-fA-F]{2}$/.test(escape)) throw new Problem(`invalid URL escape ${goQuote(escape)}`);
    result.push(parseInt(escape.slice(1), 16));
    i += 2;
  }
  return Uint8Array.from(result);
}

/** As it was written, where that is a valid form of the path; otherwise escaped anew. */
function escapedPath(written: string): string {
  const bytes = unescape(written);
  if (/^(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/[\]]|%[0-9a-fA-F]{2})*$/.test(written)) return written;
  return [...bytes]
    .map((byte) => {
      const character = String.fromCharCode(byte);
      return /[A-Za-z0-9\-._~$&+,/:;=@]/.test(character)
        ? character
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    })
    .join('');
}

export function hostname(url: GoUrl): string {
  const { host } = url;
  if (host.startsWith('[')) {
    const end = host.indexOf(']');
    return end < 0 ? host : host.slice(1, end);
  }
  return host.replace(/:[0-9]*$/, '');
}

export function port(url: GoUrl): string {
  const match = /^(?:\[.*\]|[^:[]*(?::[^:]*)*?)?:([0-9]*)$/.exec(url.host);
  return match?.[1] ?? '';
}

/** The query's values by key; what cannot be read is left out. */
export function queryValues(query: string): ReadonlyMap<string, readonly string[]> {
  const values = new Map<string, string[]>();
  for (const pair of query.split('&')) {
    if (pair === '' || pair.includes(';')) continue;
    const equals = pair.indexOf('=');
    try {
      const key = queryText(equals < 0 ? pair : pair.slice(0, equals));
      const value = queryText(equals < 0 ? '' : pair.slice(equals + 1));
      const known = values.get(key);
      if (known === undefined) values.set(key, [value]);
      else known.push(value);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
    }
  }
  return values;
}

function queryText(text: string): string {
  return Buffer.from(unescape(text.replaceAll('+', ' '))).toString();
}
