/**
 * DNS messages (RFC 1035, RFC 6891) as far as a server of one zone needs them: questions are read, answers written.
 * Our own writer, because answers with many addresses must be compressed to fit into UDP packets, which dns-packet does not
 * do (it checks ours in tests).
 */
export const RecordType = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  HINFO: 13,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  IXFR: 251,
  AXFR: 252,
} as const;

const ResponseCode = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;

export type ResponseCodeName = keyof typeof ResponseCode;

export const CLASS_IN = 1;

const HEADER = 12;
const FLAG_QR = 0x8000;
const FLAG_AA = 0x0400;
const FLAG_TC = 0x0200;
const FLAG_RD = 0x0100;
const FLAG_RA = 0x0080;
const FLAG_CD = 0x0010;
const OPCODE = 0x7800;

/** What we send and take in one UDP packet: https://www.dnsflagday.net/2020/ */
const MAX_UDP_SIZE = 1232;
const CLASSIC_UDP_SIZE = 512;

/** Names are in lower case, without the last dot; dots and unprintable bytes inside labels are escaped. */
export interface Question {
  readonly name: string;
  readonly type: number;
  readonly class: number;
}

export interface Query {
  readonly id: number;
  readonly flags: number;
  readonly question: Question;
  /** Where the question ends; it begins at 12. */
  readonly questionEnd: number;
  /** Present when the client speaks EDNS. */
  readonly edns:
    { readonly udpSize: number; readonly version: number; readonly dnssecOk: boolean } | undefined;
  readonly message: Buffer;
}

type RecordData =
  | { readonly type: 'A' | 'AAAA'; readonly address: string }
  | { readonly type: 'CNAME' | 'PTR' | 'NS'; readonly target: string }
  | {
      readonly type: 'SRV';
      readonly priority: number;
      readonly weight: number;
      readonly port: number;
      readonly target: string;
    }
  | { readonly type: 'TXT'; readonly text: string }
  | {
      readonly type: 'SOA';
      readonly primary: string;
      readonly mailbox: string;
      readonly serial: number;
      readonly refresh: number;
      readonly retry: number;
      readonly expire: number;
      readonly minimum: number;
    };

export type DnsRecord = RecordData & { readonly name: string; readonly ttl: number };

/** Why a packet is no query that can be answered as asked; undefined `code`: not to be answered at all. */
export interface BadQuery {
  readonly code: ResponseCodeName | undefined;
}

/**
 * Reads what a client sent. Never throws: what is no query of one question is a `BadQuery`. Answers are not answered, or two
 * servers could talk to each other forever.
 */
export function parseQuery(message: Buffer): Query | BadQuery {
  if (message.length < HEADER) return { code: undefined };
  const flags = message.readUInt16BE(2);
  if ((flags & FLAG_QR) !== 0) return { code: undefined };
  if ((flags & OPCODE) !== 0) return { code: 'NOTIMP' };
  if (message.readUInt16BE(4) !== 1) return { code: 'FORMERR' };
  const name = readName(message, HEADER);
  if (name === undefined || name.end + 4 > message.length) return { code: 'FORMERR' };
  const question = {
    name: name.text,
    type: message.readUInt16BE(name.end),
    class: message.readUInt16BE(name.end + 2),
  };
  const questionEnd = name.end + 4;
  const others = message.readUInt16BE(6) + message.readUInt16BE(8) + message.readUInt16BE(10);
  let edns: Query['edns'];
  let offset = questionEnd;
  for (let i = 0; i < others; i++) {
    const record = readRecord(message, offset);
    if (record === undefined) return { code: 'FORMERR' };
    if (record.type === RecordType.OPT) {
      if (edns !== undefined) return { code: 'FORMERR' };
      edns = {
        udpSize: message.readUInt16BE(record.fixed + 2),
        version: message.readUInt8(record.fixed + 5),
        dnssecOk: (message.readUInt16BE(record.fixed + 6) & 0x8000) !== 0,
      };
    }
    offset = record.end;
  }
  return { id: message.readUInt16BE(0), flags, question, questionEnd, edns, message };
}

/** How many bytes an answer over UDP may have. */
export function udpLimit(query: Query): number {
  if (query.edns === undefined) return CLASSIC_UDP_SIZE;
  return Math.min(Math.max(query.edns.udpSize, CLASSIC_UDP_SIZE), MAX_UDP_SIZE);
}

