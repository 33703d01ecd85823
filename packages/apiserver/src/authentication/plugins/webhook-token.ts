import type { authenticationv1 } from '@k8ts/api';
import type { ReviewWebhook } from '../../webhook/review-webhook.ts';
import type { Authentication, TokenAuthenticator } from '../contract.ts';
import { withAuthenticatedGroup } from '../well-known-users.ts';

/**
 * Asks a webhook whose token it is (k8s.io/apiserver/plugin/pkg/authenticator/token/webhook). A webhook that says nothing
 * of audiences speaks for those of the API server, `implicitAudiences`.
 */
export function webhookTokenAuthenticator(
  webhook: ReviewWebhook,
  implicitAudiences: readonly string[],
): TokenAuthenticator {
  return {
    name: 'webhook',
    async authenticateToken(token, audiences): Promise<Authentication | undefined> {
      const spec = { token, ...(audiences.length === 0 ? {} : { audiences }) };
      const outcome = await webhook.review(spec);
      if ('error' in outcome) throw new Error(outcome.error);
      const { status = {} } = outcome.review as { readonly status?: authenticationv1.TokenReviewStatus };
      const spoken = status.audiences ?? [];
      const accepted = audiences.filter((audience) =>
        (spoken.length > 0 ? spoken : implicitAudiences).includes(audience),
      );
      if (audiences.length > 0 && accepted.length === 0) return undefined;
      if (status.authenticated !== true) {
        if (status.error) throw new Error(status.error);
        return undefined;
      }
      const { username = '', uid = '', groups = [], extra = {} } = status.user ?? {};
      return {
        user: withAuthenticatedGroup({ name: username, uid, groups, extra }),
        audiences: accepted,
      };
    },
  };
}
