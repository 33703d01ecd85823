/**
 * IP addresses and CIDRs as Go's net and net/netip packages see them, with upstream's messages
 * (k8s.io/apimachinery/pkg/util/validation/ip.go). "Sloppy" reading takes leading zeros (`010.0.0.1` is 10.0.0.1) and
 * IPv4-mapped IPv6 (`::ffff:10.0.0.1`), which the strict rules then name.
 */
import { isIPv6 } from 'node:net';
import { goQuote, invalidValue, type FieldError } from '@k8ts/apimachinery';

export interface IpAddress {
  /** 4 also for IPv4-mapped IPv6 addresses, as Go does. */
  readonly version: 4 | 6;
  /** 32 or 128 bits. */
  readonly value: bigint;
  readonly leadingZeros: boolean;
  readonly mapped: boolean;
}

export interface Cidr {
  readonly address: IpAddress;
  readonly prefixLength: number;
  readonly leadingZeros: boolean;
}

const MAX_TEXT = 64;
const MAPPED_PREFIX = 0xffffn;

export function parseIp(text: string): IpAddress | undefined {
  if (text.length > MAX_TEXT) return undefined;
  if (!text.includes(':')) {
    const parts = parseDotted(text);
    return parts && { version: 4, value: parts.value, leadingZeros: parts.leadingZeros, mapped: false };
  }
  const colon = text.lastIndexOf(':');
  const tail = text.slice(colon + 1);
  let leadingZeros = false;
  let plain = text;
  if (tail.includes('.')) {
    const parts = parseDotted(tail);
    if (parts === undefined) return undefined;
    leadingZeros = parts.leadingZeros;
    plain = `${text.slice(0, colon + 1)}${(parts.value >> 16n).toString(16)}:${(parts.value & 0xffffn).toString(16)}`;
  }
  if (plain.includes('%') || !isIPv6(plain)) return undefined;
  const value = expand(plain);
  if (value >> 32n === MAPPED_PREFIX)
    return { version: 4, value: value & 0xffffffffn, leadingZeros, mapped: true };
  return { version: 6, value, leadingZeros, mapped: false };
}

function parseDotted(text: string): { readonly value: bigint; readonly leadingZeros: boolean } | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let value = 0n;
  let leadingZeros = false;
  for (const part of parts) {
    if (!/^[0-9]+$/.test(part)) return undefined;
    const number = Number(part);
    if (number > 255) return undefined;
    if (part.length > 1 && part.startsWith('0')) leadingZeros = true;
    value = (value << 8n) | BigInt(number);
  }
  return { value, leadingZeros };
}

