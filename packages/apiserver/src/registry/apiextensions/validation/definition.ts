/** Validation of CustomResourceDefinitions (apiextensions-apiserver, pkg/apis/apiextensions/validation/validation.go). */
import {
  child,
  index,
  invalidValue,
  isDNS1035Label,
  isDNS1123Subdomain,
  required,
  unrecognizedFormat,
  type FieldError,
} from '@k8ts/apimachinery';
import { immutable, requiredOneOf } from '../../field-rules.ts';
import { validateApproval } from './approval.ts';
import { conversionOptions, validateConversion, type ConversionOptions } from './conversion.ts';
import { hasUnprunedDefaults } from './defaults.ts';
import { append, MAX_ERRORS } from './error-list.ts';
import {
  allSchemas,
  equalSchemas,
  internalSpec,
  printVersion,
  type Common,
  type Definition,
  type InternalSpec,
  type Version,
} from './internal-form.ts';
import { requireNames, validateNames } from './names.ts';
import { isNonAtomicSet, OPENAPI_TYPES, validateKeyedItems } from './openapi-schema.ts';
import type { CheckDefault, CompileRules } from './rules.ts';
import { validateSchema, type VersionSchemaOptions } from './schema.ts';
import { hasDefault, someSchema, type SchemaProps } from './schema-walk.ts';
import { structuralProblem, validateStructural } from './structural-schema.ts';
import {
  hasTooManySelectableFields,
  validateColumn,
  validateDeprecation,
  validateSelectableFields,
  validateSubresources,
} from './version.ts';

export interface DefinitionValidationOptions {
  /** The stored definition that this one replaces. Rules that it broke are not asked again. */
  readonly old?: Definition | undefined;
  /** Compiles the CEL rules of one schema. Absent: their forms are looked at only. */
  readonly compileRules?: CompileRules;
  /** Evaluates the CEL rules of a schema for its default. */
  readonly checkDefault?: CheckDefault;
}

/** All wrong fields. The metadata was validated already, but not that the name is the right one. */
export function validateCustomResourceDefinition(
  definition: Definition,
  options: DefinitionValidationOptions = {},
): readonly FieldError[] {
  const { old } = options;
  const errors = [
    ...(old === undefined ? validateName(definition) : []),
    ...validateSpec(definition, specOptions(definition, options)),
    ...(old === undefined ? [] : validateImmutable(definition, old)),
    ...validateCustomResourceDefinitionStatus(definition),
    ...validateStoredVersions(definition),
    ...validateApproval(definition, old),
    ...validatePreserveUnknownFields(definition, old),
  ];
  return errors.slice(0, MAX_ERRORS);
}

/** Of an update of the status. */
export function validateCustomResourceDefinitionStatus({ status }: Definition): readonly FieldError[] {
  return validateNames(status?.acceptedNames ?? {}, 'status.acceptedNames');
}

/** `unrecognized format "foo"`, for each format that is new. */
export function customResourceDefinitionWarnings(
  definition: Definition,
  old: Definition | undefined,
): readonly string[] {
  const known = new Set(old === undefined ? [] : unrecognizedFormats(old));
  return unrecognizedFormats(definition)
    .filter((format) => !known.has(format))
    .map((format) => `unrecognized format "${format}"`);
}

function unrecognizedFormats(definition: Definition): string[] {
  const { common, versions } = internalSpec(definition);
  const schemas = [common, ...versions].map(({ schema }) => schema?.openAPIV3Schema);
  const found: string[] = [];
  for (const schema of schemas)
    someSchema(schema, (below) => {
      const format = unrecognizedFormat({ type: below.type ?? '', format: below.format ?? '' });
      if (format !== undefined) found.push(format);
      return false;
    });
  return found;
}

interface SpecOptions extends Omit<VersionSchemaOptions, 'isUnchanged'> {
  readonly requireSchema: boolean;
  readonly conversion: ConversionOptions;
  /** Versions whose schema the stored definition has too. */
  readonly unchanged: ReadonlySet<string>;
  /** Versions that may go on having too many selectable fields. */
  readonly tooManySelectableFields: ReadonlySet<string>;
}

