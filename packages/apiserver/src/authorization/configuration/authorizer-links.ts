import type { apiserverv1 } from '@k8ts/api';
import { aggregateText, parseDuration } from '@k8ts/apimachinery';
import { errorMessage, Scope, type Clock, type Counter, type Metrics } from '@k8ts/base';
import { inClusterConfig, loadKubeconfig, type HttpTransportOptions } from '@k8ts/client';
import type { UserInfo } from '../../authentication/contract.ts';
import { ConfigurationError } from '../../configuration/decode-configuration.ts';
import { createAuthorize } from '../../steps/authorize.ts';
import { createReviewWebhook } from '../../webhook/review-webhook.ts';
import type { Authorizer, Decision, ResolvedRules, RuleResolver } from '../contract.ts';
import { privilegedGroupsAuthorizer } from '../plugins/privileged-groups.ts';
import {
  createWebhookAuthorizerMetrics,
  webhookAuthorizer,
  type WebhookAuthorizerMetrics,
} from '../plugins/webhook.ts';
import { compileMatchConditions } from './validation.ts';

/** The authorizers of one configuration, in order. */
interface AuthorizerLinks extends AsyncDisposable {
  readonly authorize: Authorizer['authorize'];
  rulesFor(user: UserInfo, namespace: string): Promise<ResolvedRules>;
}

interface LinkerOptions {
  /** Those that stay when the configuration changes, by type. */
  readonly own: ReadonlyMap<string, Authorizer & RuleResolver>;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

type Linker = (configuration: apiserverv1.AuthorizationConfiguration) => Promise<AuthorizerLinks>;

/** What it returns throws ConfigurationError for a configuration that cannot be put into force. */
export function createLinker({ own, clock, metrics }: LinkerOptions): Linker {
  const decisions = metrics.counter({
    name: 'apiserver_authorization_decisions_total',
    help: 'Total number of terminal decisions made by an authorizer split by authorizer type, name, and decision.',
    labels: ['type', 'name', 'decision'],
  });
  let webhookMetrics: WebhookAuthorizerMetrics | undefined;

  const link = async (
    { type, name, webhook }: apiserverv1.AuthorizerConfiguration,
    scope: Scope,
  ): Promise<Authorizer & RuleResolver> => {
    const known = own.get(type);
    if (known !== undefined) return known;
    if (webhook === undefined)
      throw new ConfigurationError(
        `authorizer type ${type} is not allowed if it was not enabled at initial server startup`,
      );
    const recorded = (webhookMetrics ??= createWebhookAuthorizerMetrics(metrics));
    return webhookAuthorizer({
      name,
      webhook: scope.use(
        createReviewWebhook({
          transport: await connectionOf(webhook.connectionInfo),
          group: 'authorization.k8s.io',
          version: webhook.subjectAccessReviewVersion,
          kind: 'SubjectAccessReview',
          timeout: milliseconds(webhook.timeout),
          onAttempt: (result, seconds) => recorded.attempted(name, result, seconds),
        }),
      ),
      authorizedTtl: webhook.cacheAuthorizedRequests === false ? 0 : milliseconds(webhook.authorizedTTL),
      unauthorizedTtl:
        webhook.cacheUnauthorizedRequests === false ? 0 : milliseconds(webhook.unauthorizedTTL),
      onError: webhook.failurePolicy === 'Deny' ? 'deny' : 'no-opinion',
      conditions: compileMatchConditions(webhook.matchConditions ?? [], '').programs,
      clock,
      metrics: recorded,
    });
  };

  return async ({ authorizers }) => {
    const scope = new Scope();
    try {
      const links: (Authorizer & RuleResolver)[] = [];
      for (const each of authorizers) links.push(await link(each, scope));
      return {
        authorize: createAuthorize([
          privilegedGroupsAuthorizer(),
          ...links.map((authorizer, at) =>
            counted(authorizer, authorizers[at] as apiserverv1.AuthorizerConfiguration, decisions),
          ),
        ]),
        rulesFor: async (user, namespace) =>
          union(await Promise.all(links.map((each) => each.rulesFor(user, namespace)))),
        [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
      };
    } catch (error) {
      await scope[Symbol.asyncDispose]();
      throw error;
    }
  };
}

async function connectionOf({
  type,
  kubeConfigFile,
}: apiserverv1.WebhookConnectionInfo): Promise<HttpTransportOptions> {
  try {
    const { transport } =
      type === 'InClusterConfig' ? await inClusterConfig() : await loadKubeconfig({ path: kubeConfigFile });
    return transport;
  } catch (error) {
    throw new ConfigurationError(errorMessage(error), { cause: error });
  }
}

function milliseconds(duration: string): number {
  return Number(parseDuration(duration)) / 1e6;
}

/** Of a decision that others need not be asked after. */
function counted(
  authorizer: Authorizer,
  { type, name }: apiserverv1.AuthorizerConfiguration,
  decisions: Counter,
): Authorizer {
  const allowed = decisions.child([type, name, 'allowed']);
  const denied = decisions.child([type, name, 'denied']);
  const count = (decision: Decision): Decision => {
    if (decision.verdict === 'allow') allowed.increment();
    else if (decision.verdict === 'deny') denied.increment();
    return decision;
  };
  return {
    name: authorizer.name,
    authorize(attributes) {
      const decision = authorizer.authorize(attributes);
      return decision instanceof Promise ? decision.then(count) : count(decision);
    },
  };
}

function union(all: readonly ResolvedRules[]): ResolvedRules {
  const errors = all.flatMap(({ evaluationError }) =>
    evaluationError === undefined ? [] : [evaluationError],
  );
  return {
    resourceRules: all.flatMap(({ resourceRules }) => resourceRules),
    nonResourceRules: all.flatMap(({ nonResourceRules }) => nonResourceRules),
    incomplete: all.some(({ incomplete }) => incomplete),
    ...(errors.length === 0 ? {} : { evaluationError: aggregateText(errors) }),
  };
}
