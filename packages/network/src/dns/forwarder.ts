import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';

import type { Clock } from '@k8ts/base';

import { encodeQuery, parseForeignAnswer, parseQuery } from './message.ts';
import type { ForeignAnswer, Query } from './message.ts';
import type { Upstream } from './resolv-conf.ts';

export type DnsTransport = 'udp' | 'tcp';

export interface ForwarderOptions {
  readonly clock: Clock;
  readonly upstreams: () => Promise<readonly Upstream[]>;
  /** Milliseconds for one try of one server. CoreDNS: 2,000. */
  readonly timeout?: number;
  /** Questions under way; more are refused. CoreDNS as kubeadm sets it up: 1,000. */
  readonly maxConcurrent?: number;
}

export interface ForwardedAnswer extends ForeignAnswer {
  readonly message: Buffer;
}

/** Nobody can be asked, or nobody answered. `refused`: too much is under way already. */
export class ForwardError extends Error {
  readonly refused: boolean;
  constructor(message: string, refused = false) {
    super(message);
    this.name = 'ForwardError';
    this.refused = refused;
  }
}

/** Rounds over all servers before a question is given up. */
const ROUNDS = 2;
/** Milliseconds for which a server that did not answer is asked last. */
const PENALTY = 10_000;

/**
 * Asks other servers what the cluster does not know: as the client asked, over the same transport, but with an id and a port
 * that nobody can guess. A server that failed is asked last for a while.
 */
export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #failedAt = new Map<string, number>();
  #underWay = 0;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /** Throws `ForwardError`. */
  async forward(query: Query, transport: DnsTransport, signal: AbortSignal): Promise<ForwardedAnswer> {
    const { maxConcurrent = 1_000, upstreams } = this.#options;
    if (this.#underWay >= maxConcurrent) throw new ForwardError('too many questions are under way', true);
    this.#underWay++;
    try {
      const servers = this.#inOrder(await upstreams());
      if (servers.length === 0) throw new ForwardError('there is no other name server');
      for (let round = 0; round < ROUNDS; round++) {
        for (const server of servers) {
          const answer = await this.#ask(server, query, transport, signal);
          if (answer !== undefined) return answer;
          if (signal.aborted) throw new ForwardError('stopped');
        }
      }
      throw new ForwardError(`no answer from ${servers.map(({ address }) => address).join(', ')}`);
    } finally {
      this.#underWay--;
    }
  }

  /** A question of our own; over TCP when the answer does not fit otherwise. Throws `ForwardError`. */
  async lookUp(name: string, type: number, signal: AbortSignal): Promise<ForwardedAnswer> {
    const query = parseQuery(encodeQuery(0, name, type));
    if (!('question' in query)) throw new ForwardError(`${JSON.stringify(name)} cannot be asked for`);
    const answer = await this.forward(query, 'udp', signal);
    return answer.truncated ? this.forward(query, 'tcp', signal) : answer;
  }

  #inOrder(servers: readonly Upstream[]): readonly Upstream[] {
    const now = this.#options.clock.monotonic();
    const failed = ({ address, port }: Upstream): boolean =>
      now - (this.#failedAt.get(`${address} ${port}`) ?? -Infinity) < PENALTY;
    return [...servers.filter((server) => !failed(server)), ...servers.filter(failed)];
  }

  async #ask(
    server: Upstream,
    query: Query,
    transport: DnsTransport,
    signal: AbortSignal,
  ): Promise<ForwardedAnswer | undefined> {
    const { clock, timeout = 2_000 } = this.#options;
    const id = randomInt(0x10000);
    const message = Buffer.from(query.message);
    message.writeUInt16BE(id, 0);
    const key = `${server.address} ${server.port}`;
    const exchange = transport === 'udp' ? exchangeUdp : exchangeTcp;
    const accept = (received: Buffer): ForwardedAnswer | undefined => {
      const answer = parseForeignAnswer(received, id, query);
      return answer === undefined ? undefined : { ...answer, message: received };
    };
    const answer = await exchange(server, message, accept, clock, timeout, signal);
    if (answer === undefined) this.#failedAt.set(key, clock.monotonic());
    else this.#failedAt.delete(key);
    return answer;
  }
}

type Accept = (received: Buffer) => ForwardedAnswer | undefined;

/** Packets that are no answer to this question are passed over: they may be somebody's guesses. */
function exchangeUdp(
  { address, port }: Upstream,
  message: Buffer,
  accept: Accept,
  clock: Clock,
  timeout: number,
  signal: AbortSignal,
): Promise<ForwardedAnswer | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    const done = once((answer: ForwardedAnswer | undefined) => {
      cancel();
      signal.removeEventListener('abort', onAbort);
      socket.close();
      resolve(answer);
    });
    const onAbort = (): void => done(undefined);
    const cancel = clock.setTimeout(onAbort, timeout);
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('error', () => done(undefined));
    socket.on('message', (received) => {
      const answer = accept(received);
      if (answer !== undefined) done(answer);
    });
    // Connected, a socket hears from nobody else, and is told when nobody listens there.
    socket.connect(port, address, () => socket.send(message));
    if (signal.aborted) done(undefined);
  });
}

function exchangeTcp(
  { address, port }: Upstream,
  message: Buffer,
  accept: Accept,
  clock: Clock,
  timeout: number,
  signal: AbortSignal,
): Promise<ForwardedAnswer | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    const done = once((answer: ForwardedAnswer | undefined) => {
      cancel();
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      resolve(answer);
    });
    const onAbort = (): void => done(undefined);
    const cancel = clock.setTimeout(onAbort, timeout);
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('error', () => done(undefined));
    socket.on('close', () => done(undefined));
    let received = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      done(accept(received.subarray(2, 2 + received.readUInt16BE(0))));
    });
    const length = Buffer.alloc(2);
    length.writeUInt16BE(message.length);
    socket.write(Buffer.concat([length, message]));
    if (signal.aborted) done(undefined);
  });
}

function once<T>(action: (value: T) => void): (value: T) => void {
  let called = false;
  return (value) => {
    if (called) return;
    called = true;
    action(value);
  };
}
