/** How the seats of the server are divided anew among priority levels that want more or less than their share. */

export interface Claim {
  /** What the level would like, at least `lower`. */
  readonly target: number;
  readonly lower: number;
  readonly upper: number;
}

/** No target is nothing: it would never grow. */
const SMALLEST_TARGET = 0.001;
const EPSILON = 1e-7;

export interface Allocation {
  readonly seats: readonly number[];
  /** Every level gets this much of its target, unless its bounds say otherwise. */
  readonly fairFraction: number;
}

/**
 * Divides `total` so that each claim gets the same fraction of its target, within its bounds. Throws when the bounds leave
 * no solution. (KEP-1040; k8s.io/apiserver/pkg/util/flowcontrol: conc_alloc.go.)
 *
 *     allocate(10, [{target: 8, lower: 0, upper: 99}, {target: 2, lower: 0, upper: 99}, {target: 10, lower: 0, upper: 3}])
 *       → seats [5.6, 1.4, 3], fairFraction 0.7
 */
export function allocateConcurrency(total: number, claims: readonly Claim[]): Allocation {
  const targets = claims.map(({ target }) => Math.max(target, SMALLEST_TARGET));
  const seatsAt = (fraction: number): number[] =>
    claims.map(({ lower, upper }, i) => Math.max(lower, Math.min(upper, fraction * (targets[i] as number))));
  const lowest = sum(claims.map(({ lower }) => lower));
  const highest = sum(claims.map(({ upper }) => upper));
  if (lowest - total > EPSILON) throw new Error(`lower bounds sum to ${lowest}, more than ${total}`);
  if (total - highest > EPSILON) throw new Error(`upper bounds sum to ${highest}, less than ${total}`);

  // What all get together grows with the fraction, in straight lines between the points where a bound begins or ends
  // to hold. Find the last point below the total, and go on from there along its line.
  const points = claims
    .flatMap(({ lower, upper }, i) => [lower / (targets[i] as number), upper / (targets[i] as number)])
    .sort((a, b) => a - b);
  let fraction = Math.min(...claims.map(({ lower }, i) => lower / (targets[i] as number)));
  let reached = lowest;
  for (const point of points) {
    if (reached >= total - EPSILON) break;
    const there = sum(seatsAt(point));
    if (there >= total) {
      fraction += ((total - reached) / (there - reached)) * (point - fraction);
      reached = total;
    } else {
      fraction = point;
      reached = there;
    }
  }
  return { seats: seatsAt(fraction), fairFraction: fraction };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
