/** Lists of indexes of an Indexed job, such as `1,3-5,7`. Errors have upstream's texts. */
import { goQuote } from '@k8ts/apimachinery';

/** How many indexes the text names. Throws Error. */
export function countIndexes(text: string, completions: number): number {
  if (text === '') return 0;
  let last: number | undefined;
  let total = 0;
  for (const interval of text.split(',')) {
    const [from, to] = parseInterval(interval, completions);
    if (last !== undefined && last >= from)
      throw new Error(`non-increasing order, previous: ${last}, current: ${from}`);
    total += to - from + 1;
    last = to;
  }
  return total;
}

function parseInterval(text: string, completions: number): readonly [number, number] {
  const limits = text.split('-');
  if (limits.length > 2)
    throw new Error(
      `the fragment ${goQuote(text)} violates the requirement that an index interval can have at most two parts separated by '-'`,
    );
  const from = parseIndex(limits[0] as string, completions);
  if (limits[1] === undefined) return [from, from];
  const to = parseIndex(limits[1], completions);
  if (from >= to) throw new Error(`non-increasing order, previous: ${from}, current: ${to}`);
  return [from, to];
}

function parseIndex(text: string, completions: number): number {
  if (!/^[+-]?[0-9]{1,15}$/.test(text))
    throw new Error(`cannot convert string to integer for index: ${goQuote(text)}`);
  const index = Number(text);
  if (index >= completions) throw new Error(`too large index: ${goQuote(text)}`);
  return index;
}

/** The first index that both lists name; intervals that cannot be read are skipped. */
export function firstOverlap(left: string, right: string, completions: number): number | undefined {
  const [lefts, rights] = [left, right].map((text) => readable(text, completions)) as [Intervals, Intervals];
  let [l, r] = [0, 0];
  for (;;) {
    const a = lefts[l];
    const b = rights[r];
    if (a === undefined || b === undefined) return undefined;
    if (a[0] <= b[1] && b[0] <= a[1]) return Math.max(a[0], b[0]);
    if (a[0] <= b[0]) l++;
    else r++;
  }
}

type Intervals = readonly (readonly [number, number])[];

function readable(text: string, completions: number): Intervals {
  if (text === '') return [];
  return text.split(',').flatMap((interval) => {
    try {
      return [parseInterval(interval, completions)];
    } catch {
      return [];
    }
  });
}
