import { MASTERS_GROUP } from '../../authentication/well-known-users.ts';
import type { Authorizer, Decision } from '../contract.ts';

const ALLOW: Decision = { verdict: 'allow', reason: '' };
const NO_OPINION: Decision = { verdict: 'no-opinion', reason: '' };

/** `system:masters` may do everything, whatever the other authorizers say, so that nobody can lock themselves out. */
export function privilegedGroupsAuthorizer(groups: readonly string[] = [MASTERS_GROUP]): Authorizer {
  return {
    name: 'privileged-groups',
    authorize: ({ user }) => (user.groups.some((group) => groups.includes(group)) ? ALLOW : NO_OPINION),
  };
}
