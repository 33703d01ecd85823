import type { FieldFacts, PackageFacts, TypeFacts } from './facts.ts';
import type { GroupFacts } from './generate-resources.ts';
import { quote } from './literal.ts';

/** Structs with a JSON form of their own that the schema calls `schemaOr…`. */
const JSON_FORMS: Readonly<Record<string, string>> = {
  'apiextensionsv1.JSONSchemaPropsOrArray': 'JSONSchemaProps | readonly JSONSchemaProps[]',
  'apiextensionsv1.JSONSchemaPropsOrBool': 'JSONSchemaProps | boolean',
  'apiextensionsv1.JSONSchemaPropsOrStringArray': 'JSONSchemaProps | readonly string[]',
};

/** The TypeScript module of one package: its types, then a handle for every resource that it serves. */
export function generateTypes(
  facts: PackageFacts,
  packages: readonly PackageFacts[],
  groups: readonly GroupFacts[],
): { readonly source: string; readonly handles: string } {
  const used = new Set<string>();
  const context: Context = {
    facts,
    byNamespace: new Map(packages.map((entry) => [entry.namespace, entry])),
    use: (namespace) => {
      used.add(namespace);
    },
  };
  const types = Object.entries(facts.types).map(([name, type]) => writeType(name, type, context));
  const handles = writeHandles(facts, groups);
  const imports = packages
    .filter(({ namespace }) => used.has(namespace))
    .map(({ namespace, file }) => `import type * as ${namespace} from './${file}.ts';\n`);
  if (used.has('wire')) imports.push("import type * as wire from '../wire.ts';\n");
  if (handles !== '')
    imports.push("import { resourceType, type ResourceType } from '../resource-type.ts';\n");
  return { source: `${imports.join('')}\n${types.join('\n')}`, handles };
}

interface Context {
  readonly facts: PackageFacts;
  readonly byNamespace: ReadonlyMap<string, PackageFacts>;
  readonly use: (namespace: string) => void;
}

function writeType(name: string, type: TypeFacts, context: Context): string {
  const form = JSON_FORMS[`${context.facts.namespace}.${name}`];
  if (form !== undefined) return `export type ${name} = ${form};\n`;
  if (type.base !== undefined) return `export type ${name} = ${writeScalar(type, type.base, context)};\n`;

  const embedded: string[] = [];
  const lines: string[] = [];
  const own = new Set((type.fields ?? []).flatMap((field) => (field.name === undefined ? [] : [field.name])));
  const isKind = isRootObject(type);
  for (const field of type.fields ?? []) {
    if (field.name === undefined) {
      const parent = writeTypeName(field.type.replace(/^\*/, ''), context);
      const hidden = embeddedNames(field.type, context).filter((member) => own.has(member));
      embedded.push(hidden.length === 0 ? parent : `Omit<${parent}, ${hidden.map(quote).join(' | ')}>`);
    } else {
      lines.push(`  readonly ${writeField(field.name, field, isKind, context)};\n`);
    }
  }
  const parents = embedded.length === 0 ? '' : ` extends ${embedded.join(', ')}`;
  if (lines.length === 0 && embedded.length === 0)
    return `export type ${name} = Readonly<Record<never, never>>;\n`;
  if (lines.length === 0) return `export type ${name} = ${embedded.join(' & ')};\n`;
  return `export interface ${name}${parents} {\n${lines.join('')}}\n`;
}

/** Kinds and lists: TypeMeta and a `metadata` field. */
function isRootObject(type: TypeFacts): boolean {
  const fields = type.fields ?? [];
  return (
    fields.some((field) => field.name === undefined && /(^|\.)TypeMeta$/.test(field.type)) &&
    fields.some((field) => field.name === 'metadata')
  );
}

function embeddedNames(type: string, context: Context): string[] {
  const [namespace, name] = splitName(type.replace(/^\*/, ''), context);
  const facts = context.byNamespace.get(namespace)?.types[name];
  return (facts?.fields ?? []).flatMap((field) =>
    field.name === undefined ? embeddedNames(field.type, context) : [field.name],
  );
}

