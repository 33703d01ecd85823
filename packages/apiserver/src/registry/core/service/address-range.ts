/** A range of cluster IPs and which of it are free (pkg/registry/core/service/ipallocator). */
import type { Random } from '@k8ts/base';
import {
  bitsOf,
  formatCidr,
  formatIp,
  networkOf,
  parseCidr,
  parseIp,
  type IpAddress,
} from '../../ip-addresses.ts';

export type IpFamily = 'IPv4' | 'IPv6';

export interface AddressRange {
  readonly cidr: string;
  readonly family: IpFamily;
  readonly version: 4 | 6;
  /** Neither the network's own address nor, for IPv4, the broadcast address. */
  readonly first: bigint;
  readonly last: bigint;
  /** First address that is given away unasked while any is left; those below are for services that name theirs (KEP-3070). */
  readonly dynamicFirst: bigint;
}

const STATIC_MIN = 16n;
const STATIC_MAX = 256n;
const STATIC_STEP = 16n;
/** How many random places are tried before the range is searched in order. */
const RANDOM_TRIES = 16;

/** Throws an Error for what is no CIDR or has no room for services. */
export function addressRange(text: string): AddressRange {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new Error(`${text} is not a CIDR`);
  const { version } = cidr.address;
  const size = 1n << BigInt(bitsOf(version) - cidr.prefixLength);
  const first = networkOf(cidr) + 1n;
  const last = networkOf(cidr) + size - (version === 4 ? 2n : 1n);
  if (last < first) throw new Error(`the service range ${text} has no usable address`);
  const family = version === 4 ? 'IPv4' : 'IPv6';
  return { cidr: formatCidr(cidr), family, version, first, last, dynamicFirst: first + staticBand(size) };
}

function staticBand(size: bigint): bigint {
  if (size <= STATIC_MIN) return 0n;
  const part = size / STATIC_STEP;
  return part < STATIC_MIN ? STATIC_MIN : part > STATIC_MAX ? STATIC_MAX : part;
}

export function rangeHas(range: AddressRange, address: IpAddress): boolean {
  return address.version === range.version && address.value >= range.first && address.value <= range.last;
}

/** Free addresses, the dynamic band first, each band from a random place on; ends when none is left. */
export function* freeAddresses(
  range: AddressRange,
  isTaken: (address: string) => boolean,
  random: Random,
): Generator<string> {
  const bands: readonly (readonly [bigint, bigint])[] = [
    [range.dynamicFirst, range.last],
    [range.first, range.dynamicFirst - 1n],
  ];
  for (const [first, last] of bands) {
    if (last < first) continue;
    const text = (value: bigint): string => formatIp({ version: range.version, value });
    for (let i = 0; i < RANDOM_TRIES; i++) {
      const address = text(randomBetween(first, last, random));
      if (!isTaken(address)) yield address;
    }
    const start = randomBetween(first, last, random);
    for (let value = start; value <= last; value++) if (!isTaken(text(value))) yield text(value);
    for (let value = first; value < start; value++) if (!isTaken(text(value))) yield text(value);
  }
}

const RANDOM_STEPS = 2 ** 48;

function randomBetween(first: bigint, last: bigint, random: Random): bigint {
  const size = last - first + 1n;
  const fraction = BigInt(Math.floor(random() * RANDOM_STEPS));
  return first + (size * fraction) / BigInt(RANDOM_STEPS);
}

export function familyOf(address: string): IpFamily {
  return parseIp(address)?.version === 6 ? 'IPv6' : 'IPv4';
}
