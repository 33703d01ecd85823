/** The rules of meta/v1 conditions (k8s.io/apimachinery/pkg/apis/meta/v1/validation). */
import type { FieldError } from '../status-error.ts';
import { child, duplicate, index, invalidValue, notSupported, required, tooLong } from './field-errors.ts';
import { exceedsBytes, regexMessage } from './names.ts';
import { validateLabelName } from './object-meta.ts';

export interface ConditionFields {
  readonly type?: string;
  readonly status?: string;
  readonly observedGeneration?: number;
  readonly lastTransitionTime?: string;
  readonly reason?: string;
  readonly message?: string;
}

const CONDITION_REASON = '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?';
const CONDITION_REASON_REGEXP = new RegExp(`^${CONDITION_REASON}$`);

/** meta/v1 conditions: each type once, every field well formed. */
export function validateConditions(conditions: readonly ConditionFields[], path: string): FieldError[] {
  const errors: FieldError[] = [];
  const types = new Set<string>();
  for (const [position, condition] of conditions.entries()) {
    const at = index(path, position);
    const { type = '', status = '', reason = '', message = '', observedGeneration = 0 } = condition;
    if (types.has(type)) errors.push(duplicate(child(at, 'type'), type));
    types.add(type);
    errors.push(...validateLabelName(type, child(at, 'type')));
    if (status !== 'True' && status !== 'False' && status !== 'Unknown')
      errors.push(notSupported(child(at, 'status'), status, ['False', 'True', 'Unknown']));
    if (observedGeneration < 0)
      errors.push(
        invalidValue(
          child(at, 'observedGeneration'),
          observedGeneration,
          'must be greater than or equal to zero',
        ),
      );
    if ((condition.lastTransitionTime ?? '') === '')
      errors.push(required(child(at, 'lastTransitionTime'), ''));
    if (reason === '') {
      errors.push(required(child(at, 'reason'), ''));
    } else {
      if (!CONDITION_REASON_REGEXP.test(reason))
        errors.push(
          invalidValue(
            child(at, 'reason'),
            reason,
            regexMessage(
              "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'",
              CONDITION_REASON,
              'my_name',
              'MY_NAME',
              'MyName',
              'ReasonA,ReasonB',
              'ReasonA:ReasonB',
            ),
          ),
        );
      if (exceedsBytes(reason, 1024)) errors.push(tooLong(child(at, 'reason'), 1024));
    }
    if (exceedsBytes(message, 32 * 1024)) errors.push(tooLong(child(at, 'message'), 32 * 1024));
  }
  return errors;
}
