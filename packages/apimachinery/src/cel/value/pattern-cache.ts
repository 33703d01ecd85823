/** Patterns that were used lately, compiled: rules use the same ones again and again. */
import { compileRe2 } from '../../re2.ts';
import type { Re2 } from '../../re2.ts';

const CACHE_SIZE = 500;
const cache = new Map<string, Re2>();

/** Throws Re2Error. */
export function compilePattern(pattern: string): Re2 {
  const known = cache.get(pattern);
  if (known !== undefined) return known;
  const compiled = compileRe2(pattern);
  if (cache.size >= CACHE_SIZE)
    for (const oldest of [...cache.keys()].slice(0, CACHE_SIZE / 2)) cache.delete(oldest);
  cache.set(pattern, compiled);
  return compiled;
}
