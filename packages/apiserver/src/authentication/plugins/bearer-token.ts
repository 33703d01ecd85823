import { StatusError, unauthorized } from '@k8ts/apimachinery';
import type { Authentication, Authenticator, Credentials, TokenAuthenticator } from '../contract.ts';
import { unionToken } from '../token-chain.ts';
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
  const union = unionToken(tokens);
  // What is wrong with a token is not for everybody to know.
  const refuse = (error: unknown): never => {
    throw error instanceof StatusError ? error : unauthorized();
  };
  return {
    name: 'bearer-token',
    authenticate(credentials) {
      const token = tokenOf(credentials);
      if (token === undefined) return undefined;
      try {
        const answer = authenticateToken(union, token, audiences);
        return answer instanceof Promise ? answer.catch(refuse) : answer;
      } catch (error) {
        return refuse(error);
      }
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

/** Throws an Error that says what is wrong with the token when none of the authenticators accepts it. */
export function authenticateToken(
  tokens: TokenAuthenticator,
  token: string,
  audiences: readonly string[],
): Authentication | Promise<Authentication> {
  if (token.length > MAX_TOKEN_LENGTH) throw new Error(INVALID_TOKEN);
  const answer = tokens.authenticateToken(token, audiences);
  return answer instanceof Promise ? answer.then(accepted) : accepted(answer);
}

const INVALID_TOKEN = 'invalid bearer token';

function accepted(authentication: Authentication | undefined): Authentication {
  if (authentication === undefined) throw new Error(INVALID_TOKEN);
  const user = withAuthenticatedGroup(authentication.user);
  return user === authentication.user ? authentication : { ...authentication, user };
}
