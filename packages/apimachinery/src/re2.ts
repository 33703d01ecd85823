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
}

/** Throws Re2Error. */
export function compileRe2(pattern: string): Re2 {
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    const message = (error as Error).message;
    throw new Re2Error(message.endsWith('`') ? message : `${message}: \`\``, { cause: error });
  }
}
