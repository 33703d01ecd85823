import { decode } from 'dns-packet';

import { errorMessage } from '@k8ts/base';
import type { Clock, Logger, Random } from '@k8ts/base';

import { canonicalAddress } from '../address.ts';
import { answer } from './answer.ts';
import type { Answer } from './answer.ts';
import type { DnsMetrics } from './dns-metrics.ts';
import { ForwardError } from './forwarder.ts';
import type { DnsTransport, Forwarder } from './forwarder.ts';
import type { LoopCheck } from './loop-check.ts';
import {
  CLASS_IN,
  NO_RECORDS,
  RecordType,
  checkingDisabled,
  encodeError,
  encodeResponse,
  parseQuery,
  udpLimit,
} from './message.ts';
import type { DnsRecord, Query, ResponseCodeName, ResponseParts } from './message.ts';
import type { RecordIndex } from './record-index.ts';
import type { ResponseCache } from './response-cache.ts';

export interface ResolverOptions {
  readonly index: RecordIndex;
  readonly forwarder: Forwarder;
  readonly cache: ResponseCache;
  readonly loopCheck: LoopCheck;
  /** Seconds, of the cluster's records. */
  readonly ttl: number;
  /** False while the cluster is not known yet: its names are neither confirmed nor denied. */
  readonly ready: () => boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: DnsMetrics;
  readonly signal: AbortSignal;
}

const TCP_LIMIT = 65_535;

/** CNAMEs in the cluster that lead to each other. */
const MAX_ALIASES = 8;

const RESPONSE_CODES = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'];

/** Answers messages: the cluster's names from the index, without waiting for anything; others from the cache or elsewhere. */
export class Resolver {
  readonly #options: ResolverOptions;

  constructor(options: ResolverOptions) {
    this.#options = options;
  }

  /** Never throws; undefined for what must not be answered. */
  handle(message: Buffer, transport: DnsTransport): Buffer | undefined | Promise<Buffer | undefined> {
    const query = parseQuery(message);
    if (!('question' in query))
      return query.code === undefined ? undefined : encodeError(message, query.code);
    const { index, metrics, clock, logger, ttl, ready, loopCheck } = this.#options;
    const { question } = query;
    const start = clock.monotonic();
    metrics.asked(transport, question.type);
    const limit = transport === 'tcp' ? TCP_LIMIT : udpLimit(query);
    const refusal = this.#refusal(query);
    if (refusal !== undefined) return this.#fail(query, refusal, start);
    if (loopCheck.seen(question)) return this.#fail(query, 'REFUSED', start);
    const inZone = question.name === index.zone || question.name.endsWith(`.${index.zone}`);
    if (inZone && !ready()) return this.#fail(query, 'SERVFAIL', start);
    const known = answer(index, question, ttl);
    if (known.kind === 'answer') return this.#respond(query, known, limit, start);
    const work =
      known.kind === 'foreign'
        ? this.#forward(query, transport, start)
        : this.#followAlias(query, known, limit, start);
    return work.catch((error: unknown) => {
      const refused = error instanceof ForwardError && error.refused;
      logger.debug('a question could not be answered', { name: question.name, error: errorMessage(error) });
      return this.#fail(query, refused ? 'REFUSED' : 'SERVFAIL', start);
    });
  }

