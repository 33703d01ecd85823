/**
 * Kubernetes' libraries for IP addresses and networks. What an address looks like, and how it is printed, is Go's
 * net/netip: no octets with leading zeros, no zones, no IPv4 inside IPv6.
 */
import { goQuote } from '../../go-quote.ts';
import { declareFunction, memberOverload, overload } from '../language/function.ts';
import type { FunctionDeclaration } from '../language/function.ts';
import { BOOL, INT, opaqueType, STRING } from '../language/type.ts';
import type { CelType } from '../language/type.ts';
import { CelError, CelOpaque, NO_SUCH_OVERLOAD } from '../value/value.ts';
import type { CelResult, CelValue } from '../value/value.ts';

export const IP_TYPE: CelType = opaqueType('net.IP');
export const CIDR_TYPE: CelType = opaqueType('net.CIDR');

/** 32 or 128 bits. */
interface Address {
  readonly bits: bigint;
  readonly length: 32 | 128;
}

class Ip extends CelOpaque {
  readonly address: Address;

  constructor(address: Address) {
    super();
    this.address = address;
  }

  override get type(): CelType {
    return IP_TYPE;
  }

  override get size(): number {
    return this.address.length / 8;
  }

  override equals(other: CelValue): boolean | CelError {
    return other instanceof Ip ? sameAddress(this.address, other.address) : NO_SUCH_OVERLOAD;
  }

  override toText(): string {
    return formatAddress(this.address);
  }
}

class Cidr extends CelOpaque {
  readonly address: Address;
  readonly prefix: number;

  constructor(address: Address, prefix: number) {
    super();
    this.address = address;
    this.prefix = prefix;
  }

  override get type(): CelType {
    return CIDR_TYPE;
  }

  override get size(): number {
    return Math.ceil(this.prefix / 8);
  }

  override equals(other: CelValue): boolean | CelError {
    if (!(other instanceof Cidr)) return NO_SUCH_OVERLOAD;
    return this.prefix === other.prefix && sameAddress(this.address, other.address);
  }

  override toText(): string {
    return `${formatAddress(this.address)}/${this.prefix}`;
  }

  masked(prefix: number = this.prefix): Address {
    const shift = BigInt(this.address.length - prefix);
    return { ...this.address, bits: (this.address.bits >> shift) << shift };
  }

  contains(address: Address): boolean {
    if (address.length !== this.address.length) return false;
    return sameAddress(new Cidr(address, this.prefix).masked(), this.masked());
  }
}

function sameAddress(a: Address, b: Address): boolean {
  return a.length === b.length && a.bits === b.bits;
}

/** What is wrong, in the words of net/netip. */
class AddressError extends Error {
  constructor(text: string, message: string, at?: string) {
    super(`ParseAddr(${goQuote(text)}): ${message}${at === undefined ? '' : ` (at ${goQuote(at)})`}`);
  }
}

const MAX_ADDRESS_LENGTH = 1000;

function parseAddress(text: string): { readonly address: Address; readonly zone: string } {
  if (text.length > MAX_ADDRESS_LENGTH) throw new AddressError(text.slice(0, 50), 'unable to parse IP');
  const separator = /[.:%]/.exec(text)?.[0];
  if (separator === '.') return { address: { bits: parseIPv4(text, text), length: 32 }, zone: '' };
  if (separator === ':') return parseIPv6(text);
  throw new AddressError(text, separator === '%' ? 'missing IPv6 address' : 'unable to parse IP');
}

/** `part`: where the four numbers are within `whole`, which messages name. */
function parseIPv4(part: string, whole: string): bigint {
  const fields: string[] = [''];
  for (let i = 0; i < part.length; i++) {
    const character = part[i] as string;
    const field = fields.at(-1) as string;
    if (/[0-9]/.test(character)) {
      if (field === '0') throw new AddressError(whole, 'IPv4 field has octet with leading zero');
      if (Number(field + character) > 255) throw new AddressError(whole, 'IPv4 field has value >255');
      fields[fields.length - 1] = field + character;
    } else if (character === '.') {
      if (field === '' || i === part.length - 1)
        throw new AddressError(whole, 'IPv4 field must have at least one digit', part.slice(i));
      if (fields.length === 4) throw new AddressError(whole, 'IPv4 address too long');
      fields.push('');
    } else {
      throw new AddressError(whole, 'unexpected character', part.slice(i));
    }
  }
  if (fields.length < 4) throw new AddressError(whole, 'IPv4 address too short');
  return fields.reduce((bits, field) => (bits << 8n) | BigInt(field), 0n);
}

