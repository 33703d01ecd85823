/** What can be in a heap. */
export interface HeapElement {
  /** -1 while in no heap. */
  heapIndex: number;
}

/** A binary heap. Elements know their place, so that any of them can be taken out. */
export class Heap<T extends HeapElement> {
  readonly #elements: T[] = [];
  readonly #before: (a: T, b: T) => boolean;

  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before;
  }

  get size(): number {
    return this.#elements.length;
  }

  peek(): T | undefined {
    return this.#elements[0];
  }

  push(element: T): void {
    element.heapIndex = this.#elements.length;
    this.#elements.push(element);
    this.#up(element.heapIndex);
  }

  pop(): T | undefined {
    const first = this.#elements[0];
    if (first !== undefined) this.remove(first);
    return first;
  }

  remove(element: T): void {
    const index = element.heapIndex;
    if (this.#elements[index] !== element) return;
    const last = this.#elements.pop() as T;
    element.heapIndex = -1;
    if (last === element) return;
    this.#place(last, index);
    this.#up(index);
    this.#down(last.heapIndex);
  }

  #place(element: T, index: number): void {
    this.#elements[index] = element;
    element.heapIndex = index;
  }

  #up(from: number): void {
    const element = this.#elements[from] as T;
    let index = from;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = this.#elements[parent] as T;
      if (!this.#before(element, above)) break;
      this.#place(above, index);
      index = parent;
    }
    this.#place(element, index);
  }

  #down(from: number): void {
    const element = this.#elements[from] as T;
    let index = from;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= this.#elements.length) break;
      const right = this.#elements[child + 1];
      if (right !== undefined && this.#before(right, this.#elements[child] as T)) child++;
      const below = this.#elements[child] as T;
      if (!this.#before(below, element)) break;
      this.#place(below, index);
      index = child;
    }
    this.#place(element, index);
  }
}
