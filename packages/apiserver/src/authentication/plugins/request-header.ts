import type { TLSSocket } from 'node:tls';
import { unauthorized } from '@k8ts/apimachinery';
import { chainCheck, peerChain, type PeerChain } from '../certificate-chain.ts';
import type { Authentication, Authenticator, Credentials } from '../contract.ts';
import { withAuthenticatedGroup } from '../well-known-users.ts';
import { commonNameOf, isForClients } from './x509.ts';

/** Who may speak for others, and in which headers it says for whom (`--requestheader-*`). Case does not matter in names. */
export interface RequestHeaderOptions {
  /** PEM of the authorities of such proxies' client certificates. */
  readonly clientCa: string;
  /** Common names; empty: all that the authority signed. */
  readonly allowedNames: readonly string[];
  /** The first of them that has a value counts. */
  readonly usernameHeaders: readonly string[];
  readonly uidHeaders: readonly string[];
  readonly groupHeaders: readonly string[];
  readonly extraHeaderPrefixes: readonly string[];
}

/**
 * An authenticating proxy in front of this server (k8s.io/apiserver/pkg/authentication/request/headerrequest): the headers
 * count only on connections that show a certificate of its authority, with a name that is allowed. They are removed
 * afterwards.
 */
export function requestHeaderAuthenticator(options: RequestHeaderOptions): Authenticator {
  const lower = (names: readonly string[]): string[] => names.map((name) => name.trim().toLowerCase());
  const usernames = lower(options.usernameHeaders);
  const uids = lower(options.uidHeaders);
  const groups = lower(options.groupHeaders);
  const prefixes = lower(options.extraHeaderPrefixes);
  const isIssued = chainCheck(options.clientCa);
  const known = new WeakMap<TLSSocket, boolean>();

  const isProxy = (socket: TLSSocket, chain: PeerChain): boolean => {
    if (!socket.authorized || !isForClients(chain.certificate) || !isIssued(chain)) return false;
    const name = commonNameOf(chain.certificate) ?? '';
    return options.allowedNames.length === 0 || options.allowedNames.includes(name);
  };

  return {
    name: 'requestheader',
    authenticate({ headers, socket, rawHeaders }: Credentials): Authentication | undefined {
      if (socket === undefined || !usernames.some((name) => headers[name] !== undefined)) return undefined;
      const chain = peerChain(socket);
      if (chain === undefined) return undefined;
      let isTrusted = known.get(socket);
      if (isTrusted === undefined) known.set(socket, (isTrusted = isProxy(socket, chain)));
      if (!isTrusted) throw unauthorized();
      const fields = fieldsOf(rawHeaders ?? []);
      const values = (name: string): string[] => (fields.get(name) ?? []).filter((value) => value !== '');
      const first = (names: readonly string[]): string => names.flatMap(values)[0] ?? '';
      const name = first(usernames);
      if (name === '') return undefined;
      const extra: Record<string, string[]> = {};
      for (const prefix of prefixes)
        for (const [field, all] of fields)
          if (field.startsWith(prefix)) {
            const key = unescaped(field.slice(prefix.length));
            extra[key] = [...(Object.hasOwn(extra, key) ? (extra[key] as string[]) : []), ...all];
          }
      const user = withAuthenticatedGroup({ name, uid: first(uids), groups: groups.flatMap(values), extra });
      for (const field of fields.keys())
        if (
          [...usernames, ...uids, ...groups].includes(field) ||
          prefixes.some((prefix) => field.startsWith(prefix))
        )
          delete headers[field];
      return { user };
    },
  };
}

/** Values by name in lower case: repeated ones apart, where node joins them. */
function fieldsOf(rawHeaders: readonly string[]): Map<string, string[]> {
  const fields = new Map<string, string[]>();
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] as string).toLowerCase();
    const value = rawHeaders[at + 1] as string;
    const known = fields.get(name);
    if (known === undefined) fields.set(name, [value]);
    else known.push(value);
  }
  return fields;
}

/** Keys are percent-encoded, for header names have fewer characters; what is no such encoding stands for itself. */
function unescaped(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}
