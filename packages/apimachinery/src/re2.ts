/**
 * Regular expressions as Go's package regexp has them (RE2): patterns come from users, so matching must take time linear in
 * the text. JavaScript's own engine does not promise that.
 */
import { RE2JS } from 're2js';

/** Not a pattern of RE2. The message is Go's: ``error parsing regexp: missing closing ): `a(` ``. */
export class Re2Error extends Error {
  override readonly name = 'Re2Error';
}

export interface Re2 {
  /** Whether the pattern is found anywhere in the text. */
  test(text: string): boolean;
  /** Matches from left to right that do not overlap, at most `limit` (negative: all). */
  findAll(text: string, limit: number): readonly string[];
}

/** Throws Re2Error. */
export function compileRe2(pattern: string): Re2 {
  const compiled = compile(pattern);
  return {
    test: (text) => compiled.test(text),
    findAll: (text, limit) => findAll(compiled, text, limit),
  };
}

function compile(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    const message = (error as Error).message;
    throw new Re2Error(message.endsWith('`') ? message : `${message}: \`\``, { cause: error });
  }
}

function findAll(compiled: RE2JS, text: string, limit: number): readonly string[] {
  const found: string[] = [];
  const matcher = compiled.matcher(text);
  while ((limit < 0 || found.length < limit) && matcher.find()) found.push(matcher.group() ?? '');
  return found;
}
