/**
 * Whether one type may stand where another is declared, and what that says about type parameters (after cel-go's
 * checker/types.go).
 *
 * Substitutions are kept in one map with a trail, so that a try that fails takes back what it assumed, and trying the
 * overloads of a function costs nothing for the parameters of everything checked before.
 */
import { CelType, DYN, sameType } from './type.ts';

export class Unifier {
  readonly #substitutions = new Map<string, CelType>();
  readonly #trail: (readonly [name: string, previous: CelType | undefined])[] = [];
  #fresh = 0;

  /** A type parameter that occurs nowhere else. */
  freshParameter(): CelType {
    return new CelType('parameter', `_var${this.#fresh++}`);
  }

  /** The types with their parameters replaced by fresh ones, the same for the same name. */
  instantiate(types: readonly CelType[]): readonly CelType[] {
    const fresh = new Map<string, CelType>();
    const replace = (type: CelType): CelType => {
      if (type.kind === 'parameter') {
        const known = fresh.get(type.name) ?? this.freshParameter();
        fresh.set(type.name, known);
        return known;
      }
      return type.parameters.length === 0
        ? type
        : new CelType(type.kind, type.name, type.parameters.map(replace));
    };
    return types.map(replace);
  }

  /** Assumes what makes `actual` assignable to `declared`, or nothing at all. */
  assign(actual: CelType, declared: CelType): boolean {
    return this.assignAll([actual], [declared]);
  }

  assignAll(actual: readonly CelType[], declared: readonly CelType[]): boolean {
    const mark = this.#trail.length;
    if (this.#assignableList(actual, declared)) {
      this.#trail.length = mark;
      return true;
    }
    while (this.#trail.length > mark) {
      const [name, previous] = this.#trail.pop() as readonly [string, CelType | undefined];
      if (previous === undefined) this.#substitutions.delete(name);
      else this.#substitutions.set(name, previous);
    }
    return false;
  }

  /** With bound parameters replaced; unbound ones become dyn where asked. */
  substitute(type: CelType, unboundIsDyn: boolean): CelType {
    let current = type;
    while (current.kind === 'parameter') {
      const bound = this.#substitutions.get(current.name);
      if (bound === undefined) return unboundIsDyn ? DYN : current;
      current = bound;
    }
    if (current.parameters.length === 0) return current;
    return new CelType(
      current.kind,
      current.name,
      current.parameters.map((parameter) => this.substitute(parameter, unboundIsDyn)),
    );
  }

  #bind(parameter: CelType, type: CelType): void {
    this.#trail.push([parameter.name, this.#substitutions.get(parameter.name)]);
    this.#substitutions.set(parameter.name, type);
  }

  #assignableList(actual: readonly CelType[], declared: readonly CelType[]): boolean {
    return (
      actual.length === declared.length &&
      actual.every((type, i) => this.#assignable(type, declared[i] as CelType))
    );
  }

  #assignable(a: CelType, b: CelType): boolean {
    if (b.kind === 'parameter') {
      const { valid, bound } = this.#substitutes(a, b);
      if (valid || bound) return valid;
    }
    if (a.kind === 'parameter') return this.#substitutes(b, a).valid;
    if (isDynOrError(a) || isDynOrError(b)) return true;
    if (a.kind === 'null') return isNullable(b);
    if (b.kind === 'null') return isNullable(a);
    if (a.kind !== b.kind) return false;
    if (a.kind === 'type') return true;
    return a.name === b.name && this.#assignableList(a.parameters, b.parameters);
  }

  /** Whether `type` may be what `parameter` stands for, and whether that was settled before. */
  #substitutes(type: CelType, parameter: CelType): { readonly valid: boolean; readonly bound: boolean } {
    if (sameType(type, parameter)) return { valid: true, bound: true };
    const known = this.#substitutions.get(parameter.name);
    if (known !== undefined) {
      if (sameType(type, known)) return { valid: true, bound: true };
      if (!this.#assignable(type, known)) return { valid: false, bound: true };
      const general = isLessSpecific(type, known) ? type : known;
      if (!this.#occurs(parameter, general)) this.#bind(parameter, general);
      return { valid: true, bound: true };
    }
    if (this.#occurs(parameter, type)) return { valid: false, bound: false };
    this.#bind(parameter, type);
    return { valid: true, bound: false };
  }

  #occurs(parameter: CelType, within: CelType): boolean {
    if (sameType(parameter, within)) return true;
    if (within.kind === 'parameter') {
      const bound = this.#substitutions.get(within.name);
      return bound !== undefined && this.#occurs(parameter, bound);
    }
    return within.parameters.some((inner) => this.#occurs(parameter, inner));
  }
}

/** The more general of two types that are known to fit. */
export function mostGeneral(a: CelType, b: CelType): CelType {
  return isLessSpecific(a, b) ? a : b;
}

function isLessSpecific(a: CelType, b: CelType): boolean {
  if (a.kind === 'dyn' || a.kind === 'parameter') return true;
  if (b.kind === 'dyn' || b.kind === 'parameter') return false;
  if (a.kind !== b.kind) return false;
  if (a.kind === 'type') return true;
  return (
    a.name === b.name &&
    a.parameters.length === b.parameters.length &&
    a.parameters.every((parameter, i) => isLessSpecific(parameter, b.parameters[i] as CelType))
  );
}

function isDynOrError(type: CelType): boolean {
  return type.kind === 'dyn' || type.kind === 'error';
}

function isNullable(type: CelType): boolean {
  return ['null', 'opaque', 'object', 'duration', 'timestamp'].includes(type.kind);
}
