/** Swagger documents of several servers as one (k8s.io/kube-openapi/pkg/aggregator). What goes in stays as it is. */
import { isDeepStrictEqual } from 'node:util';
import type { JsonObject } from '../contract.ts';

type Entries = readonly (readonly [string, unknown])[];

const DEFINITION = '#/definitions/';
const PARAMETER = '#/parameters/';
const KINDS = 'x-kubernetes-group-version-kind';

/**
 * The paths that begin with one of the prefixes. Definitions that only other paths used go with them.
 */
export function filteredSwagger(swagger: JsonObject, prefixes: readonly string[]): JsonObject {
  return keepPaths(swagger, (path) => prefixes.some((prefix) => path.startsWith(prefix)));
}

/** Paths that are there already stay; definitions and parameters of the same name and another meaning are renamed. */
export function mergedSwagger(first: JsonObject, others: readonly JsonObject[]): JsonObject {
  return others.reduce(merge, first);
}

function merge(into: JsonObject, source: JsonObject): JsonObject {
  const paths = new Map(entriesOf(into, 'paths'));
  const added = keepPaths(source, (path) => !paths.has(path));
  if (entriesOf(added, 'paths').length === 0) return into;
  const definitions = renames(into, added, 'definitions', equalButForKinds);
  const parameters = renames(into, added, 'parameters', isDeepStrictEqual);
  const renamed = withReferences(
    added,
    new Map([
      ...[...definitions].map(([from, to]) => [DEFINITION + from, DEFINITION + to] as const),
      ...[...parameters].map(([from, to]) => [PARAMETER + from, PARAMETER + to] as const),
    ]),
  ) as JsonObject;
  const both = (field: string, names: ReadonlyMap<string, string>): JsonObject => {
    const merged = new Map(entriesOf(into, field));
    for (const [name, value] of entriesOf(renamed, field)) {
      const under = names.get(name) ?? name;
      const known = merged.get(under);
      merged.set(under, known === undefined ? value : withKinds(known, value));
    }
    return Object.fromEntries(merged);
  };
  return {
    ...into,
    paths: { ...object(into['paths']), ...object(renamed['paths']) },
    definitions: both('definitions', definitions),
    ...(into['parameters'] === undefined && added['parameters'] === undefined
      ? {}
      : { parameters: both('parameters', parameters) }),
  };
}

function keepPaths(swagger: JsonObject, keeps: (path: string) => boolean): JsonObject {
  const paths = entriesOf(swagger, 'paths');
  const kept = paths.filter(([path]) => keeps(path));
  if (kept.length === paths.length) return swagger;
  const before = usedDefinitions(swagger);
  const filtered: JsonObject = { ...swagger, paths: Object.fromEntries(kept) };
  const after = usedDefinitions(filtered);
  // What was never used is nobody's to lose.
  const definitions = entriesOf(swagger, 'definitions').filter(
    ([name]) => after.has(name) || !before.has(name),
  );
  return { ...filtered, definitions: Object.fromEntries(definitions) };
}

/** The names of definitions that something outside of them leads to, through others or not. */
function usedDefinitions(swagger: JsonObject): ReadonlySet<string> {
  const definitions = new Map(entriesOf(swagger, 'definitions'));
  const used = new Set<string>();
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [name, child] of Object.entries(value)) {
      if (name !== '$ref' || typeof child !== 'string') visit(child);
      else if (child.startsWith(DEFINITION)) use(child.slice(DEFINITION.length));
    }
  };
  const waiting: string[] = [];
  const use = (name: string): void => {
    if (used.has(name)) return;
    used.add(name);
    waiting.push(name);
  };
  for (const [field, value] of Object.entries(swagger)) if (field !== 'definitions') visit(value);
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) visit(definitions.get(name));
  return used;
}

/** `Flunder` → `Flunder_v2`, for what means something else in the document that it is to be added to. */
function renames(
  into: JsonObject,
  added: JsonObject,
  field: string,
  isEqual: (a: unknown, b: unknown) => boolean,
): ReadonlyMap<string, string> {
  const existing = new Map(entriesOf(into, field));
  const own = new Map(entriesOf(added, field));
  const names = new Map<string, string>();
  const taken = new Set<string>();
  for (const [name, value] of own) {
    if (!existing.has(name) || isEqual(existing.get(name), value)) continue;
    let number = 2;
    let next = `${name}_v2`;
    const fits = (): boolean =>
      existing.has(next) ? isEqual(existing.get(next), value) : !taken.has(next) && !own.has(next);
    while (!fits()) next = `${name}_v${++number}`;
    names.set(name, next);
    taken.add(next);
  }
  return names;
}

function withReferences(value: unknown, names: ReadonlyMap<string, string>): unknown {
  if (names.size === 0 || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((child: unknown) => withReferences(child, names));
  return Object.fromEntries(
    Object.entries(value).map(([name, child]) => [
      name,
      name === '$ref' && typeof child === 'string'
        ? (names.get(child) ?? child)
        : withReferences(child, names),
    ]),
  );
}

function equalButForKinds(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(withoutKinds(a), withoutKinds(b));
}

function withoutKinds(definition: unknown): unknown {
  const { [KINDS]: _, ...rest } = object(definition);
  return rest;
}

/** One definition may stand for kinds of several groups (DeleteOptions): the names of all of them are kept. */
function withKinds(known: unknown, added: unknown): unknown {
  const list = (definition: unknown): unknown[] => {
    const kinds = object(definition)[KINDS];
    return Array.isArray(kinds) ? kinds : [];
  };
  const further = list(added).filter((kind) => !list(known).some((each) => isDeepStrictEqual(each, kind)));
  return further.length === 0 ? known : { ...object(known), [KINDS]: [...list(known), ...further] };
}

function entriesOf(document: JsonObject, field: string): Entries {
  return Object.entries(object(document[field]));
}

function object(value: unknown): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}
