/**
 * Resources and subresources that are more than reading and writing an object: pods/binding, pods/eviction, pods/log,
 * serviceaccounts/token, tokenreviews, … Each is one file that exports a `SpecialHandler`; the server is given a list of
 * them. What is not listed is served by the generic registry from the tables, or is answered with 404.
 */
import type { Draft, KubeObject, ResourceInfo, ResourceType } from '@k8ts/api';
import type { Clock, Logger, Random } from '@k8ts/base';
import type { UserInfo } from '../authentication/contract.ts';
import type { AuthorizationAttributes, Decision } from '../authorization/contract.ts';
import type { RequestContext } from '../request/request-context.ts';
import type { Result } from '../request/result.ts';

export interface SpecialHandler {
  readonly group: string;
  /** `pods` */
  readonly resource: string;
  /** `binding`; empty for the resource itself (tokenreviews). */
  readonly subresource: string;
  /**
   * Whether admission sees this as CONNECT (exec, attach, portforward, proxy), done before the handler is called. All
   * other handlers run admission themselves where upstream does, with `request.admitCreate`.
   */
  readonly connect?: boolean;
  /** The verb has been authorized and is one that discovery lists. */
  handle(request: SpecialRequest): Result | Promise<Result>;
}

export interface SpecialRequest {
  readonly context: RequestContext;
  /** The row of the parent resource in the version of the path. */
  readonly info: ResourceInfo;
  /** get, list, create, update, patch, delete. */
  readonly verb: string;
  readonly namespace: string;
  readonly name: string;
  readonly user: UserInfo;
  readonly dryRun: boolean;
  /**
   * The body decoded as the kind that discovery names for the subresource (or the resource), with defaults; checked
   * for unknown fields as `fieldValidation` asks. Private to the request.
   */
  readBody<T extends object>(): Promise<Draft<T>>;
  /** Runs mutating, then validating admission for a CREATE of this subresource. */
  admitCreate(object: Draft<KubeObject>): Promise<void>;
  readonly registry: RegistryAccess;
  /** Asks the server's authorizers. */
  authorize(attributes: AuthorizationAttributes): Decision | Promise<Decision>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Adds a `Warning` header. */
  warn(message: string): void;
}

/** The registry's own view of the objects: no authorization, no admission. Types are in the storage version. */
export interface RegistryAccess {
  /** Rejects with 404. */
  get<T extends KubeObject>(type: ResourceType<T>, namespace: string, name: string): Promise<T>;
  find<T extends KubeObject>(type: ResourceType<T>, namespace: string, name: string): Promise<T | undefined>;
  list<T extends KubeObject>(type: ResourceType<T>, namespace?: string): Promise<readonly T[]>;
  /**
   * Changes an object in place, again from the newest state when somebody was faster. What `change` throws goes to the
   * caller. Gives the object as stored.
   */
  update<T extends KubeObject>(
    type: ResourceType<T>,
    namespace: string,
    name: string,
    change: (draft: Draft<T>, old: T) => void,
    options?: UpdateAccessOptions,
  ): Promise<T>;
  /** Creates what the server itself needs (bootstrap objects): strategies run, admission does not. Rejects with 409. */
  create<T extends KubeObject>(
    type: ResourceType<T>,
    object: T,
    options?: { readonly dryRun?: boolean },
  ): Promise<T>;
  /** As a DELETE request, without admission. */
  delete(
    type: ResourceType<KubeObject>,
    namespace: string,
    name: string,
    options: DeleteAccessOptions,
  ): Promise<void>;
}

export interface UpdateAccessOptions {
  readonly dryRun?: boolean;
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
}

export interface DeleteAccessOptions {
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: string;
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
  readonly dryRun?: boolean;
}
