import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

import { corev1, discoveryv1 } from '@k8ts/api';
import { Scope, createMetrics, realClock, seededRandom, silentLogger } from '@k8ts/base';
import type { Metrics } from '@k8ts/base';
import { createInformerFactory } from '@k8ts/client';
import { FakeApi } from '@k8ts/client/testing';
import { decode, encode } from 'dns-packet';
import type { Answer, DecodedPacket, Packet, Question } from 'dns-packet';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { testService, testSlice } from '../testing/service-objects.ts';
import { parseUpstream, startClusterDns } from './cluster-dns.ts';
import type { ClusterDns, ClusterDnsOptions } from './cluster-dns.ts';

type Type = Extract<Question['type'], string>;
type Reply = (question: Question, transport: 'udp' | 'tcp', packet: DecodedPacket) => Packet | undefined;

let scope: Scope;
let api: FakeApi;
let metrics: Metrics;
beforeEach(() => {
  scope = new Scope();
  api = new FakeApi();
  metrics = createMetrics();
  api.seed(corev1.namespaces, { metadata: { name: 'default' }, spec: {} });
});
afterEach(() => scope[Symbol.asyncDispose]());

async function start(options: Partial<ClusterDnsOptions> = {}): Promise<ClusterDns> {
  const dns = scope.use(
    await startClusterDns({
      informers: scope.use(
        createInformerFactory({
          client: api.client,
          clock: realClock,
          random: seededRandom(1),
          logger: silentLogger,
        }),
      ),
      listen: [{ address: '127.0.0.1', port: 0 }],
      upstreams: [],
      clock: realClock,
      random: seededRandom(1),
      logger: silentLogger,
      metrics,
      ...options,
    }),
  );
  await dns.ready;
  return dns;
}

/** Another name server, which answers by `reply`; undefined: not at all. Returns its address and what it was asked. */
async function upstream(reply: Reply): Promise<{ readonly address: string; readonly asked: string[] }> {
  const asked: string[] = [];
  const respond = (message: Buffer, transport: 'udp' | 'tcp'): Buffer | undefined => {
    const packet = decode(message);
    const question = packet.questions?.[0];
    if (question === undefined || question.name.endsWith('loop-check.k8ts')) return undefined;
    asked.push(`${transport} ${question.name} ${question.type}`);
    const answer = reply(question, transport, packet);
    return answer && encode({ type: 'response', id: packet.id ?? 0, questions: [question], ...answer });
  };
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      const answer = respond(data.subarray(2), 'tcp');
      if (answer !== undefined) socket.end(framed(answer));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const udp = createSocket('udp4');
  udp.on('message', (message, from) => {
    const answer = respond(message, 'udp');
    if (answer !== undefined) udp.send(answer, from.port, from.address);
  });
  await new Promise<void>((resolve) => udp.bind(port, '127.0.0.1', resolve));
  scope.defer(() => new Promise<void>((resolve) => udp.close(() => server.close(() => resolve()))));
  return { address: `127.0.0.1:${port}`, asked };
}

function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

const ask = (name: string, type: Type = 'A', more: Packet = {}): Buffer =>
  encode({ type: 'query', id: 77, flags: 0x100, questions: [{ name, type }], ...more });

function udpAsk(dns: ClusterDns, message: Buffer, timeout = 3_000): Promise<DecodedPacket | 'no answer'> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    const done = (answer: DecodedPacket | 'no answer'): void => {
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    const timer = setTimeout(() => done('no answer'), timeout);
    socket.on('message', (answer) => done(decode(answer)));
    socket.send(message, dns.addresses[0]?.port ?? 0, '127.0.0.1');
  });
}

async function tcpConnect(
  dns: ClusterDns,
): Promise<{ readonly socket: Socket; next(): Promise<DecodedPacket> }> {
  const socket = connect(dns.addresses[0]?.port ?? 0, '127.0.0.1');
  scope.defer(() => void socket.destroy());
  let received = Buffer.alloc(0);
  const waiting: (() => void)[] = [];
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk]);
    waiting.splice(0).forEach((wake) => wake());
  });
  return {
    socket,
    next: async () => {
      while (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) {
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
      const end = 2 + received.readUInt16BE(0);
      const answer = decode(received.subarray(2, end));
      received = received.subarray(end);
      return answer;
    },
  };
}

const rcode = (packet: DecodedPacket | 'no answer'): string =>
  packet === 'no answer' ? packet : (packet as unknown as { rcode: string }).rcode;
const addresses = (packet: DecodedPacket | 'no answer'): unknown[] =>
  packet === 'no answer'
    ? []
    : (packet.answers ?? []).map((record) => ('data' in record ? record.data : undefined));
const a = (name: string, data: string, ttl = 60): Answer => ({ name, type: 'A', ttl, data });

