/** What a plugin that calls others remembers, for when the mutating plugins run once more. */
import { jsonEqual, type JsonValue } from '@k8ts/apimachinery';
import type { AdmissionAttributes } from './contract.ts';

export class ReinvocationMemory {
  readonly isAgain: boolean;
  readonly #attributes: AdmissionAttributes;
  readonly #memory: Memory;

  /** `plugin`: each remembers for itself. */
  constructor(attributes: AdmissionAttributes, plugin: string) {
    attributes.reinvocation ??= { state: 'none', memories: new Map() };
    const { reinvocation } = attributes;
    let memory = reinvocation.memories.get(plugin) as Memory | undefined;
    if (memory === undefined) {
      memory = { again: new Set(), called: new Set(), lastOutput: undefined };
      reinvocation.memories.set(plugin, memory);
    }
    this.#attributes = attributes;
    this.#memory = memory;
    this.isAgain = reinvocation.state === 'running';
    // Others have changed the object since.
    if (this.isAgain && !jsonEqual(json(attributes.object), memory.lastOutput ?? null)) this.#callAgain();
  }

  /** Whether it is to be called: always the first time, later those that asked for it and that something changed after. */
  wants(id: string): boolean {
    return !this.isAgain || this.#memory.again.has(id);
  }

  /** It has been called. `mayBeCalledAgain`: it wants to be, when something changes after it. */
  called(id: string, changed: boolean, mayBeCalledAgain: boolean): void {
    const { reinvocation } = this.#attributes;
    if (changed) {
      this.#callAgain();
      if (!this.isAgain && reinvocation !== undefined) reinvocation.state = 'wanted';
    }
    if (mayBeCalledAgain) this.#memory.called.add(id);
  }

  /** All have been called. */
  done(): void {
    this.#memory.lastOutput = structuredClone(json(this.#attributes.object));
  }

  #callAgain(): void {
    for (const id of this.#memory.called) this.#memory.again.add(id);
    this.#memory.called.clear();
  }
}

interface Memory {
  /** To be called again. */
  readonly again: Set<string>;
  /** Called so far, and may be called again. */
  readonly called: Set<string>;
  lastOutput: JsonValue | undefined;
}

function json(object: unknown): JsonValue {
  return (object ?? null) as JsonValue;
}
