import { cidrSize, formatAddress, formatCidr, parseAddress } from '../address.ts';
import type { Cidr } from '../address.ts';

/**
 * Hands out the addresses of one range, one after another, so that a freed one rests as long as possible before somebody
 * else gets it. The first address is the gateway's; the first and the last of the range are nobody's.
 *
 * 10.244.0.0/24: gateway 10.244.0.1, pods 10.244.0.2 to 10.244.0.254.
 */
export class AddressPool {
  readonly cidr: Cidr;
  readonly #used = new Set<bigint>();
  readonly #first: bigint;
  readonly #last: bigint;
  #next: bigint;

  constructor(cidr: Cidr) {
    if (cidrSize(cidr) < 4n) throw new Error(`the pod CIDR ${formatCidr(cidr)} is too small for pods`);
    this.cidr = cidr;
    this.#first = cidr.base + 2n;
    this.#last = cidr.base + cidrSize(cidr) - 2n;
    this.#next = this.#first;
  }

  get gateway(): string {
    return formatAddress(this.cidr.family, this.cidr.base + 1n);
  }

  /** Throws when all are in use; the words are those of the host-local plugin. */
  allocate(): string {
    const size = this.#last - this.#first + 1n;
    if (BigInt(this.#used.size) >= size) {
      const range = `${formatAddress(this.cidr.family, this.#first)}-${formatAddress(this.cidr.family, this.#last)}`;
      throw new Error(`no IP addresses available in range set: ${range}`);
    }
    let value = this.#next;
    while (this.#used.has(value)) value = this.#after(value);
    this.#used.add(value);
    this.#next = this.#after(value);
    return formatAddress(this.cidr.family, value);
  }

  /** Marks an address as in use, as found after a restart; false when it is not of this range or in use already. */
  take(address: string): boolean {
    const value = parseAddress(address);
    if (value === undefined || value < this.#first || value > this.#last || this.#used.has(value))
      return false;
    this.#used.add(value);
    this.#next = this.#after(value);
    return true;
  }

  release(address: string): void {
    const value = parseAddress(address);
    if (value !== undefined) this.#used.delete(value);
  }

  #after(value: bigint): bigint {
    return value === this.#last ? this.#first : value + 1n;
  }
}