export const checkingDisabled = (query: Query): boolean => (query.flags & FLAG_CD) !== 0;

/** A name without compression, as questions have it. */
function readName(
  message: Buffer,
  start: number,
): { readonly text: string; readonly end: number } | undefined {
  let offset = start;
  let text = '';
  for (;;) {
    const length = message[offset];
    if (length === undefined || length > 63) return undefined;
    offset++;
    if (length === 0) return offset - start > 255 ? undefined : { text, end: offset };
    if (offset + length > message.length) return undefined;
    if (text !== '') text += '.';
    for (let i = 0; i < length; i++) text += labelCharacter(message[offset + i] as number);
    offset += length;
  }
}

/** In lower case; what could be taken for something else is written as master files do (RFC 1035, 5.1). */
function labelCharacter(code: number): string {
  if (code >= 0x41 && code <= 0x5a) return String.fromCharCode(code + 0x20);
  if (code === 0x2e || code === 0x5c) return `\\${String.fromCharCode(code)}`;
  if (code > 0x20 && code < 0x7f) return String.fromCharCode(code);
  return `\\${String(code).padStart(3, '0')}`;
}

/** Where a name ends, compressed or not. */
function skipName(message: Buffer, start: number): number | undefined {
  let offset = start;
  for (;;) {
    const length = message[offset];
    if (length === undefined) return undefined;
    if ((length & 0xc0) === 0xc0) return offset + 2;
    if (length > 63) return undefined;
    offset += 1 + length;
    if (length === 0) return offset;
  }
}

interface RecordPlace {
  readonly type: number;
  /** Where type, class, TTL and data length stand. */
  readonly fixed: number;
  readonly end: number;
}

function readRecord(message: Buffer, start: number): RecordPlace | undefined {
  const fixed = skipName(message, start);
  if (fixed === undefined || fixed + 10 > message.length) return undefined;
  const end = fixed + 10 + message.readUInt16BE(fixed + 8);
  return end > message.length ? undefined : { type: message.readUInt16BE(fixed), fixed, end };
}

/** What a cache has to know of another server's answer. */
export interface ForeignAnswer {
  readonly code: number;
  readonly truncated: boolean;
  /** Seconds for which it may be kept: the smallest TTL; for denials the zone's word for it (RFC 2308). 0: not at all. */
  readonly ttl: number;
  /** Where the TTLs stand, to be counted down. */
  readonly ttlOffsets: readonly number[];
}

/** Undefined unless it is an answer to that query, whole and well-formed. */
export function parseForeignAnswer(answer: Buffer, id: number, query: Query): ForeignAnswer | undefined {
  if (answer.length < query.questionEnd || answer.readUInt16BE(0) !== id) return undefined;
  const flags = answer.readUInt16BE(2);
  if ((flags & FLAG_QR) === 0 || answer.readUInt16BE(4) !== 1) return undefined;
  const asked = readName(answer, HEADER);
  if (asked?.text !== query.question.name || asked.end + 4 !== query.questionEnd) return undefined;
  if (answer.readUInt16BE(asked.end) !== query.question.type) return undefined;
  const answers = answer.readUInt16BE(6);
  const authorities = answer.readUInt16BE(8);
  const count = answers + authorities + answer.readUInt16BE(10);
  const ttlOffsets: number[] = [];
  let ttl = Infinity;
  let offset = query.questionEnd;
  for (let i = 0; i < count; i++) {
    const record = readRecord(answer, offset);
    if (record === undefined) return undefined;
    if (record.type !== RecordType.OPT) {
      const recordTtl = answer.readUInt32BE(record.fixed + 4);
      ttlOffsets.push(record.fixed + 4);
      ttl = Math.min(ttl, recordTtl);
      const isDenial = answers === 0 && i < authorities && record.type === RecordType.SOA;
      if (isDenial && record.end - record.fixed >= 14)
        ttl = Math.min(ttl, answer.readUInt32BE(record.end - 4));
    }
    offset = record.end;
  }
  return {
    code: flags & 0xf,
    truncated: (flags & FLAG_TC) !== 0,
    ttl: ttl === Infinity ? 0 : ttl,
    ttlOffsets,
  };
}

