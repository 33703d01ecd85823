/**
 * The schemas of the built-in types, built from the generated tables when first asked for: the text of a package's table
 * is parsed once, and a type's node with everything it refers to is made once and shared from then on.
 */
import { packageTables, type PackageTable } from './generated/tables/index.ts';
import { createSchema, type FieldSchema, type ProtoEmbed, type Schema, type SchemaType } from './schema.ts';

/** A package of built-in types; several may belong to one group and version (`''`/`v1`: corev1 and clientcmdv1). */
export interface BuiltinPackage {
  /** `corev1` */
  readonly namespace: string;
  readonly group: string;
  readonly version: string;
  /** What OpenAPI puts before type names: `io.k8s.api.core.v1`. */
  readonly openapi: string;
  /** Go's names of all types, named scalars included. */
  readonly typeNames: () => readonly string[];
}

export const builtinPackages: readonly BuiltinPackage[] = packageTables.map((table) => ({
  namespace: table.namespace,
  group: table.group,
  version: table.version,
  openapi: table.openapi,
  typeNames: () => Object.keys(rowsOf(table.namespace)),
}));

/**
 * The schema of a built-in kind, `('apps', 'v1', 'Deployment')`; undefined when there is no such kind. The kinds that upstream
 * registers in every group and version (DeleteOptions, WatchEvent, …) are found under any.
 */
export function schemaOf(group: string, version: string, kind: string): Schema | undefined {
  const key = `${group}/${version}/${kind}`;
  const known = kinds.get(key);
  if (known !== undefined) return known;
  const found = findKind(group, version, kind);
  if (found !== undefined) {
    // Names are input: only what the tables have is remembered.
    kinds.set(key, found);
    return found;
  }
  const isCore = group === '' && version === 'v1';
  return META_EVERYWHERE.has(kind) || (isCore && META_IN_CORE.has(kind))
    ? schemaOfType('metav1', kind)
    : undefined;
}

/** The schema of any built-in type by package and Go name, `('corev1', 'PodSpec')`. */
export function schemaOfType(namespace: string, name: string): Schema | undefined {
  const key = `${namespace}.${name}`;
  const known = nodes.get(key);
  if (known !== undefined) return known;
  if (!tables.has(namespace) || !Object.hasOwn(rowsOf(namespace), name)) return undefined;
  return namedNode(namespace, name);
}

/**
 * A row of a table. Fields are `[JSON name or '' for embedded, Go type, protobuf number or 0, flags, extras]`, the flags
 * 1 optional + 2 omitempty + 4 required nevertheless; a named scalar, list or map has its base instead.
 */
type TypeRow = StructRow | BaseRow;
interface StructRow {
  readonly f: readonly FieldRow[];
  /** structType */
  readonly m?: 'atomic' | 'granular';
}
interface BaseRow {
  readonly b: string;
  /** closed enumeration */
  readonly e?: readonly string[];
  /** a message of its own in protobuf */
  readonly w?: 1;
}
type FieldRow = readonly [name: string, type: string, proto: number, flags: number, extras?: FieldExtras];
interface FieldExtras {
  readonly l?: 'atomic' | 'set' | 'map';
  readonly k?: readonly string[];
  readonly m?: 'atomic' | 'granular';
  readonly p?: readonly string[];
  readonly pk?: string;
  readonly d?: unknown;
}

const tables: ReadonlyMap<string, PackageTable> = new Map(
  packageTables.map((table) => [table.namespace, table]),
);
const rows = new Map<string, Readonly<Record<string, TypeRow>>>();
const nodes = new Map<string, Schema>();
const kinds = new Map<string, Schema>();

/** Kinds of meta/v1 that upstream registers as core v1, and those it registers in every group and version. */
const META_IN_CORE = new Set(['APIGroup', 'APIGroupList', 'APIResourceList', 'APIVersions', 'Status']);
const META_EVERYWHERE = new Set([
  'CreateOptions',
  'DeleteOptions',
  'GetOptions',
  'ListOptions',
  'PatchOptions',
  'UpdateOptions',
  'WatchEvent',
]);

function findKind(group: string, version: string, kind: string): Schema | undefined {
  for (const table of packageTables) {
    if (table.group !== group || table.version !== version) continue;
    const schema = schemaOfType(table.namespace, kind);
    if (schema !== undefined && isKind(schema)) return schema;
  }
  return undefined;
}

function isKind(schema: Schema): boolean {
  return schema.type === 'object' && schema.fields.has('apiVersion') && schema.fields.has('kind');
}

function rowsOf(namespace: string): Readonly<Record<string, TypeRow>> {
  let parsed = rows.get(namespace);
  if (parsed === undefined) {
    const table = tables.get(namespace);
    if (table === undefined) throw new Error(`no table of types is called ${namespace}`);
    parsed = JSON.parse(table.table) as Readonly<Record<string, TypeRow>>;
    rows.set(namespace, parsed);
  }
  return parsed;
}

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1';
const APIEXTENSIONS = 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1';

