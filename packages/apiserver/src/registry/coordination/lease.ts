import { coordinationv1 } from '@k8ts/api';
import { forbiddenField, invalidValue, type FieldError } from '@k8ts/apimachinery';
import { leaseColumns } from '../../printing/columns/other.ts';
import type { Strategy } from '../contract.ts';
import { NOT_NEGATIVE } from '../field-rules.ts';

type Lease = coordinationv1.Lease;

function validate({ spec }: Lease): FieldError[] {
  const errors: FieldError[] = [];
  if (spec?.leaseDurationSeconds !== undefined && spec.leaseDurationSeconds <= 0)
    errors.push(
      invalidValue('spec.leaseDurationSeconds', spec.leaseDurationSeconds, 'must be greater than 0'),
    );
  if (spec?.leaseTransitions !== undefined && spec.leaseTransitions < 0)
    errors.push(invalidValue('spec.leaseTransitions', spec.leaseTransitions, NOT_NEGATIVE));
  if (spec?.preferredHolder && !spec.strategy)
    errors.push(forbiddenField('spec.preferredHolder', 'may only be specified if `strategy` is defined'));
  return errors;
}

export const leaseStrategy: Strategy<Lease> = {
  type: coordinationv1.leases,
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  validate,
  validateUpdate: validate,
  columns: leaseColumns,
};
