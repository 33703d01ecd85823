/**
 * Validation of a job's status. Most rules count only when what they are about changes, so that a status which was stored
 * before the rule can still be written (getStatusValidationOptions).
 */
import { batchv1 } from '@k8ts/api';
import { duplicate, invalidValue, parseTime, required, type FieldError } from '@k8ts/apimachinery';
import { invalidOmitted, notNegative } from '../field-rules.ts';
import { fieldComparison } from '../semantic-equal.ts';
import { countIndexes, firstOverlap } from './indexes.ts';

type Job = batchv1.Job;
type Status = batchv1.JobStatus;

const sameUncounted = fieldComparison(batchv1.jobs, 'status', 'uncountedTerminatedPods');

function holds({ conditions = [] }: Status, type: string, value = 'True'): boolean {
  return conditions.some((condition) => condition.type === type && condition.status === value);
}

const isFinished = (status: Status): boolean => holds(status, 'Complete') || holds(status, 'Failed');

/** What a write of the status changes. */
function changesOf(next: Status, old: Status): Record<string, boolean> {
  const condition = (type: string): boolean => holds(next, type) !== holds(old, type);
  return {
    finished: isFinished(next) !== isFinished(old),
    complete: condition('Complete'),
    failed: condition('Failed'),
    failureTarget: condition('FailureTarget'),
    criteriaMet: condition('SuccessCriteriaMet'),
    completedIndexes: (next.completedIndexes ?? '') !== (old.completedIndexes ?? ''),
    failedIndexes: next.failedIndexes !== old.failedIndexes,
    active: (next.active ?? 0) !== (old.active ?? 0),
    startTime: next.startTime !== old.startTime,
    completionTime: next.completionTime !== old.completionTime,
    uncounted: !sameUncounted(next.uncountedTerminatedPods, old.uncountedTerminatedPods),
    ready: next.ready !== old.ready,
    terminating: next.terminating !== old.terminating,
  };
}

export function validateJobStatus({ spec, status = {} }: Job, { status: old = {} }: Job): FieldError[] {
  const changed = changesOf(status, old);
  return [
    ...(['active', 'succeeded', 'failed', 'ready', 'terminating'] as const).flatMap((field) =>
      notNegative(status[field], `status.${field}`),
    ),
    ...validateUncounted(status.uncountedTerminatedPods),
    ...validateEnd(spec ?? ({} as batchv1.JobSpec), status, changed),
    ...validateIndexes(spec ?? ({} as batchv1.JobSpec), status, changed),
    ...validateCounts(status, changed),
    ...validateSuccess(spec ?? ({} as batchv1.JobSpec), status),
    ...validateChange(spec ?? ({} as batchv1.JobSpec), status, old),
  ];
}

function validateUncounted(uncounted: batchv1.UncountedTerminatedPods | undefined): FieldError[] {
  const seen = new Set<string>();
  return (['succeeded', 'failed'] as const).flatMap((list) =>
    (uncounted?.[list] ?? []).flatMap((uid, i) => {
      const path = `status.uncountedTerminatedPods.${list}[${i}]`;
      if (uid === '') return [invalidValue(path, uid, 'must not be empty')];
      if (seen.has(uid)) return [duplicate(path, uid)];
      seen.add(uid);
      return [];
    }),
  );
}

function validateEnd(
  spec: batchv1.JobSpec,
  status: Status,
  changed: Readonly<Record<string, boolean>>,
): FieldError[] {
  const errors: FieldError[] = [];
  const complete = holds(status, 'Complete');
  const { startTime, completionTime } = status;
  const conditions = (detail: string): void => {
    errors.push(invalidOmitted('status.conditions', detail));
  };
  if ((changed['complete'] || changed['failed']) && complete && holds(status, 'Failed'))
    conditions('cannot set Complete=True and Failed=true conditions');
  if ((changed['complete'] || changed['failureTarget']) && complete && holds(status, 'FailureTarget'))
    conditions('cannot set Complete=True and FailureTarget=true conditions');
  const completionPath = 'status.completionTime';
  if (changed['complete'] || changed['completionTime']) {
    if (completionTime !== undefined && !complete)
      errors.push(
        invalidValue(
          completionPath,
          completionTime,
          'cannot set completionTime when there is no Complete=True condition',
        ),
      );
    if (completionTime === undefined && complete)
      errors.push(required(completionPath, 'completionTime is required for Complete jobs'));
  }
  if (
    (changed['startTime'] || changed['completionTime']) &&
    startTime !== undefined &&
    completionTime !== undefined &&
    (parseTime(completionTime) ?? 0) < (parseTime(startTime) ?? 0)
  )
    errors.push(invalidValue(completionPath, completionTime, 'must be equal to or after `startTime`'));
  if (
    (changed['failed'] || changed['failedIndexes']) &&
    holds(status, 'Failed') &&
    !holds(status, 'FailureTarget')
  )
    conditions('cannot set Failed=True condition without the FailureTarget=true condition');
  if ((changed['complete'] || changed['criteriaMet']) && complete && !holds(status, 'SuccessCriteriaMet'))
    conditions('cannot set Complete=True condition without the SuccessCriteriaMet=true condition');
  const isSuspendedWithoutCompletions = spec.suspend === true && spec.completions === 0;
  if (!isFinished(status)) return errors;
  if ((changed['finished'] || changed['active']) && (status.active ?? 0) > 0)
    errors.push(invalidValue('status.active', status.active, 'active>0 is invalid for finished job'));
  if (
    (changed['finished'] || changed['startTime']) &&
    !isSuspendedWithoutCompletions &&
    startTime === undefined
  )
    errors.push(required('status.startTime', 'startTime is required for finished job'));
  const { succeeded = [], failed = [] } = status.uncountedTerminatedPods ?? {};
  if ((changed['finished'] || changed['uncounted']) && succeeded.length + failed.length > 0)
    errors.push(
      invalidValue(
        'status.uncountedTerminatedPods',
        { Succeeded: succeeded, Failed: failed },
        'must be empty for finished job',
      ),
    );
  return errors;
}

