/** Asks a webhook who may do what (k8s.io/apiserver/plugin/pkg/authorizer/webhook). */
import type { authorizationv1 } from '@k8ts/api';
import { aggregateText, CelError, type CelProgram, evaluateReviewCondition } from '@k8ts/apimachinery';
import type { Clock, Metrics } from '@k8ts/base';
import { TtlCache } from '../../configuration/ttl-cache.ts';
import type { AttemptResult, ReviewWebhook } from '../../webhook/review-webhook.ts';
import type { AuthorizationAttributes, Authorizer, Decision, RuleResolver } from '../contract.ts';
import { reviewedSelectors } from '../selectors.ts';
import { expressionView } from '../review-view.ts';

interface WebhookAuthorizerOptions {
  readonly name: string;
  readonly webhook: ReviewWebhook;
  /** Milliseconds; 0: answers are not kept. */
  readonly authorizedTtl: number;
  readonly unauthorizedTtl: number;
  readonly onError: 'no-opinion' | 'deny';
  /** All must hold, or the webhook is not asked. */
  readonly conditions: readonly CelProgram[];
  readonly clock: Clock;
  readonly metrics: WebhookAuthorizerMetrics;
}

const MAX_ANSWERS = 8192;
/** Longer questions may be somebody's attempt to fill the memory. */
const MAX_QUESTION_LENGTH = 10_000;

const NO_OPINION: Decision = { verdict: 'no-opinion', reason: '' };

export function webhookAuthorizer(options: WebhookAuthorizerOptions): Authorizer & RuleResolver {
  const { name, webhook, conditions, clock, metrics } = options;
  const answers = new TtlCache<Decision>(clock, MAX_ANSWERS);
  const failed = (error: string): Decision => ({ verdict: options.onError, reason: '', error });

  const ask = async (
    attributes: AuthorizationAttributes,
    spec: authorizationv1.SubjectAccessReviewSpec,
    key: string,
  ): Promise<Decision> => {
    const outcome = await webhook.review(spec);
    if ('error' in outcome) {
      const { error, result } = outcome;
      if (options.onError === 'no-opinion' && result !== 'canceled') metrics.failedOpen(name, result);
      return failed(error);
    }
    const { status = { allowed: false } } = outcome.review as authorizationv1.SubjectAccessReview;
    const decision = decisionOf(status);
    if (isShort(attributes))
      answers.set(key, decision, status.allowed ? options.authorizedTtl : options.unauthorizedTtl);
    return decision;
  };

  return {
    name: 'Webhook',
    authorize(attributes) {
      const spec = specOf(attributes);
      if (conditions.length > 0) {
        const start = clock.monotonic();
        const outcome = evaluate(conditions, spec);
        metrics.evaluated(name, outcome, (clock.monotonic() - start) / 1_000);
        if (outcome instanceof CelError) return failed(outcome.message);
        if (!outcome) return NO_OPINION;
      }
      const key = JSON.stringify(spec);
      return answers.get(key) ?? ask(attributes, spec, key);
    },

    rulesFor: async () => ({
      resourceRules: [],
      nonResourceRules: [],
      incomplete: true,
      evaluationError: 'webhook authorizer does not support user rule resolution',
    }),
  };
}

/** One condition that does not hold decides, whatever is wrong with others. */
function evaluate(
  conditions: readonly CelProgram[],
  spec: authorizationv1.SubjectAccessReviewSpec,
): boolean | CelError {
  const view = expressionView(spec);
  const errors: string[] = [];
  for (const condition of conditions) {
    const holds = evaluateReviewCondition(condition, view);
    if (holds instanceof CelError) errors.push(holds.message);
    else if (!holds) return false;
  }
  return errors.length === 0 ? true : new CelError(aggregateText(errors));
}

function decisionOf({
  allowed,
  denied = false,
  reason = '',
}: authorizationv1.SubjectAccessReviewStatus): Decision {
  if (denied && allowed)
    return {
      verdict: 'deny',
      reason,
      error: 'webhook subject access review returned both allow and deny response',
    };
  return { verdict: denied ? 'deny' : allowed ? 'allow' : 'no-opinion', reason };
}

