/** podFailurePolicy, successPolicy and podReplacementPolicy of jobs. */
import type { batchv1 } from '@k8ts/api';
import {
  duplicate,
  goQuote,
  invalidValue,
  notSupported,
  required,
  tooLong,
  tooMany,
  type FieldError,
} from '@k8ts/apimachinery';
import { each, invalidOmitted, notNegative, qualifiedName } from '../field-rules.ts';
import { countIndexes } from './indexes.ts';

type Spec = batchv1.JobSpec;

const MAX_RULES = 20;
const MAX_EXIT_CODES = 255;
const MAX_CONDITIONS = 20;
const MAX_INDEXES_LENGTH = 64 * 1024;

const ACTIONS = ['Count', 'FailIndex', 'FailJob', 'Ignore'];
const OPERATORS = ['In', 'NotIn'];
const STATUSES = ['False', 'True', 'Unknown'];

/** As Go's %q prints a list. */
function validValues(values: readonly string[]): string {
  return `valid values: [${values.map(goQuote).join(' ')}]`;
}

function requiredFrom(value: string | undefined, values: readonly string[], path: string): FieldError[] {
  if (!value) return [required(path, validValues(values))];
  return values.includes(value) ? [] : [notSupported(path, value, values)];
}

export function validatePolicies(spec: Spec, path: string): FieldError[] {
  return [
    ...validateFailurePolicy(spec, `${path}.podFailurePolicy`),
    ...validateSuccess(spec, `${path}.successPolicy`),
    ...validateReplacement(spec, `${path}.podReplacementPolicy`),
  ];
}

function validateFailurePolicy(spec: Spec, path: string): FieldError[] {
  const { podFailurePolicy: policy } = spec;
  if (policy === undefined) return [];
  const { rules = [] } = policy;
  const { containers = [], initContainers = [] } = spec.template.spec ?? {};
  const names = new Set([...containers, ...initContainers].map(({ name }) => name));
  return [
    ...(rules.length > MAX_RULES ? [tooMany(`${path}.rules`, rules.length, MAX_RULES)] : []),
    ...each(rules, `${path}.rules`, (rule, at) => validateFailureRule(spec, rule, at, names)),
  ];
}

function validateFailureRule(
  spec: Spec,
  rule: batchv1.PodFailurePolicyRule,
  path: string,
  names: ReadonlySet<string>,
): FieldError[] {
  const { onExitCodes, onPodConditions = [] } = rule;
  const action = (rule.action as string | undefined) ?? '';
  const errors: FieldError[] = [];
  if (action === 'FailIndex') {
    if (spec.backoffLimitPerIndex === undefined)
      errors.push(invalidValue(`${path}.action`, action, 'requires the backoffLimitPerIndex to be set'));
  } else {
    errors.push(...requiredFrom(action, ACTIONS, `${path}.action`));
  }
  if (onExitCodes !== undefined) errors.push(...validateExitCodes(onExitCodes, `${path}.onExitCodes`, names));
  if (onPodConditions.length > 0)
    errors.push(...validateConditions(onPodConditions, `${path}.onPodConditions`));
  if (onExitCodes !== undefined && onPodConditions.length > 0)
    errors.push(invalidOmitted(path, 'specifying both OnExitCodes and OnPodConditions is not supported'));
  if (onExitCodes === undefined && onPodConditions.length === 0)
    errors.push(invalidOmitted(path, 'specifying one of OnExitCodes and OnPodConditions is required'));
  return errors;
}

function validateConditions(
  patterns: readonly batchv1.PodFailurePolicyOnPodConditionsPattern[],
  path: string,
): FieldError[] {
  return [
    ...(patterns.length > MAX_CONDITIONS ? [tooMany(path, patterns.length, MAX_CONDITIONS)] : []),
    ...each(patterns, path, (pattern, at) => [
      ...qualifiedName((pattern.type as string | undefined) ?? '', `${at}.type`),
      ...requiredFrom(pattern.status, STATUSES, `${at}.status`),
    ]),
  ];
}

function validateExitCodes(
  { operator, containerName, values = [] }: batchv1.PodFailurePolicyOnExitCodesRequirement,
  path: string,
  names: ReadonlySet<string>,
): FieldError[] {
  const errors = requiredFrom(operator, OPERATORS, `${path}.operator`);
  if (containerName !== undefined && !names.has(containerName))
    errors.push(
      invalidValue(
        `${path}.containerName`,
        containerName,
        'must be one of the container or initContainer names in the pod template',
      ),
    );
  const list = `${path}.values`;
  if (values.length === 0) errors.push(invalidValue(list, values, 'at least one value is required'));
  else if (values.length > MAX_EXIT_CODES) errors.push(tooMany(list, values.length, MAX_EXIT_CODES));
  const seen = new Set<number>();
  errors.push(
    ...each(values, list, (value, at) => {
      const wrong: FieldError[] = [];
      if (operator === 'In' && value === 0)
        wrong.push(invalidValue(at, value, 'must not be 0 for the In operator'));
      if (seen.has(value)) wrong.push(duplicate(at, value));
      seen.add(value);
      return wrong;
    }),
  );
  if (values.some((value, i) => i > 0 && (values[i - 1] as number) > value))
    errors.push(invalidValue(list, values, 'must be ordered'));
  return errors;
}

function validateSuccess(spec: Spec, path: string): FieldError[] {
  const { successPolicy: policy } = spec;
  if (policy === undefined) return [];
  if (spec.completionMode !== 'Indexed')
    return [invalidValue(path, { Rules: policy.rules ?? null }, 'requires indexed completion mode')];
  const { rules = [] } = policy;
  const at = `${path}.rules`;
  return [
    ...(rules.length === 0
      ? [required(at, 'at least one rules must be specified when the successPolicy is specified')]
      : []),
    ...(rules.length > MAX_RULES ? [tooMany(at, rules.length, MAX_RULES)] : []),
    ...each(rules, at, (rule, rulePath) => validateSuccessRule(spec.completions ?? 0, rule, rulePath)),
  ];
}

function validateSuccessRule(
  completions: number,
  { succeededCount: count, succeededIndexes: indexes }: batchv1.SuccessPolicyRule,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  if (count === undefined && indexes === undefined)
    errors.push(required(path, 'at least one of succeededCount or succeededIndexes must be specified'));
  let total = 0;
  if (indexes !== undefined) {
    const at = `${path}.succeededIndexes`;
    if (indexes.length > MAX_INDEXES_LENGTH) errors.push(tooLong(at, MAX_INDEXES_LENGTH));
    try {
      total = countIndexes(indexes, completions);
    } catch (error) {
      errors.push(invalidValue(at, indexes, `error parsing succeededIndexes: ${(error as Error).message}`));
    }
  }
  if (count === undefined) return errors;
  const at = `${path}.succeededCount`;
  errors.push(...notNegative(count, at));
  if (count > completions)
    errors.push(
      invalidValue(
        at,
        count,
        `must be less than or equal to ${completions} (the number of specified completions)`,
      ),
    );
  if (indexes !== undefined && count > total)
    errors.push(
      invalidValue(
        at,
        count,
        `must be less than or equal to ${total} (the number of indexes in the specified succeededIndexes field)`,
      ),
    );
  return errors;
}

function validateReplacement(spec: Spec, path: string): FieldError[] {
  const { podReplacementPolicy: policy } = spec;
  const allowed = spec.podFailurePolicy === undefined ? ['Failed', 'TerminatingOrFailed'] : ['Failed'];
  return policy === undefined || allowed.includes(policy) ? [] : [notSupported(path, policy, allowed)];
}
