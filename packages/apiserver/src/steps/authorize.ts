import { aggregateText, forbidden, goQuote, internalError, type StatusError } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import type { UserInfo } from '../authentication/contract.ts';
import type { AuthorizationAttributes, Authorizer, Decision } from '../authorization/contract.ts';
import { selectorsOfText } from '../authorization/selectors.ts';
import { escaped, internalFailure } from '../http/text-error.ts';
import type { PipelineStep } from '../request-pipeline.ts';
import type { RequestContext } from '../request/request-context.ts';

/** The first authorizer that allows or denies decides; if none does, what all have said is kept. */
export function createAuthorize(
  authorizers: readonly Authorizer[],
): (attributes: AuthorizationAttributes) => Decision | Promise<Decision> {
  const ask = (
    attributes: AuthorizationAttributes,
    from: number,
    sofar: Undecided,
  ): Decision | Promise<Decision> => {
    let seen = sofar;
    for (let at = from; at < authorizers.length; at++) {
      const decision = (authorizers[at] as Authorizer).authorize(attributes);
      if (decision instanceof Promise)
        return decision.then((decided) =>
          decided.verdict === 'no-opinion' ? ask(attributes, at + 1, withOpinion(seen, decided)) : decided,
        );
      if (decision.verdict !== 'no-opinion') return decision;
      seen = withOpinion(seen, decision);
    }
    if (seen === UNDECIDED) return NO_OPINION;
    const reason = seen.reasons.join('\n');
    return seen.errors.length === 0
      ? { verdict: 'no-opinion', reason }
      : { verdict: 'no-opinion', reason, error: aggregateText(seen.errors) };
  };
  return (attributes) => ask(attributes, 0, UNDECIDED);
}

interface Undecided {
  readonly reasons: readonly string[];
  readonly errors: readonly string[];
}

const UNDECIDED: Undecided = { reasons: [], errors: [] };
const NO_OPINION: Decision = { verdict: 'no-opinion', reason: '' };

function withOpinion(seen: Undecided, { reason, error }: Decision): Undecided {
  if (reason === '' && error === undefined) return seen;
  return {
    reasons: reason === '' ? seen.reasons : [...seen.reasons, reason],
    errors: error === undefined ? seen.errors : [...seen.errors, error],
  };
}

/** What a request asks for. */
export function attributesOf({ info, user, query }: RequestContext): AuthorizationAttributes {
  const selectors =
    !query.isEmpty && info.isResourceRequest && !info.watchPrefix && SELECTING.has(info.verb)
      ? selectorsOfText(query.get('fieldSelector'), query.get('labelSelector'))
      : undefined;
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
    ...selectors,
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
      let decision: Decision | Promise<Decision>;
      try {
        decision = authorize(attributes);
      } catch (error) {
        return failed(context, error);
      }
      if (decision instanceof Promise)
        return decision.then(
          (found) => decided(context, attributes, found),
          (error: unknown) => failed(context, error),
        );
      return decided(context, attributes, decision);
    },
  };
}

function decided(context: RequestContext, attributes: AuthorizationAttributes, decision: Decision): void {
  const isAllowed = decision.verdict === 'allow';
  if (!isAllowed && decision.error !== undefined) return failed(context, decision.error);
  const { audit } = context;
  if (audit !== undefined) {
    audit.annotate(DECISION, isAllowed ? 'allow' : 'forbid');
    audit.annotate(REASON, decision.reason);
  }
  check(attributes, decision);
}

/** Nobody could decide. */
function failed(context: RequestContext, error: unknown): never {
  context.audit?.annotate(REASON, 'internal error');
  throw internalFailure(context, errorMessage(error));
}

const DECISION = 'authorization.k8s.io/decision';
const REASON = 'authorization.k8s.io/reason';

/** Throws unless allowed: 500 where an authorizer could not judge, otherwise 403 in upstream's words. */
export function check(attributes: AuthorizationAttributes, decision: Decision): void {
  if (decision.verdict === 'allow') return;
  if (decision.error !== undefined) throw internalError(decision.error);
  throw forbiddenRequest(attributes, decision.reason);
}

/** 403 in upstream's words. `reason` may be empty. */
export function forbiddenRequest(attributes: AuthorizationAttributes, reason: string): StatusError {
  const message = forbiddenMessage(attributes);
  return forbidden(
    { group: attributes.apiGroup, resource: attributes.resource },
    attributes.name,
    reason === '' ? message : `${message}: ${reason}`,
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