function expand(text: string): bigint {
  const [head = '', tail] = text.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups =
    tail === undefined
      ? left
      : [...left, ...new Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

/** The canonical text (RFC 5952 for IPv6). */
export function formatIp({ version, value }: { readonly version: 4 | 6; readonly value: bigint }): string {
  if (version === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(112 - 16 * i)) & 0xffffn));
  const { start, length } = longestZeroRun(groups);
  const text = (list: readonly number[]): string => list.map((group) => group.toString(16)).join(':');
  return length < 2 ? text(groups) : `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

function longestZeroRun(groups: readonly number[]): { readonly start: number; readonly length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}

export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  if (slash < 0 || text.length > MAX_TEXT) return undefined;
  const address = parseIp(text.slice(0, slash));
  const length = text.slice(slash + 1);
  if (address === undefined || !/^[0-9]{1,3}$/.test(length)) return undefined;
  const mappedBits = address.mapped ? 96 : 0;
  const prefixLength = Number(length) - mappedBits;
  if (prefixLength < 0 || prefixLength > bitsOf(address.version)) return undefined;
  return {
    address,
    prefixLength,
    leadingZeros: address.leadingZeros || (length.length > 1 && length.startsWith('0')),
  };
}

export function bitsOf(version: 4 | 6): number {
  return version === 4 ? 32 : 128;
}

/** The first address of the range. */
export function networkOf({ address, prefixLength }: Cidr): bigint {
  const hostBits = BigInt(bitsOf(address.version) - prefixLength);
  return (address.value >> hostBits) << hostBits;
}

export function formatCidr(cidr: Cidr): string {
  return `${formatIp({ version: cidr.address.version, value: networkOf(cidr) })}/${cidr.prefixLength}`;
}

export function cidrContains(cidr: Cidr, address: IpAddress): boolean {
  const hostBits = BigInt(bitsOf(cidr.address.version) - cidr.prefixLength);
  return (
    address.version === cidr.address.version && address.value >> hostBits === cidr.address.value >> hostBits
  );
}

const NOT_AN_IP = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';

/** For fields older than the strict rules: what was stored before stays valid. */
export function validateLegacyIp(
  value: string,
  path: string,
  storedBefore: readonly string[] = [],
): FieldError[] {
  if (storedBefore.includes(value)) return [];
  const address = parseIp(value);
  if (address === undefined) return [invalidValue(path, value, NOT_AN_IP)];
  const errors: FieldError[] = [];
  if (address.leadingZeros) errors.push(invalidValue(path, value, 'must not have leading 0s'));
  if (address.mapped && !address.leadingZeros)
    errors.push(invalidValue(path, value, 'must not be an IPv4-mapped IPv6 address'));
  return errors;
}

/** For newer fields: strict, and in canonical form. */
export function validateIp(value: string, path: string): FieldError[] {
  const errors = validateLegacyIp(value, path);
  const address = parseIp(value);
  if (errors.length > 0 || address === undefined) return errors;
  const canonical = formatIp(address);
  return value === canonical
    ? []
    : [invalidValue(path, value, `must be in canonical form (${goQuote(canonical)})`)];
}

export function validateLegacyCidr(
  value: string,
  path: string,
  storedBefore: readonly string[] = [],
): FieldError[] {
  if (storedBefore.includes(value)) return [];
  const cidr = parseCidr(value);
  if (cidr === undefined)
    return [invalidValue(path, value, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)')];
  if (cidr.leadingZeros)
    return [invalidValue(path, value, 'must not have leading 0s in IP or prefix length')];
  if (cidr.address.mapped) return [invalidValue(path, value, 'must not have an IPv4-mapped IPv6 address')];
  if (networkOf(cidr) !== cidr.address.value)
    return [invalidValue(path, value, 'must not have bits set beyond the prefix length')];
  return [];
}

export function validateCidr(value: string, path: string): FieldError[] {
  const errors = validateLegacyCidr(value, path);
  const cidr = parseCidr(value);
  if (errors.length > 0 || cidr === undefined) return errors;
  const canonical = formatCidr(cidr);
  return value === canonical
    ? []
    : [invalidValue(path, value, `must be in canonical form (${goQuote(canonical)})`)];
}

/** Warnings for addresses that are valid, and written in a way that other software reads differently. */
export function ipWarnings(value: string, path: string): string[] {
  const address = parseIp(value);
  if (address === undefined) return [];
  const canonical = formatIp(address);
  if (address.leadingZeros || address.mapped)
    return [`${path}: non-standard IP address ${goQuote(value)} is invalid: use ${goQuote(canonical)}`];
  if (address.version === 6 && canonical !== value)
    return [
      `${path}: IPv6 address ${goQuote(value)} should be in RFC 5952 canonical format (${goQuote(canonical)})`,
    ];
  return [];
}

export function cidrWarnings(value: string, path: string): string[] {
  const cidr = parseCidr(value);
  if (cidr === undefined) return [];
  const canonical = formatCidr(cidr);
  const warnings: string[] = [];
  if (networkOf(cidr) !== cidr.address.value) {
    const single = `${formatIp(cidr.address)}/${bitsOf(cidr.address.version)}`;
    warnings.push(
      `${path}: CIDR value ${goQuote(value)} is ambiguous in this context (should be ${goQuote(canonical)} or ${goQuote(single)}?)`,
    );
  }
  if (cidr.leadingZeros || cidr.address.mapped)
    warnings.push(`${path}: non-standard CIDR value ${goQuote(value)} is invalid: use ${goQuote(canonical)}`);
  if (warnings.length === 0 && cidr.address.version === 6 && canonical !== value)
    warnings.push(
      `${path}: IPv6 CIDR value ${goQuote(value)} should be in RFC 5952 canonical format (${goQuote(canonical)})`,
    );
  return warnings;
}

/** Whether the addresses (or CIDRs) are of both families. */
export function isDualStack(versions: readonly (4 | 6)[]): boolean {
  return versions.includes(4) && versions.includes(6);
}
