/** The range of node ports (pkg/registry/core/service/portallocator). */
import type { Random } from '@k8ts/base';

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

const STATIC_MIN = 16;
const STATIC_MAX = 128;
const STATIC_STEP = 32;

/** Reads `30000-32767`. Throws an Error for anything else. */
export function parsePortRange(text: string): PortRange {
  const match = /^([0-9]{1,5})-([0-9]{1,5})$/.exec(text);
  const [first, last] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || first < 1 || last > 65_535 || last < first)
    throw new Error(`${text} is not a range of ports`);
  return { first, last };
}

/** A free port; the lower band is for services that name their ports (KEP-3668). Undefined when none is left. */
export function freePort(
  { first, last }: PortRange,
  isTaken: (port: number) => boolean,
  random: Random,
): number | undefined {
  const size = last - first + 1;
  const band =
    size <= STATIC_MIN ? 0 : Math.min(Math.max(STATIC_MIN, Math.floor(size / STATIC_STEP)), STATIC_MAX);
  return search(first + band, last, isTaken, random) ?? search(first, first + band - 1, isTaken, random);
}

function search(
  first: number,
  last: number,
  isTaken: (port: number) => boolean,
  random: Random,
): number | undefined {
  const size = last - first + 1;
  if (size <= 0) return undefined;
  const start = Math.floor(random() * size);
  for (let i = 0; i < size; i++) {
    const port = first + ((start + i) % size);
    if (!isTaken(port)) return port;
  }
  return undefined;
}
