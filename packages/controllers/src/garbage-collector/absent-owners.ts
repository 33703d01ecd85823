/** An owner as a reference names it. */
export interface OwnerCoordinates {
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

/** Upstream remembers this many. */
const LIMIT = 500;

/** Owners known not to exist: a set of a thousand pods whose owner is gone asks for it once. UIDs are never used again. */
export class AbsentOwners {
  readonly #keys = new Set<string>();

  /** `namespace` is the owner's, empty for one without. */
  has(owner: OwnerCoordinates, namespace: string): boolean {
    return this.#keys.has(keyOf(owner, namespace));
  }

  add(owner: OwnerCoordinates, namespace: string): void {
    const key = keyOf(owner, namespace);
    this.#keys.delete(key);
    this.#keys.add(key);
    if (this.#keys.size <= LIMIT) return;
    for (const oldest of this.#keys) {
      this.#keys.delete(oldest);
      return;
    }
  }
}

function keyOf({ kind, name, uid }: OwnerCoordinates, namespace: string): string {
  return `${uid}/${kind}/${namespace}/${name}`;
}