const SCALARS: Readonly<Record<string, Schema>> = {
  string: createSchema({ type: 'string' }),
  bool: createSchema({ type: 'boolean' }),
  int32: createSchema({ type: 'int32' }),
  int64: createSchema({ type: 'int64' }),
  uint64: createSchema({ type: 'uint64' }),
  float64: createSchema({ type: 'float64' }),
  'wire.Bytes': createSchema({ type: 'bytes' }),
  'wire.Quantity': scalar('quantity', 'io.k8s.apimachinery.pkg.api.resource', 'Quantity'),
  'wire.IntOrString': scalar('intOrString', 'io.k8s.apimachinery.pkg.util.intstr', 'IntOrString'),
  'wire.RawExtension': scalar('rawExtension', 'io.k8s.apimachinery.pkg.runtime', 'RawExtension'),
  'wire.Time': scalar('time', META, 'Time'),
  'wire.MicroTime': scalar('microTime', META, 'MicroTime'),
  'wire.Duration': scalar('duration', META, 'Duration'),
  'wire.FieldsV1': scalar('fieldsV1', META, 'FieldsV1'),
  'wire.Json': scalar('json', APIEXTENSIONS, 'JSON'),
};

function scalar(type: SchemaType, openapi: string, goName: string): Schema {
  return createSchema({ type, name: `${openapi}.${goName}`, goName });
}

/** Structs whose JSON form is not that of their fields. */
const JSON_FORMS: Readonly<Record<string, SchemaType>> = {
  'apiextensionsv1.JSONSchemaPropsOrArray': 'schemaOrArray',
  'apiextensionsv1.JSONSchemaPropsOrBool': 'schemaOrBool',
  'apiextensionsv1.JSONSchemaPropsOrStringArray': 'schemaOrStringArray',
};

function namedNode(namespace: string, goName: string): Schema {
  const key = `${namespace}.${goName}`;
  const known = nodes.get(key);
  if (known !== undefined) return known;
  const row = rowsOf(namespace)[goName];
  const openapi = tables.get(namespace)?.openapi ?? '';
  if (row === undefined) throw new Error(`the type ${key} is not in its table`);

  if ('b' in row) {
    const base = resolve(namespace, row.b);
    // An alias of a struct is that struct; everything else keeps the name it has here.
    const node =
      base.type === 'object'
        ? base
        : { ...base, goName, enum: row.e ?? base.enum, protoWrapped: row.w === 1 || base.protoWrapped };
    nodes.set(key, node);
    return node;
  }
  const form = JSON_FORMS[key];
  if (form !== undefined) {
    const node = createSchema({
      type: form,
      name: `${openapi}.${goName}`,
      goName,
      items: namedNode(namespace, 'JSONSchemaProps'),
    });
    nodes.set(key, node);
    return node;
  }
  // The node is known before its fields are, so that a type may contain itself. Variants of it made meanwhile (a field
  // with a marker of its own) share the same map and list.
  const fields = new Map<string, FieldSchema>();
  const protoEmbeds: ProtoEmbed[] = [];
  const node = createSchema({
    type: 'object',
    name: `${openapi}.${goName}`,
    goName,
    fields,
    protoEmbeds,
    mapType: row.m,
  });
  nodes.set(key, node);
  addFields(namespace, row, fields, protoEmbeds);
  return node;
}

function addFields(
  namespace: string,
  row: StructRow,
  fields: Map<string, FieldSchema>,
  protoEmbeds: ProtoEmbed[],
): void {
  for (const [name, type, protoNumber, flags, extras] of row.f) {
    const schema = withExtras(resolve(namespace, type), extras);
    if (name === '') {
      embed(schema, protoNumber, fields, protoEmbeds);
      continue;
    }
    fields.set(name, {
      name,
      schema,
      required: flags === 0 || (flags & 4) !== 0,
      omitEmpty: (flags & 2) !== 0,
      pointer: type.startsWith('*'),
      protoNumber,
      protoEmbed: -1,
    });
  }
}

/** TypeMeta has no number: its fields are JSON only. An embedded struct with a number is a message in protobuf. */
function embed(
  schema: Schema,
  protoNumber: number,
  fields: Map<string, FieldSchema>,
  protoEmbeds: ProtoEmbed[],
): void {
  const index = protoNumber === 0 ? -1 : protoEmbeds.push({ protoNumber, schema }) - 1;
  for (const field of schema.fields.values()) {
    fields.set(field.name, { ...field, protoNumber: index < 0 ? 0 : field.protoNumber, protoEmbed: index });
  }
}

function withExtras(schema: Schema, extras: FieldExtras | undefined): Schema {
  if (extras === undefined) return schema;
  return {
    ...schema,
    listType: extras.l ?? schema.listType,
    listMapKeys: extras.k ?? schema.listMapKeys,
    mapType: extras.m ?? schema.mapType,
    patchStrategy: extras.p ?? schema.patchStrategy,
    patchMergeKey: extras.pk ?? schema.patchMergeKey,
    default: 'd' in extras ? deepFreeze(extras.d) : schema.default,
  };
}

/** A Go type expression: `*T`, `[]T`, `map[K]T`, a scalar, `wire.T`, `T` of the same package, or `namespace.T`. */
function resolve(namespace: string, type: string): Schema {
  if (type.startsWith('*')) return resolve(namespace, type.slice(1));
  if (type.startsWith('[]')) return createSchema({ type: 'array', items: resolve(namespace, type.slice(2)) });
  if (type.startsWith('map[')) {
    return createSchema({ type: 'map', items: resolve(namespace, type.slice(type.indexOf(']') + 1)) });
  }
  if (Object.hasOwn(SCALARS, type)) return SCALARS[type] as Schema;
  const dot = type.indexOf('.');
  return dot < 0 ? namedNode(namespace, type) : namedNode(type.slice(0, dot), type.slice(dot + 1));
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const member of Object.values(value)) deepFreeze(member);
    Object.freeze(value);
  }
  return value;
}
