import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';

import { authenticationv1, authorizationv1 } from '@k8ts/api';
import type { Clock } from '@k8ts/base';
import type { Client } from '@k8ts/client';

export interface User {
  readonly name: string;
  readonly uid?: string;
  readonly groups: readonly string[];
}

/** Says who sent a request; undefined: nobody that is known. */
export type Authenticator = (request: IncomingMessage) => Promise<User | undefined>;
/** Says whether the user may do this to the node. */
export type Authorizer = (user: User, attributes: NodeAttributes) => Promise<boolean>;

export interface NodeAttributes {
  readonly verb: string;
  readonly nodeName: string;
  readonly subresource: string;
}

const TOKEN_TTL = 120_000;
const ALLOWED_TTL = 300_000;
const DENIED_TTL = 30_000;
const CACHE_LIMIT = 10_000;

/** A client certificate that the TLS server has verified, or a bearer token that the API server knows. */
export function createAuthenticator(client: Client, clock: Clock): Authenticator {
  const cache = new ExpiringCache<User | undefined>(clock);
  return async (request) => {
    const certified = certificateUser(request);
    if (certified !== undefined) return certified;
    const token = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined) return undefined;
    // The cache holds no tokens.
    return cache.get(createHash('sha256').update(token).digest('base64'), TOKEN_TTL, async () => {
      const review: authenticationv1.TokenReview = {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenReview',
        metadata: { name: '' },
        spec: { token },
      };
      const { status } = await client.resource(authenticationv1.tokenReviews).create(review);
      if (status?.authenticated !== true) return undefined;
      const { username = '', uid, groups = [] } = status.user ?? {};
      return { name: username, groups, ...(uid === undefined ? {} : { uid }) };
    });
  };
}

function certificateUser({ socket }: IncomingMessage): User | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const certificate = socket.getPeerCertificate();
  const subject = (certificate as { subject?: { CN?: string | string[]; O?: string | string[] } }).subject;
  const name = Array.isArray(subject?.CN) ? subject.CN[0] : subject?.CN;
  if (name === undefined || name === '') return undefined;
  const organizations = subject?.O ?? [];
  return {
    name,
    groups: [...(Array.isArray(organizations) ? organizations : [organizations]), 'system:authenticated'],
  };
}

/** Asks the API server (SubjectAccessReview); answers are kept for 5 minutes, refusals for 30 s. */
export function createAuthorizer(client: Client, clock: Clock): Authorizer {
  const cache = new ExpiringCache<boolean>(clock);
  return (user, { verb, nodeName, subresource }) =>
    cache.get(
      JSON.stringify([user.name, user.groups, verb, nodeName, subresource]),
      (allowed) => (allowed ? ALLOWED_TTL : DENIED_TTL),
      async () => {
        const review: authorizationv1.SubjectAccessReview = {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SubjectAccessReview',
          metadata: { name: '' },
          spec: {
            user: user.name,
            groups: user.groups,
            ...(user.uid === undefined ? {} : { uid: user.uid }),
            resourceAttributes: { verb, version: 'v1', resource: 'nodes', subresource, name: nodeName },
          },
        };
        const { status } = await client.resource(authorizationv1.subjectAccessReviews).create(review);
        return status?.allowed === true;
      },
    );
}

const VERBS: Readonly<Record<string, string>> = {
  POST: 'create',
  GET: 'get',
  HEAD: 'get',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

/**
 * What a request does to the node, the alternatives in order: who may do one of them may do it (pkg/kubelet/server/auth.go,
 * with the finer subresources of KEP-2862).
 */
export function nodeAttributes(method: string, path: string, nodeName: string): NodeAttributes[] {
  const verb = VERBS[method] ?? '';
  const of = (subresource: string): NodeAttributes => ({ verb, nodeName, subresource });
  const under = (prefix: string): boolean => path === prefix || path.startsWith(`${prefix}/`);
  if (under('/stats')) return [of('stats')];
  if (under('/metrics')) return [of('metrics')];
  if (under('/logs')) return [of('log')];
  if (under('/configz')) return [of('configz'), of('proxy')];
  if (under('/healthz')) return [of('healthz'), of('proxy')];
  if (under('/pods') || under('/runningpods')) return [of('pods'), of('proxy')];
  return [of('proxy')];
}

/** Values with a time to live; a question that is under way is not asked twice. */
class ExpiringCache<T> {
  readonly #clock: Clock;
  readonly #entries = new Map<string, { readonly value: Promise<T>; expires: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(key: string, ttl: number | ((value: T) => number), load: () => Promise<T>): Promise<T> {
    const known = this.#entries.get(key);
    if (known !== undefined && known.expires > this.#clock.monotonic()) return known.value;
    this.#entries.delete(key);
    if (this.#entries.size >= CACHE_LIMIT) this.#entries.delete(this.#entries.keys().next().value as string);
    const entry = { value: load(), expires: Number.POSITIVE_INFINITY };
    this.#entries.set(key, entry);
    entry.value.then(
      (value) => (entry.expires = this.#clock.monotonic() + (typeof ttl === 'number' ? ttl : ttl(value))),
      () => this.#entries.delete(key),
    );
    return entry.value;
  }
}
