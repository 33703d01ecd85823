import { randomUUID } from 'node:crypto';
import type { Clock } from '@k8ts/base';
import { corev1 } from '@k8ts/api';
import type { KubeObject, ResourceType } from '@k8ts/api';
import { unauthorized } from '@k8ts/apimachinery';
import type { Authentication, TokenAuthenticator, UserInfo } from '../authentication/contract.ts';
import {
  CREDENTIAL_ID_EXTRA,
  NODE_NAME_EXTRA,
  NODE_UID_EXTRA,
  POD_NAME_EXTRA,
  POD_UID_EXTRA,
  SERVICE_ACCOUNTS_GROUP,
  serviceAccountUserName,
  withAuthenticatedGroup,
} from '../authentication/well-known-users.ts';
import type { ObjectReader } from '../object-reader.ts';
import { unverifiedIssuer } from './token-signatures.ts';
import type { TokenSignatures } from './token-signatures.ts';

/**
 * Service account tokens: signed JWTs whose private claims name the account and the object that they are bound to
 * (k8s.io/kubernetes/pkg/serviceaccount/claims.go, KEP-1205, KEP-4193).
 */
interface TokenClaims {
  readonly iss: string;
  readonly sub: string;
  readonly aud: readonly string[];
  /** Seconds since the epoch, as the three that follow. */
  readonly exp: number;
  readonly iat: number;
  readonly nbf: number;
  readonly jti: string;
  readonly 'kubernetes.io': {
    readonly namespace: string;
    readonly serviceaccount: NamedReference;
    readonly pod?: NamedReference;
    readonly node?: NamedReference;
    readonly secret?: NamedReference;
    /** From when on a use of the token is worth a warning: it should have been renewed. */
    readonly warnafter?: number;
  };
}

export interface NamedReference {
  readonly name: string;
  readonly uid: string;
}

export interface BoundToken {
  readonly namespace: string;
  readonly serviceAccount: NamedReference;
  readonly audiences: readonly string[];
  readonly expirationSeconds: number;
  readonly pod?: NamedReference;
  readonly node?: NamedReference;
  readonly secret?: NamedReference;
  /** The token lives this much longer than what was asked for (projected tokens of older clients). */
  readonly extendedSeconds?: number;
}

interface IssuedToken {
  readonly token: string;
  /** Milliseconds since the epoch: what the client is told, before any extension. */
  readonly expiration: number;
  /** What the audit knows the token by. */
  readonly credentialId: string;
}

export interface ServiceAccountTokens extends TokenAuthenticator {
  issue(request: BoundToken): IssuedToken;
  /** The public keys, for /openid/v1/jwks. */
  readonly jwks: TokenSignatures['jwks'];
  readonly issuer: string;
}

/** A deleted object's tokens stay good this long, so that what is shutting down can still finish (upstream: 60 s). */
const DELETION_LEEWAY = 60_000;

const REMEMBERED_TOKENS = 4096;

interface Genuine {
  readonly claims: TokenClaims;
  readonly user: UserInfo;
}

