/** Admission policies and their bindings. */
import { admissionregistrationv1, type Draft } from '@k8ts/api';
import type { FieldError } from '@k8ts/apimachinery';
import {
  mutatingAdmissionPolicyColumns,
  policyBindingColumns,
  validatingAdmissionPolicyColumns,
} from '../../printing/columns/other.ts';
import type { Strategy } from '../contract.ts';
import { generationRules, statusStrategy } from '../strategy-parts.ts';
import {
  validateActions,
  validateBinding,
  validateMutatingPolicy,
  validateValidatingPolicy,
} from './validation/policies.ts';

function setMatchDefaults(match: Draft<admissionregistrationv1.MatchResources> | undefined): void {
  if (match === undefined) return;
  match.matchPolicy ??= 'Equivalent';
  match.namespaceSelector ??= {};
  match.objectSelector ??= {};
  for (const rule of [...(match.resourceRules ?? []), ...(match.excludeResourceRules ?? [])])
    rule.scope ??= '*';
}

export const validatingAdmissionPolicyStrategy: Strategy<admissionregistrationv1.ValidatingAdmissionPolicy> =
  {
    type: admissionregistrationv1.validatingAdmissionPolicies,
    setDefaults({ spec }) {
      if (spec === undefined) return;
      spec.failurePolicy ??= 'Fail';
      setMatchDefaults(spec.matchConstraints);
    },
    ...generationRules(admissionregistrationv1.validatingAdmissionPolicies),
    validate: (policy) => validateValidatingPolicy(policy),
    validateUpdate: (policy, old) => validateValidatingPolicy(policy, old),
    subresources: { status: statusStrategy({ keepMetadata: true }) },
    allowUnconditionalUpdate: false,
    columns: validatingAdmissionPolicyColumns,
  };

function validateValidatingBinding({
  spec,
}: admissionregistrationv1.ValidatingAdmissionPolicyBinding): FieldError[] {
  return [
    ...validateBinding(spec),
    ...validateActions(spec.validationActions ?? [], 'spec.validationActions'),
  ];
}

export const validatingAdmissionPolicyBindingStrategy: Strategy<admissionregistrationv1.ValidatingAdmissionPolicyBinding> =
  {
    type: admissionregistrationv1.validatingAdmissionPolicyBindings,
    setDefaults: ({ spec }) => setMatchDefaults(spec?.matchResources),
    ...generationRules(admissionregistrationv1.validatingAdmissionPolicyBindings, { status: false }),
    validate: validateValidatingBinding,
    validateUpdate: validateValidatingBinding,
    allowUnconditionalUpdate: false,
    columns: policyBindingColumns,
  };

export const mutatingAdmissionPolicyStrategy: Strategy<admissionregistrationv1.MutatingAdmissionPolicy> = {
  type: admissionregistrationv1.mutatingAdmissionPolicies,
  setDefaults({ spec }) {
    if (spec === undefined) return;
    spec.failurePolicy ??= 'Fail';
    setMatchDefaults(spec.matchConstraints);
  },
  ...generationRules(admissionregistrationv1.mutatingAdmissionPolicies, { status: false }),
  validate: (policy) => validateMutatingPolicy(policy),
  validateUpdate: (policy, old) => validateMutatingPolicy(policy, old),
  allowUnconditionalUpdate: false,
  columns: mutatingAdmissionPolicyColumns,
};

export const mutatingAdmissionPolicyBindingStrategy: Strategy<admissionregistrationv1.MutatingAdmissionPolicyBinding> =
  {
    type: admissionregistrationv1.mutatingAdmissionPolicyBindings,
    setDefaults: ({ spec }) => setMatchDefaults(spec?.matchResources),
    ...generationRules(admissionregistrationv1.mutatingAdmissionPolicyBindings, { status: false }),
    validate: ({ spec }) => validateBinding(spec),
    validateUpdate: ({ spec }) => validateBinding(spec),
    allowUnconditionalUpdate: false,
    columns: policyBindingColumns,
  };
