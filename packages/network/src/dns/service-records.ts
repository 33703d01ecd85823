import type { corev1, discoveryv1 } from '@k8ts/api';

import { canonicalAddress, familyOf } from '../address.ts';

/** The records of one name. A name with none of a type has an empty list; all names here have some record. */
export interface NameRecords {
  readonly a: readonly string[];
  readonly aaaa: readonly string[];
  readonly srv: readonly ServiceTarget[];
  /** Only on names that have nothing else. */
  readonly cname?: string;
}

interface ServiceTarget {
  readonly port: number;
  readonly target: string;
}

/** What one Service puts into the cluster's zone. */
export interface ServiceRecords {
  /** By full name, in lower case. */
  readonly names: ReadonlyMap<string, NameRecords>;
  /** By canonical address: the names it belongs to. */
  readonly reverse: ReadonlyMap<string, readonly string[]>;
  /** Those of `reverse` that are the Service's own, and so nobody else's. */
  readonly clusterIps: readonly string[];
}

interface MutableNameRecords {
  readonly a: string[];
  readonly aaaa: string[];
  readonly srv: ServiceTarget[];
}

/**
 * The records of a Service by the specification of DNS-based service discovery
 * (https://github.com/kubernetes/dns/blob/master/docs/specification.md), and where it leaves a choice, CoreDNS's:
 *
 *     web.default.svc.cluster.local                        A (cluster IP; headless: those of ready endpoints), SRV
 *     _http._tcp.web.default.svc.cluster.local             SRV of the named port
 *     web-0.web.default.svc.cluster.local                  A, SRV of the endpoint with that hostname
 *     10-244-0-5.web.default.svc.cluster.local             the same for one without hostname
 *     ext.default.svc.cluster.local                        CNAME of an ExternalName
 *
 * `zone` is in lower case and without a dot at the end.
 */
export function serviceRecords(
  service: corev1.Service,
  slices: readonly discoveryv1.EndpointSlice[],
  zone: string,
): ServiceRecords {
  const { spec, metadata } = service;
  const base = `${metadata.name}.${metadata.namespace}.svc.${zone}`.toLowerCase();
  if (spec.type === 'ExternalName') return externalRecords(base, spec.externalName ?? '');
  const builder = new RecordBuilder();
  const clusterIps = (spec.clusterIPs ?? [spec.clusterIP ?? '']).flatMap((ip) => canonicalAddress(ip) ?? []);
  for (const ip of clusterIps) {
    builder.address(base, ip);
    builder.pointer(ip, base);
  }
  if (clusterIps.length > 0) {
    for (const { name = '', protocol = 'TCP', port } of spec.ports ?? []) {
      builder.service(base, name, protocol, { port, target: base });
    }
  }
  const headless = spec.clusterIP === 'None';
  for (const { endpoints = [], ports = [] } of slices) {
    for (const { addresses, conditions, hostname } of endpoints) {
      if (conditions?.ready === false && spec.publishNotReadyAddresses !== true) continue;
      const ip = canonicalAddress(addresses[0] ?? '');
      if (ip === undefined) continue;
      const host = `${hostname ?? ip.replace(/[.:]/g, '-')}.${base}`.toLowerCase();
      builder.address(host, ip);
      if (headless) builder.address(base, ip);
      builder.pointer(ip, host);
      for (const { name = '', protocol = 'TCP', port } of ports) {
        if (port === undefined) continue;
        builder.target(host, { port, target: host });
        if (headless) builder.service(base, name, protocol, { port, target: host });
      }
    }
  }
  return { names: builder.names, reverse: builder.reverse, clusterIps };
}

/** An ExternalName that is an address is none (CoreDNS): names lead to names. */
function externalRecords(base: string, externalName: string): ServiceRecords {
  const target = externalName.replace(/\.$/, '').toLowerCase();
  const names = new Map<string, NameRecords>();
  if (target !== '' && familyOf(target) === undefined)
    names.set(base, { a: [], aaaa: [], srv: [], cname: target });
  return { names, reverse: new Map(), clusterIps: [] };
}

class RecordBuilder {
  readonly names = new Map<string, MutableNameRecords>();
  readonly reverse = new Map<string, string[]>();

  address(name: string, ip: string): void {
    const records = this.#at(name);
    addOnce(familyOf(ip) === 'IPv4' ? records.a : records.aaaa, ip);
  }

  pointer(ip: string, name: string): void {
    let names = this.reverse.get(ip);
    if (names === undefined) this.reverse.set(ip, (names = []));
    addOnce(names, name);
  }

  /** On the Service's name, and on the port's where it has one. */
  service(base: string, port: string, protocol: string, target: ServiceTarget): void {
    this.target(base, target);
    if (port !== '') this.target(`_${port}._${protocol}.${base}`.toLowerCase(), target);
  }

  target(name: string, target: ServiceTarget): void {
    const { srv } = this.#at(name);
    if (!srv.some((known) => known.port === target.port && known.target === target.target)) srv.push(target);
  }

  #at(name: string): MutableNameRecords {
    let records = this.names.get(name);
    if (records === undefined) this.names.set(name, (records = { a: [], aaaa: [], srv: [] }));
    return records;
  }
}

function addOnce(list: string[], value: string): void {
  if (!list.includes(value)) list.push(value);
}
