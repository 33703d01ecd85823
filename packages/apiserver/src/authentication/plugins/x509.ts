import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { unauthorized } from '@k8ts/apimachinery';
import { chainCheck, peerChain, type ChainCheck } from '../certificate-chain.ts';
import type { Authentication, Authenticator, Credentials } from '../contract.ts';
import { withAuthenticatedGroup } from '../well-known-users.ts';

/**
 * Client certificates: the common name is the user, the organizations are the groups. The TLS layer has checked the chain
 * against the client CA (`socket.authorized`); it lets connections without a valid certificate through, so that other
 * credentials can be shown. One answer per connection, since a connection keeps its certificate.
 *
 * `clientCa`: PEM, where the TLS layer knows further authorities, whose certificates make nobody a user.
 */
export function x509Authenticator(clientCa?: string): Authenticator {
  const isIssued = clientCa === undefined ? undefined : chainCheck(clientCa);
  const known = new WeakMap<TLSSocket, Authentication | 'none' | 'refused'>();
  return {
    name: 'x509',
    authenticate({ socket }: Credentials): Authentication | undefined {
      if (socket === undefined) return undefined;
      let answer = known.get(socket);
      if (answer === undefined) known.set(socket, (answer = inspect(socket, isIssued)));
      if (answer === 'none') return undefined;
      if (answer === 'refused') throw unauthorized();
      return answer;
    },
  };
}

function inspect(socket: TLSSocket, isIssued: ChainCheck | undefined): Authentication | 'none' | 'refused' {
  const chain = peerChain(socket);
  if (chain === undefined) return 'none';
  const { certificate } = chain;
  // `authorized` covers the chain and the validity period, not what the certificate is for.
  if (!socket.authorized || !isForClients(certificate)) return 'refused';
  if (isIssued?.(chain) === false) return 'refused';
  const name = commonNameOf(certificate);
  if (name === undefined) return 'refused';
  const subject = subjectOf(certificate);
  const groups = subject['O'] === undefined ? [] : [subject['O']].flat();
  const user = withAuthenticatedGroup({
    name,
    uid: '',
    groups,
    extra: {
      'authentication.kubernetes.io/credential-id': [`X509SHA256=${sha256(certificate.fingerprint256)}`],
    },
  });
  return { user };
}

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

export function isForClients({ keyUsage }: X509Certificate): boolean {
  // The type says it is always there; certificates without the extension have none.
  return (keyUsage as readonly string[] | undefined)?.includes(CLIENT_AUTH) ?? true;
}

/** Undefined where there is none. */
export function commonNameOf(certificate: X509Certificate): string | undefined {
  const value = subjectOf(certificate)['CN'];
  const last = Array.isArray(value) ? value.at(-1) : value;
  return last === '' ? undefined : last;
}

function subjectOf(certificate: X509Certificate): Record<string, string | string[]> {
  return certificate.toLegacyObject().subject as unknown as Record<string, string | string[]>;
}

/** `AB:CD:…` → `abcd…` */
function sha256(fingerprint: string): string {
  return fingerprint.replaceAll(':', '').toLowerCase();
}
