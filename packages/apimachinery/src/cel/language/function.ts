/** Declarations of functions: what the checker knows of them, and what runs. */
import { CelError, CelList, CelMap, CelOptional, NO_SUCH_OVERLOAD, typeOf } from '../value/value.ts';
import type { CelResult, CelValue } from '../value/value.ts';
import { LIST, OPTIONAL } from './type.ts';
import type { CelType } from './type.ts';

/** Gets what the overload declares; lists and maps are looked into no deeper than their first element. */
export type Implementation = (...args: never[]) => CelResult;

export interface Overload {
  /** cel-go's and Kubernetes' own id; cost accounting goes by it. */
  readonly id: string;
  /** `target.f(…)`: the target is the first parameter. */
  readonly member: boolean;
  readonly parameters: readonly CelType[];
  readonly result: CelType;
  readonly implementation: Implementation | undefined;
}

export interface FunctionDeclaration {
  readonly name: string;
  readonly overloads: readonly Overload[];
  /** One implementation for all overloads, which looks at the values itself. */
  readonly dynamic: Implementation | undefined;
}

export function overload(
  id: string,
  parameters: readonly CelType[],
  result: CelType,
  implementation?: Implementation,
): Overload {
  return { id, member: false, parameters, result, implementation };
}

export function memberOverload(
  id: string,
  parameters: readonly CelType[],
  result: CelType,
  implementation?: Implementation,
): Overload {
  return { id, member: true, parameters, result, implementation };
}

export function declareFunction(name: string, ...overloads: readonly Overload[]): FunctionDeclaration {
  return { name, overloads, dynamic: undefined };
}

export function declareDynamic(
  name: string,
  dynamic: Implementation,
  ...overloads: readonly Overload[]
): FunctionDeclaration {
  return { name, overloads, dynamic };
}

/** Functions of the same name become one with the overloads of all. */
export function mergeFunctions(
  libraries: readonly (readonly FunctionDeclaration[])[],
): ReadonlyMap<string, FunctionDeclaration> {
  const merged = new Map<string, FunctionDeclaration>();
  for (const declaration of libraries.flat()) {
    const known = merged.get(declaration.name);
    merged.set(
      declaration.name,
      known === undefined
        ? declaration
        : {
            name: declaration.name,
            overloads: [...known.overloads, ...declaration.overloads],
            dynamic: known.dynamic ?? declaration.dynamic,
          },
    );
  }
  return merged;
}

/** What runs a call of one of the overloads with these ids (all, if several may be meant). */
export function functionCall(
  declaration: FunctionDeclaration,
  ids: readonly string[],
): (args: readonly CelValue[]) => CelResult {
  const dynamic = declaration.dynamic as ((...values: readonly CelValue[]) => CelResult) | undefined;
  const meant = declaration.overloads.filter(({ id }) => ids.length !== 1 || id === ids[0]);
  const candidates = (meant.length === 0 ? declaration.overloads : meant).filter(
    ({ implementation }) => implementation !== undefined,
  );
  return (args) => {
    for (const { implementation, parameters } of candidates)
      if (parameters.length === args.length && allFit(args, parameters))
        return (implementation as (...values: readonly CelValue[]) => CelResult)(...args);
    if (dynamic !== undefined) return dynamic(...args);
    const types = args.map((arg) => typeOf(arg).name).join(', ');
    return new CelError(`no such overload: ${declaration.name}(${types})`);
  };
}

function allFit(args: readonly CelValue[], parameters: readonly CelType[]): boolean {
  for (let i = 0; i < args.length; i++)
    if (!fitsAtRuntime(args[i] as CelValue, parameters[i] as CelType)) return false;
  return true;
}

function fitsAtRuntime(value: CelValue, type: CelType): boolean {
  if (type.kind === 'dyn' || type.kind === 'parameter') return true;
  if (value instanceof CelList) {
    if (type.kind !== LIST.kind) return false;
    return value.size === 0 || resultFits(value.get(0), type.parameters[0] as CelType);
  }
  if (value instanceof CelMap) {
    if (type.kind !== 'map') return type.kind === 'object';
    for (const key of value.keys())
      return (
        fitsAtRuntime(key, type.parameters[0] as CelType) &&
        resultFits(value.find(key) ?? NO_SUCH_OVERLOAD, type.parameters[1] as CelType)
      );
    return true;
  }
  if (value instanceof CelOptional) return type.kind === 'opaque' && type.name === OPTIONAL.name;
  const actual = typeOf(value);
  return actual.kind === type.kind && (actual.kind === 'type' || actual.name === type.name);
}

function resultFits(value: CelResult, type: CelType): boolean {
  return value instanceof CelError || fitsAtRuntime(value, type);
}
