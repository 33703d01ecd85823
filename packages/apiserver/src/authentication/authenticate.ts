import { unauthorized } from '@k8ts/apimachinery';
import type { Authentication, Authenticator, Credentials } from './contract.ts';

/**
 * Asks one authenticator after another. The first that knows the credentials decides; an error is kept and thrown only if
 * none of the others accepts. Undefined: no credentials of any kind were shown.
 */
export function authenticate(
  authenticators: readonly Authenticator[],
  credentials: Credentials,
): Authentication | undefined | Promise<Authentication | undefined> {
  let failed: unknown;
  for (let index = 0; index < authenticators.length; index++) {
    try {
      const answer = (authenticators[index] as Authenticator).authenticate(credentials);
      if (answer instanceof Promise) return continueAsync(authenticators, credentials, index, answer, failed);
      if (answer !== undefined) return answer;
    } catch (error) {
      failed ??= error;
    }
  }
  if (failed !== undefined) throw unauthorized();
  return undefined;
}

async function continueAsync(
  authenticators: readonly Authenticator[],
  credentials: Credentials,
  index: number,
  pending: Promise<Authentication | undefined>,
  earlierFailure: unknown,
): Promise<Authentication | undefined> {
  let failed = earlierFailure;
  let answer: Promise<Authentication | undefined> | Authentication | undefined = pending;
  for (;;) {
    try {
      const authentication = await answer;
      if (authentication !== undefined) return authentication;
    } catch (error) {
      failed ??= error;
    }
    index++;
    const next = authenticators[index];
    if (next === undefined) break;
    try {
      answer = next.authenticate(credentials);
    } catch (error) {
      failed ??= error;
      answer = undefined;
    }
  }
  if (failed !== undefined) throw unauthorized();
  return undefined;
}
