/**
 * Rules of one place of a schema (pkg/apiserver/schema/cel/compilation.go): `self` and `oldSelf` get the type of the place,
 * a rule must give a bool, its message expression a string.
 */
import type { apiextensionsv1 } from '@k8ts/api';
import { createCelEnvironment } from '../environment.ts';
import type { CelEnvironment } from '../environment.ts';
import { optionalType } from '../language/type.ts';
import { CelIssue, CelProgram, compileCel } from '../program.ts';
import { declaredTypeOf, MAX_REQUEST_SIZE, sizesOf, TypeNames } from './declared-type.ts';
import type { DeclaredType } from './declared-type.ts';
import { ruleFieldPath } from './field-path.ts';

type JSONSchemaProps = apiextensionsv1.JSONSchemaProps;
type ValidationRule = apiextensionsv1.ValidationRule;

export interface CompiledRule {
  readonly rule: ValidationRule;
  /** Undefined for an empty rule, and where `error` says why. */
  readonly program: CelProgram | undefined;
  readonly error: string | undefined;
  readonly message: CelProgram | undefined;
  readonly messageError: string | undefined;
  readonly usesOldSelf: boolean;
  /** Where errors are reported, below the place of the rule; empty for the place itself. */
  readonly fieldPath: string;
}

const SELF_TYPE_NAME = 'selfType';

export function compileRules(
  rules: readonly ValidationRule[],
  declared: DeclaredType,
  schema: JSONSchemaProps,
): readonly CompiledRule[] {
  const names = new TypeNames();
  const self = names.typeOf(declared, SELF_TYPE_NAME);
  const environment = (oldSelf: typeof self): CelEnvironment =>
    createCelEnvironment({
      variables: { self, oldSelf },
      fieldType: (typeName, field) => names.fieldType(typeName, field),
      sizeAt: sizesOf(declared),
    });
  const plain = environment(self);
  const optional = environment(optionalType(self));
  return rules.map((rule) => compileRule(rule, rule.optionalOldSelf === true ? optional : plain, schema));
}

/** What a CRD's validation has to know of one rule. */
export interface RuleCompilation {
  /** The most that one evaluation can cost. */
  readonly cost: number;
  /** How often the rule may have to run for one object where no schema above sets a bound. */
  readonly cardinality: number;
  readonly error?: { readonly detail: string };
  readonly messageExpressionError?: string;
  /** Absent without a message expression. */
  readonly messageExpressionCost?: number;
  readonly usesOldSelf: boolean;
}

/**
 * Compiles the rules of one schema, in order, and none of those below it. `isResource`: the schema is that of a whole
 * object. Throws an Error where expressions could see nothing of the schema.
 */
export function compileSchemaRules(schema: JSONSchemaProps, isResource: boolean): readonly RuleCompilation[] {
  const declared = declaredTypeOf(schema, isResource);
  if (declared === undefined) throw new Error('unable to convert structural schema to CEL declarations');
  const cardinality = Math.floor(MAX_REQUEST_SIZE / (declared.minSerializedSize + 1));
  return compileRules(schema['x-kubernetes-validations'] ?? [], declared, schema).map((compiled) => ({
    cost: compiled.program?.maxCost ?? 0,
    cardinality,
    usesOldSelf: compiled.usesOldSelf,
    ...(compiled.error === undefined ? {} : { error: { detail: compiled.error } }),
    ...(compiled.messageError === undefined ? {} : { messageExpressionError: compiled.messageError }),
    ...(compiled.message === undefined ? {} : { messageExpressionCost: compiled.message.maxCost }),
  }));
}

function compileRule(
  rule: ValidationRule,
  environment: CelEnvironment,
  schema: JSONSchemaProps,
): CompiledRule {
  const nothing: CompiledRule = {
    rule,
    program: undefined,
    error: undefined,
    message: undefined,
    messageError: undefined,
    usesOldSelf: false,
    fieldPath: '',
  };
  if (rule.rule.trim() === '') return nothing;
  const program = compileCel(rule.rule, environment);
  if (program instanceof CelIssue)
    return {
      ...nothing,
      error: `${program.kind === 'issues' ? 'compilation failed' : 'program instantiation failed'}: ${program.message}`,
    };
  if (program.type.kind !== 'bool') return { ...nothing, error: 'cel expression must evaluate to a bool' };
  const usesOldSelf = program.variables.has('oldSelf');
  const message = compileMessage(rule.messageExpression ?? '', environment);
  return {
    rule,
    program,
    error: undefined,
    message: message instanceof CelProgram ? message : undefined,
    messageError: typeof message === 'string' ? message : undefined,
    usesOldSelf,
    fieldPath: rule.fieldPath === undefined ? '' : (ruleFieldPath(rule.fieldPath, schema) ?? ''),
  };
}

/** A text says what is wrong. */
function compileMessage(expression: string, environment: CelEnvironment): CelProgram | string | undefined {
  if (expression === '') return undefined;
  const program = compileCel(expression, environment);
  if (program instanceof CelIssue)
    return `messageExpression ${program.kind === 'issues' ? 'compilation failed' : 'instantiation failed'}: ${program.message}`;
  return program.type.kind === 'string' ? program : 'messageExpression must evaluate to a string';
}
