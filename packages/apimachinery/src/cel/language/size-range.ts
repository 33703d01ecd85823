/** Ranges of sizes and costs. Sums and products stay below 2⁶⁴, which stands for "unknown". */
export interface SizeRange {
  readonly min: number;
  readonly max: number;
}

export const UNBOUNDED: number = 2 ** 64;
export const UNKNOWN_SIZE: SizeRange = { min: 0, max: UNBOUNDED };

export function fixed(size: number): SizeRange {
  return { min: size, max: size };
}

function bounded(value: number): number {
  return value >= UNBOUNDED ? UNBOUNDED : value;
}

export function addRanges(...ranges: readonly SizeRange[]): SizeRange {
  let min = 0;
  let max = 0;
  for (const range of ranges) {
    min += range.min;
    max += range.max;
  }
  return { min: bounded(min), max: bounded(max) };
}

export function multiplyRanges(a: SizeRange, b: SizeRange): SizeRange {
  return { min: bounded(a.min * b.min), max: bounded(a.max * b.max) };
}

/** Rounded up. */
export function scaleRange(range: SizeRange, factor: number): SizeRange {
  return { min: bounded(Math.ceil(range.min * factor)), max: bounded(Math.ceil(range.max * factor)) };
}

/** What encloses both. */
export function enclose(a: SizeRange, b: SizeRange): SizeRange {
  return { min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) };
}
