import type { Clock } from '@k8ts/base';

/** After this long a controller no longer waits for events it expected: they may have been lost (as upstream). */
const EXPECTATIONS_TIMEOUT = 5 * 60_000;

interface Expectation {
  creations: number;
  /** Keys of objects whose deletion was asked for and not yet seen. */
  readonly deletions: Set<string>;
  readonly since: number;
}

/**
 * What a controller did and its cache does not show yet (upstream's ControllerExpectations with UIDs). A controller that
 * counts its pods in the cache right after it made some would make them again; it waits until the cache has caught up:
 *
 *     expectations.expectCreations(key, 3)   before three creates
 *     expectations.creationObserved(key)     by the informer for each, or for a create that failed
 *     expectations.satisfied(key)            true after the third, or after five minutes
 */
export class Expectations {
  readonly #clock: Clock;
  readonly #byKey = new Map<string, Expectation>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  satisfied(key: string): boolean {
    const expectation = this.#byKey.get(key);
    if (expectation === undefined) return true;
    if (expectation.creations <= 0 && expectation.deletions.size === 0) return true;
    return this.#clock.monotonic() - expectation.since > EXPECTATIONS_TIMEOUT;
  }

  expectCreations(key: string, count: number): void {
    this.expect(key, count, []);
  }

  expectDeletions(key: string, objects: readonly string[]): void {
    this.expect(key, 0, objects);
  }

  expect(key: string, creations: number, deletions: readonly string[]): void {
    this.#byKey.set(key, { creations, deletions: new Set(deletions), since: this.#clock.monotonic() });
  }

  creationObserved(key: string): void {
    const expectation = this.#byKey.get(key);
    if (expectation !== undefined && expectation.creations > 0) expectation.creations--;
  }

  deletionObserved(key: string, object: string): void {
    this.#byKey.get(key)?.deletions.delete(object);
  }

  forget(key: string): void {
    this.#byKey.delete(key);
  }
}
