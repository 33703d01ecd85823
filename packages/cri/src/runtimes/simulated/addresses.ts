/** Hands out the IPv4 addresses of one range in turn, so that one is reused as late as possible. */
export class AddressRange {
  readonly #base: number;
  readonly #size: number;
  #next = 1;
  readonly #taken = new Set<number>();

  /** `cidr`: `10.244.3.0/24`. The first and the last address of the range are not handed out, nor the second (the gateway). */
  constructor(cidr: string) {
    const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(cidr);
    const parts = match?.slice(1).map(Number) ?? [];
    const [a = 256, b = 256, c = 256, d = 256, bits = 33] = parts;
    if (a > 255 || b > 255 || c > 255 || d > 255 || bits > 29 || bits < 8) {
      throw new Error(`"${cidr}" is not an IPv4 range between /8 and /29`);
    }
    this.#size = 2 ** (32 - bits);
    const address = a * 2 ** 24 + b * 2 ** 16 + c * 2 ** 8 + d;
    this.#base = address - (address % this.#size);
  }

  /** Throws when all are taken. */
  allocate(): string {
    const usable = this.#size - 3;
    if (this.#taken.size >= usable) throw new Error('no IP addresses available in range set');
    do this.#next = this.#next >= this.#size - 2 ? 2 : this.#next + 1;
    while (this.#taken.has(this.#next));
    this.#taken.add(this.#next);
    const address = this.#base + this.#next;
    return [address / 2 ** 24, address / 2 ** 16, address / 2 ** 8, address]
      .map((part) => Math.floor(part) % 256)
      .join('.');
  }

  /** Releasing what was never taken, or what belongs to another range, is harmless. */
  release(address: string): void {
    const number = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
    this.#taken.delete(number - this.#base);
  }
}

/** The n-th /24 of a range, for a simulation in which nobody assigns ranges to nodes. Wraps around when they run out. */
export function nthNodeRange(clusterCidr: string, index: number): string {
  const [address = '', bits = ''] = clusterCidr.split('/');
  const count = 2 ** Math.max(0, 24 - Number(bits));
  const [a = 10, b = 0, c = 0] = address.split('.').map(Number);
  const block = a * 2 ** 16 + b * 2 ** 8 + c + (index % count);
  return `${(block >> 16) & 255}.${(block >> 8) & 255}.${block & 255}.0/24`;
}
