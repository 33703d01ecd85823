import type { corev1, discoveryv1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { testService, testSlice } from '../testing/service-objects.ts';
import { answer } from './answer.ts';
import { CLASS_IN, RecordType } from './message.ts';
import type { DnsRecord } from './message.ts';
import { RecordIndex } from './record-index.ts';
import { serviceRecords } from './service-records.ts';

const PORTS: discoveryv1.EndpointPort[] = [
  { name: 'http', port: 8080, protocol: 'TCP' },
  { name: 'Metrics', port: 9090, protocol: 'UDP' },
];
const SERVICE_PORTS: corev1.ServicePort[] = [
  { name: 'http', port: 80, protocol: 'TCP' },
  { name: 'metrics', port: 90, protocol: 'UDP' },
];
const endpoint = (address: string, more: Partial<discoveryv1.Endpoint> = {}): discoveryv1.Endpoint => ({
  addresses: [address],
  conditions: { ready: true },
  ...more,
});

/** The cluster of these tests, by Service: itself and its slices. */
const CLUSTER: readonly [corev1.Service, readonly discoveryv1.EndpointSlice[]][] = [
  [
    testService('web', { clusterIP: '10.96.0.50', ports: SERVICE_PORTS }),
    [testSlice('web', ['10.244.0.5', endpoint('10.244.0.6', { conditions: { ready: false } })], PORTS)],
  ],
  [
    testService('dual', {
      clusterIP: '10.96.0.51',
      clusterIPs: ['10.96.0.51', 'FD00:96::51'],
      ports: [{ port: 80 }],
    }),
    [],
  ],
  [
    testService('db', { clusterIP: 'None', clusterIPs: ['None'], ports: SERVICE_PORTS }),
    [
      testSlice(
        'db',
        [
          endpoint('10.244.0.7', { hostname: 'db-0' }),
          endpoint('10.244.0.8', { hostname: 'db-1' }),
          endpoint('10.244.0.9', { hostname: 'db-2', conditions: { ready: false } }),
          endpoint('10.244.0.5'),
        ],
        PORTS,
      ),
      testSlice('db', [endpoint('fd00::7', { hostname: 'db-0' })], PORTS, 'IPv6'),
    ],
  ],
  [testService('idle', { clusterIP: 'None', ports: [] }), []],
  [
    testService('early', { clusterIP: 'None', publishNotReadyAddresses: true }),
    [testSlice('early', [endpoint('10.244.0.10', { hostname: 'x', conditions: { ready: false } })])],
  ],
  [testService('portless', { clusterIP: 'None' }), [testSlice('portless', ['10.244.0.11'], [])]],
  [testService('ext', { type: 'ExternalName', clusterIP: '', externalName: 'Db.Example.COM.' }), []],
  [
    testService('alias', {
      type: 'ExternalName',
      clusterIP: '',
      externalName: 'web.default.svc.cluster.local',
    }),
    [],
  ],
  [testService('address', { type: 'ExternalName', clusterIP: '', externalName: '192.0.2.9' }), []],
];

const index = new RecordIndex('cluster.local', ['10.96.0.10']);
index.addNamespace('default');
for (const [service, slices] of CLUSTER) {
  index.setService(`default/${service.metadata.name}`, serviceRecords(service, slices, 'cluster.local'));
}

function text(record: DnsRecord): string {
  switch (record.type) {
    case 'A':
    case 'AAAA':
      return `${record.type} ${record.address}`;
    case 'SRV':
      return `SRV ${record.priority} ${record.weight} ${record.port} ${record.target}`;
    case 'TXT':
      return `TXT ${record.text}`;
    case 'SOA':
      return `SOA ${record.primary} ${record.minimum}`;
    default:
      return `${record.type} ${record.target}`;
  }
}

function ask(name: string, type: keyof typeof RecordType) {
  const result = answer(index, { name, type: RecordType[type], class: CLASS_IN }, 5);
  if (result.kind !== 'answer') return result.kind === 'alias' ? `alias ${result.target}` : result.kind;
  for (const record of result.answers) expect(record.name).toBe(name);
  const records = result.answers.map(text);
  const denial = result.authorities.map(text).join();
  expect(denial === '').toBe(records.length > 0 || name.endsWith('.arpa'));
  return result.code === 'NXDOMAIN' ? 'NXDOMAIN' : records;
}

describe('answer', () => {
  it.each<[string, keyof typeof RecordType, ReturnType<typeof ask>]>([
    // a Service with a cluster IP
    ['web.default.svc.cluster.local', 'A', ['A 10.96.0.50']],
    ['web.default.svc.cluster.local', 'AAAA', []],
    ['web.default.svc.cluster.local', 'TXT', []],
    ['dual.default.svc.cluster.local', 'AAAA', ['AAAA fd00:96::51']],
    ['_http._tcp.web.default.svc.cluster.local', 'SRV', ['SRV 0 100 80 web.default.svc.cluster.local']],
    ['_metrics._udp.web.default.svc.cluster.local', 'SRV', ['SRV 0 100 90 web.default.svc.cluster.local']],
    ['_http._udp.web.default.svc.cluster.local', 'SRV', 'NXDOMAIN'],
    ['_http._tcp.web.default.svc.cluster.local', 'A', []],
    [
      'web.default.svc.cluster.local',
      'SRV',
      ['SRV 0 50 80 web.default.svc.cluster.local', 'SRV 0 50 90 web.default.svc.cluster.local'],
    ],
    ['10-244-0-5.web.default.svc.cluster.local', 'A', ['A 10.244.0.5']],
    ['10-244-0-6.web.default.svc.cluster.local', 'A', 'NXDOMAIN'],
    // headless
    ['db.default.svc.cluster.local', 'A', ['A 10.244.0.7', 'A 10.244.0.8', 'A 10.244.0.5']],
    ['db.default.svc.cluster.local', 'AAAA', ['AAAA fd00::7']],
    ['db-0.db.default.svc.cluster.local', 'A', ['A 10.244.0.7']],
    ['db-0.db.default.svc.cluster.local', 'AAAA', ['AAAA fd00::7']],
    ['db-2.db.default.svc.cluster.local', 'A', 'NXDOMAIN'],
    ['10-244-0-5.db.default.svc.cluster.local', 'A', ['A 10.244.0.5']],
    [
      '_http._tcp.db.default.svc.cluster.local',
      'SRV',
      [
        'SRV 0 33 8080 db-0.db.default.svc.cluster.local',
        'SRV 0 33 8080 db-1.db.default.svc.cluster.local',
        'SRV 0 33 8080 10-244-0-5.db.default.svc.cluster.local',
      ],
    ],
    ['idle.default.svc.cluster.local', 'A', 'NXDOMAIN'],
    ['early.default.svc.cluster.local', 'A', ['A 10.244.0.10']],
    ['x.early.default.svc.cluster.local', 'A', ['A 10.244.0.10']],
    ['portless.default.svc.cluster.local', 'A', ['A 10.244.0.11']],
    // external names
    ['ext.default.svc.cluster.local', 'CNAME', ['CNAME db.example.com']],
    ['ext.default.svc.cluster.local', 'A', 'alias db.example.com'],
    ['ext.default.svc.cluster.local', 'AAAA', 'alias db.example.com'],
    ['ext.default.svc.cluster.local', 'SRV', []],
    ['address.default.svc.cluster.local', 'A', 'NXDOMAIN'],
    // pods
    ['10-244-0-5.default.pod.cluster.local', 'A', ['A 10.244.0.5']],
    ['10-244-0-5.default.pod.cluster.local', 'AAAA', []],
    ['fd00--5.default.pod.cluster.local', 'AAAA', ['AAAA fd00::5']],
    ['10-244-0-555.default.pod.cluster.local', 'A', 'NXDOMAIN'],
    ['web.default.pod.cluster.local', 'A', 'NXDOMAIN'],
    ['10-244-0-5.nowhere.pod.cluster.local', 'A', 'NXDOMAIN'],
    // addresses
    ['50.0.96.10.in-addr.arpa', 'PTR', ['PTR web.default.svc.cluster.local']],
    ['7.0.244.10.in-addr.arpa', 'PTR', ['PTR db-0.db.default.svc.cluster.local']],
    [
      '5.0.244.10.in-addr.arpa',
      'PTR',
      ['PTR 10-244-0-5.web.default.svc.cluster.local', 'PTR 10-244-0-5.db.default.svc.cluster.local'],
    ],
    [
      '1.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.0.d.f.ip6.arpa',
      'PTR',
      ['PTR dual.default.svc.cluster.local'],
    ],
    ['50.0.96.10.in-addr.arpa', 'A', []],
    ['1.2.0.192.in-addr.arpa', 'PTR', 'foreign'],
    ['0.192.in-addr.arpa', 'PTR', 'foreign'],
    // the zone
    ['cluster.local', 'SOA', ['SOA ns.dns.cluster.local 5']],
    ['cluster.local', 'NS', ['NS ns.dns.cluster.local']],
    ['cluster.local', 'A', []],
    ['ns.dns.cluster.local', 'A', ['A 10.96.0.10']],
    ['dns-version.cluster.local', 'TXT', ['TXT 1.1.0']],
    ['dns-version.cluster.local', 'A', []],
    ['svc.cluster.local', 'A', []],
    ['default.svc.cluster.local', 'A', []],
    ['default.pod.cluster.local', 'A', []],
    ['_tcp.web.default.svc.cluster.local', 'A', []],
    ['nowhere.svc.cluster.local', 'A', 'NXDOMAIN'],
    ['none.default.svc.cluster.local', 'A', 'NXDOMAIN'],
    ['default.cluster.local', 'A', 'NXDOMAIN'],
    // what is nobody's, and what only looks like the cluster's
    ['example.com', 'A', 'foreign'],
    ['xcluster.local', 'A', 'foreign'],
    ['', 'NS', 'foreign'],
  ])('%s %s', (name, type, expected) => {
    expect(ask(name, type)).toEqual(expected);
  });

  it('adds the addresses of the targets of SRV records', () => {
    const question = {
      name: '_http._tcp.db.default.svc.cluster.local',
      type: RecordType.SRV,
      class: CLASS_IN,
    };
    const result = answer(index, question, 5);
    expect(
      result.kind === 'answer' && result.additionals.map((record) => `${record.name} ${text(record)}`),
    ).toEqual([
      'db-0.db.default.svc.cluster.local A 10.244.0.7',
      'db-0.db.default.svc.cluster.local AAAA fd00::7',
      'db-1.db.default.svc.cluster.local A 10.244.0.8',
      '10-244-0-5.db.default.svc.cluster.local A 10.244.0.5',
    ]);
  });

  it('forgets what is gone, and keeps names that others still need', () => {
    const changing = new RecordIndex('cluster.local');
    changing.addNamespace('default');
    const put = (name: string, spec: Partial<corev1.ServiceSpec>, slices: discoveryv1.EndpointSlice[] = []) =>
      changing.setService(
        `default/${name}`,
        serviceRecords(testService(name, spec), slices, 'cluster.local'),
      );
    const code = (name: string): string => {
      const result = answer(changing, { name, type: RecordType.A, class: CLASS_IN }, 5);
      return result.kind === 'answer' ? result.code : result.kind;
    };
    put('a', { clusterIP: '10.96.0.1' }, [testSlice('a', ['10.244.0.1'])]);
    put('b', { clusterIP: 'None' }, [testSlice('b', ['10.244.0.1'])]);
    changing.setService('default/a', undefined);
    expect(code('a.default.svc.cluster.local')).toBe('NXDOMAIN');
    expect(code('10-244-0-1.a.default.svc.cluster.local')).toBe('NXDOMAIN');
    expect(code('default.svc.cluster.local')).toBe('NOERROR');
    expect(changing.namesOf('10.96.0.1')).toEqual([]);
    expect(changing.namesOf('10.244.0.1')).toEqual(['10-244-0-1.b.default.svc.cluster.local']);
    changing.setService('default/b', undefined);
    changing.removeNamespace('default');
    expect(code('default.svc.cluster.local')).toBe('NXDOMAIN');
    expect(changing.namesOf('10.244.0.1')).toEqual([]);
  });
});
