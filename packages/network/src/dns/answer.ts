import { canonicalAddress, familyOf, formatAddress } from '../address.ts';
import { RecordType } from './message.ts';
import type { DnsRecord, Question } from './message.ts';
import type { RecordIndex } from './record-index.ts';
import type { NameRecords } from './service-records.ts';

/** What the cluster knows of a question. */
export type Answer =
  | {
      readonly kind: 'answer';
      readonly code: 'NOERROR' | 'NXDOMAIN';
      readonly answers: readonly DnsRecord[];
      readonly authorities: readonly DnsRecord[];
      readonly additionals: readonly DnsRecord[];
    }
  /** The name is another's: `record` is the CNAME, whose target has to be asked for. */
  | { readonly kind: 'alias'; readonly record: DnsRecord; readonly target: string }
  /** Not the cluster's to answer. */
  | { readonly kind: 'foreign' };

/** Of the schema: https://github.com/kubernetes/dns/blob/master/docs/specification.md */
const SCHEMA_VERSION = '1.1.0';
const SCHEMA_VERSION_TTL = 28_800;

/** A pure function of the index and the question: no clock, no network. `ttl` is in seconds. */
export function answer(index: RecordIndex, question: Question, ttl: number): Answer {
  const { name } = question;
  const { zone } = index;
  if (name === zone) return apexAnswer(index, question, ttl);
  if (!name.endsWith(`.${zone}`)) return reverseAnswer(index, question, ttl);

  const records = index.records(name);
  if (records !== undefined) return recordsAnswer(index, question, records, ttl);
  const path = name.slice(0, -zone.length - 1);
  if (path === 'dns-version') {
    const version: DnsRecord = { name, type: 'TXT', ttl: SCHEMA_VERSION_TTL, text: SCHEMA_VERSION };
    return found(index, question.type === RecordType.TXT ? [version] : [], ttl);
  }
  if (path === 'ns.dns') return found(index, addressRecords(question, index.serverAddresses, ttl), ttl);
  if (path === 'dns' || path === 'svc' || path === 'pod' || index.isInner(name)) return found(index, [], ttl);

  const labels = path.split('.');
  const section = labels.at(-1);
  const namespace = labels.at(-2) ?? '';
  if ((section === 'svc' || section === 'pod') && labels.length === 2 && index.hasNamespace(namespace)) {
    return found(index, [], ttl);
  }
  if (section === 'pod' && labels.length === 3 && index.hasNamespace(namespace)) {
    const ip = podAddress(labels[0] ?? '');
    if (ip !== undefined) return found(index, addressRecords(question, [ip], ttl), ttl);
  }
  return denied(index, ttl);
}

function apexAnswer(index: RecordIndex, { type }: Question, ttl: number): Answer {
  const { zone } = index;
  if (type === RecordType.SOA) return found(index, [soa(index, ttl)], ttl);
  if (type !== RecordType.NS) return found(index, [], ttl);
  const target = `ns.dns.${zone}`;
  const additionals = index.serverAddresses.map((address) => addressRecord(target, address, ttl));
  return { ...foundNothing, answers: [{ name: zone, type: 'NS', ttl, target }], additionals };
}

/** Addresses that the cluster does not know may be known elsewhere. */
function reverseAnswer(index: RecordIndex, { name, type }: Question, ttl: number): Answer {
  const address = reversedAddress(name);
  const names = address === undefined ? [] : index.namesOf(address);
  if (names.length === 0) return { kind: 'foreign' };
  const records = names.map((target): DnsRecord => ({ name, type: 'PTR', ttl, target }));
  return { ...foundNothing, answers: type === RecordType.PTR ? records : [] };
}

function recordsAnswer(index: RecordIndex, question: Question, records: NameRecords, ttl: number): Answer {
  const { name, type } = question;
  if (records.cname !== undefined) {
    const record: DnsRecord = { name, type: 'CNAME', ttl, target: records.cname };
    if (type === RecordType.CNAME) return found(index, [record], ttl);
    // SRV of names outside is not looked for (CoreDNS).
    if (type !== RecordType.A && type !== RecordType.AAAA) return found(index, [], ttl);
    return { kind: 'alias', record, target: records.cname };
  }
  if (type !== RecordType.SRV)
    return found(index, addressRecords(question, [...records.a, ...records.aaaa], ttl), ttl);
  // All alike: each gets its share of 100, as from CoreDNS.
  const weight = Math.max(1, Math.floor(100 / Math.max(1, records.srv.length)));
  const answers = records.srv.map(({ port, target }): DnsRecord => ({
    name,
    type: 'SRV',
    ttl,
    priority: 0,
    weight,
    port,
    target,
  }));
  const targets = new Set(records.srv.map(({ target }) => target));
  const additionals = [...targets].flatMap((target) => {
    const { a = [], aaaa = [] } = index.records(target) ?? {};
    return [...a, ...aaaa].map((address) => addressRecord(target, address, ttl));
  });
  return { ...found(index, answers, ttl), additionals };
}

const foundNothing = {
  kind: 'answer',
  code: 'NOERROR',
  answers: [],
  authorities: [],
  additionals: [],
} as const;

type Found = Extract<Answer, { kind: 'answer' }>;

/** The name is there; without records of the type asked for, the zone's SOA says how long that may be believed. */
function found(index: RecordIndex, answers: readonly DnsRecord[], ttl: number): Found {
  return { ...foundNothing, answers, authorities: answers.length === 0 ? [soa(index, ttl)] : [] };
}

function denied(index: RecordIndex, ttl: number): Found {
  return { ...foundNothing, code: 'NXDOMAIN', authorities: [soa(index, ttl)] };
}

function soa({ zone, serial }: RecordIndex, ttl: number): DnsRecord {
  return {
    name: zone,
    type: 'SOA',
    ttl,
    primary: `ns.dns.${zone}`,
    mailbox: `hostmaster.${zone}`,
    serial: serial >>> 0,
    refresh: 7200,
    retry: 1800,
    expire: 86_400,
    minimum: ttl,
  };
}

function addressRecords({ name, type }: Question, addresses: readonly string[], ttl: number): DnsRecord[] {
  const wanted = type === RecordType.A ? 'IPv4' : type === RecordType.AAAA ? 'IPv6' : undefined;
  return addresses
    .filter((address) => familyOf(address) === wanted)
    .map((address) => addressRecord(name, address, ttl));
}

function addressRecord(name: string, address: string, ttl: number): DnsRecord {
  return { name, type: address.includes(':') ? 'AAAA' : 'A', ttl, address };
}

/** `10-244-0-5` → 10.244.0.5, `fd00--5` → fd00::5. Whether there is such a pod is not asked (CoreDNS: pods insecure). */
function podAddress(label: string): string | undefined {
  if (/^\d+-\d+-\d+-\d+$/.test(label)) return canonicalAddress(label.replaceAll('-', '.'));
  return canonicalAddress(label.replaceAll('-', ':'));
}

/** `5.0.244.10.in-addr.arpa` → 10.244.0.5; canonical. */
function reversedAddress(name: string): string | undefined {
  const ipv4 = /^((?:\d{1,3}\.){4})in-addr\.arpa$/.exec(name)?.[1];
  if (ipv4 !== undefined) return canonicalAddress(ipv4.slice(0, -1).split('.').reverse().join('.'));
  const ipv6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name)?.[1];
  if (ipv6 === undefined) return undefined;
  return formatAddress('IPv6', BigInt(`0x${ipv6.replaceAll('.', '').split('').reverse().join('')}`));
}
