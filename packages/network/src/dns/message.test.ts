import { decode, encode } from 'dns-packet';
import type { Answer, Packet } from 'dns-packet';
import { describe, expect, it } from 'vitest';

import { seededRandom } from '@k8ts/base';

import {
  NO_RECORDS,
  RecordType,
  encodeQuery,
  encodeResponse,
  parseForeignAnswer,
  parseQuery,
  udpLimit,
} from './message.ts';
import type { DnsRecord, Query } from './message.ts';

function query(
  name: string,
  type: 'A' | 'SRV' | 'PTR' = 'A',
  additionals: Packet['additionals'] = [],
): Query {
  const parsed = parseQuery(
    encode({ type: 'query', id: 4711, flags: 0x100, questions: [{ name, type }], additionals }),
  );
  if (!('question' in parsed)) throw new Error(`no query: ${parsed.code}`);
  return parsed;
}

/** The client's side of EDNS. */
const opt = (udpPayloadSize: number): Answer[] => [
  {
    type: 'OPT',
    name: '.',
    udpPayloadSize,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0x8000,
    flag_do: true,
    options: [],
  },
];

describe('parseQuery', () => {
  it('reads a question in lower case, and what EDNS says', () => {
    expect(query('Web.Default.svc.cluster.LOCAL').question).toEqual({
      name: 'web.default.svc.cluster.local',
      type: RecordType.A,
      class: 1,
    });
    expect(query('a', 'A').edns).toBeUndefined();
    const edns = query('a', 'A', opt(4096));
    expect(edns.edns).toEqual({ udpSize: 4096, version: 0, dnssecOk: true });
    expect([udpLimit(query('a')), udpLimit(edns), udpLimit(query('a', 'A', opt(100)))]).toEqual([
      512, 1232, 512,
    ]);
  });

  it('keeps labels apart that hold dots', () => {
    const message = Buffer.concat([
      encodeQuery(1, '', 1).subarray(0, 12),
      Buffer.from('\x05a.b\\\x07\x01c\x00\x00\x01\x00\x01', 'latin1'),
    ]);
    expect(parseQuery(message)).toMatchObject({ question: { name: 'a\\.b\\\\\\007.c' } });
  });

  it.each<[string, Buffer, string | undefined]>([
    ['nothing', Buffer.alloc(0), undefined],
    ['half a header', Buffer.alloc(11), undefined],
    ['an answer', encode({ type: 'response', questions: [{ name: 'a', type: 'A' }] }), undefined],
    ['no question', encode({ type: 'query', questions: [] }), 'FORMERR'],
    [
      'two questions',
      encode({
        type: 'query',
        questions: [
          { name: 'a', type: 'A' },
          { name: 'b', type: 'A' },
        ],
      }),
      'FORMERR',
    ],
    [
      'another operation',
      encode({ type: 'query', flags: 5 << 11, questions: [{ name: 'a', type: 'A' }] }),
      'NOTIMP',
    ],
    ['a question that is cut', encodeQuery(1, 'abc', 1).subarray(0, 15), 'FORMERR'],
    ['a type that is cut', encodeQuery(1, 'abc', 1).subarray(0, 19), 'FORMERR'],
    [
      'a name that points to itself',
      Buffer.concat([encodeQuery(1, '', 1).subarray(0, 12), Buffer.from([0xc0, 12, 0, 1, 0, 1])]),
      'FORMERR',
    ],
    [
      'a name of 300 bytes',
      Buffer.concat([
        encodeQuery(1, '', 1).subarray(0, 12),
        Buffer.from(`${'\x3f'.padEnd(64, 'a').repeat(5)}\x00\x00\x01\x00\x01`, 'latin1'),
      ]),
      'FORMERR',
    ],
    ['records that are not there', Buffer.concat([setCount(encodeQuery(1, 'a', 1), 65_535)]), 'FORMERR'],
    [
      'EDNS twice',
      encode({ type: 'query', questions: [{ name: 'a', type: 'A' }], additionals: [...opt(1), ...opt(1)] }),
      'FORMERR',
    ],
  ])('refuses %s', (_what, message, code) => {
    expect(parseQuery(message)).toEqual({ code });
  });

  it('survives anything', () => {
    const random = seededRandom(7);
    const good = encode({
      type: 'query',
      questions: [{ name: 'web.default.svc', type: 'A' }],
      additionals: opt(512),
    });
    for (let i = 0; i < 20_000; i++) {
      const message = Buffer.from(good);
      for (let changes = 0; changes < 3; changes++)
        message[Math.floor(random() * message.length)] = Math.floor(random() * 256);
      const cut = message.subarray(0, Math.floor(random() * (message.length + 1)));
      const parsed = parseQuery(cut);
      if ('question' in parsed) {
        const response = encodeResponse(
          parsed,
          { ...NO_RECORDS, code: 'NXDOMAIN', authoritative: true },
          512,
        );
        expect(response.length).toBeLessThanOrEqual(512);
      }
      parseForeignAnswer(cut, 1, query('web.default.svc'));
    }
  });
});

