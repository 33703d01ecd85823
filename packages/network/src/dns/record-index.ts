import { canonicalAddress } from '../address.ts';
import type { NameRecords, ServiceRecords } from './service-records.ts';

/**
 * All names of the cluster's zone, ready to be looked up: an answer costs one or two map accesses, however many Services
 * there are. A Service's names are its own, so replacing its records touches nothing else.
 */
export class RecordIndex {
  /** In lower case, without a dot at the end. */
  readonly zone: string;
  readonly #names = new Map<string, NameRecords>();
  /** Names between the zone and those with records, and how many of the latter are below them. */
  readonly #inner = new Map<string, number>();
  readonly #reverse = new Map<string, Map<string, ServiceRecords>>();
  readonly #services = new Map<string, ServiceRecords>();
  readonly #namespaces = new Set<string>();
  /** Addresses of the DNS service itself, the zone's name server. */
  readonly serverAddresses: readonly string[];
  /** Counts changes; the zone's serial number. */
  serial = 1;

  constructor(zone: string, serverAddresses: readonly string[] = []) {
    this.zone = zone.toLowerCase().replace(/\.$/, '');
    this.serverAddresses = serverAddresses.flatMap((ip) => canonicalAddress(ip) ?? []);
  }

  /** `key` is `namespace/name`; undefined records: the Service is gone. */
  setService(key: string, records: ServiceRecords | undefined): void {
    const known = this.#services.get(key);
    if (known !== undefined) this.#remove(key, known);
    if (records !== undefined) this.#add(key, records);
    this.serial++;
  }

  addNamespace(name: string): void {
    this.#namespaces.add(name.toLowerCase());
  }

  removeNamespace(name: string): void {
    this.#namespaces.delete(name.toLowerCase());
  }

  hasNamespace(name: string): boolean {
    return this.#namespaces.has(name);
  }

  records(name: string): NameRecords | undefined {
    return this.#names.get(name);
  }

  /** There are names below this one. */
  isInner(name: string): boolean {
    return this.#inner.has(name);
  }

  /** The Service that has the address, else all endpoints that have it. `address` is canonical. */
  namesOf(address: string): readonly string[] {
    const holders = [...(this.#reverse.get(address)?.values() ?? [])];
    const service = holders.find(({ clusterIps }) => clusterIps.includes(address));
    if (service !== undefined) return service.reverse.get(address) ?? [];
    return holders.flatMap(({ reverse }) => reverse.get(address) ?? []);
  }

  #add(key: string, records: ServiceRecords): void {
    this.#services.set(key, records);
    for (const [name, found] of records.names) {
      this.#names.set(name, found);
      for (const parent of this.#parents(name)) this.#inner.set(parent, (this.#inner.get(parent) ?? 0) + 1);
    }
    for (const ip of records.reverse.keys()) {
      let holders = this.#reverse.get(ip);
      if (holders === undefined) this.#reverse.set(ip, (holders = new Map<string, ServiceRecords>()));
      holders.set(key, records);
    }
  }

  #remove(key: string, records: ServiceRecords): void {
    this.#services.delete(key);
    for (const name of records.names.keys()) {
      this.#names.delete(name);
      for (const parent of this.#parents(name)) {
        const count = (this.#inner.get(parent) ?? 0) - 1;
        if (count > 0) this.#inner.set(parent, count);
        else this.#inner.delete(parent);
      }
    }
    for (const ip of records.reverse.keys()) {
      const holders = this.#reverse.get(ip);
      holders?.delete(key);
      if (holders?.size === 0) this.#reverse.delete(ip);
    }
  }

  /** `a.b.svc.zone` → `b.svc.zone`, `svc.zone` */
  *#parents(name: string): IterableIterator<string> {
    let dot = name.indexOf('.');
    while (dot >= 0 && name.length - dot - 1 > this.zone.length) {
      yield name.slice(dot + 1);
      dot = name.indexOf('.', dot + 1);
    }
  }
}