function validateIndexes(
  spec: batchv1.JobSpec,
  status: Status,
  changed: Readonly<Record<string, boolean>>,
): FieldError[] {
  const { completions, backoffLimitPerIndex } = spec;
  const { completedIndexes = '', failedIndexes } = status;
  const errors: FieldError[] = [];
  const completedPath = 'status.completedIndexes';
  const failedPath = 'status.failedIndexes';
  if (changed['completedIndexes'] && completions !== undefined)
    errors.push(...validateFormat(completedIndexes, completions, completedPath));
  if (
    changed['failedIndexes'] &&
    completions !== undefined &&
    backoffLimitPerIndex !== undefined &&
    failedIndexes !== undefined
  )
    errors.push(...validateFormat(failedIndexes, completions, failedPath));
  if (changed['completedIndexes'] && completedIndexes !== '' && spec.completionMode !== 'Indexed')
    errors.push(
      invalidValue(
        completedPath,
        completedIndexes,
        'cannot set non-empty completedIndexes when non-indexed completion mode',
      ),
    );
  if (failedIndexes === undefined) return errors;
  if (changed['failedIndexes'] && backoffLimitPerIndex === undefined)
    errors.push(
      invalidValue(
        failedPath,
        failedIndexes,
        'cannot set non-null failedIndexes when backoffLimitPerIndex is null',
      ),
    );
  if ((changed['failedIndexes'] || changed['completedIndexes']) && completions !== undefined) {
    const overlap = firstOverlap(completedIndexes, failedIndexes, completions);
    if (overlap !== undefined)
      errors.push(
        invalidValue(
          failedPath,
          failedIndexes,
          `failedIndexes and completedIndexes overlap at index: ${overlap}`,
        ),
      );
  }
  return errors;
}

function validateFormat(text: string, completions: number, path: string): FieldError[] {
  try {
    countIndexes(text, completions);
    return [];
  } catch (error) {
    const name = path.slice('status.'.length);
    return [invalidValue(path, text, `error parsing ${name}: ${(error as Error).message}`)];
  }
}

function validateCounts(status: Status, changed: Readonly<Record<string, boolean>>): FieldError[] {
  const { ready, terminating = 0, active = 0 } = status;
  const errors: FieldError[] = [];
  if ((changed['finished'] || changed['terminating']) && terminating > 0 && isFinished(status))
    errors.push(invalidValue('status.terminating', terminating, 'terminating>0 is invalid for finished job'));
  if ((changed['ready'] || changed['active']) && ready !== undefined && ready > active)
    errors.push(invalidValue('status.ready', ready, 'cannot set more ready pods than active'));
  return errors;
}

function validateSuccess(spec: batchv1.JobSpec, status: Status): FieldError[] {
  const met = holds(status, 'SuccessCriteriaMet');
  const wrong = [
    met && holds(status, 'Failed') && 'cannot set SuccessCriteriaMet=True and Failed=true conditions',
    met &&
      holds(status, 'FailureTarget') &&
      'cannot set SuccessCriteriaMet=True and FailureTarget=true conditions',
    spec.successPolicy !== undefined &&
      !met &&
      holds(status, 'Complete') &&
      'cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True',
  ];
  return wrong.flatMap((detail) => (detail === false ? [] : [invalidOmitted('status.conditions', detail)]));
}

function validateChange(spec: batchv1.JobSpec, status: Status, old: Status): FieldError[] {
  const errors: FieldError[] = [];
  for (const type of ['Failed', 'Complete', 'FailureTarget'])
    if (holds(old, type) && !holds(status, type))
      errors.push(invalidOmitted('status.conditions', `cannot disable the terminal ${type}=True condition`));
  const isElastic = spec.completionMode === 'Indexed' && spec.completions === spec.parallelism;
  if ((status.failed ?? 0) < (old.failed ?? 0))
    errors.push(invalidValue('status.failed', status.failed ?? 0, 'cannot decrease the failed counter'));
  if (!isElastic && (status.succeeded ?? 0) < (old.succeeded ?? 0))
    errors.push(
      invalidValue('status.succeeded', status.succeeded ?? 0, 'cannot decrease the succeeded counter'),
    );
  const { completionTime, startTime } = status;
  if (
    completionTime !== undefined &&
    old.completionTime !== undefined &&
    completionTime !== old.completionTime
  )
    errors.push(invalidValue('status.completionTime', completionTime, 'field is immutable'));
  const isResuming = holds(old, 'Suspended') && holds(status, 'Suspended', 'False');
  if (!isResuming && old.startTime !== undefined && old.startTime !== startTime && spec.suspend !== true)
    errors.push(
      invalidValue('status.startTime', startTime, 'field is immutable for unsuspended job once set'),
    );
  const [wasMet, isMet] = [holds(old, 'SuccessCriteriaMet'), holds(status, 'SuccessCriteriaMet')];
  if (wasMet && !isMet)
    errors.push(invalidOmitted('status.conditions', 'cannot disable the SuccessCriteriaMet=True condition'));
  if (holds(old, 'Complete') && !wasMet && isMet)
    errors.push(
      invalidOmitted(
        'status.conditions',
        'cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions',
      ),
    );
  return errors;
}