function splitName(type: string, context: Context): [namespace: string, name: string] {
  const dot = type.indexOf('.');
  return dot < 0 ? [context.facts.namespace, type] : [type.slice(0, dot), type.slice(dot + 1)];
}

/**
 * What Go always writes is required. A struct (not a pointer) is written even where it says omitempty, so `metadata` of a
 * kind and every `spec` are required as well; other structs marked so may be absent, since k8ts stores what it was sent.
 * Go writes a nil pointer without omitempty as null; validation demands these (a Deployment's selector), so null is no type here.
 */
function writeField(name: string, field: FieldFacts, isKind: boolean, context: Context): string {
  const always = (name === 'metadata' && isKind) || (name === 'spec' && !field.type.startsWith('*'));
  const optional =
    (field.omitempty === true || field.optional === true) && field.required !== true && !always;
  let type = writeTypeName(field.type, context);
  // Only a whole object has to have a name; a template's metadata need not.
  if (type === 'metav1.ObjectMeta' && !isKind) type = 'Partial<metav1.ObjectMeta>';
  const required =
    context.facts.namespace === 'metav1' && name === 'name' && isObjectMetaName(field, context);
  const key = /^[A-Za-z_$][\w$]*$/.test(name) ? name : quote(name);
  return `${key}${optional && !required ? '?' : ''}: ${type}`;
}

function isObjectMetaName(field: FieldFacts, context: Context): boolean {
  return context.facts.types['ObjectMeta']?.fields?.includes(field) === true;
}

function writeScalar(type: TypeFacts, base: string, context: Context): string {
  const known = (type.enum ?? []).map(quote);
  if (known.length === 0 || base !== 'string') return writeTypeName(base, context);
  if (type.closed === true) return known.join(' | ');
  context.use('wire');
  return `wire.OpenEnum<${known.join(' | ')}>`;
}

const SCALARS: Readonly<Record<string, string>> = {
  string: 'string',
  bool: 'boolean',
  int32: 'number',
  int64: 'number',
  uint64: 'number',
  float64: 'number',
};

function writeTypeName(type: string, context: Context): string {
  if (type.startsWith('*')) return writeTypeName(type.slice(1), context);
  if (type.startsWith('[]')) {
    const item = writeTypeName(type.slice(2), context);
    return `readonly ${/ /.test(item) ? `(${item})` : item}[]`;
  }
  const map = /^map\[[^\]]+\](.+)$/.exec(type)?.[1];
  if (map !== undefined) return `Readonly<Record<string, ${writeTypeName(map, context)}>>`;
  const scalar = SCALARS[type];
  if (scalar !== undefined) return scalar;
  const [namespace, name] = splitName(type, context);
  if (namespace === context.facts.namespace) return name;
  context.use(namespace);
  return `${namespace}.${name}`;
}

function writeHandles(facts: PackageFacts, groups: readonly GroupFacts[]): string {
  const version = groups
    .find(({ group }) => group === facts.group)
    ?.versions.find((candidate) => candidate.version === facts.version);
  if (version === undefined) return '';
  const lines = Object.entries(version.resources)
    .filter(([, entry]) => entry.kind in facts.types)
    .map(([resource, { kind, namespaced = true }]) => {
      const args = [facts.group, facts.version, resource, kind].map(quote).join(', ');
      return `export const ${handleName(resource, kind)}: ResourceType<${kind}> = /* @__PURE__ */ resourceType(${args}, ${namespaced});\n`;
    });
  return lines.length === 0 ? '' : `\n${lines.join('')}`;
}

/** `persistentvolumeclaims` of kind PersistentVolumeClaim → `persistentVolumeClaims`; `ipaddresses` → `ipAddresses`. */
export function handleName(resource: string, kind: string): string {
  const stem = kind.replace(/(y|s)?$/, '');
  if (!resource.startsWith(stem.toLowerCase())) return resource; // metrics.k8s.io: pods of kind PodMetrics
  const name = stem + resource.slice(stem.length);
  return name.replace(/^[A-Z]+(?=[A-Z][a-z]|$)|^[A-Z]/, (start) => start.toLowerCase());
}
