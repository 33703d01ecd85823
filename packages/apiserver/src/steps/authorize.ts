import { forbidden, goQuote } from '@k8ts/apimachinery';
import type { UserInfo } from '../authentication/contract.ts';
import type { AuthorizationAttributes, Authorizer, Decision } from '../authorization/contract.ts';
import type { PipelineStep } from '../request-pipeline.ts';
import type { RequestContext } from '../request/request-context.ts';

/** The first authorizer that allows or denies decides. */
export function createAuthorize(
  authorizers: readonly Authorizer[],
): (attributes: AuthorizationAttributes) => Decision | Promise<Decision> {
  const ask = (
    attributes: AuthorizationAttributes,
    from: number,
    reasons: readonly string[],
  ): Decision | Promise<Decision> => {
    let seen = reasons;
    for (let at = from; at < authorizers.length; at++) {
      const decision = (authorizers[at] as Authorizer).authorize(attributes);
      if (decision instanceof Promise)
        return decision.then((decided) =>
          decided.verdict === 'no-opinion' ? ask(attributes, at + 1, withReason(seen, decided)) : decided,
        );
      if (decision.verdict !== 'no-opinion') return decision;
      seen = withReason(seen, decision);
    }
    return { verdict: 'no-opinion', reason: seen.join('\n') };
  };
  return (attributes) => ask(attributes, 0, NO_REASONS);
}

const NO_REASONS: readonly string[] = [];

function withReason(reasons: readonly string[], { reason }: Decision): readonly string[] {
  return reason === '' ? reasons : [...reasons, reason];
}

function attributesOf(context: RequestContext): AuthorizationAttributes {
  const { info, user, query } = context;
  const fieldSelector =
    info.isResourceRequest && SELECTING.has(info.verb) ? query.get('fieldSelector') : undefined;
  const labelSelector =
    info.isResourceRequest && SELECTING.has(info.verb) ? query.get('labelSelector') : undefined;
  return {
    user,
    verb: info.verb,
    isResourceRequest: info.isResourceRequest,
    apiGroup: info.group,
    apiVersion: info.version,
    resource: info.resource,
    subresource: info.subresource,
    namespace: info.namespace,
    name: info.name,
    path: info.path,
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
    ...(labelSelector === undefined ? {} : { labelSelector }),
  };
}

const SELECTING = new Set(['list', 'watch', 'deletecollection']);

export function authorizeStep(
  authorize: (attributes: AuthorizationAttributes) => Decision | Promise<Decision>,
): PipelineStep {
  return {
    name: 'authorize',
    run(context) {
      const attributes = attributesOf(context);
      const decision = authorize(attributes);
      if (decision instanceof Promise) return decision.then((decided) => check(attributes, decided));
      return check(attributes, decision);
    },
  };
}

/** Throws 403 in upstream's words unless allowed. */
export function check(attributes: AuthorizationAttributes, decision: Decision): void {
  if (decision.verdict === 'allow') return;
  const message = forbiddenMessage(attributes);
  throw forbidden(
    { group: attributes.apiGroup, resource: attributes.resource },
    attributes.name,
    decision.reason === '' ? message : `${message}: ${decision.reason}`,
  );
}

function forbiddenMessage(attributes: AuthorizationAttributes): string {
  const { user, verb, resource, subresource, apiGroup, namespace, path } = attributes;
  const who = `User ${quoted(user)} cannot ${escaped(verb)}`;
  if (!attributes.isResourceRequest) return `${who} path ${escaped(goQuote(path))}`;
  const what = subresource === '' ? resource : `${resource}/${subresource}`;
  const where = namespace === '' ? 'at the cluster scope' : `in the namespace ${escaped(goQuote(namespace))}`;
  return `${who} resource ${escaped(goQuote(what))} in API group ${escaped(goQuote(apiGroup))} ${where}`;
}

function quoted(user: UserInfo): string {
  return escaped(goQuote(user.name));
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
