import { goQuote, invalidValue, key, required, type FieldError } from '@k8ts/apimachinery';
import type { Definition } from './internal-form.ts';

const ANNOTATION = 'api-approved.kubernetes.io';
const WHY = 'see https://github.com/kubernetes/enhancements/pull/1111';

type ApprovalState = 'missing' | 'bypassed' | 'approved' | 'invalid';

/** Groups of the community need an approval (KEP-1111): where it was given, or `unapproved` and why not. */
function isProtectedGroup(group: string): boolean {
  return ['k8s.io', 'kubernetes.io'].some((domain) => group === domain || group.endsWith(`.${domain}`));
}

interface Approval {
  readonly state: ApprovalState;
  /** As the condition KubernetesAPIApprovalPolicyConformant says it. */
  readonly message: string;
}

function approvalOf({ metadata }: Definition): Approval {
  const value = metadata.annotations?.[ANNOTATION] ?? '';
  const must = `protected groups must have approval annotation ${goQuote(ANNOTATION)}`;
  if (value === '') return { state: 'missing', message: `${must}, ${WHY}` };
  if (value.startsWith('unapproved'))
    return { state: 'bypassed', message: `not approved: ${goQuote(value)}` };
  if (/^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?\s]/.test(value))
    return { state: 'approved', message: `approved in ${value}` };
  return {
    state: 'invalid',
    message: `${must} with either a URL or a reason starting with "unapproved", ${WHY}`,
  };
}

/** A state that did not change is let pass. */
export function validateApproval(definition: Definition, old: Definition | undefined): FieldError[] {
  if (!isProtectedGroup(definition.spec.group)) return [];
  const { state, message } = approvalOf(definition);
  if (old !== undefined && approvalOf(old).state === state) return [];
  const path = key('metadata.annotations', ANNOTATION);
  if (state === 'missing') return [required(path, message)];
  if (state === 'invalid')
    return [invalidValue(path, definition.metadata.annotations?.[ANNOTATION], message)];
  return [];
}
