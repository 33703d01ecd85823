/**
 * From text to something that runs:
 *
 *     const program = compileCel('self.replicas <= 5', environment);
 *     if (program instanceof CelIssue) …            // program.message: cel-go's text
 *     program.evaluate({ self }, 1_000_000).value   // true, false, or a CelError
 */
import type { Expr } from './language/ast.ts';
import { checkExpression } from './language/checker.ts';
import type { CheckedExpression } from './language/checker.ts';
import { estimateCost } from './language/cost-estimate.ts';
import { Evaluation, PlanError, planExpression } from './language/interpreter.ts';
import type { Step } from './language/interpreter.ts';
import { checkLiterals } from './language/literal-checks.ts';
import { parseExpression } from './language/parser.ts';
import { selectsField } from './language/selections.ts';
import { IssueList } from './language/source.ts';
import type { CelType } from './language/type.ts';
import { EvaluationCancelled, metered } from './value/meter.ts';
import { CelError } from './value/value.ts';
import type { CelResult } from './value/value.ts';
import type { CelEnvironment } from './environment.ts';

/** One evaluation may cost this much (k8s.io/apiserver/pkg/apis/cel). */
export const CEL_CALL_COST_LIMIT = 1_000_000;
/** All evaluations for one object may cost this much together. */
export const CEL_RUNTIME_COST_BUDGET = 10_000_000;

/** Why an expression does not compile. */
export class CelIssue {
  /** `issues`: the text has errors; `program`: a constant part of it cannot be computed. */
  readonly kind: 'issues' | 'program';
  readonly message: string;

  constructor(kind: CelIssue['kind'], message: string) {
    this.kind = kind;
    this.message = message;
  }
}

export interface CelEvaluation {
  /** An error where the expression has no value. */
  readonly value: CelResult;
  readonly cost: number;
  /** The cost limit was reached; `value` says so. */
  readonly cancelled: boolean;
}

export class CelProgram {
  readonly expression: string;
  /** The type of the result. */
  readonly type: CelType;
  /** The environment's variables that the expression mentions. */
  readonly variables: ReadonlySet<string>;
  /** The most that an evaluation can cost, by the bounds of the environment. */
  readonly maxCost: number;
  readonly #expr: Expr;
  readonly #step: Step;

  constructor(expression: string, checked: CheckedExpression, step: Step, maxCost: number) {
    this.#expr = checked.expr;
    this.expression = expression;
    this.type = checked.type;
    this.variables = checked.variables;
    this.maxCost = maxCost;
    this.#step = step;
  }

  /** Whether the expression has `variable.field` anywhere, also as `has(variable.field)` or `variable.?field`. */
  selects(variable: string, field: string): boolean {
    return selectsField(this.#expr, variable, field);
  }

  /** `limit`: what the evaluation may cost. Never throws because of the expression or its data. */
  evaluate(
    variables: Readonly<Record<string, CelResult | undefined>>,
    limit: number = CEL_CALL_COST_LIMIT,
  ): CelEvaluation {
    const values = new Map<string, CelResult>();
    for (const [name, value] of Object.entries(variables)) if (value !== undefined) values.set(name, value);
    const evaluation = new Evaluation(values, limit);
    try {
      const value = metered(() => this.#step.run(evaluation));
      return { value, cost: evaluation.cost, cancelled: false };
    } catch (error) {
      if (!(error instanceof EvaluationCancelled)) throw error;
      return { value: new CelError(error.message), cost: evaluation.cost, cancelled: true };
    }
  }
}

export function compileCel(expression: string, environment: CelEnvironment): CelProgram | CelIssue {
  const issues = new IssueList();
  const failed = (): CelIssue => new CelIssue('issues', issues.toText(expression));
  const parsed = parseExpression(expression, issues);
  if (parsed === undefined) return failed();
  const checked = checkExpression(parsed, environment, issues);
  if (checked === undefined) return failed();
  checkLiterals(checked, issues);
  if (!issues.isEmpty) return failed();
  try {
    const step = metered(() => planExpression(checked));
    return new CelProgram(expression, checked, step, estimateCost(checked, environment.sizeAt).max);
  } catch (error) {
    if (error instanceof PlanError || error instanceof EvaluationCancelled)
      return new CelIssue('program', error.message);
    throw error;
  }
}
