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
import { ValidatingPolicy } from './validating-policy.ts';

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
        const denials = invocations.flatMap((invocation) => denialsOf(invocation, attributes));
        const first = denials[0];
        if (first !== undefined) throw denied(attributes, first.message, first.reason ?? 'Invalid');
      };
      const types = invocations.flatMap((invocation) => ('type' in invocation ? [invocation.type] : []));
      const pending = prepareVersions(attributes, types);
      return pending === undefined ? judge() : pending.then(judge);
    },
  };

  function denialsOf(invocation: Invocation, attributes: AdmissionAttributes): readonly Denial[] {
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
      for (const { message, reason } of verdict.denials) {
        if (actions.includes('Deny')) deny(message, reason);
        if (actions.includes('Warn'))
          attributes.warn(`Validation failed for ${named(policy, binding)}: ${message}`);
      }
      for (const message of verdict.annotationErrors) deny(message);
    }
    return denials;
  }
}

interface Denial {
  readonly message: string;
  readonly reason: string | undefined;
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
