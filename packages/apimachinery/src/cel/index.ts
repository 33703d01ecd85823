/** CEL as Kubernetes uses it. */
export { createCelEnvironment } from './environment.ts';
export type { CelEnvironment, CelEnvironmentInit } from './environment.ts';
export { CEL_CALL_COST_LIMIT, CEL_RUNTIME_COST_BUDGET, CelIssue, compileCel } from './program.ts';
export type { CelEvaluation, CelProgram } from './program.ts';
export * as celTypes from './language/type.ts';
export { celValueOf } from './value/json-value.ts';
export { CelError } from './value/value.ts';
export type { CelResult, CelValue } from './value/value.ts';
export { compileValidationRules, RuleBudget } from './schema/validation-rules.ts';
export type { RuleRunOptions, ValidationRules, ValidationRulesOptions } from './schema/validation-rules.ts';
export { compileSchemaRules } from './schema/rule-compiler.ts';
export type { RuleCompilation } from './schema/rule-compiler.ts';
export {
  AdmissionBudgetError,
  AdmissionExpressions,
  RETURNS_ANYTHING,
  RETURNS_BOOL,
  RETURNS_JSON_PATCH,
  RETURNS_OBJECT,
  RETURNS_STRING,
  RETURNS_STRING_OR_NULL,
} from './admission/admission-expressions.ts';
export type {
  AdmissionExpression,
  AdmissionIssue,
  AdmissionOutcome,
  AdmissionReturns,
  AdmissionRun,
  AdmissionScope,
  AdmissionValues,
} from './admission/admission-expressions.ts';
export type {
  CelAuthorizationDecision,
  CelAuthorizationQuery,
  CelAuthorize,
  CelResourceQuery,
} from './library/authorizer.ts';
export { appliedObject, jsonPatchOperations } from './admission/patch-values.ts';
export { compileReviewCondition, evaluateReviewCondition } from './authorization/match-conditions.ts';
export {
  celTexts,
  compileTokenExpression,
  evaluateTokenExpression,
} from './authentication/token-expressions.ts';
export type { TokenVariable } from './authentication/token-expressions.ts';
export { kindExpressionTypes } from './admission/schema-types.ts';
export type { KindSchema } from './admission/schema-types.ts';
