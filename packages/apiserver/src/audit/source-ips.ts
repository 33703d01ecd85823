/** Where a request comes from (k8s.io/apimachinery/pkg/util/net: SourceIPs). */
import type { IncomingHttpHeaders } from 'node:http';
import { formatIp, parseIp } from '../registry/ip-addresses.ts';

/** So many are kept of what the client says: the header is its to fill. */
const MAX_FORWARDED = 1_000;

/**
 * The chain of proxies that the client names, and then the address of the connection, which cannot be feigned. Empty for
 * requests that came over no network.
 */
export function sourceIps(headers: IncomingHttpHeaders, remoteAddress: string): readonly string[] {
  const forwarded = headers['x-forwarded-for'];
  const real = headers['x-real-ip'];
  const remote = canonical(remoteAddress);
  if (forwarded === undefined && real === undefined) return remote === undefined ? [] : [remote];
  const chain = String(forwarded ?? '')
    .split(',', MAX_FORWARDED)
    .flatMap((part) => canonical(part.trim()) ?? []);
  const named = real === undefined ? undefined : canonical(String(real));
  if (named !== undefined && !chain.includes(named)) chain.push(named);
  if (remote !== undefined && chain.at(-1) !== remote) chain.push(remote);
  return chain;
}

let lastText = '';
let lastAddress: string | undefined;

/** As Go prints it: IPv4 also where it is mapped into IPv6. Undefined for what is no address. */
function canonical(text: string): string | undefined {
  if (text !== lastText) {
    const address = text === '' ? undefined : parseIp(text);
    lastAddress = address === undefined ? undefined : formatIp(address);
    lastText = text;
  }
  return lastAddress;
}
