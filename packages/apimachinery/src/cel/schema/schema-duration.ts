/**
 * Durations as schemas read them (k8s.io/kube-openapi/pkg/validation/strfmt): Go's notation, or numbers with words such as
 * `3 days 2 hours`.
 */
import { parseDuration, TimeError } from '../../time.ts';
import { INT64_MAX } from '../value/arithmetic.ts';

const SECOND = 1_000_000_000n;
/** A unit is named exactly, or begins as its last name does. */
const UNITS: readonly (readonly [names: readonly string[], nanoseconds: bigint])[] = [
  [['ns', 'nano'], 1n],
  [['us', 'µs', 'micro'], 1_000n],
  [['ms', 'milli'], 1_000_000n],
  [['s', 'sec'], SECOND],
  [['m', 'min'], 60n * SECOND],
  [['h', 'hr', 'hour'], 3600n * SECOND],
  [['d', 'day'], 86_400n * SECOND],
  [['w', 'wk', 'week'], 604_800n * SECOND],
];
const MAX_LENGTH = 1000;

/** Nanoseconds; undefined for what is no duration. */
export function parseSchemaDuration(text: string): bigint | undefined {
  try {
    return parseDuration(text);
  } catch (error) {
    if (!(error instanceof TimeError)) throw error;
  }
  if (text.length > MAX_LENGTH) return undefined;
  let total: bigint | undefined;
  for (const [, number = '', unit = ''] of text.matchAll(/([0-9]+)[ \t\n\f\r]*([A-Za-z\u00b5]+)/g)) {
    if (BigInt(number) > INT64_MAX) return undefined;
    const word = unit.toLowerCase();
    for (const [names, nanoseconds] of UNITS)
      if (names.includes(word) || word.startsWith(names.at(-1) as string))
        total = BigInt.asIntN(64, (total ?? 0n) + BigInt(number) * nanoseconds);
  }
  return total;
}