describe('cluster DNS', () => {
  it('answers for the cluster over UDP and TCP, as Services come, change and go', async () => {
    const dns = await start();
    const services = api.client.resource(corev1.services, 'default');
    const slices = api.client.resource(discoveryv1.endpointSlices, 'default');
    const name = 'Web.default.svc.cluster.local';
    expect(rcode(await udpAsk(dns, ask(name)))).toBe('NXDOMAIN');
    await services.create(testService('web', { clusterIP: 'None' }));
    await slices.create(testSlice('web', ['10.244.0.5', '10.244.0.6']));
    await expect
      .poll(async () => addresses(await udpAsk(dns, ask(name))).sort())
      .toEqual(['10.244.0.5', '10.244.0.6']);
    const answer = await udpAsk(dns, ask(name));
    expect(answer).toMatchObject({ id: 77, flag_aa: true, flag_ra: true, questions: [{ name }] });
    const { socket, next } = await tcpConnect(dns);
    socket.write(framed(ask(name)));
    expect(addresses(await next()).length).toBe(2);
    await services.delete('web');
    await expect.poll(async () => rcode(await udpAsk(dns, ask(name)))).toBe('NXDOMAIN');
  });

  it('gives each client another address first', async () => {
    api.seed(corev1.services, testService('web', { clusterIP: 'None' }));
    api.seed(discoveryv1.endpointSlices, testSlice('web', ['10.244.0.5', '10.244.0.6', '10.244.0.7']));
    const dns = await start();
    const first = new Set<unknown>();
    for (let i = 0; i < 30; i++)
      first.add(addresses(await udpAsk(dns, ask('web.default.svc.cluster.local')))[0]);
    expect(first.size).toBe(3);
  });

  it('has a long answer asked for again over TCP', async () => {
    const many = Array.from({ length: 200 }, (_, i) => `10.244.0.${i}`);
    api.seed(corev1.services, testService('many', { clusterIP: 'None' }));
    api.seed(discoveryv1.endpointSlices, testSlice('many', many));
    const dns = await start();
    const short = await udpAsk(dns, ask('many.default.svc.cluster.local'));
    expect(short).toMatchObject({ flag_tc: true });
    const { socket, next } = await tcpConnect(dns);
    socket.write(framed(ask('many.default.svc.cluster.local')));
    const whole = await next();
    expect([whole.flag_tc, whole.answers?.length]).toEqual([false, 200]);
  });

  it('takes many questions of one TCP connection, in pieces or together', async () => {
    api.seed(corev1.services, testService('web'));
    const dns = await start();
    const { socket, next } = await tcpConnect(dns);
    const message = framed(ask('web.default.svc.cluster.local'));
    for (const byte of message) socket.write(Buffer.of(byte));
    expect(rcode(await next())).toBe('NOERROR');
    socket.write(Buffer.concat(Array.from({ length: 500 }, () => message)));
    for (let i = 0; i < 500; i++) expect(addresses(await next())).toEqual(['10.96.0.50']);
  });

  it('asks others for other names, keeps their answers, and counts their TTL down', async () => {
    const other = await upstream(({ name }) => ({ answers: [a(name, '192.0.2.1', 20)] }));
    const dns = await start({ upstreams: [other.address] });
    expect(addresses(await udpAsk(dns, ask('example.com')))).toEqual(['192.0.2.1']);
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const cached = await udpAsk(dns, ask('Example.COM', 'A', { id: 5 }));
    expect(cached).toMatchObject({ id: 5, questions: [{ name: 'Example.COM' }], answers: [{ ttl: 19 }] });
    expect(other.asked).toEqual(['udp example.com A']);
    expect(await metrics.text()).toMatch(/coredns_cache_hits_total\{server="dns:\/\/cluster.local"\} 1/);
    const { socket, next } = await tcpConnect(dns);
    socket.write(framed(ask('example.com')));
    expect(addresses(await next())).toEqual(['192.0.2.1']);
    expect(other.asked).toEqual(['udp example.com A', 'tcp example.com A']);
  });

  it('follows external names, in the cluster and outside, with what they lead to', async () => {
    const other = await upstream(({ name }) =>
      name === 'db.example.com'
        ? {
            answers: [
              { name, type: 'CNAME', ttl: 60, data: 'x.example.com' },
              a('x.example.com', '192.0.2.7'),
            ],
          }
        : { flags: 3 },
    );
    const external = (name: string, externalName: string) =>
      api.seed(corev1.services, testService(name, { type: 'ExternalName', clusterIP: '', externalName }));
    external('ext', 'db.example.com');
    external('gone', 'gone.example.com');
    external('inside', 'web.default.svc.cluster.local');
    external('loop', 'loop.default.svc.cluster.local');
    api.seed(corev1.services, testService('web'));
    const dns = await start({ upstreams: [other.address] });
    const named = (name: string) => udpAsk(dns, ask(`${name}.default.svc.cluster.local`));
    expect(addresses(await named('ext'))).toEqual(['db.example.com', 'x.example.com', '192.0.2.7']);
    expect(addresses(await named('inside'))).toEqual(['web.default.svc.cluster.local', '10.96.0.50']);
    expect([rcode(await named('gone')), addresses(await named('gone'))]).toEqual([
      'NXDOMAIN',
      ['gone.example.com'],
    ]);
    expect(rcode(await named('loop'))).toBe('SERVFAIL');
  });

  it('asks the next server when one is silent or gone, and says so when all are', async () => {
    const silent = await upstream(() => undefined);
    const works = await upstream(({ name }) => ({ answers: [a(name, '192.0.2.1')] }));
    const gone = '127.0.0.1:9'; // nobody listens on discard
    const dns = await start({ upstreams: [gone, silent.address, works.address] });
    expect(addresses(await udpAsk(dns, ask('a.example.com')))).toEqual(['192.0.2.1']);
    const begin = performance.now();
    expect(addresses(await udpAsk(dns, ask('b.example.com')))).toEqual(['192.0.2.1']); // knows by now whom not to ask
    expect(performance.now() - begin).toBeLessThan(1_500);
    await scope[Symbol.asyncDispose]();
    scope = new Scope();
    const lonely = await start({ upstreams: [gone] });
    expect(rcode(await udpAsk(lonely, ask('a.example.com')))).toBe('SERVFAIL');
    const nobody = await start({ upstreams: [], resolvConf: '/nowhere' });
    expect(rcode(await udpAsk(nobody, ask('a.example.com')))).toBe('SERVFAIL');
  });

  it('does not ask itself', async () => {
    const dns = await start();
    const own = dns.addresses.map(({ address, port }) => `${address}:${port}`);
    const relay = await upstream(() => undefined);
    // A server that asks us whatever we ask it, as a local resolver that was given the cluster DNS would.
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    scope.defer(() => new Promise<void>((resolve) => socket.close(() => resolve())));
    const looping = await start({ upstreams: [`127.0.0.1:${socket.address().port}`, ...own, relay.address] });
    socket.on('message', (message) => socket.send(message, looping.addresses[0]?.port ?? 0, '127.0.0.1'));
    const first = udpAsk(looping, ask('a.example.com'), 200);
    await first;
    const begin = performance.now();
    expect(rcode(await udpAsk(looping, ask('b.example.com')))).toBe('SERVFAIL');
    expect(performance.now() - begin).toBeLessThan(1_000);
  });

  it.each<[string, Buffer, string]>([
    ['a zone transfer', ask('cluster.local', 'AXFR'), 'REFUSED'],
    [
      'another class',
      encode({ type: 'query', questions: [{ name: 'version.bind', type: 'TXT', class: 'CH' }] }),
      'REFUSED',
    ],
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
    ['an update', encode({ type: 'query', flags: 5 << 11, questions: [{ name: 'a', type: 'A' }] }), 'NOTIMP'],
    ['an answer', encode({ type: 'response', questions: [{ name: 'a', type: 'A' }] }), 'no answer'],
    ['five bytes', Buffer.from('hello'), 'no answer'],
  ])('refuses %s', async (_what, message, code) => {
    expect(rcode(await udpAsk(await start(), message, 300))).toBe(code);
  });

  it('refuses a version of EDNS that it does not know', async () => {
    const additionals: Answer[] = [
      {
        type: 'OPT',
        name: '.',
        udpPayloadSize: 1232,
        extendedRcode: 0,
        ednsVersion: 1,
        flags: 0,
        flag_do: false,
        options: [],
      },
    ];
    const answer = await udpAsk(await start(), ask('cluster.local', 'SOA', { additionals }));
    expect(answer).toMatchObject({ additionals: [{ type: 'OPT', extendedRcode: 1, ednsVersion: 0 }] });
  });

  it('says in one sentence when it cannot listen', async () => {
    const dns = await start();
    await expect(start({ listen: [...dns.addresses] })).rejects.toThrow(
      /^cluster DNS cannot listen on 127.0.0.1 port \d+: /,
    );
  });
});

describe('parseUpstream', () => {
  it.each([
    ['192.0.2.53', '192.0.2.53', 53],
    ['192.0.2.53:5353', '192.0.2.53', 5353],
    ['2001:DB8::53', '2001:db8::53', 53],
    ['[2001:db8::53]:5353', '2001:db8::53', 5353],
  ])('%s', (text, address, port) => {
    expect(parseUpstream(text)).toEqual({ address, port });
  });

  it.each(['', 'dns.example.com', '192.0.2.53:0', '192.0.2.53:99999', '[x]:53'])('refuses %j', (text) => {
    expect(() => parseUpstream(text)).toThrow('invalid name server');
  });
});
