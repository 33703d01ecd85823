import { child, forbiddenField, invalidValue, type FieldError } from '@k8ts/apimachinery';
import { validateDefaults } from './defaults.ts';
import { printSchema, saidFields } from './internal-form.ts';
import { validateOpenApiSchema, type SchemaOptions } from './openapi-schema.ts';
import { RuleCosts, type CheckDefault, type CompileRules, type RuleContext } from './rules.ts';
import type { SchemaProps } from './schema-walk.ts';
import { structuralProblem, validateStructural } from './structural-schema.ts';

export interface VersionSchemaOptions extends SchemaOptions {
  readonly requireStructuralSchema: boolean;
  readonly requirePrunedDefaults: boolean;
  /** The schema was let through before: its rules may go on costing what they do. */
  readonly isUnchanged: boolean;
  /** Whether an expression was stored before. */
  readonly isStored: (expression: string) => boolean;
  readonly compileRules: CompileRules | undefined;
  readonly checkDefault: CheckDefault | undefined;
}

/** `path` is that of the object which holds `openAPIV3Schema`. */
export function validateSchema(
  schema: SchemaProps,
  hasStatus: boolean,
  path: string,
  options: VersionSchemaOptions,
): FieldError[] {
  const at = child(path, 'openAPIV3Schema');
  const root = hasStatus ? validateRootWithStatus(schema, at) : [];
  if (schema.nullable === true)
    root.push(forbiddenField(child(at, 'nullable'), 'nullable cannot be true at the root'));
  const problem = options.requireStructuralSchema ? structuralProblem(schema) : undefined;
  const structural =
    options.requireStructuralSchema && problem === undefined ? validateStructure(schema, at, options) : [];
  const isStructural = options.requireStructuralSchema && problem === undefined && structural.length === 0;
  const rules = isStructural ? ruleContext(options) : undefined;
  const errors = [...root, ...structural, ...validateOpenApiSchema(schema, at, options, rules)];
  // What hinders at all is mostly said by the rules above already.
  if (errors.length === 0 && problem !== undefined) errors.push(invalidValue(at, '', problem));
  return [...errors, ...(rules?.costs.errors(at) ?? [])];
}

function validateStructure(
  schema: SchemaProps,
  path: string,
  { requirePrunedDefaults, checkDefault }: VersionSchemaOptions,
): readonly FieldError[] {
  const errors = validateStructural(schema, path);
  if (errors.length > 0) return errors;
  return validateDefaults(schema, path, { requirePruned: requirePrunedDefaults, checkRules: checkDefault });
}

function ruleContext({ compileRules, isStored, isUnchanged }: VersionSchemaOptions): RuleContext | undefined {
  if (compileRules === undefined) return undefined;
  return {
    compile: compileRules,
    costs: new RuleCosts(),
    isStored,
    ignoreCost: isUnchanged,
    cardinality: 1,
  };
}

/** Status is validated by its property alone, so the root may not say more of it. */
const ALLOWED_AT_ROOT: readonly string[] = [
  'Description',
  'Type',
  'Format',
  'Title',
  'Maximum',
  'ExclusiveMaximum',
  'Minimum',
  'ExclusiveMinimum',
  'MaxLength',
  'MinLength',
  'Pattern',
  'MaxItems',
  'MinItems',
  'UniqueItems',
  'MultipleOf',
  'Required',
  'Items',
  'Properties',
  'ExternalDocs',
  'Example',
  'XPreserveUnknownFields',
  'XValidations',
];

/** Only the first is named. */
function validateRootWithStatus(schema: SchemaProps, path: string): FieldError[] {
  for (const field of saidFields(schema)) {
    if (field === 'Type' && schema.type !== 'object')
      return [
        invalidValue(
          child(path, 'type'),
          schema.type,
          'only "object" is allowed as the type at the root of the schema if the status subresource is enabled',
        ),
      ];
    if (!ALLOWED_AT_ROOT.includes(field))
      return [
        invalidValue(
          path,
          printSchema(schema),
          `only [${ALLOWED_AT_ROOT.join(' ')}] fields are allowed at the root of the schema if the status subresource is enabled`,
        ),
      ];
  }
  return [];
}
