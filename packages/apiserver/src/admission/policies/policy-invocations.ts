/** Which policies are to run for a request, with which parameters. */
import { corev1, type KubeObject, type ResourceType } from '@k8ts/api';
import { notFound, StatusError } from '@k8ts/apimachinery';
import type { ObjectReader } from '../../object-reader.ts';
import type { AdmissionAttributes } from '../contract.ts';
import { isResource } from '../refuse.ts';
import type { Policy, PolicyBinding, PolicyHook } from './policy-hooks.ts';
import { matchedVersion } from './policy-matching.ts';
import { collectParams, paramType, PolicyConfigurationError } from './policy-params.ts';

export interface PolicyInvocation<P extends Policy, B extends PolicyBinding> {
  readonly policy: P;
  readonly binding: B;
  readonly type: ResourceType<KubeObject>;
  readonly params: readonly (KubeObject | undefined)[];
}

/** Something is wrong with a policy, or with its binding. */
export interface PolicyProblem<P extends Policy, B extends PolicyBinding> {
  readonly policy: P;
  readonly binding: B | undefined;
  readonly message: string;
}

/** In the order of policies and bindings. Problems of policies that fail open are left out. */
export function* policyInvocations<P extends Policy, B extends PolicyBinding>(
  hooks: readonly PolicyHook<P, B>[],
  attributes: AdmissionAttributes,
  objects: ObjectReader,
): Generator<PolicyInvocation<P, B> | PolicyProblem<P, B>> {
  for (const { policy, bindings } of hooks) {
    const attempt = <T>(work: () => T, binding: B | undefined): T | PolicyProblem<P, B> => {
      try {
        return work();
      } catch (error) {
        if (!(error instanceof PolicyConfigurationError || error instanceof StatusError)) throw error;
        const what = binding === undefined ? 'policy' : 'binding';
        return { policy, binding, message: `failed to configure ${what}: ${error.message}` };
      }
    };
    const matched = attempt(() => {
      const { matchConstraints, paramKind } = policy.spec;
      if (matchConstraints === undefined)
        throw new PolicyConfigurationError('policy contained no match constraints, a required field');
      const type = matchedVersion(matchConstraints, attributes, objects);
      if (type !== undefined && paramKind !== undefined) paramType(paramKind, objects);
      return { type };
    }, undefined);
    if ('message' in matched) {
      if (failsClosed(policy)) yield matched;
      continue;
    }
    const { type } = matched;
    if (type === undefined) continue;
    for (const binding of bindings) {
      const { matchResources, paramRef } = binding.spec;
      const invocation = attempt(
        () =>
          matchResources !== undefined && matchedVersion(matchResources, attributes, objects) === undefined
            ? undefined
            : {
                policy,
                binding,
                type,
                params: collectParams(policy.spec.paramKind, paramRef, attributes.namespace, objects),
              },
        binding,
      );
      if (invocation !== undefined && (!('message' in invocation) || failsClosed(policy))) yield invocation;
    }
  }
}

export function failsClosed({ spec }: Policy): boolean {
  return spec.failurePolicy !== 'Ignore';
}

/** The namespace that the request is in. Throws where it is not known. */
export function namespaceOf(
  { namespace, resource }: AdmissionAttributes,
  objects: ObjectReader,
): corev1.Namespace | undefined {
  if (namespace === '' || isResource(resource, corev1.namespaces)) return undefined;
  const found = objects.get(corev1.namespaces, '', namespace);
  if (found === undefined) throw notFound(corev1.namespaces, namespace);
  return found;
}
