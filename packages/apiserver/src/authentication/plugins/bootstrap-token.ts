import { timingSafeEqual } from 'node:crypto';
import { corev1 } from '@k8ts/api';
import { parseTime } from '@k8ts/apimachinery';
import type { Clock } from '@k8ts/base';
import type { ObjectReader } from '../../object-reader.ts';
import type { Authentication, TokenAuthenticator } from '../contract.ts';
import { userInfo, withAuthenticatedGroup } from '../well-known-users.ts';

const TOKEN = /^([a-z0-9]{6})\.([a-z0-9]{16})$/;
const GROUP = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/;
const DEFAULT_GROUP = 'system:bootstrappers';

/**
 * Tokens with which nodes join, `abcdef.0123456789abcdef`: Secrets of type `bootstrap.kubernetes.io/token` in kube-system
 * (k8s.io/kubernetes/plugin/pkg/auth/authenticator/token/bootstrap).
 */
export function bootstrapTokenAuthenticator(objects: ObjectReader, clock: Clock): TokenAuthenticator {
  return {
    name: 'bootstrap-token',
    authenticateToken(token): Authentication | undefined {
      const [, id, secret] = TOKEN.exec(token) ?? [];
      if (id === undefined || secret === undefined) return undefined;
      const found = objects.get(corev1.secrets, 'kube-system', `bootstrap-token-${id}`);
      if (found === undefined || found.metadata.deletionTimestamp !== undefined) return undefined;
      if (found.type !== 'bootstrap.kubernetes.io/token') return undefined;
      const value = (key: string): string => Buffer.from(found.data?.[key] ?? '', 'base64').toString('utf8');
      if (!sameText(value('token-secret'), secret) || value('token-id') !== id) return undefined;
      if (hasExpired(value('expiration'), clock)) return undefined;
      if (value('usage-bootstrap-authentication') !== 'true') return undefined;
      const groups = groupsOf(value('auth-extra-groups'));
      if (groups === undefined) return undefined;
      return { user: withAuthenticatedGroup(userInfo(`system:bootstrap:${id}`, groups)) };
    },
  };
}

function sameText(held: string, given: string): boolean {
  const [a, b] = [Buffer.from(held), Buffer.from(given)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** A time that cannot be read is one that is over. */
function hasExpired(expiration: string, clock: Clock): boolean {
  if (expiration === '') return false;
  try {
    return parseTime(expiration) <= clock.now();
  } catch {
    return true;
  }
}

/** Undefined where one of them is no group of bootstrappers. */
function groupsOf(extra: string): string[] | undefined {
  const groups = extra === '' ? [] : extra.split(',');
  if (!groups.every((group) => GROUP.test(group))) return undefined;
  return [...new Set([DEFAULT_GROUP, ...groups])].sort();
}
