/** Expressions compile, and give what they must (pkg/apis/admissionregistration/validation). */
import type { admissionregistrationv1 } from '@k8ts/api';
import {
  AdmissionExpressions,
  child,
  duplicate,
  internalField,
  invalidValue,
  RETURNS_BOOL,
  required,
  tooMany,
  type AdmissionIssue,
  type FieldError,
} from '@k8ts/apimachinery';
import { each, qualifiedName } from '../../field-rules.ts';

const MAX_CONDITIONS = 64;

/** Conditions do not see the variables of policies. */
const CONDITION_EXPRESSIONS = new AdmissionExpressions({ composition: false });

export function issueError(
  issue: AdmissionIssue | undefined,
  expression: string,
  path: string,
): readonly FieldError[] {
  if (issue === undefined) return [];
  return issue.kind === 'invalid'
    ? [invalidValue(path, expression, issue.message)]
    : [internalField(path, issue.message)];
}

export function validateMatchConditions(
  conditions: readonly admissionregistrationv1.MatchCondition[] | undefined,
  path: string,
  { params }: { readonly params: boolean },
): FieldError[] {
  if (conditions === undefined) return [];
  return [
    ...(conditions.length > MAX_CONDITIONS ? [tooMany(path, conditions.length, MAX_CONDITIONS)] : []),
    ...each(conditions, path, ({ name, expression }, at, i) => {
      const text = (expression ?? '').trim();
      const expressionPath = child(at, 'expression');
      const namePath = child(at, 'name');
      return [
        ...(text === ''
          ? [required(expressionPath, '')]
          : issueError(
              CONDITION_EXPRESSIONS.compile(text, { params, authorizer: true }, RETURNS_BOOL).issue,
              text,
              expressionPath,
            )),
        ...(name ? qualifiedName(name, namePath) : [required(namePath, '')]),
        ...(name && conditions.findIndex((other) => other.name === name) < i
          ? [duplicate(namePath, name)]
          : []),
      ];
    }),
  ];
}
