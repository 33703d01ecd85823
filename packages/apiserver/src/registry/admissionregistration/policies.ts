/** Admission policies and their bindings: defaults and generation. */
import { admissionregistrationv1, type Draft } from '@k8ts/api';
import {
  validatingAdmissionPolicyBindingColumns,
  validatingAdmissionPolicyColumns,
} from '../../printing/columns/other.ts';
import type { Strategy } from '../contract.ts';
import { generationRules, statusStrategy } from '../strategy-parts.ts';

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
    subresources: { status: statusStrategy({ keepMetadata: true }) },
    allowUnconditionalUpdate: false,
    columns: validatingAdmissionPolicyColumns,
  };

export const validatingAdmissionPolicyBindingStrategy: Strategy<admissionregistrationv1.ValidatingAdmissionPolicyBinding> =
  {
    type: admissionregistrationv1.validatingAdmissionPolicyBindings,
    setDefaults: ({ spec }) => setMatchDefaults(spec?.matchResources),
    ...generationRules(admissionregistrationv1.validatingAdmissionPolicyBindings, { status: false }),
    allowUnconditionalUpdate: false,
    columns: validatingAdmissionPolicyBindingColumns,
  };
