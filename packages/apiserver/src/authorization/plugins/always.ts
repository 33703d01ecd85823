import type { Authorizer, RuleResolver } from '../contract.ts';

/** `AlwaysAllow` */
export const alwaysAllowAuthorizer: Authorizer & RuleResolver = {
  name: 'AlwaysAllow',
  authorize: () => ({ verdict: 'allow', reason: '' }),
  rulesFor: async () => ({
    resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }],
    nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
    incomplete: false,
  }),
};

/** `AlwaysDeny`: has no opinion, so what comes after it may still allow. */
export const alwaysDenyAuthorizer: Authorizer & RuleResolver = {
  name: 'AlwaysDeny',
  authorize: () => ({ verdict: 'no-opinion', reason: 'Everything is forbidden.' }),
  rulesFor: async () => ({ resourceRules: [], nonResourceRules: [], incomplete: false }),
};
