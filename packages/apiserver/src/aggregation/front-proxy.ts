/** How this server, in front of others, says who asks (k8s.io/client-go/transport: SetAuthProxyHeaders). */
import type { UserInfo } from '../authentication/contract.ts';

/** PEM: with this the server shows that it may speak for others (`--proxy-client-cert-file`, `--proxy-client-key-file`). */
export interface ProxyClient {
  readonly cert: string;
  readonly key: string;
}

/** In lower case. Throws an Error for an identity that no header can hold. */
export function identityHeaders(user: UserInfo): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = { 'x-remote-user': headerValue(user.name) };
  if (user.uid !== '') headers['x-remote-uid'] = headerValue(user.uid);
  if (user.groups.length > 0) headers['x-remote-group'] = user.groups.map(headerValue);
  for (const [key, values] of Object.entries(user.extra))
    if (values.length > 0) headers[`x-remote-extra-${escapedKey(key)}`] = values.map(headerValue);
  return headers;
}

/** Node writes headers as Latin-1; on the wire they are to be UTF-8. */
function headerValue(value: string): string {
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(value))
    throw new Error('net/http: invalid header field value');
  return Buffer.from(value, 'utf8').toString('latin1');
}

/** `example.com/scopes` → `example.com%2Fscopes` */
function escapedKey(key: string): string {
  let text = '';
  for (const byte of Buffer.from(key.toLowerCase(), 'utf8')) {
    const character = String.fromCharCode(byte);
    const isLegal = /^[A-Za-z0-9!#$&'*+.^_`|~-]$/.test(character);
    text += isLegal ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return text;
}
