import { unauthorized } from '@k8ts/apimachinery';
import type { Authentication, Authenticator, Credentials, TokenAuthenticator } from '../contract.ts';
import { withAuthenticatedGroup } from '../well-known-users.ts';

export interface BearerTokenOptions {
  readonly tokens: readonly TokenAuthenticator[];
  /** Audiences of this API server. */
  readonly audiences: readonly string[];
}

/** `base64url.bearer.authorization.k8s.io.<token>`: how browsers, which cannot set headers, send a token. */
const WEBSOCKET_TOKEN_PREFIX = 'base64url.bearer.authorization.k8s.io.';

/** Longer ones are no token of ours; hashing and parsing them would only cost time. */
const MAX_TOKEN_LENGTH = 64 * 1024;

/** Takes the token from `Authorization: Bearer …` or the WebSocket subprotocols, and asks the token authenticators. */
export function bearerTokenAuthenticator({ tokens, audiences }: BearerTokenOptions): Authenticator {
  return {
    name: 'bearer-token',
    authenticate(credentials) {
      const token = tokenOf(credentials);
      if (token === undefined) return undefined;
      return authenticateToken(tokens, token, audiences);
    },
  };
}

function tokenOf({ headers }: Credentials): string | undefined {
  const authorization = headers.authorization;
  if (authorization !== undefined) {
    const space = authorization.indexOf(' ');
    if (space < 0 || authorization.slice(0, space).toLowerCase() !== 'bearer') return undefined;
    const token = authorization.slice(space + 1).trim();
    return token === '' ? undefined : token;
  }
  const protocols = headers['sec-websocket-protocol'];
  if (protocols === undefined) return undefined;
  for (const protocol of protocols.split(',')) {
    const name = protocol.trim();
    if (!name.startsWith(WEBSOCKET_TOKEN_PREFIX)) continue;
    const token = Buffer.from(name.slice(WEBSOCKET_TOKEN_PREFIX.length), 'base64url').toString('utf8');
    return token === '' ? undefined : token;
  }
  return undefined;
}

/** Throws `unauthorized()` when none of the authenticators accepts the token. */
export function authenticateToken(
  tokens: readonly TokenAuthenticator[],
  token: string,
  audiences: readonly string[],
): Authentication | Promise<Authentication> {
  if (token.length > MAX_TOKEN_LENGTH) throw unauthorized();
  const ask = (index: number): Authentication | Promise<Authentication> => {
    const authenticator = tokens[index];
    if (authenticator === undefined) throw unauthorized();
    let answer: ReturnType<TokenAuthenticator['authenticateToken']>;
    try {
      answer = authenticator.authenticateToken(token, audiences);
    } catch {
      return ask(index + 1);
    }
    if (answer instanceof Promise)
      return answer.catch(() => undefined).then((accepted) => (accepted ? finish(accepted) : ask(index + 1)));
    return answer === undefined ? ask(index + 1) : finish(answer);
  };
  return ask(0);
}

function finish(authentication: Authentication): Authentication {
  const user = withAuthenticatedGroup(authentication.user);
  return user === authentication.user ? authentication : { ...authentication, user };
}
