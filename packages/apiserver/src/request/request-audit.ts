import type { Status } from '@k8ts/apimachinery';
import type { Annotate } from '../admission/contract.ts';
import type { UserInfo } from '../authentication/contract.ts';

/**
 * What is to be written of one request is told to this on its way:
 *
 *     annotate → received → annotate, requestObject, responseObject … → started → completed
 *              ↘ failed → started
 *
 * A request that nothing is to be written of loses its audit when it is received, and is from then on as without one.
 */
export interface RequestAudit {
  /** The first value stays. */
  annotate(key: string, value: string): void;
  /** The same for admission plugins, whose keys are looked at (k8s.io/apiserver/pkg/admission/attributes.go). */
  readonly annotator: Annotate;
  /** Whether so much of the request is to be written. */
  wants(level: 'Metadata' | 'Request' | 'RequestResponse'): boolean;
  /**
   * The user is known: the policy is asked and the first stage written. Gives false when it could not be, and the request
   * has to be refused for that.
   */
  received(): boolean | Promise<boolean>;
  /** `constraint`: by which rule the impersonation is allowed, `impersonate:user-info`; empty for the rule of old. */
  impersonated(user: UserInfo, constraint: string): void;
  /** What the client sent, decoded, before anything is done with it. */
  requestObject(object: object): void;
  requestPatch(patch: unknown): void;
  /** The resource is on its way out; `warning` is what the client is told. */
  deprecated(warning: string): void;
  /** `json` is asked only where it is wanted. A Status is noted at every level. */
  responseObject(json: () => string, status?: Status): void;
  /**
   * The request is answered with an error. One that fails before it is `received` has one stage only, and no user; a fault
   * of the server's own is upstream's panic.
   */
  failed(error: unknown, status: Status): void;
  /** The status line is about to be sent. */
  started(code: number): void;
  /** The answer is about to be complete; a promise, which does not reject, where that must wait until it is written down. */
  completed(): Promise<unknown> | undefined;
}