export function createServiceAccountTokens(options: {
  readonly issuer: string;
  readonly signatures: TokenSignatures;
  readonly clock: Clock;
  readonly objects: ObjectReader;
}): ServiceAccountTokens {
  const { issuer, signatures, clock, objects } = options;
  // Checking a signature costs more than the rest of a small request, and a client repeats its token: what was found
  // genuine is remembered. Times and bound objects are looked at on every use.
  const genuine = new Map<string, Genuine>();
  const verify = (token: string): Genuine | undefined => {
    const known = genuine.get(token);
    if (known !== undefined) return known;
    const claims = signatures.verify(token) as TokenClaims | undefined;
    if (claims === undefined) return undefined;
    const verified = { claims, user: withAuthenticatedGroup(userOf(claims)) };
    if (genuine.size >= REMEMBERED_TOKENS) genuine.delete(genuine.keys().next().value as string);
    genuine.set(token, verified);
    return verified;
  };
  return {
    name: 'service-account',
    issuer,
    jwks: signatures.jwks,

    issue(request) {
      const now = Math.floor(clock.now() / 1000);
      const expiration = now + request.expirationSeconds;
      const claims: TokenClaims = {
        aud: request.audiences,
        exp: expiration + (request.extendedSeconds ?? 0),
        iat: now,
        iss: issuer,
        jti: randomUUID(),
        'kubernetes.io': {
          namespace: request.namespace,
          ...(request.node === undefined ? {} : { node: request.node }),
          ...(request.pod === undefined ? {} : { pod: request.pod }),
          ...(request.secret === undefined ? {} : { secret: request.secret }),
          serviceaccount: request.serviceAccount,
          ...(request.extendedSeconds === undefined ? {} : { warnafter: expiration }),
        },
        nbf: now,
        sub: serviceAccountUserName(request.namespace, request.serviceAccount.name),
      };
      const credentialId = credentialIdOf(claims);
      return { token: signatures.sign(claims), expiration: expiration * 1000, credentialId };
    },

    authenticateToken(token, audiences): Authentication | undefined {
      // Not ours to judge: opaque tokens, and JWTs of other issuers.
      if (!genuine.has(token) && unverifiedIssuer(token) !== issuer) return undefined;
      const verified = verify(token);
      if (verified === undefined) throw unauthorized();
      const { claims, user } = verified;
      const now = clock.now() / 1000;
      if (claims.exp <= now || claims.nbf > now + 10) throw unauthorized();
      const accepted = audiences.filter((audience) => claims.aud.includes(audience));
      if (accepted.length === 0) throw unauthorized();
      checkBindings(claims, objects, clock);
      const stale = Math.floor(now) - (claims['kubernetes.io'].warnafter ?? Infinity);
      if (stale <= 0) return { user, audiences: accepted };
      const annotations = {
        'authentication.k8s.io/stale-token': `subject: ${claims.sub}, seconds after warning threshold: ${stale}`,
      };
      return { user, audiences: accepted, annotations };
    },
  };
}

function checkBindings(claims: TokenClaims, objects: ObjectReader, clock: Clock): void {
  const { namespace, serviceaccount, pod, node, secret } = claims['kubernetes.io'];
  const check = <T extends KubeObject>(
    type: ResourceType<T>,
    where: string,
    reference?: NamedReference,
  ): void => {
    if (reference === undefined) return;
    const object = objects.get(type, where, reference.name);
    if (object === undefined || object.metadata.uid !== reference.uid) throw unauthorized();
    const deleted = object.metadata.deletionTimestamp;
    if (deleted !== undefined && Date.parse(deleted) + DELETION_LEEWAY < clock.now()) throw unauthorized();
  };
  check(corev1.serviceAccounts, namespace, serviceaccount);
  check(corev1.pods, namespace, pod);
  check(corev1.secrets, namespace, secret);
  // A token that is bound to a pod names its node for information only; the pod decides.
  if (pod === undefined) check(corev1.nodes, '', node);
}

function credentialIdOf({ jti }: TokenClaims): string {
  return `JTI=${jti}`;
}

function userOf(claims: TokenClaims): UserInfo {
  const { namespace, serviceaccount, pod, node } = claims['kubernetes.io'];
  return {
    name: serviceAccountUserName(namespace, serviceaccount.name),
    uid: serviceaccount.uid,
    groups: [SERVICE_ACCOUNTS_GROUP, `${SERVICE_ACCOUNTS_GROUP}:${namespace}`],
    extra: {
      [CREDENTIAL_ID_EXTRA]: [credentialIdOf(claims)],
      ...(node === undefined ? {} : { [NODE_NAME_EXTRA]: [node.name], [NODE_UID_EXTRA]: [node.uid] }),
      ...(pod === undefined ? {} : { [POD_NAME_EXTRA]: [pod.name], [POD_UID_EXTRA]: [pod.uid] }),
    },
  };
}