function parseIPv6(text: string): { readonly address: Address; readonly zone: string } {
  const percent = text.indexOf('%');
  const zone = percent < 0 ? '' : text.slice(percent + 1);
  if (percent >= 0 && zone === '') throw new AddressError(text, 'zone must be a non-empty string');
  let rest = percent < 0 ? text : text.slice(0, percent);
  const groups: bigint[] = [];
  let ellipsis = -1;
  if (rest.startsWith('::')) {
    ellipsis = 0;
    rest = rest.slice(2);
  }
  while (rest !== '' && groups.length < 8) {
    const digits = /^[0-9a-fA-F]*/.exec(rest)?.[0] ?? '';
    if (digits.length > 4) throw new AddressError(text, 'each group must have 4 or less digits', rest);
    if (digits === '')
      throw new AddressError(text, 'each colon-separated field must have at least one digit', rest);
    if (rest[digits.length] === '.') {
      if (ellipsis < 0 && groups.length !== 6)
        throw new AddressError(
          text,
          'embedded IPv4 address must replace the final 2 fields of the address',
          rest,
        );
      if (groups.length > 6)
        throw new AddressError(
          text,
          'too many hex fields to fit an embedded IPv4 at the end of the address',
          rest,
        );
      const bits = parseIPv4(rest, text);
      groups.push(bits >> 16n, bits & 0xffffn);
      rest = '';
      break;
    }
    groups.push(BigInt(`0x${digits}`));
    rest = rest.slice(digits.length);
    if (rest === '') break;
    if (!rest.startsWith(':')) throw new AddressError(text, 'unexpected character, want colon', rest);
    if (rest.length === 1) throw new AddressError(text, 'colon must be followed by more characters', rest);
    rest = rest.slice(1);
    if (rest.startsWith(':')) {
      if (ellipsis >= 0) throw new AddressError(text, 'multiple :: in address', rest);
      ellipsis = groups.length;
      rest = rest.slice(1);
    }
  }
  if (rest !== '') throw new AddressError(text, 'trailing garbage after address', rest);
  if (groups.length < 8) {
    if (ellipsis < 0) throw new AddressError(text, 'address string too short');
    groups.splice(ellipsis, 0, ...Array.from({ length: 8 - groups.length }, () => 0n));
  } else if (ellipsis >= 0) {
    throw new AddressError(text, 'the :: must expand to at least one field of zeros');
  }
  return { address: { bits: groups.reduce((bits, group) => (bits << 16n) | group, 0n), length: 128 }, zone };
}

