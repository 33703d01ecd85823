/** `Object.spec{replicas: 3}`: a value with named fields, of a type that the environment declares. */
import type { CelType } from '../language/type.ts';
import { valuesEqual } from './equality.ts';
import { CelOpaque } from './value.ts';
import type { CelValue, CelError } from './value.ts';

export class CelStruct extends CelOpaque {
  readonly #type: CelType;
  readonly fields: ReadonlyMap<string, CelValue>;

  constructor(type: CelType, fields: ReadonlyMap<string, CelValue>) {
    super();
    this.#type = type;
    this.fields = fields;
  }

  override get type(): CelType {
    return this.#type;
  }

  override equals(other: CelValue): boolean | CelError {
    if (!(other instanceof CelStruct) || other.type.name !== this.type.name) return false;
    if (other.fields.size !== this.fields.size) return false;
    for (const [name, value] of this.fields) {
      const theirs = other.fields.get(name);
      if (theirs === undefined) return false;
      const equal = valuesEqual(value, theirs);
      if (equal !== true) return equal;
    }
    return true;
  }

  override toText(): string {
    return this.type.name;
  }
}
