/** Randomness is passed in, so that tests repeat. Numbers are in [0, 1). Not for secrets: those come from node:crypto. */
export type Random = () => number;

export const systemRandom: Random = () => Math.random();

/** mulberry32: small, fast, the same sequence for the same seed. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

// Kubernetes' alphabet for generated names: no vowels and no 0, 1, 3, so no words and no look-alikes.
const NAME_ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';

/** The random part of a generated name, as Kubernetes makes it (k8s.io/apimachinery/pkg/util/rand). */
export function randomNameSuffix(random: Random, length = 5): string {
  let suffix = '';
  for (let i = 0; i < length; i++) suffix += NAME_ALPHABET[Math.floor(random() * NAME_ALPHABET.length)];
  return suffix;
}