function specOptions(definition: Definition, options: DefinitionValidationOptions): SpecOptions {
  const { old } = options;
  const schemas = old === undefined ? [] : allSchemas(old);
  const has = (holds: (schema: SchemaProps) => boolean): boolean =>
    schemas.some((schema) => someSchema(schema, holds));
  const stored = new Set(schemas.flatMap(expressionsOf));
  const structural = schemas.filter((schema) => !isNonStructural(schema));
  const versions = definition.spec.versions as readonly Version[] | undefined;
  return {
    requireSchema:
      old === undefined || old.spec.versions.every(({ schema }) => schema?.openAPIV3Schema !== undefined),
    requireStructuralSchema: structural.length === schemas.length,
    requireValidPropertyType: !has(({ type }) => Boolean(type) && !OPENAPI_TYPES.includes(type as string)),
    requirePrunedDefaults: !structural.some(hasUnprunedDefaults),
    requireAtomicSetType: !has(isNonAtomicSet),
    requireMapListKeysMapSetValidation: !has((schema) => validateKeyedItems(schema, '').length > 0),
    conversion: conversionOptions(old?.spec.conversion, old !== undefined && isEstablished(old)),
    unchanged: old === undefined ? new Set() : unchangedVersions(versions ?? [], old),
    tooManySelectableFields: old === undefined ? new Set() : tooManySelectableFields(definition, old),
    isStored: (expression) => stored.has(expression),
    compileRules: options.compileRules,
    checkDefault: options.checkDefault,
  };
}

function expressionsOf(schema: SchemaProps): string[] {
  const found: string[] = [];
  someSchema(schema, (below) => {
    for (const { rule, messageExpression } of below['x-kubernetes-validations'] ?? [])
      found.push(rule, ...(messageExpression ? [messageExpression] : []));
    return false;
  });
  return found;
}

function isNonStructural(schema: SchemaProps): boolean {
  return structuralProblem(schema) !== undefined || validateStructural(schema, '').length > 0;
}

function isEstablished({ status }: Definition): boolean {
  return (status?.conditions ?? []).some(
    (condition) => condition.type === 'Established' && condition.status === 'True',
  );
}

function unchangedVersions(versions: readonly Version[], old: Definition): ReadonlySet<string> {
  const before = new Map(old.spec.versions.map((version) => [version.name, version]));
  return new Set(
    versions
      .filter(({ name, schema }) => {
        const previous = before.get(name);
        return (
          previous !== undefined && equalSchemas(schema?.openAPIV3Schema, previous.schema?.openAPIV3Schema)
        );
      })
      .map(({ name }) => name),
  );
}

/** By version; those that all versions share have no name. */
function tooManySelectableFields(definition: Definition, old: Definition): ReadonlySet<string> {
  const [next, before] = [internalSpec(definition), internalSpec(old)];
  const previous = new Map(before.versions.map((version) => [version.name, version]));
  const pairs: (readonly [string, Common, Common | undefined])[] = [
    ['', next.common, before.common],
    ...next.versions.map((version) => [version.name, version, previous.get(version.name)] as const),
  ];
  return new Set(
    pairs
      .filter(([, { selectableFields }, stored]) => {
        const fields = stored?.selectableFields ?? [];
        return hasTooManySelectableFields(fields) && samePaths(selectableFields ?? [], fields);
      })
      .map(([name]) => name),
  );
}

type Paths = readonly { readonly jsonPath: string }[];

function samePaths(left: Paths, right: Paths): boolean {
  return left.length === right.length && left.every(({ jsonPath }, i) => jsonPath === right[i]?.jsonPath);
}

function validateName({ metadata, spec }: Definition): FieldError[] {
  if (!metadata.name || metadata.name === `${spec.names.plural}.${spec.group}`) return [];
  const message = 'must be spec.names.plural+"."+spec.group';
  return [invalidValue('metadata.name', metadata.name, message)];
}

