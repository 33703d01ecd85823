/** Policies with their bindings, as they are now. */
import type { admissionregistrationv1, KubeObject, ResourceType } from '@k8ts/api';
import type { ObjectReader } from '../../object-reader.ts';

export type Policy = KubeObject & {
  readonly spec: {
    readonly paramKind?: admissionregistrationv1.ParamKind;
    readonly matchConstraints?: admissionregistrationv1.MatchResources;
    readonly failurePolicy?: string;
  };
};
export type PolicyBinding = KubeObject & {
  readonly spec: {
    readonly policyName?: string;
    readonly paramRef?: admissionregistrationv1.ParamRef;
    readonly matchResources?: admissionregistrationv1.MatchResources;
  };
};

export interface PolicyHook<P extends Policy, B extends PolicyBinding> {
  readonly policy: P;
  /** At least one: a policy without does nothing. */
  readonly bindings: readonly B[];
}

const GROUP = 'admissionregistration.k8s.io';
/** Nobody may be locked out of mending what locks them out. */
const POLICY_RESOURCES: ReadonlySet<string> = new Set([
  'validatingadmissionpolicies',
  'validatingadmissionpolicybindings',
  'mutatingadmissionpolicies',
  'mutatingadmissionpolicybindings',
]);
/** Questions about access, which authorization asks too. */
const REVIEWS: ReadonlySet<string> = new Set([
  'authentication.k8s.io/selfsubjectreviews',
  'authentication.k8s.io/tokenreviews',
  'authorization.k8s.io/localsubjectaccessreviews',
  'authorization.k8s.io/selfsubjectaccessreviews',
  'authorization.k8s.io/selfsubjectrulesreviews',
  'authorization.k8s.io/subjectaccessreviews',
]);

export function policiesHandle({ group, resource }: ResourceType<KubeObject>): boolean {
  return !(group === GROUP && POLICY_RESOURCES.has(resource)) && !REVIEWS.has(`${group}/${resource}`);
}

/** By name; made anew when a policy or a binding changes. */
export function policyHooks<P extends Policy, B extends PolicyBinding>(
  objects: ObjectReader,
  policies: ResourceType<P>,
  bindings: ResourceType<B>,
): () => readonly PolicyHook<P, B>[] {
  let [policiesVersion, bindingsVersion] = [-1, -1];
  let known: readonly PolicyHook<P, B>[] = [];
  return () => {
    const [ofPolicies, ofBindings] = [objects.version(policies), objects.version(bindings)];
    if (ofPolicies === policiesVersion && ofBindings === bindingsVersion) return known;
    policiesVersion = ofPolicies;
    bindingsVersion = ofBindings;
    const all = byName(objects.list(bindings));
    known = byName(objects.list(policies))
      .map((policy) => ({
        policy,
        bindings: all.filter(({ spec }) => spec.policyName === policy.metadata.name),
      }))
      .filter((hook) => hook.bindings.length > 0);
    return known;
  };
}

function byName<T extends KubeObject>(objects: readonly T[]): T[] {
  return [...objects].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}
