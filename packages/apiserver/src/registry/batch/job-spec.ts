/** Validation of job specs, in jobs and in cron jobs (pkg/apis/batch/validation). */
import type { batchv1 } from '@k8ts/api';
import {
  exceedsBytes,
  invalidValue,
  notSupported,
  required,
  tooLong,
  type FieldError,
} from '@k8ts/apimachinery';
import { validatePodTemplateSpec } from '../core/pod-template/validation.ts';
import { domainPrefixedPath, notNegative } from '../field-rules.ts';
import { templateWarnings } from '../workload-rules.ts';
import { validatePolicies } from './job-policies.ts';

type Spec = batchv1.JobSpec;

const MAX_PARALLELISM = 100_000;
const MAX_FAILED_INDEXES = 100_000;
const MANY_COMPLETIONS = 100_000;
const LIMIT_FOR_MANY_COMPLETIONS = 10_000;
const MAX_MANAGED_BY_LENGTH = 63;

const COUNTS = [
  'parallelism',
  'completions',
  'activeDeadlineSeconds',
  'backoffLimit',
  'ttlSecondsAfterFinished',
  'backoffLimitPerIndex',
  'maxFailedIndexes',
] as const;

export function validateJobSpec(spec: Spec, path: string): FieldError[] {
  const errors = COUNTS.flatMap((field) => notNegative(spec[field], `${path}.${field}`));
  if (spec.maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined)
    errors.push(required(`${path}.backoffLimitPerIndex`, 'when maxFailedIndexes is specified'));
  if (spec.managedBy !== undefined) {
    errors.push(...domainPrefixedPath(spec.managedBy, `${path}.managedBy`));
    if (exceedsBytes(spec.managedBy, MAX_MANAGED_BY_LENGTH))
      errors.push(tooLong(`${path}.managedBy`, MAX_MANAGED_BY_LENGTH));
  }
  return [
    ...errors,
    ...validateCompletionMode(spec, path),
    ...validatePolicies(spec, path),
    ...validatePodTemplateSpec(spec.template, `${path}.template`),
    ...validateRestartPolicy(spec, `${path}.template.spec.restartPolicy`),
  ];
}

function validateCompletionMode(spec: Spec, path: string): FieldError[] {
  const { completionMode: mode } = spec;
  if (mode === 'Indexed') return validateIndexed(spec, path);
  const errors: FieldError[] = [];
  if (mode !== undefined && mode !== 'NonIndexed')
    return [notSupported(`${path}.completionMode`, mode, ['NonIndexed', 'Indexed'])];
  for (const field of ['backoffLimitPerIndex', 'maxFailedIndexes'] as const)
    if (spec[field] !== undefined)
      errors.push(invalidValue(`${path}.${field}`, spec[field], 'requires indexed completion mode'));
  return errors;
}

function validateIndexed(spec: Spec, path: string): FieldError[] {
  const { completions, parallelism = 0, maxFailedIndexes } = spec;
  const errors: FieldError[] = [];
  const failedPath = `${path}.maxFailedIndexes`;
  if (completions === undefined)
    errors.push(required(`${path}.completions`, 'when completion mode is Indexed'));
  if (parallelism > MAX_PARALLELISM)
    errors.push(
      invalidValue(
        `${path}.parallelism`,
        parallelism,
        `must be less than or equal to ${MAX_PARALLELISM} when completion mode is Indexed`,
      ),
    );
  if (maxFailedIndexes !== undefined) {
    if (completions !== undefined && maxFailedIndexes > completions)
      errors.push(invalidValue(failedPath, maxFailedIndexes, 'must be less than or equal to completions'));
    if (maxFailedIndexes > MAX_FAILED_INDEXES)
      errors.push(
        invalidValue(failedPath, maxFailedIndexes, `must be less than or equal to ${MAX_FAILED_INDEXES}`),
      );
  }
  if ((completions ?? 0) > MANY_COMPLETIONS && spec.backoffLimitPerIndex !== undefined)
    errors.push(...validateManyCompletions(spec, path));
  return errors;
}

function validateManyCompletions({ parallelism = 0, maxFailedIndexes }: Spec, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const detail = `must be less than or equal to ${LIMIT_FOR_MANY_COMPLETIONS} when completions are above ${MANY_COMPLETIONS} and used with backoff limit per index`;
  const failedPath = `${path}.maxFailedIndexes`;
  if (maxFailedIndexes === undefined)
    errors.push(required(failedPath, `must be specified when completions is above ${MANY_COMPLETIONS}`));
  if (parallelism > LIMIT_FOR_MANY_COMPLETIONS)
    errors.push(invalidValue(`${path}.parallelism`, parallelism, detail));
  if ((maxFailedIndexes ?? 0) > LIMIT_FOR_MANY_COMPLETIONS)
    errors.push(invalidValue(failedPath, maxFailedIndexes, detail));
  return errors;
}

function validateRestartPolicy({ template, podFailurePolicy }: Spec, path: string): FieldError[] {
  const policy = template.spec?.restartPolicy ?? '';
  if (policy === 'Always' || policy === '') return [required(path, 'valid values: "OnFailure", "Never"')];
  if (policy !== 'OnFailure' && policy !== 'Never')
    return [notSupported(path, policy, ['OnFailure', 'Never'])];
  return podFailurePolicy !== undefined && policy !== 'Never'
    ? [invalidValue(path, policy, 'only "Never" is supported when podFailurePolicy is specified')]
    : [];
}

export function jobSpecWarnings(spec: Spec, path: string): string[] {
  const warnings = templateWarnings(spec.template, `${path}.template`);
  return spec.completionMode === 'Indexed' &&
    (spec.completions ?? 0) > MANY_COMPLETIONS &&
    (spec.parallelism ?? 0) > LIMIT_FOR_MANY_COMPLETIONS
    ? [
        `${path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail`,
        ...warnings,
      ]
    : warnings;
}
