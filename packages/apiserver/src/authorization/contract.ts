import type { FieldRequirement, LabelRequirement } from '@k8ts/apimachinery';
import type { UserInfo } from '../authentication/contract.ts';

/** What is asked for. One shape for resource and other paths, so that call sites stay monomorphic. */
export interface AuthorizationAttributes {
  readonly user: UserInfo;
  /** get, list, watch, create, update, patch, delete, deletecollection, … or the lower-case method of other paths. */
  readonly verb: string;
  readonly isResourceRequest: boolean;
  readonly apiGroup: string;
  readonly apiVersion: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  /** Of requests that are not about resources. */
  readonly path: string;
  /** Of lists, watches and deletions of collections that have one. */
  readonly fieldSelector?: RequiredBySelector<FieldRequirement>;
  readonly labelSelector?: RequiredBySelector<LabelRequirement>;
}

/** What a selector requires. Requirements only narrow, so what cannot be read of it is left out, and `error` says so. */
export interface RequiredBySelector<Requirement> {
  readonly requirements: readonly Requirement[];
  readonly error?: string;
}

export interface Decision {
  readonly verdict: 'allow' | 'deny' | 'no-opinion';
  readonly reason: string;
  /** What kept the authorizer from judging; a request that is not allowed nevertheless gets 500. */
  readonly error?: string;
}

/** One way to authorize. The first that allows or denies decides; if none does, the request is refused. */
export interface Authorizer {
  readonly name: string;
  authorize(attributes: AuthorizationAttributes): Decision | Promise<Decision>;
}

/** Lists what a user may do, for SelfSubjectRulesReview. An authorizer that cannot says so in `evaluationError`. */
export interface RuleResolver {
  rulesFor(user: UserInfo, namespace: string): Promise<ResolvedRules>;
}

export interface ResolvedRules {
  readonly resourceRules: readonly {
    readonly verbs: readonly string[];
    readonly apiGroups: readonly string[];
    readonly resources: readonly string[];
    readonly resourceNames?: readonly string[];
  }[];
  readonly nonResourceRules: readonly {
    readonly verbs: readonly string[];
    readonly nonResourceURLs: readonly string[];
  }[];
  readonly incomplete: boolean;
  readonly evaluationError?: string;
}
