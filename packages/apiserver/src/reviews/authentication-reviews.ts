import type { authenticationv1, Draft } from '@k8ts/api';
import { badRequest, formatTime } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import type { TokenAuthenticator, UserInfo } from '../authentication/contract.ts';
import { unionToken } from '../authentication/token-chain.ts';
import { authenticateToken } from '../authentication/plugins/bearer-token.ts';
import { objectResult } from '../request/result.ts';
import type { SpecialHandler } from '../registry/special-subresources.ts';

/** The reviews of group authentication.k8s.io: whose token is this, and who am I. */
export function authenticationReviewHandlers(options: {
  readonly tokens: readonly TokenAuthenticator[];
  readonly audiences: readonly string[];
}): readonly SpecialHandler[] {
  const union = unionToken(options.tokens);
  return [
    {
      group: 'authentication.k8s.io',
      resource: 'tokenreviews',
      subresource: '',
      async handle(request) {
        const body = await request.readBody<authenticationv1.TokenReview>();
        const token = body.spec.token ?? '';
        if (token === '') throw badRequest('token is required for TokenReview in authentication');
        const audiences = body.spec.audiences ?? [];
        const status = await reviewToken(
          union,
          token,
          audiences.length === 0 ? options.audiences : audiences,
        );
        return objectResult(
          { kind: 'TokenReview', apiVersion: 'authentication.k8s.io/v1', ...body, status },
          201,
        );
      },
    },
    {
      group: 'authentication.k8s.io',
      resource: 'selfsubjectreviews',
      subresource: '',
      async handle({ user, clock }) {
        return objectResult(
          {
            kind: 'SelfSubjectReview',
            apiVersion: 'authentication.k8s.io/v1',
            metadata: { creationTimestamp: formatTime(clock.now()) },
            status: { userInfo: wireUser(user) },
          },
          201,
        );
      },
    },
  ];
}

async function reviewToken(
  tokens: TokenAuthenticator,
  token: string,
  audiences: readonly string[],
): Promise<authenticationv1.TokenReviewStatus> {
  try {
    const accepted = await authenticateToken(tokens, token, audiences);
    return {
      authenticated: true,
      user: wireUser(accepted.user),
      ...(accepted.audiences === undefined ? {} : { audiences: accepted.audiences }),
    };
  } catch (error) {
    return { error: errorMessage(error) };
  }
}

function wireUser(user: UserInfo): Draft<authenticationv1.UserInfo> {
  return {
    username: user.name,
    ...(user.uid === '' ? {} : { uid: user.uid }),
    groups: [...user.groups],
    ...(Object.keys(user.extra).length === 0
      ? {}
      : { extra: Object.fromEntries(Object.entries(user.extra).map(([key, values]) => [key, [...values]])) }),
  };
}