export interface ResponseParts {
  readonly code: ResponseCodeName;
  readonly authoritative: boolean;
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
  /** Left out when they do not fit. */
  readonly additionals: readonly DnsRecord[];
}

export const NO_RECORDS = { answers: [], authorities: [], additionals: [] } as const;

/** An answer of at most `limit` bytes; when not all answers fit, it says so (TC), and the client asks again over TCP. */
export function encodeResponse(query: Query, parts: ResponseParts, limit: number): Buffer {
  const writer = new MessageWriter(query, limit - (query.edns === undefined ? 0 : 11));
  const answers = writer.records(parts.answers);
  const complete = answers === parts.answers.length;
  const authorities = complete ? writer.records(parts.authorities) : 0;
  const additionals = complete ? writer.records(parts.additionals) : 0;
  const code = ResponseCode[parts.code];
  const edns = query.edns !== undefined;
  if (edns) writer.opt(code >> 4, query.edns.dnssecOk);
  const flags =
    FLAG_QR |
    (parts.authoritative ? FLAG_AA : 0) |
    (complete ? 0 : FLAG_TC) |
    FLAG_RA |
    (query.flags & (FLAG_RD | FLAG_CD)) |
    (code & 0xf);
  return writer.finish(flags, answers, authorities, additionals + (edns ? 1 : 0));
}

/** The shortest possible answer, for messages that could not be read as far as their question. */
export function encodeError(message: Buffer, code: ResponseCodeName): Buffer {
  const response = Buffer.alloc(HEADER);
  message.copy(response, 0, 0, 2);
  const flags = message.readUInt16BE(2);
  response.writeUInt16BE(FLAG_QR | (flags & (OPCODE | FLAG_RD)) | ResponseCode[code], 2);
  return response;
}

/** A query of our own, for names that another one leads to. */
export function encodeQuery(id: number, name: string, type: number): Buffer {
  const encoded = encodeName(name);
  const message = Buffer.alloc(HEADER + encoded.length + 4);
  message.writeUInt16BE(id, 0);
  message.writeUInt16BE(FLAG_RD, 2);
  message.writeUInt16BE(1, 4);
  encoded.copy(message, HEADER);
  message.writeUInt16BE(type, HEADER + encoded.length);
  message.writeUInt16BE(CLASS_IN, HEADER + encoded.length + 2);
  return message;
}

/** Throws `RangeError` when it is no domain name. */
function encodeName(name: string): Buffer {
  const labels = name === '' ? [] : name.split('.');
  const bytes = labels.flatMap((label) => {
    const encoded = Buffer.from(label, 'latin1');
    if (encoded.length === 0 || encoded.length > 63)
      throw new RangeError(`${JSON.stringify(name)} is no domain name`);
    return [Buffer.of(encoded.length), encoded];
  });
  const encoded = Buffer.concat([...bytes, Buffer.of(0)]);
  if (encoded.length > 255) throw new RangeError(`${JSON.stringify(name)} is too long for a domain name`);
  return encoded;
}

/** Writes one message. Records that no longer fit are left out whole. */
class MessageWriter {
  readonly #buffer: Buffer;
  readonly #limit: number;
  readonly #names = new Map<string, number>();
  #offset: number;

