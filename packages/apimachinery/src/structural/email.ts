/**
 * Whether Go's mail.ParseAddress takes a text: one address of RFC 5322, `a@example.com` or `Some One <a@example.com>`, with
 * quoted strings and comments.
 */
export function isEmail(text: string): boolean {
  if (text.length > MAX_LENGTH) return false;
  const reader = new AddressReader(text);
  return reader.skipSpace() && reader.mailbox() && reader.skipSpace() && reader.atEnd;
}

/** More than a mail program would take; comments may nest. */
const MAX_LENGTH = 4096;
const ATOM = /[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\u0080-\u{10ffff}]+/uy;
const DOT_ATOM = new RegExp(`${ATOM.source}(?:\\.${ATOM.source})*`, 'uy');
/** Display names may have dots anywhere. */
const LOOSE_ATOM = /[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~.\u0080-\u{10ffff}]+/uy;
const QUOTED = /"(?:[\t !#-[\]-~\u0080-\u{10ffff}]|\\[\t !-~\u0080-\u{10ffff}])*"/uy;
const DOMAIN_LITERAL = /\[[!-Z^-~]*\]/uy;
const SPACE = /[ \t]+/uy;

class AddressReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  mailbox(): boolean {
    const start = this.#at;
    if (this.#addressSpec()) return true;
    this.#at = start;
    while (this.#take(QUOTED) || this.#take(LOOSE_ATOM)) if (!this.skipSpace()) return false;
    if (this.#text[this.#at] !== '<') return false;
    this.#at++;
    if (!this.#addressSpec() || this.#text[this.#at] !== '>') return false;
    this.#at++;
    return true;
  }

  #addressSpec(): boolean {
    if (this.#text[this.#at] === '"') {
      const length = this.#take(QUOTED);
      if (length <= 2) return false;
    } else if (this.#take(DOT_ATOM) === 0) return false;
    if (!this.skipSpace() || this.#text[this.#at] !== '@') return false;
    this.#at++;
    if (!this.skipSpace()) return false;
    return this.#take(DOMAIN_LITERAL) > 0 || this.#take(DOT_ATOM) > 0;
  }

  /** Blanks and comments; false where a comment does not end. */
  skipSpace(): boolean {
    for (;;) {
      this.#take(SPACE);
      if (this.#text[this.#at] !== '(') return true;
      let depth = 0;
      do {
        const char = this.#text[this.#at++];
        if (char === undefined) return false;
        if (char === '\\') this.#at++;
        else if (char === '(') depth++;
        else if (char === ')') depth--;
      } while (depth > 0);
    }
  }

  /** How much it took. */
  #take(pattern: RegExp): number {
    pattern.lastIndex = this.#at;
    const length = pattern.exec(this.#text)?.[0].length ?? 0;
    this.#at += length;
    return length;
  }
}