/** RFC 5952: the longest run of zeros, the first of equals, becomes `::`. */
function formatAddress(address: Address): string {
  if (address.length === 32)
    return [24n, 16n, 8n, 0n].map((shift) => String((address.bits >> shift) & 255n)).join('.');
  const groups = Array.from({ length: 8 }, (_, i) =>
    ((address.bits >> BigInt(112 - 16 * i)) & 0xffffn).toString(16),
  );
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === '0') end++;
    if (end - i > length) {
      start = i;
      length = end - i;
    }
  }
  if (start < 0) return groups.join(':');
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`;
}

function isMapped(address: Address): boolean {
  return address.length === 128 && address.bits >> 32n === 0xffffn;
}

function parseIp(text: string): Ip | CelError {
  try {
    const { address, zone } = parseAddress(text);
    if (zone !== '') return new CelError(`IP address ${goQuote(text)} with zone value is not allowed`);
    if (isMapped(address)) return new CelError(`IPv4-mapped IPv6 address ${goQuote(text)} is not allowed`);
    return new Ip(address);
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    return new CelError(
      `IP Address ${goQuote(text)} parse error during conversion from string: ${error.message}`,
    );
  }
}

function parseCidr(text: string): Cidr | CelError {
  const fail = (message: string): CelError =>
    new CelError(
      `network address parse error during conversion from string: network address parse error during conversion from string: netip.ParsePrefix(${goQuote(text)}): ${message}`,
    );
  const slash = text.lastIndexOf('/');
  if (slash < 0) return fail("no '/'");
  try {
    const { address, zone } = parseAddress(text.slice(0, slash));
    if (zone !== '') return fail('IPv6 zones cannot be present in a prefix');
    const length = text.slice(slash + 1);
    if (!/^(?:[0-9]|[1-9][0-9]{1,8})$/.test(length)) return fail(`bad bits after slash: ${goQuote(length)}`);
    if (Number(length) > address.length) return fail('prefix length out of range');
    if (isMapped(address))
      return new CelError(
        `network address parse error during conversion from string: IPv4-mapped IPv6 address ${goQuote(text)} is not allowed`,
      );
    return new Cidr(address, Number(length));
  } catch (error) {
    if (error instanceof AddressError) return fail(error.message);
    throw error;
  }
}

function withCidr(text: string, use: (cidr: Cidr) => CelResult): CelResult {
  const cidr = parseCidr(text);
  return cidr instanceof CelError ? cidr : use(cidr);
}

function withIp(text: string, use: (ip: Ip) => CelResult): CelResult {
  const ip = parseIp(text);
  return ip instanceof CelError ? ip : use(ip);
}

function containsCidr(outer: Cidr, inner: Cidr): boolean {
  return outer.prefix <= inner.prefix && outer.contains(inner.address);
}

/** Whether the leading bits of the address are those of the network. */
function within(address: Address, network: string): boolean {
  const cidr = parseCidr(network);
  return cidr instanceof Cidr && cidr.contains(address);
}

function ipProperty(name: string, id: string, holds: (address: Address) => boolean): FunctionDeclaration {
  return declareFunction(
    name,
    memberOverload(id, [IP_TYPE], BOOL, (ip: Ip) => holds(ip.address)),
  );
}

const isLoopback = (address: Address): boolean =>
  within(address, '127.0.0.0/8') || within(address, '::1/128');
const isMulticast = (address: Address): boolean =>
  within(address, '224.0.0.0/4') || within(address, 'ff00::/8');
const isLinkLocal = (address: Address): boolean =>
  within(address, '169.254.0.0/16') || within(address, 'fe80::/10');

/** Anything but the unspecified, broadcast, loopback, multicast and link-local addresses; private ones count. */
function isGlobalUnicast(address: Address): boolean {
  if (address.bits === 0n || (address.length === 32 && address.bits === 0xffffffffn)) return false;
  return !isLoopback(address) && !isMulticast(address) && !isLinkLocal(address);
}

export const NETWORK_LIBRARY: readonly FunctionDeclaration[] = [
  declareFunction(
    'ip',
    overload('string_to_ip', [STRING], IP_TYPE, parseIp),
    memberOverload('cidr_ip', [CIDR_TYPE], IP_TYPE, (cidr: Cidr) => new Ip(cidr.address)),
  ),
  declareFunction(
    'isIP',
    overload('is_ip', [STRING], BOOL, (text: string) => parseIp(text) instanceof Ip),
  ),
  declareFunction(
    'ip.isCanonical',
    overload('ip_is_canonical', [STRING], BOOL, (text: string) => withIp(text, (ip) => ip.toText() === text)),
  ),
  declareFunction(
    'family',
    memberOverload('ip_family', [IP_TYPE], INT, (ip: Ip) => (ip.address.length === 32 ? 4n : 6n)),
  ),
  ipProperty('isUnspecified', 'ip_is_unspecified', (address) => address.bits === 0n),
  ipProperty('isLoopback', 'ip_is_loopback', isLoopback),
  ipProperty(
    'isLinkLocalMulticast',
    'ip_is_link_local_multicast',
    (address) =>
      within(address, '224.0.0.0/24') ||
      (address.length === 128 && ((address.bits >> 112n) & 0xff0fn) === 0xff02n),
  ),
  ipProperty('isLinkLocalUnicast', 'ip_is_link_local_unicast', isLinkLocal),
  ipProperty('isGlobalUnicast', 'ip_is_global_unicast', isGlobalUnicast),
  declareFunction(
    'string',
    overload('ip_to_string', [IP_TYPE], STRING, (ip: Ip) => ip.toText()),
    overload('cidr_to_string', [CIDR_TYPE], STRING, (cidr: Cidr) => cidr.toText()),
  ),
  declareFunction('cidr', overload('string_to_cidr', [STRING], CIDR_TYPE, parseCidr)),
  declareFunction(
    'isCIDR',
    overload('is_cidr', [STRING], BOOL, (text: string) => parseCidr(text) instanceof Cidr),
  ),
  declareFunction(
    'containsIP',
    memberOverload('cidr_contains_ip_string', [CIDR_TYPE, STRING], BOOL, (cidr: Cidr, text: string) =>
      withIp(text, (ip) => cidr.contains(ip.address)),
    ),
    memberOverload('cidr_contains_ip_ip', [CIDR_TYPE, IP_TYPE], BOOL, (cidr: Cidr, ip: Ip) =>
      cidr.contains(ip.address),
    ),
  ),
  declareFunction(
    'containsCIDR',
    memberOverload('cidr_contains_cidr_string', [CIDR_TYPE, STRING], BOOL, (outer: Cidr, text: string) =>
      withCidr(text, (inner) => containsCidr(outer, inner)),
    ),
    memberOverload('cidr_contains_cidr', [CIDR_TYPE, CIDR_TYPE], BOOL, containsCidr),
  ),
  declareFunction(
    'prefixLength',
    memberOverload('cidr_prefix_length', [CIDR_TYPE], INT, (cidr: Cidr) => BigInt(cidr.prefix)),
  ),
  declareFunction(
    'masked',
    memberOverload(
      'cidr_masked',
      [CIDR_TYPE],
      CIDR_TYPE,
      (cidr: Cidr) => new Cidr(cidr.masked(), cidr.prefix),
    ),
  ),
];
