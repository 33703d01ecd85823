import type { AuthorizationAttributes, Authorizer, Decision } from './contract.ts';

/** The first authorizer that allows or denies decides; the reasons of those without an opinion are kept for the answer. */
export function authorize(
  authorizers: readonly Authorizer[],
  attributes: AuthorizationAttributes,
): Decision | Promise<Decision> {
  return ask(authorizers, attributes, 0, '');
}

function ask(
  authorizers: readonly Authorizer[],
  attributes: AuthorizationAttributes,
  first: number,
  reasons: string,
): Decision | Promise<Decision> {
  let gathered = reasons;
  for (let index = first; index < authorizers.length; index++) {
    const decision = (authorizers[index] as Authorizer).authorize(attributes);
    if (decision instanceof Promise)
      return decision.then((late) =>
        late.verdict === 'no-opinion'
          ? ask(authorizers, attributes, index + 1, join(gathered, late.reason))
          : late,
      );
    if (decision.verdict !== 'no-opinion') return decision;
    gathered = join(gathered, decision.reason);
  }
  return { verdict: 'no-opinion', reason: gathered };
}

function join(reasons: string, reason: string): string {
  return reasons === '' || reason === '' ? reasons + reason : `${reasons}\n${reason}`;
}

/**
 * The sentence of a refusal (k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go):
 * `User "jane" cannot list resource "pods" in API group "" in the namespace "default"`.
 */
export function refusalMessage(attributes: AuthorizationAttributes): string {
  const user = JSON.stringify(attributes.user.name);
  if (!attributes.isResourceRequest)
    return `User ${user} cannot ${attributes.verb} path ${JSON.stringify(attributes.path)}`;
  const resource =
    attributes.subresource === '' ? attributes.resource : `${attributes.resource}/${attributes.subresource}`;
  const where =
    attributes.namespace === ''
      ? 'at the cluster scope'
      : `in the namespace ${JSON.stringify(attributes.namespace)}`;
  return `User ${user} cannot ${attributes.verb} resource ${JSON.stringify(resource)} in API group ${JSON.stringify(attributes.apiGroup)} ${where}`;
}
