/**
 * Every flow is dealt a hand of queues, so that two flows seldom share all of theirs: a heavy flow fills its own hand, and
 * the others find a queue of theirs that it does not have (k8s.io/apiserver/pkg/util/shufflesharding).
 */

/** Upstream's limit on queues and hand size; a hash here has fewer bits, which only makes some hands of odd settings rarer. */
export const MAX_HASH_BITS = 60;

/** Bits needed to tell all ordered hands apart: log2 of deck × (deck − 1) × …, rounded up. */
export function requiredEntropyBits(deckSize: number, handSize: number): number {
  return Math.ceil(Math.log2(deckSize) * handSize);
}

/** 53 bits of a flow's name, the same for as long as the process lives. */
export function hashFlow(flowSchema: string, distinguisher: string): number {
  let low = 0x811c9dc5;
  let high = 0x9747b28c;
  const mix = (text: string): void => {
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      low = Math.imul(low ^ code, 0x01000193);
      high = Math.imul(high ^ code, 0x5bd1e995);
      high ^= high >>> 13;
    }
  };
  mix(flowSchema);
  mix(',');
  mix(distinguisher);
  low = Math.imul(low ^ (low >>> 15), 0x2c1b3c6d);
  low ^= low >>> 12;
  high = Math.imul(high ^ (high >>> 16), 0x297a2d39);
  return (high >>> 0) * 0x20_0000 + ((low >>> 0) >>> 11);
}

/** The hand so far in ascending order; scratch space of `deal`. */
const sorted: number[] = [];

/** `handSize` different numbers below `deckSize` for a hash, put into `hand`. */
export function deal(hash: number, deckSize: number, handSize: number, hand: number[]): void {
  hand.length = 0;
  sorted.length = 0;
  let rest = hash;
  for (let card = 0; card < handSize; card++) {
    const left = deckSize - card;
    let chosen = rest % left;
    rest = Math.floor(rest / left);
    // `chosen` counts only what is left of the deck: go past the cards dealt before, in their order.
    let at = 0;
    for (; at < sorted.length && chosen >= (sorted[at] as number); at++) chosen++;
    sorted.splice(at, 0, chosen);
    hand.push(chosen);
  }
}