function specOf(attributes: AuthorizationAttributes): authorizationv1.SubjectAccessReviewSpec {
  const { user, verb, path } = attributes;
  const filled = (name: string, value: string): Record<string, string> =>
    value === '' ? {} : { [name]: value };
  return {
    ...(attributes.isResourceRequest
      ? {
          resourceAttributes: {
            ...filled('namespace', attributes.namespace),
            ...filled('verb', verb),
            ...filled('group', attributes.apiGroup),
            ...filled('version', attributes.apiVersion),
            ...filled('resource', attributes.resource),
            ...filled('subresource', attributes.subresource),
            ...filled('name', attributes.name),
            ...reviewedSelectors(attributes),
          },
        }
      : { nonResourceAttributes: { ...filled('path', path), ...filled('verb', verb) } }),
    ...filled('user', user.name),
    ...(user.groups.length === 0 ? {} : { groups: user.groups }),
    ...(Object.keys(user.extra).length === 0 ? {} : { extra: user.extra }),
    ...filled('uid', user.uid),
  };
}

function isShort(attributes: AuthorizationAttributes): boolean {
  const { namespace, verb, apiGroup, apiVersion, resource, subresource, name, path } = attributes;
  const lengths = [namespace, verb, apiGroup, apiVersion, resource, subresource, name, path].map(
    (text) => text.length,
  );
  return lengths.reduce((sum, length) => sum + length) < MAX_QUESTION_LENGTH;
}

export interface WebhookAuthorizerMetrics {
  attempted(name: string, result: AttemptResult, seconds: number): void;
  failedOpen(name: string, result: AttemptResult): void;
  evaluated(name: string, outcome: boolean | CelError, seconds: number): void;
}

const DURATION_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const CONDITION_BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.1, 0.2, 0.25];

/** apiserver_authorization_webhook_* and apiserver_authorization_match_condition_*. */
export function createWebhookAuthorizerMetrics(metrics: Metrics): WebhookAuthorizerMetrics {
  const byResult = ['name', 'result'];
  const byType = ['type', 'name'];
  const evaluations = metrics.counter({
    name: 'apiserver_authorization_webhook_evaluations_total',
    help: 'Round-trips to authorization webhooks.',
    labels: byResult,
  });
  const duration = metrics.histogram({
    name: 'apiserver_authorization_webhook_duration_seconds',
    help: 'Request latency in seconds.',
    labels: byResult,
    buckets: DURATION_BUCKETS,
  });
  const failOpen = metrics.counter({
    name: 'apiserver_authorization_webhook_evaluations_fail_open_total',
    help: 'NoOpinion results due to webhook timeout or error.',
    labels: byResult,
  });
  const errors = metrics.counter({
    name: 'apiserver_authorization_match_condition_evaluation_errors_total',
    help: 'Total number of errors when an authorization webhook encounters a match condition error split by authorizer type and name.',
    labels: byType,
  });
  const exclusions = metrics.counter({
    name: 'apiserver_authorization_match_condition_exclusions_total',
    help: 'Total number of exclusions when an authorization webhook is skipped because match conditions exclude it.',
    labels: byType,
  });
  const conditionSeconds = metrics.histogram({
    name: 'apiserver_authorization_match_condition_evaluation_seconds',
    help: 'Authorization match condition evaluation time in seconds, split by authorizer type and name.',
    labels: byType,
    buckets: CONDITION_BUCKETS,
  });
  return {
    attempted(name, result, seconds) {
      evaluations.increment([name, result]);
      duration.observe(seconds, [name, result]);
    },
    failedOpen: (name, result) => failOpen.increment([name, result]),
    evaluated(name, outcome, seconds) {
      conditionSeconds.observe(seconds, ['Webhook', name]);
      if (outcome instanceof CelError) errors.increment(['Webhook', name]);
      else if (!outcome) exclusions.increment(['Webhook', name]);
    },
  };
}
