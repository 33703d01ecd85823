import { unauthorized } from '@k8ts/apimachinery';
import type { Authentication, Authenticator } from '../authentication/contract.ts';
import { anonymousUser } from '../authentication/well-known-users.ts';
import type { PipelineStep } from '../request-pipeline.ts';
import type { RequestContext } from '../request/request-context.ts';

/**
 * Asks the authenticators in their order. One that refuses does not keep the next from accepting; if none accepts, its
 * error answers. A request that nobody knows is anonymous, where that is allowed (`anonymous`; a list: for these
 * paths), else 401.
 */
export function authenticateStep(
  authenticators: readonly Authenticator[],
  anonymous: boolean | readonly string[],
): PipelineStep {
  const isAnonymousAllowed = (path: string): boolean =>
    typeof anonymous === 'boolean' ? anonymous : anonymous.includes(path);
  const accept = (context: RequestContext, { user, annotations }: Authentication): void => {
    context.user = user;
    if (annotations !== undefined && context.audit !== undefined)
      for (const [key, value] of Object.entries(annotations)) context.audit.annotate(key, value);
    // What was accepted must not leak into logs or to backends.
    delete context.headers['authorization'];
  };

  const next = (context: RequestContext, from: number, refusal: unknown): void | Promise<void> => {
    const { socket, rawHeaders } = context.init;
    const credentials = { headers: context.headers, rawHeaders, socket };
    let refused = refusal;
    for (let at = from; at < authenticators.length; at++) {
      try {
        const answer = (authenticators[at] as Authenticator).authenticate(credentials);
        if (answer instanceof Promise)
          return answer.then(
            (found) => (found === undefined ? next(context, at + 1, refused) : accept(context, found)),
            (error: unknown) => next(context, at + 1, refused ?? error),
          );
        if (answer !== undefined) return accept(context, answer);
      } catch (error) {
        refused ??= error;
      }
    }
    if (refused !== undefined) throw refused as Error;
    if (!isAnonymousAllowed(context.path)) throw unauthorized();
    context.user = anonymousUser;
  };

  return {
    name: 'authenticate',
    run(context) {
      const { identity } = context.init;
      if (identity === undefined) return next(context, 0, undefined);
      context.user = identity;
    },
  };
}