function validateGroup(group: string, path: string): FieldError[] {
  if (group === '') return [required(path, '')];
  const problems = isDNS1123Subdomain(group);
  if (problems.length > 0) return [invalidValue(path, group, problems.join(','))];
  return group.includes('.') ? [] : [invalidValue(path, group, 'should be a domain with at least one dot')];
}

function validateSpec(definition: Definition, options: SpecOptions): FieldError[] {
  const { spec } = definition;
  const internal = internalSpec(definition);
  const { common, versions } = internal;
  const schemas = allSchemas(definition);
  const preserves = spec.preserveUnknownFields ?? false;
  const hasDefaults = schemas.some((schema) => someSchema(schema, hasDefault));
  const requireStructuralSchema =
    options.requireStructuralSchema ||
    !preserves ||
    hasDefaults ||
    schemas.some((schema) => someSchema(schema, hasExtensions));
  const inner = { ...options, requireStructuralSchema };
  const errors = [
    ...validateGroup(spec.group ?? '', 'spec.group'),
    ...requiredOneOf(spec.scope, ['Cluster', 'Namespaced'], 'spec.scope'),
    ...validateSchemasPresent(internal, preserves, options),
  ];
  if (hasDefaults && preserves)
    errors.push(
      invalidValue(
        'spec.preserveUnknownFields',
        true,
        'must be false in order to use defaults in the schema',
      ),
    );
  versions.forEach((version, i) => {
    const at = index('spec.versions', i);
    const problems = isDNS1035Label(version.name ?? '');
    if (problems.length > 0) errors.push(invalidValue(child(at, 'name'), version.name, problems.join(',')));
    errors.push(...validateDeprecation(version, at));
    const { subresources } = common.subresources === undefined ? version : common;
    append(errors, validateCommon(version, version.name, subresources?.status !== undefined, at, inner));
  });
  errors.push(...validateVersionList(versions));
  const names = (spec.names as typeof spec.names | undefined) ?? ({} as Partial<typeof spec.names>);
  append(errors, [...requireNames(names, 'spec.names'), ...validateNames(names, 'spec.names')]);
  const anyStatus = [common, ...versions].some(({ subresources }) => subresources?.status !== undefined);
  append(errors, validateCommon(common, versions[0]?.name ?? '', anyStatus, 'spec', inner));
  const { conversion } = spec;
  if (conversion === undefined) return errors;
  if (conversion.strategy !== 'None' && preserves)
    errors.push(
      invalidValue(
        'spec.conversion.strategy',
        conversion.strategy,
        'must be None if spec.preserveUnknownFields is true',
      ),
    );
  return [...errors, ...validateConversion(conversion, 'spec.conversion', options.conversion)];
}

function validateSchemasPresent(
  { common, versions }: InternalSpec,
  preserves: boolean,
  { requireSchema }: SpecOptions,
): FieldError[] {
  if (common.schema?.openAPIV3Schema !== undefined || (!requireSchema && preserves)) return [];
  return versions.flatMap(({ schema, served }, i) => {
    if (schema?.openAPIV3Schema !== undefined || (!requireSchema && !served)) return [];
    const message = requireSchema ? '' : 'because otherwise all fields are pruned';
    return [required(child(index('spec.versions', i), 'schema', 'openAPIV3Schema'), message)];
  });
}

function hasExtensions(schema: SchemaProps): boolean {
  return (
    schema['x-kubernetes-embedded-resource'] === true ||
    schema['x-kubernetes-preserve-unknown-fields'] !== undefined ||
    schema['x-kubernetes-int-or-string'] === true ||
    (schema['x-kubernetes-list-map-keys'] ?? []).length > 0 ||
    schema['x-kubernetes-list-type'] !== undefined ||
    (schema['x-kubernetes-validations'] ?? []).length > 0
  );
}

