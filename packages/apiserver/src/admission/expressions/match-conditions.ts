/** Conditions that a request must meet beside the rules (k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions). */
import type { admissionregistrationv1 } from '@k8ts/api';
import {
  AdmissionBudgetError,
  AdmissionExpressions,
  aggregateText,
  RETURNS_BOOL,
  type AdmissionExpression,
  type AdmissionScope,
  type AdmissionValues,
} from '@k8ts/apimachinery';

/** What all conditions together may cost. */
const COST_BUDGET = 2_500_000;

/** `error`: whether they hold is not known. */
export interface MatchOutcome {
  readonly matches: boolean;
  readonly error?: string;
}

export class MatchConditions {
  readonly #expressions: AdmissionExpressions;
  readonly #conditions: readonly AdmissionExpression[];

  /** `expressions`: with the variables that the conditions may use. */
  constructor(
    conditions: readonly admissionregistrationv1.MatchCondition[],
    expressions: AdmissionExpressions = new AdmissionExpressions({ composition: false }),
    scope: AdmissionScope = { params: false, authorizer: true },
  ) {
    this.#expressions = expressions;
    this.#conditions = conditions.map(({ expression }) =>
      expressions.compile(expression, scope, RETURNS_BOOL),
    );
  }

  /** One condition that does not hold decides, whatever is wrong with others. */
  evaluate(values: AdmissionValues): MatchOutcome {
    const run = this.#expressions.run(values, COST_BUDGET);
    const errors: string[] = [];
    try {
      const outcomes = this.#conditions.map((condition) => run.evaluate(condition));
      for (const outcome of outcomes) {
        if ('error' in outcome) errors.push(outcome.error);
        else if (outcome.value === false) return { matches: false };
      }
    } catch (error) {
      if (!(error instanceof AdmissionBudgetError)) throw error;
      return { matches: false, error: error.message };
    }
    return errors.length === 0 ? { matches: true } : { matches: false, error: aggregateText(errors) };
  }
}
