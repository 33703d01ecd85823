import { type Clock, VirtualClock } from '@k8ts/base';

/**
 * A virtual clock on which every look at the time finds that the turn has lasted too long. Whatever yields when it has
 * worked for a while yields at every chance, so that everything else gets in between.
 */
export function impatientClock(): { readonly clock: Clock; advance(milliseconds: number): Promise<void> } {
  const virtual = new VirtualClock();
  let looks = 0;
  return {
    clock: {
      now: () => virtual.now(),
      monotonic: () => virtual.monotonic() + looks++ * 5,
      setTimeout: (callback, delay) => virtual.setTimeout(callback, delay),
      yield: () => virtual.yield(),
    },
    advance: (milliseconds) => virtual.advance(milliseconds),
  };
}