/** What a version says, or all of them do (at `spec`, by the name of the first). */
function validateCommon(
  common: Common,
  name: string,
  hasStatus: boolean,
  path: string,
  options: SpecOptions,
): FieldError[] {
  const isSpec = path === 'spec';
  const schema = common.schema?.openAPIV3Schema;
  const { subresources, additionalPrinterColumns = [], selectableFields = [] } = common;
  const errors: FieldError[] = [];
  if (schema !== undefined)
    append(
      errors,
      validateSchema(schema, hasStatus, child(path, isSpec ? 'validation' : 'schema'), {
        ...options,
        isUnchanged: options.unchanged.has(name),
      }),
    );
  if (subresources !== undefined)
    errors.push(...validateSubresources(subresources, child(path, 'subresources')));
  additionalPrinterColumns.forEach((column, i) => {
    errors.push(...validateColumn(column, index(child(path, 'additionalPrinterColumns'), i)));
  });
  if (selectableFields.length > 0)
    append(errors, validateSelectable(common, isSpec ? '' : name, child(path, 'selectableFields'), options));
  return errors;
}

function validateSelectable(
  { schema, selectableFields = [] }: Common,
  name: string,
  path: string,
  { tooManySelectableFields: allowed }: SpecOptions,
): FieldError[] {
  const props = schema?.openAPIV3Schema;
  if (props === undefined) {
    const message =
      name === ''
        ? 'may only be set when validations.schema is included'
        : 'may only be set when `version.schema.openAPIV3Schema` is not included';
    return [invalidValue(path, '', message)];
  }
  return validateSelectableFields(selectableFields, props, path, allowed.has(name));
}

function validateVersionList(versions: readonly Version[]): FieldError[] {
  const wrong = (message: string): FieldError =>
    invalidValue('spec.versions', versions.length === 0 ? null : versions.map(printVersion), message);
  const names = versions.map(({ name }) => name);
  const errors: FieldError[] = [];
  if (new Set(names).size < names.length) errors.push(wrong('must contain unique version names'));
  if (versions.filter(({ storage }) => storage).length !== 1)
    errors.push(wrong('must have exactly one version marked as storage version'));
  const [first] = names;
  const problems = first ? isDNS1035Label(first) : [];
  if (problems.length > 0) errors.push(invalidValue('spec.version', first, problems.join(',')));
  return errors;
}

function validateImmutable(definition: Definition, old: Definition): FieldError[] {
  const { spec } = definition;
  const same = (path: string, next: string | undefined, before: string | undefined): FieldError[] =>
    immutable(next ?? '', (next ?? '') === (before ?? ''), path);
  return [
    ...(isEstablished(old)
      ? [
          ...same('spec.scope', spec.scope, old.spec.scope),
          ...same('spec.names.kind', spec.names.kind, old.spec.names.kind),
        ]
      : []),
    ...same('spec.group', spec.group, old.spec.group),
    ...same('spec.names.plural', spec.names.plural, old.spec.names.plural),
  ];
}

function validateStoredVersions({ spec, status }: Definition): FieldError[] {
  const path = 'status.storedVersions';
  const stored = status?.storedVersions ?? [];
  if (stored.length === 0)
    return [invalidValue(path, status?.storedVersions ?? null, 'must have at least one stored version')];
  const versions = (spec.versions as readonly Version[] | undefined) ?? [];
  const names = new Set(versions.map(({ name }) => name));
  const places = new Map(stored.map((name, i) => [name, i]));
  const missing = versions
    .filter(({ name, storage }) => storage && !places.has(name))
    .map(({ name }) => invalidValue(path, stored, `must have the storage version ${name}`));
  const gone = stored.flatMap((name, i) =>
    names.has(name) || places.get(name) !== i
      ? []
      : [
          invalidValue(
            index(path, i),
            name,
            `missing from spec.versions; ${name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${name} and removes ${name} from status.storedVersions`,
          ),
        ],
  );
  return [...missing, ...gone];
}

function validatePreserveUnknownFields({ spec }: Definition, old: Definition | undefined): FieldError[] {
  if (spec.preserveUnknownFields !== true || old?.spec.preserveUnknownFields === true) return [];
  const message =
    'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead';
  return [invalidValue('spec.preserveUnknownFields', true, message)];
}
