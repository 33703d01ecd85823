/** Lists made by expressions. */
import { CelList } from './value.ts';
import type { CelResult, CelValue } from './value.ts';

/**
 * The first `size` elements of an array. Folds append one element at a time, so lists share their array: the list that
 * reaches to its end may append in place, an older and shorter one does not see what comes behind it.
 */
export class ArrayList extends CelList {
  readonly size: number;
  readonly #elements: CelValue[];
  readonly #growable: boolean;

  constructor(elements: readonly CelValue[], growable = false) {
    super();
    this.#elements = elements as CelValue[];
    this.size = elements.length;
    this.#growable = growable;
  }

  override get(position: number): CelValue {
    return this.#elements[position] as CelValue;
  }

  override add(other: CelList): CelList {
    if (other.size === 0) return this;
    if (
      this.#growable &&
      this.#elements.length === this.size &&
      other instanceof ArrayList &&
      other.size <= 16
    ) {
      for (let i = 0; i < other.size; i++) this.#elements.push(other.get(i));
      return new ArrayList(this.#elements, true);
    }
    if (this.size === 0) {
      if (!(other instanceof ArrayList) || other.size > 16) return other;
      return new ArrayList(
        Array.from({ length: other.size }, (_, i) => other.get(i)),
        true,
      );
    }
    return new JoinedList(this, other);
  }
}

/** `left + right` without copying either. The depth is at most that of the expression. */
export class JoinedList extends CelList {
  readonly size: number;
  readonly #left: CelList;
  readonly #right: CelList;

  constructor(left: CelList, right: CelList) {
    super();
    this.#left = left;
    this.#right = right;
    this.size = left.size + right.size;
  }

  override get(position: number): CelResult {
    return position < this.#left.size
      ? this.#left.get(position)
      : this.#right.get(position - this.#left.size);
  }

  override add(other: CelList): CelList {
    return other.size === 0 ? this : new JoinedList(this, other);
  }
}

export const EMPTY_LIST: ArrayList = new ArrayList([]);

export function stringList(strings: readonly string[]): ArrayList {
  return new ArrayList(strings);
}