  #refusal({ edns, question }: Query): ResponseCodeName | undefined {
    if (edns !== undefined && edns.version !== 0) return 'BADVERS';
    if (question.class !== CLASS_IN) return 'REFUSED';
    if (question.type === RecordType.AXFR || question.type === RecordType.IXFR) return 'REFUSED';
    return question.type === RecordType.OPT ? 'FORMERR' : undefined;
  }

  #fail(query: Query, code: ResponseCodeName, start: number): Buffer {
    const { metrics, clock } = this.#options;
    metrics.answered(code, 'kubernetes', clock.monotonic() - start);
    return encodeResponse(query, { ...NO_RECORDS, code, authoritative: false }, 512);
  }

  #respond(
    query: Query,
    parts: Pick<ResponseParts, 'code' | 'answers' | 'authorities' | 'additionals'>,
    limit: number,
    start: number,
  ): Buffer {
    const { metrics, clock } = this.#options;
    const answers = this.#shuffled(parts.answers);
    const response = encodeResponse(query, { ...parts, answers, authoritative: true }, limit);
    metrics.answered(parts.code, 'kubernetes', clock.monotonic() - start);
    return response;
  }

  /** Clients take the first address: each gets another one first. */
  #shuffled(answers: readonly DnsRecord[]): readonly DnsRecord[] {
    if (answers.length < 2 || (answers[0]?.type !== 'A' && answers[0]?.type !== 'AAAA')) return answers;
    const first = Math.floor(this.#options.random() * answers.length);
    return [...answers.slice(first), ...answers.slice(0, first)];
  }

  async #forward(query: Query, transport: DnsTransport, start: number): Promise<Buffer> {
    const { cache, forwarder, metrics, clock, signal, loopCheck } = this.#options;
    const key = cacheKey(query, transport);
    const cached = cache.get(key);
    metrics.cacheLookup(cached !== undefined);
    if (cached !== undefined) {
      readdress(cached, query);
      metrics.answered(codeOf(cached), 'cache', clock.monotonic() - start);
      return cached;
    }
    if (loopCheck.looping) throw new ForwardError('the other name servers ask us');
    const received = await forwarder.forward(query, transport, signal);
    cache.put(key, Buffer.from(received.message), received);
    metrics.cacheSize(cache.size);
    readdress(received.message, query);
    metrics.answered(codeOf(received.message), 'forward', clock.monotonic() - start);
    return received.message;
  }

  /** An ExternalName and what it leads to, in the cluster or outside. */
  async #followAlias(
    query: Query,
    alias: Extract<Answer, { kind: 'alias' }>,
    limit: number,
    start: number,
  ): Promise<Buffer> {
    const { index, ttl } = this.#options;
    const { type } = query.question;
    const records: DnsRecord[] = [];
    let current = alias;
    for (let i = 0; i < MAX_ALIASES; i++) {
      records.push(current.record);
      const target = answer(index, { name: current.target, type, class: CLASS_IN }, ttl);
      if (target.kind === 'answer') {
        const answers = [...records, ...target.answers];
        return this.#respond(query, { ...NO_RECORDS, code: target.code, answers }, limit, start);
      }
      if (target.kind === 'foreign') {
        const { code, answers } = await this.#lookUp(current.target, type);
        return this.#respond(query, { ...NO_RECORDS, code, answers: [...records, ...answers] }, limit, start);
      }
      current = target;
    }
    throw new Error('too many aliases');
  }

  async #lookUp(
    name: string,
    type: number,
  ): Promise<{ readonly code: 'NOERROR' | 'NXDOMAIN'; readonly answers: readonly DnsRecord[] }> {
    const { cache, forwarder, signal, loopCheck, metrics } = this.#options;
    const key = `alias ${name} ${type}`;
    let message = cache.get(key);
    metrics.cacheLookup(message !== undefined);
    if (message === undefined) {
      if (loopCheck.looping) throw new ForwardError('the other name servers ask us');
      const received = await forwarder.lookUp(name, type, signal);
      cache.put(key, Buffer.from(received.message), received);
      message = received.message;
    }
    const code = codeOf(message);
    if (code !== 'NOERROR' && code !== 'NXDOMAIN') throw new ForwardError(`${name}: ${code}`);
    return { code, answers: readAnswers(message) };
  }
}

/** What a client asks about with, beside the name, changes what may be answered. */
function cacheKey(query: Query, transport: DnsTransport): string {
  const { question, edns } = query;
  const size = transport === 'tcp' ? 'tcp' : (edns?.udpSize ?? 512);
  const flags = `${edns?.dnssecOk === true ? 'do' : ''}${checkingDisabled(query) ? 'cd' : ''}`;
  return `${question.name} ${question.type} ${size} ${edns === undefined ? '' : 'edns'} ${flags}`;
}

/** Makes an answer to somebody else's question this one's: its id, and its name in the letters that were used. */
function readdress(message: Buffer, query: Query): void {
  message.writeUInt16BE(query.id, 0);
  query.message.copy(message, 12, 12, query.questionEnd);
}

function codeOf(message: Buffer): string {
  return RESPONSE_CODES[message.readUInt16BE(2) & 0xf] ?? 'other';
}

/** Throws when the message is broken. */
function readAnswers(message: Buffer): DnsRecord[] {
  const records: DnsRecord[] = [];
  for (const { name, type, ...rest } of decode(message).answers ?? []) {
    const { ttl = 0, data } = rest as { ttl?: number; data?: unknown };
    if (typeof data !== 'string') continue;
    if (type === 'CNAME') records.push({ name, type, ttl, target: data });
    else if (type === 'A' || type === 'AAAA') {
      const address = canonicalAddress(data);
      if (address !== undefined) records.push({ name, type, ttl, address });
    }
  }
  return records;
}
