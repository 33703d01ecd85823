/**
 * One fast look over JSON text before it is parsed: how deep it nests (JSON.parse takes any depth, the walkers after it do
 * not), and how many members its objects have. JSON.parse drops repeated members, so a parsed value with fewer members than
 * the text had some repeated; only then the slow parser looks for them.
 *
 * Hot: runs over every body. Strings, most of the text, are skipped with indexOf. Guarded by bench/codec.bench.ts.
 */
export interface JsonShape {
  readonly members: number;
  readonly depth: number;
}

const QUOTE = 0x22;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Meaningful for valid JSON; for anything else the numbers are just some numbers. */
export function scanJson(text: string): JsonShape {
  const { length } = text;
  let members = 0;
  let depth = 0;
  let deepest = 0;
  for (let i = 0; i < length; i++) {
    switch (text.charCodeAt(i)) {
      case QUOTE:
        i = endOfString(text, i);
        break;
      case COLON:
        members++;
        break;
      case OPEN_BRACE:
      case OPEN_BRACKET:
        if (++depth > deepest) deepest = depth;
        break;
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        depth--;
        break;
    }
  }
  return { members, depth: deepest };
}

/** The position of the quote that closes the string opened at `start`, or the end of the text. */
function endOfString(text: string, start: number): number {
  let end = start;
  for (;;) {
    end = text.indexOf('"', end + 1);
    if (end < 0) return text.length;
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return end;
  }
}

/** Members of all objects in a parsed value. Its depth must be limited already. */
export function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let members = 0;
  if (Array.isArray(value)) {
    for (const element of value) if (typeof element === 'object') members += countMembers(element);
    return members;
  }
  for (const key of Object.keys(value)) {
    members++;
    const child = (value as Record<string, unknown>)[key];
    if (typeof child === 'object') members += countMembers(child);
  }
  return members;
}
