import { createHash, timingSafeEqual } from 'node:crypto';
import type { Authentication, TokenAuthenticator, UserInfo } from '../contract.ts';
import { withAuthenticatedGroup } from '../well-known-users.ts';

/**
 * Fixed tokens (`--token-auth-file`): lines `token,user,uid[,"group1,group2"]`. Throws with the line number for a
 * malformed file.
 */
export function parseTokenFile(text: string): ReadonlyMap<string, UserInfo> {
  const users = new Map<string, UserInfo>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [token, name, uid, groups] = csvFields(line);
    if (!token || !name || uid === undefined)
      throw new Error(`token file, line ${String(index + 1)}: expected token,user,uid and optionally groups`);
    const list = (groups ?? '').split(',').filter((group) => group !== '');
    users.set(token, withAuthenticatedGroup({ name, uid, groups: list, extra: {} }));
  }
  return users;
}

/** Compares digests in constant time, so that answering times say nothing about the tokens. */
export function staticTokenAuthenticator(users: ReadonlyMap<string, UserInfo>): TokenAuthenticator {
  const entries = [...users].map(([token, user]) => ({ digest: digest(token), authentication: { user } }));
  return {
    name: 'static-token',
    authenticateToken(token): Authentication | undefined {
      const given = digest(token);
      let found: Authentication | undefined;
      for (const entry of entries) if (timingSafeEqual(entry.digest, given)) found = entry.authentication;
      return found;
    },
  };
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/** One line of comma-separated values, with double quotes around values that have commas. */
function csvFields(line: string): string[] {
  const fields: string[] = [];
  for (const match of line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g))
    fields.push((match[1]?.replaceAll('""', '"') ?? match[2] ?? '').trim());
  return fields;
}