  constructor(query: Query, limit: number) {
    this.#limit = limit;
    this.#buffer = Buffer.allocUnsafe(Math.min(limit + 11, 65_535));
    query.message.copy(this.#buffer, 0, 0, query.questionEnd);
    this.#offset = query.questionEnd;
    this.#remember(query.question.name, HEADER);
  }

  /** How many of them fit. */
  records(records: readonly DnsRecord[]): number {
    let count = 0;
    for (const record of records) {
      const start = this.#offset;
      if (!this.#record(record)) {
        this.#offset = start;
        this.#forgetFrom(start);
        return count;
      }
      count++;
    }
    return count;
  }

  opt(extendedCode: number, dnssecOk: boolean): void {
    const fields = [0, 0, RecordType.OPT, MAX_UDP_SIZE >> 8, MAX_UDP_SIZE & 0xff, extendedCode, 0];
    Buffer.from([...fields, dnssecOk ? 0x80 : 0, 0, 0, 0]).copy(this.#buffer, this.#offset);
    this.#offset += 11;
  }

  finish(flags: number, answers: number, authorities: number, additionals: number): Buffer {
    this.#buffer.writeUInt16BE(flags, 2);
    this.#buffer.writeUInt16BE(1, 4);
    this.#buffer.writeUInt16BE(answers, 6);
    this.#buffer.writeUInt16BE(authorities, 8);
    this.#buffer.writeUInt16BE(additionals, 10);
    return this.#buffer.subarray(0, this.#offset);
  }

  #record(record: DnsRecord): boolean {
    if (!this.#name(record.name, true) || !this.#room(10)) return false;
    const fixed = this.#offset;
    this.#buffer.writeUInt16BE(RecordType[record.type], fixed);
    this.#buffer.writeUInt16BE(CLASS_IN, fixed + 2);
    this.#buffer.writeUInt32BE(record.ttl, fixed + 4);
    this.#offset += 10;
    if (!this.#data(record)) return false;
    this.#buffer.writeUInt16BE(this.#offset - fixed - 10, fixed + 8);
    return true;
  }

  #data(record: RecordData): boolean {
    switch (record.type) {
      case 'A':
        return this.#bytes(ipv4Bytes(record.address));
      case 'AAAA':
        return this.#bytes(ipv6Bytes(record.address));
      case 'CNAME':
      case 'PTR':
      case 'NS':
        return this.#name(record.target, true);
      case 'SRV':
        // RFC 2782: the target is not compressed.
        return (
          this.#numbers16([record.priority, record.weight, record.port]) && this.#name(record.target, false)
        );
      case 'TXT': {
        const text = Buffer.from(record.text, 'utf8').subarray(0, 255);
        return this.#bytes([text.length, ...text]);
      }
      case 'SOA': {
        const { primary, mailbox, serial, refresh, retry, expire, minimum } = record;
        const numbers = [serial, refresh, retry, expire, minimum].flatMap((value) => [
          value >>> 16,
          value & 0xffff,
        ]);
        return this.#name(primary, true) && this.#name(mailbox, true) && this.#numbers16(numbers);
      }
    }
  }

  #room(bytes: number): boolean {
    return this.#offset + bytes <= this.#limit;
  }

  #bytes(bytes: readonly number[]): boolean {
    if (!this.#room(bytes.length)) return false;
    for (const byte of bytes) this.#buffer[this.#offset++] = byte;
    return true;
  }

  #numbers16(numbers: readonly number[]): boolean {
    if (!this.#room(2 * numbers.length)) return false;
    for (const number of numbers) this.#offset = this.#buffer.writeUInt16BE(number, this.#offset);
    return true;
  }

  #name(name: string, compress: boolean): boolean {
    let rest = name;
    while (rest !== '') {
      const known = compress ? this.#names.get(rest) : undefined;
      if (known !== undefined) return this.#numbers16([0xc000 | known]);
      if (this.#offset < 0x4000) this.#names.set(rest, this.#names.get(rest) ?? this.#offset);
      const dot = rest.indexOf('.');
      const label = dot < 0 ? rest : rest.slice(0, dot);
      if (label.length === 0 || label.length > 63 || !this.#room(1 + label.length)) return false;
      this.#buffer[this.#offset++] = label.length;
      this.#offset += this.#buffer.write(label, this.#offset, 'latin1');
      rest = dot < 0 ? '' : rest.slice(dot + 1);
    }
    return this.#bytes([0]);
  }

  #remember(name: string, offset: number): void {
    if (name.includes('\\')) return; // escapes are longer than what they stand for
    for (let rest = name, at = offset; rest !== '';) {
      this.#names.set(rest, at);
      const dot = rest.indexOf('.');
      if (dot < 0) return;
      at += dot + 1;
      rest = rest.slice(dot + 1);
    }
  }

  #forgetFrom(offset: number): void {
    for (const [name, at] of this.#names) if (at >= offset) this.#names.delete(name);
  }
}

function ipv4Bytes(address: string): number[] {
  return address.split('.').map(Number);
}

/** Of a canonical address (RFC 5952). */
function ipv6Bytes(address: string): number[] {
  const [head = '', tail] = address.split('::');
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => parseInt(group, 16));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const zeros = Array<number>(8 - before.length - after.length).fill(0);
  return [...before, ...zeros, ...after].flatMap((group) => [group >> 8, group & 0xff]);
}
