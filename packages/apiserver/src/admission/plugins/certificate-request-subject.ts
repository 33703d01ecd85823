/**
 * The organizations in a PKCS #10 request's subject, which become a client's groups (RFC 2986):
 *
 *     CertificationRequest ::= SEQUENCE { info SEQUENCE { version INTEGER, subject Name, … }, … }
 *     Name ::= SEQUENCE OF SET OF SEQUENCE { type OBJECT IDENTIFIER, value ANY }
 *
 * Only so much of DER is read as that takes; the X.509 library takes longer to load than this to run.
 */
const ORGANIZATION = '55040a'; // 2.5.4.10

const INTEGER = 0x02;
const OBJECT_IDENTIFIER = 0x06;
const SEQUENCE = 0x30;
const SET = 0x31;
const BMP_STRING = 0x1e;

interface Element {
  readonly tag: number;
  readonly content: Buffer;
}

/** `request` is base64 of PEM, as the API has it. Throws for what is no such request. */
export function organizationsOf(request: string): readonly string[] {
  const text = Buffer.from(request, 'base64').toString('latin1');
  const [, body] =
    /-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----([\s\S]+?)-----END (?:NEW )?CERTIFICATE REQUEST-----/.exec(
      text,
    ) ?? [];
  if (body === undefined) throw new Error('PEM block type must be CERTIFICATE REQUEST');
  const [whole] = elements(Buffer.from(body, 'base64'));
  const [info] = elements(contentOf(whole, SEQUENCE));
  const [version, subject] = elements(contentOf(info, SEQUENCE));
  contentOf(version, INTEGER);
  return elements(contentOf(subject, SEQUENCE))
    .flatMap((set) => elements(contentOf(set, SET)))
    .flatMap((attribute) => {
      const [type, value] = elements(contentOf(attribute, SEQUENCE));
      if (value === undefined) throw new Error('asn1: structure error: an attribute without a value');
      return contentOf(type, OBJECT_IDENTIFIER).toString('hex') === ORGANIZATION ? [textOf(value)] : [];
    });
}

function contentOf(element: Element | undefined, tag: number): Buffer {
  if (element?.tag !== tag) throw new Error("asn1: structure error: tags don't match");
  return element.content;
}

/** Big-endian UTF-16, or something that ASCII is the same in. */
function textOf({ tag, content }: Element): string {
  return tag === BMP_STRING && content.length % 2 === 0
    ? Buffer.from(content).swap16().toString('utf16le')
    : content.toString('utf8');
}

function elements(bytes: Buffer): Element[] {
  const found: Element[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = byteAt(bytes, at++);
    let length = byteAt(bytes, at++);
    if (length >= 0x80) {
      const digits = length - 0x80;
      if (digits === 0 || digits > 4) throw new Error('asn1: structure error: length too large');
      length = 0;
      for (let i = 0; i < digits; i++) length = length * 256 + byteAt(bytes, at++);
    }
    if (at + length > bytes.length) throw new Error('asn1: syntax error: data truncated');
    found.push({ tag, content: bytes.subarray(at, at + length) });
    at += length;
  }
  return found;
}

function byteAt(bytes: Buffer, at: number): number {
  const byte = bytes[at];
  if (byte === undefined) throw new Error('asn1: syntax error: data truncated');
  return byte;
}
