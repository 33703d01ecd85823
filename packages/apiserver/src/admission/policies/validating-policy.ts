/** One ValidatingAdmissionPolicy, compiled (k8s.io/apiserver/pkg/admission/plugin/policy/validating). */
import type { admissionregistrationv1 } from '@k8ts/api';
import {
  AdmissionBudgetError,
  AdmissionExpressions,
  CEL_RUNTIME_COST_BUDGET,
  RETURNS_BOOL,
  RETURNS_STRING,
  RETURNS_STRING_OR_NULL,
  type AdmissionExpression,
  type AdmissionOutcome,
  type AdmissionScope,
  type AdmissionValues,
} from '@k8ts/apimachinery';
import { MatchConditions } from '../expressions/match-conditions.ts';
import { failsClosed } from './policy-invocations.ts';

const MAX_MESSAGE_BYTES = 5 * 1024;
const MAX_ANNOTATION_LENGTH = 10 * 1024;

/** A validation that does not hold, or cannot be judged. */
export interface Denial {
  readonly message: string;
  readonly reason: string | undefined;
  /** Which of the validations. */
  readonly position: number;
}

export interface PolicyVerdict {
  readonly denials: readonly Denial[];
  /** What refuses the request whatever the binding's actions are. */
  readonly annotationErrors: readonly string[];
  readonly annotations: readonly { readonly key: string; readonly value: string }[];
}

const NOTHING: PolicyVerdict = { denials: [], annotationErrors: [], annotations: [] };

export class ValidatingPolicy {
  readonly #closed: boolean;
  readonly #expressions = new AdmissionExpressions();
  readonly #conditions: MatchConditions | undefined;
  readonly #validations: readonly {
    readonly source: admissionregistrationv1.Validation;
    readonly expression: AdmissionExpression;
    readonly message: AdmissionExpression | undefined;
  }[];
  readonly #annotations: readonly { readonly key: string; readonly expression: AdmissionExpression }[];

  constructor(policy: admissionregistrationv1.ValidatingAdmissionPolicy) {
    const { spec } = policy;
    const params = spec.paramKind !== undefined;
    const scope: AdmissionScope = { params, authorizer: true };
    this.#closed = failsClosed(policy);
    for (const { name, expression } of spec.variables ?? [])
      this.#expressions.addVariable(name, expression, scope);
    const conditions = spec.matchConditions ?? [];
    this.#conditions =
      conditions.length === 0 ? undefined : new MatchConditions(conditions, this.#expressions, scope);
    this.#validations = (spec.validations ?? []).map((source) => ({
      source,
      expression: this.#expressions.compile(source.expression, scope, RETURNS_BOOL),
      message: source.messageExpression
        ? this.#expressions.compile(source.messageExpression, { params, authorizer: false }, RETURNS_STRING)
        : undefined,
    }));
    this.#annotations = (spec.auditAnnotations ?? []).map(({ key, valueExpression }) => ({
      key,
      expression: this.#expressions.compile(valueExpression, scope, RETURNS_STRING_OR_NULL),
    }));
  }

  validate(values: AdmissionValues): PolicyVerdict {
    const matched = this.#conditions?.evaluate({ ...values, namespaceObject: null }) ?? { matches: true };
    if (matched.error !== undefined) return this.#undecided(matched.error);
    if (!matched.matches) return NOTHING;
    try {
      const run = this.#expressions.run(values, CEL_RUNTIME_COST_BUDGET);
      const outcomes = this.#validations.map(({ expression }) => run.evaluate(expression));
      const messages = this.#messages(values, run.budget);
      const denials = outcomes.flatMap((outcome, i) => this.#denial(outcome, messages, i));
      return { denials, ...this.#annotate(values) };
    } catch (error) {
      if (!(error instanceof AdmissionBudgetError)) throw error;
      return this.#undecided(error.message);
    }
  }

  #undecided(message: string): PolicyVerdict {
    return this.#closed ? { ...NOTHING, denials: [{ message, reason: undefined, position: 0 }] } : NOTHING;
  }

  /** A text: why there are none. */
  #messages(values: AdmissionValues, budget: number): readonly (AdmissionOutcome | undefined)[] | string {
    if (this.#validations.every(({ message }) => message === undefined)) return [];
    const { authorizer: _unknown, ...known } = values;
    const run = this.#expressions.run(known, budget);
    try {
      return this.#validations.map(({ message }) =>
        message === undefined ? undefined : run.evaluate(message),
      );
    } catch (error) {
      if (!(error instanceof AdmissionBudgetError)) throw error;
      return `failed messageExpression: ${error.message}`;
    }
  }

  #denial(
    outcome: AdmissionOutcome,
    messages: readonly (AdmissionOutcome | undefined)[] | string,
    position: number,
  ): readonly Denial[] {
    const problem = 'error' in outcome ? outcome.error : typeof messages === 'string' ? messages : undefined;
    if (problem !== undefined) return this.#closed ? [{ message: problem, reason: undefined, position }] : [];
    if ('value' in outcome && outcome.value === true) return [];
    const source = this.#validations[position]?.source;
    const made = typeof messages === 'string' ? undefined : messages[position];
    const message =
      usable(made) ||
      (source?.message ?? '').trim() ||
      `failed expression: ${(source?.expression ?? '').trim()}`;
    return [{ message, reason: source?.reason ?? 'Invalid', position }];
  }

  #annotate(values: AdmissionValues): Pick<PolicyVerdict, 'annotations' | 'annotationErrors'> {
    const annotations: { readonly key: string; readonly value: string }[] = [];
    const annotationErrors: string[] = [];
    if (this.#annotations.length === 0) return { annotations, annotationErrors };
    const run = this.#expressions.run(values, CEL_RUNTIME_COST_BUDGET);
    for (const { key, expression } of this.#annotations) {
      const outcome = run.evaluate(expression);
      if ('error' in outcome) {
        if (this.#closed) annotationErrors.push(outcome.error);
        continue;
      }
      const value = typeof outcome.value === 'string' ? outcome.value.trim() : '';
      if (value !== '') annotations.push({ key, value: value.slice(0, MAX_ANNOTATION_LENGTH) });
    }
    return { annotations, annotationErrors };
  }
}

/** One line, and not too long; else empty. */
function usable(outcome: AdmissionOutcome | undefined): string {
  const text =
    outcome !== undefined && 'value' in outcome && typeof outcome.value === 'string'
      ? outcome.value.trim()
      : '';
  return text.includes('\n') || Buffer.byteLength(text) > MAX_MESSAGE_BYTES ? '' : text;
}
