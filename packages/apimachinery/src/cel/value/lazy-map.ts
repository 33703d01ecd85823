/** Values that are computed when they are first asked for, and once. */
import { CelMap } from './value.ts';
import type { CelResult, CelValue } from './value.ts';

export class LazyMap extends CelMap {
  readonly #known = new Map<string, CelResult>();
  readonly #names: ReadonlySet<string>;
  readonly #compute: (name: string) => CelResult;

  constructor(names: Iterable<string>, compute: (name: string) => CelResult) {
    super();
    this.#names = new Set(names);
    this.#compute = compute;
  }

  override get size(): number {
    return this.#names.size;
  }

  override find(key: CelValue): CelResult | undefined {
    if (typeof key !== 'string' || !this.#names.has(key)) return undefined;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const value = this.#compute(key);
    this.#known.set(key, value);
    return value;
  }

  override *keys(): Iterable<CelValue> {
    yield* this.#names;
  }
}
