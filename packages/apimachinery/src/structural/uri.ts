import { isIPv6 } from 'node:net';

/** Whether Go's url.ParseRequestURI takes a text: an absolute URI, or an absolute path. */
export function isRequestUri(text: string): boolean {
  if (text === '' || /[\0-\x1f\x7f]/.test(text)) return false;
  if (text === '*') return true;
  if (text.startsWith(':')) return false;
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(text)?.[1];
  let rest = scheme === undefined ? text : text.slice(scheme.length + 1);
  const query = rest.indexOf('?');
  if (query >= 0) rest = rest.slice(0, query);
  if (!rest.startsWith('/')) return scheme !== undefined;
  if (scheme === undefined || !rest.startsWith('//')) return isEscaped(rest);
  const slash = rest.indexOf('/', 2);
  const authority = slash < 0 ? rest.slice(2) : rest.slice(2, slash);
  return isAuthority(authority) && (slash < 0 || isEscaped(rest.slice(slash)));
}

/** Every percent sign begins an escape. */
function isEscaped(text: string): boolean {
  return !/%(?![0-9a-fA-F]{2})/.test(text);
}

function isAuthority(authority: string): boolean {
  const at = authority.lastIndexOf('@');
  const user = at < 0 ? '' : authority.slice(0, at);
  if (!/^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(user) || !isEscaped(user)) return false;
  return isHost(authority.slice(at + 1));
}

function isHost(host: string): boolean {
  if (host.startsWith('[')) {
    const close = host.lastIndexOf(']');
    if (close < 0 || !isOptionalPort(host.slice(close + 1))) return false;
    const [address = '', zone] = host.slice(1, close).split('%25', 2);
    return isIPv6(address) && (zone === undefined || (zone !== '' && isEscaped(zone)));
  }
  const colon = host.indexOf(':');
  if (colon >= 0 && !isOptionalPort(host.slice(colon))) return false;
  const name = colon < 0 ? host : host.slice(0, colon);
  // Of ASCII only what hosts may hold; escapes only of what is beyond ASCII.
  return /^(?:[A-Za-z0-9!$&'()*+,;=[\]<>"\-_.~]|[^\0-\x7f]|%[89a-fA-F][0-9a-fA-F]|%25)*$/.test(name);
}

function isOptionalPort(text: string): boolean {
  return text === '' || /^:[0-9]*$/.test(text);
}
