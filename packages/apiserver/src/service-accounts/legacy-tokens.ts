import { timingSafeEqual } from 'node:crypto';
import { corev1 } from '@k8ts/api';
import { unauthorized } from '@k8ts/apimachinery';
import type { Authentication, TokenAuthenticator } from '../authentication/contract.ts';
import {
  SERVICE_ACCOUNTS_GROUP,
  serviceAccountUserName,
  withAuthenticatedGroup,
} from '../authentication/well-known-users.ts';
import type { ObjectReader } from '../object-reader.ts';
import { unverifiedIssuer } from './token-signatures.ts';
import type { TokenSignatures } from './token-signatures.ts';

/** Upstream's issuer of tokens that live in a Secret and as long as it (k8s.io/kubernetes/pkg/serviceaccount/legacy.go). */
const LEGACY_ISSUER = 'kubernetes/serviceaccount';

interface LegacyToken {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly serviceAccountUid: string;
  readonly secretName: string;
}

interface LegacyClaims {
  readonly iss: string;
  readonly sub: string;
  readonly 'kubernetes.io/serviceaccount/namespace': string;
  readonly 'kubernetes.io/serviceaccount/secret.name': string;
  readonly 'kubernetes.io/serviceaccount/service-account.name': string;
  readonly 'kubernetes.io/serviceaccount/service-account.uid': string;
}

/** Tokens of Secrets of type `kubernetes.io/service-account-token`: good while the Secret holds them. */
export interface LegacyTokens extends TokenAuthenticator {
  issue(token: LegacyToken): string;
}

export function createLegacyTokens(options: {
  readonly signatures: TokenSignatures;
  /** Those of the API server: the tokens name none, and are good for it only. */
  readonly audiences: readonly string[];
  readonly objects: ObjectReader;
}): LegacyTokens {
  const { signatures, objects } = options;
  return {
    name: 'legacy-service-account',

    issue({ namespace, serviceAccount, serviceAccountUid, secretName }) {
      const claims: LegacyClaims = {
        iss: LEGACY_ISSUER,
        'kubernetes.io/serviceaccount/namespace': namespace,
        'kubernetes.io/serviceaccount/secret.name': secretName,
        'kubernetes.io/serviceaccount/service-account.name': serviceAccount,
        'kubernetes.io/serviceaccount/service-account.uid': serviceAccountUid,
        sub: serviceAccountUserName(namespace, serviceAccount),
      };
      return signatures.sign(claims);
    },

    authenticateToken(token, audiences): Authentication | undefined {
      if (unverifiedIssuer(token) !== LEGACY_ISSUER) return undefined;
      const claims = signatures.verify(token) as LegacyClaims | undefined;
      if (claims === undefined) throw unauthorized();
      const accepted = audiences.filter((audience) => options.audiences.includes(audience));
      if (accepted.length === 0) throw unauthorized();

      const namespace = claims['kubernetes.io/serviceaccount/namespace'];
      const name = claims['kubernetes.io/serviceaccount/service-account.name'];
      const uid = claims['kubernetes.io/serviceaccount/service-account.uid'];
      const secret = objects.get(
        corev1.secrets,
        namespace,
        claims['kubernetes.io/serviceaccount/secret.name'],
      );
      const account = objects.get(corev1.serviceAccounts, namespace, name);
      const held = secret?.data?.['token'];
      if (
        secret?.metadata.deletionTimestamp !== undefined ||
        held === undefined ||
        !sameBytes(Buffer.from(held, 'base64'), Buffer.from(token)) ||
        account?.metadata.uid !== uid
      )
        throw unauthorized();
      const user = withAuthenticatedGroup({
        name: serviceAccountUserName(namespace, name),
        uid,
        groups: [SERVICE_ACCOUNTS_GROUP, `${SERVICE_ACCOUNTS_GROUP}:${namespace}`],
        extra: {},
      });
      return { user, audiences: accepted };
    },
  };
}

function sameBytes(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