function setCount(message: Buffer, count: number): Buffer {
  message.writeUInt16BE(count, 10);
  return message;
}

const RECORDS: readonly DnsRecord[] = [
  { name: 'a.b.cluster.local', type: 'A', ttl: 5, address: '10.0.255.1' },
  { name: 'a.b.cluster.local', type: 'AAAA', ttl: 5, address: 'fd00::1:0:5' },
  { name: 'a.b.cluster.local', type: 'CNAME', ttl: 5, target: 'c.b.cluster.local' },
  { name: 'x.cluster.local', type: 'PTR', ttl: 70_000, target: 'a.b.cluster.local' },
  { name: 'cluster.local', type: 'NS', ttl: 5, target: 'ns.dns.cluster.local' },
  {
    name: 'a.b.cluster.local',
    type: 'SRV',
    ttl: 5,
    priority: 0,
    weight: 33,
    port: 65_535,
    target: 'db.b.cluster.local',
  },
  { name: 'a.b.cluster.local', type: 'TXT', ttl: 5, text: '1.1.0' },
  {
    name: 'cluster.local',
    type: 'SOA',
    ttl: 5,
    primary: 'ns.dns.cluster.local',
    mailbox: 'hostmaster.cluster.local',
    serial: 4_000_000_000,
    refresh: 7200,
    retry: 1800,
    expire: 86_400,
    minimum: 5,
  },
];

