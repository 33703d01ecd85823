/**
 * ValidatingAdmissionPolicy: expressions in the API decide what may happen
 * (k8s.io/apiserver/pkg/admission/plugin/policy/validating). Nothing here waits but for webhooks that convert.
 */
import { admissionregistrationv1 } from '@k8ts/api';
import { StatusError } from '@k8ts/apimachinery';
import type { ObjectReader } from '../../object-reader.ts';
import { prepareVersions, type AdmissionAttributes, type AdmissionPlugin } from '../contract.ts';
import { admissionValues, type Authorize } from '../expressions/request-values.ts';
import { refuse } from '../refuse.ts';
import { policiesHandle, policyHooks } from './policy-hooks.ts';
import {
  namespaceOf,
  policyInvocations,
  type PolicyInvocation,
  type PolicyProblem,
} from './policy-invocations.ts';
import { ValidatingPolicy, type Denial as ValidationDenial } from './validating-policy.ts';

type Policy = admissionregistrationv1.ValidatingAdmissionPolicy;
type Binding = admissionregistrationv1.ValidatingAdmissionPolicyBinding;
type Invocation = PolicyInvocation<Policy, Binding> | PolicyProblem<Policy, Binding>;

const CODES: ReadonlyMap<string, number> = new Map([
  ['Forbidden', 403],
  ['Unauthorized', 401],
  ['RequestEntityTooLarge', 413],
  ['Invalid', 422],
]);

export interface PolicyServices {
  readonly objects: ObjectReader;
  readonly authorize: Authorize;
}

export function validatingAdmissionPolicy({ objects, authorize }: PolicyServices): AdmissionPlugin {
  const hooks = policyHooks(
    objects,
    admissionregistrationv1.validatingAdmissionPolicies,
    admissionregistrationv1.validatingAdmissionPolicyBindings,
  );
  /** Policies are immutable, so what is compiled stays good. */
  const compiled = new WeakMap<Policy, ValidatingPolicy>();
  const compile = (policy: Policy): ValidatingPolicy => {
    let found = compiled.get(policy);
    if (found === undefined) {
      found = new ValidatingPolicy(policy);
      compiled.set(policy, found);
    }
    return found;
  };
  return {
    name: 'ValidatingAdmissionPolicy',
    operations: ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'],
    handles: policiesHandle,
    validate(attributes) {
      const all = hooks();
      if (all.length === 0) return;
      const invocations = [...policyInvocations(all, attributes, objects)];
      const judge = (): void => {
        const annotations = new Map<string, Set<string>>();
        const denials = invocations.flatMap((invocation) => denialsOf(invocation, attributes, annotations));
        for (const [key, values] of annotations) attributes.annotate?.(key, [...values].join(', '));
        const first = denials[0];
        if (first !== undefined) throw denied(attributes, first.message, first.reason ?? 'Invalid');
      };
      const types = invocations.flatMap((invocation) => ('type' in invocation ? [invocation.type] : []));
      const pending = prepareVersions(attributes, types);
      return pending === undefined ? judge() : pending.then(judge);
    },
  };

  /** Puts what the policy's annotations say into `annotations`, by their keys. */
  function denialsOf(
    invocation: Invocation,
    attributes: AdmissionAttributes,
    annotations: Map<string, Set<string>>,
  ): readonly Denial[] {
    const denials: Denial[] = [];
    const { policy, binding } = invocation;
    const deny = (message: string, reason?: string): void => {
      denials.push({ message: `${named(policy, binding)} denied request: ${message}`, reason });
    };
    if ('message' in invocation) {
      deny(invocation.message);
      return denials;
    }
    const namespace = namespaceOf(attributes, objects);
    for (const params of invocation.params) {
      const verdict = compile(policy).validate(
        admissionValues(attributes, invocation.type, {
          authorize,
          ...(params === undefined ? {} : { params }),
          ...(namespace === undefined ? {} : { namespace }),
        }),
      );
      const actions = invocation.binding.spec.validationActions ?? [];
      for (const denial of verdict.denials) {
        const { message, reason } = denial;
        if (actions.includes('Deny')) deny(message, reason);
        if (actions.includes('Audit')) annotateFailure(attributes, denial, policy, invocation.binding);
        if (actions.includes('Warn'))
          attributes.warn(`Validation failed for ${named(policy, binding)}: ${message}`);
      }
      for (const message of verdict.annotationErrors) deny(message);
      for (const { key, value } of verdict.annotations) {
        const whole = `${policy.metadata.name}/${key}`;
        annotations.set(whole, (annotations.get(whole) ?? new Set()).add(value));
      }
    }
    return denials;
  }
}

interface Denial {
  readonly message: string;
  readonly reason: string | undefined;
}

/** The first failure is the one that is kept. */
function annotateFailure(
  { annotate }: AdmissionAttributes,
  { message, position }: ValidationDenial,
  { metadata }: Policy,
  binding: Binding,
): void {
  const validationActions = binding.spec.validationActions ?? [];
  annotate?.(
    'validation.policy.admission.k8s.io/validation_failure',
    JSON.stringify([
      {
        message,
        policy: metadata.name,
        binding: binding.metadata.name,
        expressionIndex: position,
        validationActions,
      },
    ]),
  );
}

function named({ metadata }: Policy, binding: Binding | undefined): string {
  return `ValidatingAdmissionPolicy '${metadata.name}'${binding === undefined ? '' : ` with binding '${binding.metadata.name}'`}`;
}

function denied(attributes: AdmissionAttributes, message: string, reason: string): StatusError {
  const { status } = refuse(attributes, message);
  return new StatusError({
    ...status,
    reason,
    code: CODES.get(reason) ?? 422,
    details: { ...status.details, causes: [...(status.details?.causes ?? []), { message }] },
  });
}
