import { schedulingv1 } from '@k8ts/api';
import { forbiddenField, required, notSupported, type FieldError } from '@k8ts/apimachinery';
import { priorityClassColumns } from '../../printing/columns/other.ts';
import type { Strategy } from '../contract.ts';
import { immutable } from '../field-rules.ts';
import { firstGeneration } from '../strategy-parts.ts';

type PriorityClass = schedulingv1.PriorityClass;

const HIGHEST_USER_PRIORITY = 1_000_000_000;
const SYSTEM_CLASSES: Readonly<Record<string, number>> = {
  'system-node-critical': 2_000_001_000,
  'system-cluster-critical': 2_000_000_000,
};

/** Why a class with a system name is not one of the system's. */
function systemClassProblem({ metadata, value, globalDefault }: PriorityClass): string | undefined {
  const known = SYSTEM_CLASSES[metadata.name];
  if (known === undefined) return `${metadata.name} is not a known system priority class`;
  if ((value ?? 0) !== known) return `value of ${metadata.name} PriorityClass must be ${known}`;
  return globalDefault === true ? `globalDefault of ${metadata.name} PriorityClass must be false` : undefined;
}

export function validatePreemptionPolicy(policy: string, path: string): FieldError[] {
  if (policy === '') return [required(path, '')];
  const allowed = ['PreemptLowerPriority', 'Never'];
  return allowed.includes(policy) ? [] : [notSupported(path, policy, allowed)];
}

export const priorityClassStrategy: Strategy<PriorityClass> = {
  type: schedulingv1.priorityClasses,
  setDefaults(priorityClass) {
    priorityClass.preemptionPolicy ??= 'PreemptLowerPriority';
  },
  prepareForCreate: (priorityClass) => firstGeneration(priorityClass),
  validate(priorityClass) {
    const errors: FieldError[] = [];
    if (priorityClass.metadata.name.startsWith('system-')) {
      const problem = systemClassProblem(priorityClass);
      if (problem !== undefined)
        errors.push(
          forbiddenField(
            'metadata.name',
            `priority class names with 'system-' prefix are reserved for system use only. error: ${problem}`,
          ),
        );
    } else if ((priorityClass.value ?? 0) > HIGHEST_USER_PRIORITY) {
      errors.push(
        forbiddenField(
          'value',
          `maximum allowed value of a user defined priority is ${HIGHEST_USER_PRIORITY}`,
        ),
      );
    }
    if (priorityClass.preemptionPolicy !== undefined)
      errors.push(...validatePreemptionPolicy(priorityClass.preemptionPolicy, 'preemptionPolicy'));
    return errors;
  },
  validateUpdate: (priorityClass, old) => [
    ...((priorityClass.value ?? 0) === (old.value ?? 0)
      ? []
      : [forbiddenField('value', 'may not be changed in an update.')]),
    ...immutable(
      priorityClass.preemptionPolicy,
      priorityClass.preemptionPolicy === old.preemptionPolicy,
      'preemptionPolicy',
    ),
  ],
  columns: priorityClassColumns,
};