describe('encodeResponse', () => {
  it('writes what another implementation reads', () => {
    const asked = query('A.B.cluster.local', 'A', opt(1232));
    const parts = { ...NO_RECORDS, code: 'NXDOMAIN', authoritative: true, answers: RECORDS } as const;
    const packet = decode(encodeResponse(asked, parts, 1232));
    expect(packet).toMatchObject({
      id: 4711,
      type: 'response',
      flag_aa: true,
      flag_rd: true,
      flag_ra: true,
      flag_tc: false,
    });
    expect((packet as unknown as { rcode: string }).rcode).toBe('NXDOMAIN');
    expect(packet.questions?.[0]?.name).toBe('A.B.cluster.local');
    const data = packet.answers?.map((record) => ({
      name: record.name.toLowerCase(),
      type: record.type,
      ttl: 'ttl' in record ? record.ttl : 0,
      data: 'data' in record ? record.data : undefined,
    }));
    expect(data).toEqual([
      { name: 'a.b.cluster.local', type: 'A', ttl: 5, data: '10.0.255.1' },
      { name: 'a.b.cluster.local', type: 'AAAA', ttl: 5, data: 'fd00::1:0:5' },
      {
        name: 'a.b.cluster.local',
        type: 'CNAME',
        ttl: 5,
        data: 'c.B.cluster.local',
      },
      {
        name: 'x.cluster.local',
        type: 'PTR',
        ttl: 70_000,
        data: 'A.B.cluster.local',
      },
      { name: 'cluster.local', type: 'NS', ttl: 5, data: 'ns.dns.cluster.local' },
      {
        name: 'a.b.cluster.local',
        type: 'SRV',
        ttl: 5,
        data: { priority: 0, weight: 33, port: 65_535, target: 'db.b.cluster.local' },
      },
      { name: 'a.b.cluster.local', type: 'TXT', ttl: 5, data: [Buffer.from('1.1.0')] },
      {
        name: 'cluster.local',
        type: 'SOA',
        ttl: 5,
        data: {
          mname: 'ns.dns.cluster.local',
          rname: 'hostmaster.cluster.local',
          serial: 4_000_000_000,
          refresh: 7200,
          retry: 1800,
          expire: 86_400,
          minimum: 5,
        },
      },
    ]);
    expect(packet.additionals).toMatchObject([{ type: 'OPT', udpPayloadSize: 1232, flag_do: true }]);
  });

  it.each([512, 1232, 65_535])(
    'keeps to %i bytes, whole records only, and says that some are missing',
    (limit) => {
      for (const edns of [[], opt(limit)]) {
        const asked = query('many.default.svc.cluster.local', 'SRV', edns);
        const answers = Array.from({ length: 3_000 }, (_, i): DnsRecord => ({
          name: asked.question.name,
          type: 'SRV',
          ttl: 5,
          priority: 0,
          weight: 1,
          port: i,
          target: `pod-${i}.many.default.svc.cluster.local`,
        }));
        const response = encodeResponse(
          asked,
          { ...NO_RECORDS, code: 'NOERROR', authoritative: true, answers },
          limit,
        );
        expect(response.length).toBeLessThanOrEqual(limit);
        expect(response.length).toBeGreaterThan(limit - 80);
        const packet = decode(response);
        expect(packet.flag_tc).toBe(true);
        expect(packet.answers?.at(-1)).toMatchObject({ data: { port: (packet.answers?.length ?? 0) - 1 } });
      }
    },
  );

  it('fits many addresses into a classic packet, where names are not repeated', () => {
    const asked = query('db.default.svc.cluster.local');
    const answers = Array.from({ length: 28 }, (_, i): DnsRecord => ({
      name: asked.question.name,
      type: 'A',
      ttl: 5,
      address: `10.244.0.${i}`,
    }));
    const packet = decode(
      encodeResponse(asked, { ...NO_RECORDS, code: 'NOERROR', authoritative: true, answers }, 512),
    );
    expect([packet.flag_tc, packet.answers?.length]).toEqual([false, 28]);
  });

  it('leaves additional records out rather than answers', () => {
    const asked = query('db.default.svc.cluster.local');
    const record = (i: number): DnsRecord => ({
      name: asked.question.name,
      type: 'A',
      ttl: 5,
      address: `10.244.0.${i}`,
    });
    const many = Array.from({ length: 20 }, (_, i) => record(i));
    const packet = decode(
      encodeResponse(
        asked,
        { ...NO_RECORDS, code: 'NOERROR', authoritative: true, answers: many, additionals: many },
        512,
      ),
    );
    expect([packet.flag_tc, packet.answers?.length, packet.additionals?.length]).toEqual([false, 20, 9]);
  });
});

describe('parseForeignAnswer', () => {
  const asked = query('www.example.com');
  const reply = (packet: Packet): Buffer =>
    encode({ type: 'response', id: 9, questions: [{ name: 'WWW.example.com', type: 'A' }], ...packet });

  it("takes the smallest TTL, and the zone's word for denials", () => {
    const answers = [
      { name: 'www.example.com', type: 'CNAME', ttl: 60, data: 'x.example.com' },
      { name: 'x.example.com', type: 'A', ttl: 20, data: '192.0.2.1' },
    ] as const;
    expect(parseForeignAnswer(reply({ answers: [...answers] }), 9, asked)).toMatchObject({
      code: 0,
      ttl: 20,
      truncated: false,
    });
    const soa = { mname: 'a', rname: 'b', serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 7 };
    const denial = reply({
      flags: 3,
      authorities: [{ name: 'example.com', type: 'SOA', ttl: 100, data: soa }],
    });
    expect(parseForeignAnswer(denial, 9, asked)).toMatchObject({ code: 3, ttl: 7 });
  });

  it('takes no answer to something else', () => {
    expect(parseForeignAnswer(reply({}), 8, asked)).toBeUndefined();
    expect(
      parseForeignAnswer(reply({ questions: [{ name: 'www.example.org', type: 'A' }] }), 9, asked),
    ).toBeUndefined();
    expect(
      parseForeignAnswer(reply({ questions: [{ name: 'www.example.com', type: 'AAAA' }] }), 9, asked),
    ).toBeUndefined();
    expect(
      parseForeignAnswer(
        encode({ type: 'query', id: 9, questions: [{ name: 'www.example.com', type: 'A' }] }),
        9,
        asked,
      ),
    ).toBeUndefined();
  });
});
