import type { IncomingHttpHeaders } from 'node:http';
import type { TLSSocket } from 'node:tls';

/** Who asks. The same object is given for every request of one credential, so caches may key on it. */
export interface UserInfo {
  readonly name: string;
  readonly uid: string;
  readonly groups: readonly string[];
  /** For example `authentication.kubernetes.io/node-name`. Keys are lower case. */
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

/** What an authenticator may look at. */
export interface Credentials {
  /** What an authenticator has used up it removes. */
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turn, as they came; absent for requests that did not come over HTTP. */
  readonly rawHeaders?: readonly string[] | undefined;
  /** Undefined for requests that did not come over TLS. */
  readonly socket: TLSSocket | undefined;
}

export interface Authentication {
  readonly user: UserInfo;
  /** Of a token: the audiences that it was accepted for. */
  readonly audiences?: readonly string[];
  /** For the audit: what is to be known of this use of the credential. */
  readonly annotations?: Readonly<Record<string, string>>;
}

/**
 * One way to authenticate. `undefined`: nothing of mine here, ask the next one. Throws `unauthorized()` for credentials
 * that are mine but wrong; the next ones are still asked, as upstream's union does, and the error answers if none accepts.
 * Synchronous answers keep the hot path free of promises.
 */
export interface Authenticator {
  readonly name: string;
  authenticate(credentials: Credentials): Authentication | undefined | Promise<Authentication | undefined>;
}

/** Authenticates a bare token, for `Authorization: Bearer`, the WebSocket subprotocol and TokenReview. */
export interface TokenAuthenticator {
  readonly name: string;
  authenticateToken(
    token: string,
    audiences: readonly string[],
  ): Authentication | undefined | Promise<Authentication | undefined>;
}
