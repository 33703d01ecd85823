import type { TLSSocket } from 'node:tls';
import { unauthorized } from '@k8ts/apimachinery';
import type { Authentication, Authenticator, Credentials } from '../contract.ts';
import { withAuthenticatedGroup } from '../well-known-users.ts';

/**
 * Client certificates: the common name is the user, the organizations are the groups. The TLS layer has checked the chain
 * against the client CA (`socket.authorized`); it lets connections without a valid certificate through, so that other
 * credentials can be shown. One answer per connection, since a connection keeps its certificate.
 */
export function x509Authenticator(): Authenticator {
  const known = new WeakMap<TLSSocket, Authentication | 'none' | 'refused'>();
  return {
    name: 'x509',
    authenticate({ socket }: Credentials): Authentication | undefined {
      if (socket === undefined) return undefined;
      let answer = known.get(socket);
      if (answer === undefined) known.set(socket, (answer = inspect(socket)));
      if (answer === 'none') return undefined;
      if (answer === 'refused') throw unauthorized();
      return answer;
    },
  };
}

function inspect(socket: TLSSocket): Authentication | 'none' | 'refused' {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return 'none';
  // `authorized` covers the chain and the validity period, not what the certificate is for.
  const forClients = certificate.keyUsage === undefined || certificate.keyUsage.includes(CLIENT_AUTH);
  if (!socket.authorized || !forClients) return 'refused';
  const subject = certificate.toLegacyObject().subject as unknown as Record<string, string | string[]>;
  const name = oneOf(subject['CN']);
  if (name === undefined) return 'refused';
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

function oneOf(value: string | string[] | undefined): string | undefined {
  const last = Array.isArray(value) ? value.at(-1) : value;
  return last === '' ? undefined : last;
}

/** `AB:CD:…` → `abcd…` */
function sha256(fingerprint: string): string {
  return fingerprint.replaceAll(':', '').toLowerCase();
}
