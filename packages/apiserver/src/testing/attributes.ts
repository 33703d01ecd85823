import { userInfo } from '../authentication/well-known-users.ts';
import type { UserInfo } from '../authentication/contract.ts';
import type { AuthorizationAttributes } from '../authorization/contract.ts';
import { selectorsOfText } from '../authorization/selectors.ts';

/**
 * `ask(jane, 'get pods/log', { name: 'web' })`: a question for authorizers about a resource, or about a path
 * (`'get /healthz'`).
 */
export function ask(
  user: UserInfo | string,
  question: string,
  {
    group = '',
    namespace = '',
    name = '',
    fields,
    labels,
  }: {
    readonly group?: string;
    readonly namespace?: string;
    readonly name?: string;
    readonly fields?: string;
    readonly labels?: string;
  } = {},
): AuthorizationAttributes {
  const [verb = '', what = ''] = question.split(' ');
  const isResourceRequest = !what.startsWith('/');
  const [resource = '', subresource = ''] = isResourceRequest ? what.split('/') : [];
  return {
    user: typeof user === 'string' ? userInfo(user, ['system:authenticated']) : user,
    verb,
    isResourceRequest,
    apiGroup: group,
    apiVersion: isResourceRequest ? 'v1' : '',
    resource,
    subresource,
    namespace,
    name,
    path: isResourceRequest ? '' : what,
    ...selectorsOfText(fields, labels),
  };
}
