import { readFile } from 'node:fs/promises';

import type { Clock } from '@k8ts/base';

/** How often a token file is read again; half the time the kubelet leaves between refresh and expiry, less a margin. */
const TOKEN_FILE_PERIOD = 50_000;

/** The client's identity, besides a client certificate. At most one of the ways to authenticate is given. */
export interface Credentials {
  readonly token?: string;
  /** Read again about once a minute, since projected tokens change. */
  readonly tokenFile?: string;
  readonly username?: string;
  readonly password?: string;
  readonly impersonate?: Impersonation;
}

export interface Impersonation {
  readonly user: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

/** Gives the `authorization` header's value of the moment, or undefined when there is none. */
export function authorization(credentials: Credentials, clock: Clock): () => Promise<string | undefined> {
  const { token, tokenFile, username, password } = credentials;
  if (tokenFile !== undefined) return fromFile(tokenFile, clock, token);
  let fixed: string | undefined;
  if (token !== undefined && token !== '') fixed = `Bearer ${token}`;
  else if (username !== undefined)
    fixed = `Basic ${Buffer.from(`${username}:${password ?? ''}`).toString('base64')}`;
  return () => Promise.resolve(fixed);
}

function fromFile(
  path: string,
  clock: Clock,
  initial: string | undefined,
): () => Promise<string | undefined> {
  let header = initial === undefined || initial === '' ? undefined : `Bearer ${initial}`;
  let readAt = -Infinity;
  let reading: Promise<void> | undefined;
  const read = async (): Promise<void> => {
    try {
      const token = (await readFile(path, 'utf8')).trim();
      if (token === '') throw new Error(`read empty token from file "${path}"`);
      header = `Bearer ${token}`;
    } catch (error) {
      // The file is missing for a moment while it is replaced: the token known so far may well be valid still.
      if (header === undefined) throw error;
    }
    readAt = clock.monotonic();
  };
  return async () => {
    if (clock.monotonic() - readAt >= TOKEN_FILE_PERIOD) {
      reading ??= read().finally(() => (reading = undefined));
      await reading;
    }
    return header;
  };
}

/** Headers that ask the server to act as somebody else. A list becomes a repeated header. */
export function impersonationHeaders(who: Impersonation | undefined): Record<string, string | string[]> {
  if (who === undefined) return {};
  const headers: Record<string, string | string[]> = { 'impersonate-user': who.user };
  if (who.uid !== undefined && who.uid !== '') headers['impersonate-uid'] = who.uid;
  if (who.groups !== undefined && who.groups.length > 0) headers['impersonate-group'] = [...who.groups];
  for (const [key, values] of Object.entries(who.extra ?? {}))
    headers[`impersonate-extra-${encodeURIComponent(key).toLowerCase()}`] = [...values];
  return headers;
}
