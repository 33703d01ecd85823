/**
 * Compiling the CEL rules of schemas is done elsewhere; what becomes of the results is decided here: their costs are
 * multiplied by how often the value may occur, and added up.
 */
import type { apiextensionsv1 } from '@k8ts/api';
import {
  child,
  forbiddenField,
  index,
  internalField,
  invalidValue,
  required,
  type FieldError,
  type JsonValue,
} from '@k8ts/apimachinery';
import { printRule } from './internal-form.ts';
import type { SchemaProps } from './schema-walk.ts';

export type ValidationRule = apiextensionsv1.ValidationRule;

/** What is known of one rule when it was compiled. */
export interface CompiledRule {
  /** Highest estimated cost of one evaluation. */
  readonly cost: number;
  /** How many values of this schema one object can hold at most, where no ancestor sets a limit; Infinity: unknown. */
  readonly cardinality: number;
  /** Why it cannot be compiled. */
  readonly error?: { readonly detail: string; readonly required?: boolean };
  readonly messageExpressionError?: string;
  /** Absent without a messageExpression. */
  readonly messageExpressionCost?: number;
  readonly usesOldSelf: boolean;
}

/** The schema that rules belong to. */
interface RuleScope {
  readonly schema: SchemaProps;
  /** The schema of a complete object: the root, or an embedded object. */
  readonly isResource: boolean;
  /** Expressions that were stored already may use what is too new for others. */
  readonly isStored: (expression: string) => boolean;
}

/** Compiles all rules of one schema, in order. Throws where no types can be made of the schema. */
export type CompileRules = (scope: RuleScope) => readonly CompiledRule[];

/** What rules say of a default, at and below its schema. */
export type CheckDefault = (
  schema: SchemaProps,
  value: JsonValue,
  path: string,
  isResource: boolean,
) => readonly FieldError[];

const EXPRESSION_COST_LIMIT = 10_000_000;
const TOTAL_COST_LIMIT = 100_000_000;
const MOST_EXPENSIVE = 4;

/** The costs of all rules of a schema together. */
export class RuleCosts {
  #total = 0;
  readonly #expensive: { readonly path: string; readonly cost: number }[] = [];

  add(path: string, cost: number): void {
    this.#total += cost;
    if (cost < TOTAL_COST_LIMIT / 100) return;
    this.#expensive.push({ path, cost });
    this.#expensive.sort((a, b) => b.cost - a.cost).splice(MOST_EXPENSIVE);
  }

  errors(path: string): readonly FieldError[] {
    if (this.#total <= TOTAL_COST_LIMIT) return [];
    const share = 'contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema';
    const total = 'x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema';
    return [
      ...this.#expensive.map((rule) => forbiddenField(rule.path, share)),
      forbiddenField(path, costMessage(total, this.#total, TOTAL_COST_LIMIT)),
    ];
  }
}

/** Where in a schema rules are looked at, and what for. */
export interface RuleContext {
  readonly compile: CompileRules;
  readonly costs: RuleCosts;
  readonly isStored: (expression: string) => boolean;
  /** Whether single rules may cost what they like, since they were let through before. */
  readonly ignoreCost: boolean;
  /** How many values there can be; Infinity: no limit is known. */
  readonly cardinality: number;
}

/** For what is below a schema. */
export function belowSchema(context: RuleContext, schema: SchemaProps): RuleContext {
  return { ...context, cardinality: context.cardinality * maxElements(schema) };
}

function maxElements({ type, additionalProperties, maxProperties, maxItems }: SchemaProps): number {
  if (type === 'array') return Math.max(0, maxItems ?? Infinity);
  if (type !== 'object' || additionalProperties === undefined) return 1;
  return Math.max(0, maxProperties ?? Infinity);
}

/** `uncorrelated`: the nearest outer part that cannot be told from its old self; empty: there is none. */
export function validateRules(
  schema: SchemaProps,
  path: string,
  isResource: boolean,
  uncorrelated: string,
  context: RuleContext,
): readonly FieldError[] {
  const rules = schema['x-kubernetes-validations'] ?? [];
  const at = child(path, 'x-kubernetes-validations');
  let compiled: readonly CompiledRule[];
  try {
    compiled = context.compile({ schema, isResource, isStored: context.isStored });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const message = `internal error: failed to construct type information for x-kubernetes-validations rules: ${why}`;
    return [internalField(at, new Error(message))];
  }
  return compiled.flatMap((result, i) =>
    validateRule(rules[i] as ValidationRule, result, index(at, i), uncorrelated, context),
  );
}

function validateRule(
  rule: ValidationRule,
  result: CompiledRule,
  path: string,
  uncorrelated: string,
  { cardinality, costs, ignoreCost }: RuleContext,
): readonly FieldError[] {
  const errors: FieldError[] = [];
  const at = child(path, 'rule');
  const cost = times(result.cost, Number.isFinite(cardinality) ? cardinality : result.cardinality);
  const limit = (where: string, what: string, found: number): void => {
    if (!ignoreCost && found > EXPRESSION_COST_LIMIT)
      errors.push(forbiddenField(where, costMessage(what, found, EXPRESSION_COST_LIMIT)));
    costs.add(where, found);
  };
  limit(at, 'estimated rule cost', cost);
  if (result.error?.required === true) errors.push(required(at, result.error.detail));
  else if (result.error !== undefined) errors.push(invalidValue(at, printRule(rule), result.error.detail));
  const message = child(path, 'messageExpression');
  if (result.messageExpressionError !== undefined)
    errors.push(invalidValue(message, printRule(rule), result.messageExpressionError));
  else if (result.messageExpressionCost !== undefined)
    limit(message, 'estimated messageExpression cost', result.messageExpressionCost);
  if (result.usesOldSelf) {
    if (uncorrelated !== '')
      errors.push(
        invalidValue(
          at,
          rule.rule,
          `oldSelf cannot be used on the uncorrelatable portion of the schema within ${uncorrelated}`,
        ),
      );
  } else if (rule.optionalOldSelf !== undefined)
    errors.push(
      invalidValue(
        child(path, 'optionalOldSelf'),
        rule.optionalOldSelf,
        'may not be set if oldSelf is not used in rule',
      ),
    );
  return errors;
}

/** Nothing, however often, is nothing. */
function times(cost: number, cardinality: number): number {
  return cost === 0 ? 0 : cost * cardinality;
}

function costMessage(what: string, cost: number, limit: number): string {
  const exceed = cost / limit;
  const factor =
    exceed > 100 ? 'more than 100x' : exceed < 1.5 ? `${exceed.toFixed(6)}x` : `${exceed.toFixed(1)}x`;
  return `${what} exceeds budget by factor of ${factor} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)`;
}
