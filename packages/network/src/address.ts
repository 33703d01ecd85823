import { isIP } from 'node:net';

export type IpFamily = 'IPv4' | 'IPv6';

/** A range of addresses. `base` has its host bits cleared. */
export interface Cidr {
  readonly family: IpFamily;
  readonly base: bigint;
  readonly prefix: number;
}

/** Undefined for what is no address. */
export function familyOf(address: string): IpFamily | undefined {
  const version = isIP(address);
  if (version === 0 || address.includes('%')) return undefined;
  return version === 4 ? 'IPv4' : 'IPv6';
}

export const addressBits = (family: IpFamily): number => (family === 'IPv4' ? 32 : 128);

/** `10.244.0.5` → 183762949n. Undefined for what is no address. */
export function parseAddress(address: string): bigint | undefined {
  const family = familyOf(address);
  if (family === undefined) return undefined;
  return family === 'IPv4' ? parseIpv4(address) : parseIpv6(address);
}

function parseIpv4(address: string): bigint {
  return address.split('.').reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

function parseIpv6(address: string): bigint {
  let text = address;
  // ::ffff:10.0.0.1 has its last two groups in IPv4 notation.
  const lastColon = text.lastIndexOf(':');
  if (text.includes('.')) {
    const ipv4 = parseIpv4(text.slice(lastColon + 1));
    text = `${text.slice(0, lastColon + 1)}${(ipv4 >> 16n).toString(16)}:${(ipv4 & 0xffffn).toString(16)}`;
  }
  const [head = '', tail] = text.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const groups = [...before, ...Array<string>(zeros).fill('0'), ...after];
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

/** The canonical text of an address (RFC 5952). */
export function formatAddress(family: IpFamily, value: bigint): string {
  if (family === 'IPv4') {
    return [24n, 16n, 8n, 0n].map((shift) => Number((value >> shift) & 0xffn)).join('.');
  }
  const groups = Array.from({ length: 8 }, (_, index) =>
    ((value >> BigInt(112 - 16 * index)) & 0xffffn).toString(16),
  );
  let best = { start: -1, length: 1 }; // a single zero group is not shortened
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (groups[start + length] === '0') length++;
    if (length > best.length) best = { start, length };
  }
  if (best.start < 0) return groups.join(':');
  const before = groups.slice(0, best.start).join(':');
  return `${before}::${groups.slice(best.start + best.length).join(':')}`;
}

/** `fd00:0::1` → `fd00::1`: one text for one address, to compare and to look up. Undefined for what is no address. */
export function canonicalAddress(address: string): string | undefined {
  const family = familyOf(address);
  if (family === 'IPv4') return address; // isIP takes no other writing of one than this
  const value = family === undefined ? undefined : parseIpv6(address);
  return value === undefined ? undefined : formatAddress('IPv6', value);
}

/** Undefined for what is no CIDR. */
export function parseCidr(text: string): Cidr | undefined {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text.trim());
  const address = match?.[1] ?? '';
  const family = familyOf(address);
  const value = parseAddress(address);
  const prefix = Number(match?.[2]);
  if (family === undefined || value === undefined || prefix > addressBits(family)) return undefined;
  const hostBits = BigInt(addressBits(family) - prefix);
  return { family, base: (value >> hostBits) << hostBits, prefix };
}

export function formatCidr(cidr: Cidr): string {
  return `${formatAddress(cidr.family, cidr.base)}/${cidr.prefix}`;
}

/** How many addresses are in it, network and broadcast address included. */
export function cidrSize(cidr: Cidr): bigint {
  return 1n << BigInt(addressBits(cidr.family) - cidr.prefix);
}

export function cidrContains(cidr: Cidr, address: string): boolean {
  const value = familyOf(address) === cidr.family ? parseAddress(address) : undefined;
  return value !== undefined && value >= cidr.base && value < cidr.base + cidrSize(cidr);
}

/** Each address once: packet filters refuse ranges that overlap in one set. */
export function withoutContained(cidrs: readonly Cidr[]): readonly Cidr[] {
  const unique = [...new Map(cidrs.map((cidr) => [formatCidr(cidr), cidr])).values()];
  const inside = (cidr: Cidr, other: Cidr): boolean =>
    other.prefix < cidr.prefix && cidrContains(other, formatAddress(cidr.family, cidr.base));
  return unique.filter((cidr) => !unique.some((other) => inside(cidr, other)));
}
