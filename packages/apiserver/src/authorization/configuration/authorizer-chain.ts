/** The authorizers that a configuration names, replaced as a whole when it changes. */
import { readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { errorMessage, Scope, type Clock, type Logger, type Metrics } from '@k8ts/base';
import { watchConfigurationFile } from '../../configuration/configuration-file.ts';
import { ConfigurationError } from '../../configuration/decode-configuration.ts';
import { createReloadMetrics } from '../../configuration/reload-metrics.ts';
import { Retirement } from '../../configuration/retirement.ts';
import type { Authorizer, RuleResolver } from '../contract.ts';
import { abacAuthorizer, AbacPolicyError, parseAbacPolicies } from '../plugins/abac.ts';
import { alwaysAllowAuthorizer, alwaysDenyAuthorizer } from '../plugins/always.ts';
import { createLinker } from './authorizer-links.ts';
import {
  configurationOfModes,
  readAuthorizationConfiguration,
  type AuthorizationOptions,
} from './configuration.ts';

interface AuthorizerChainOptions {
  readonly options: AuthorizationOptions;
  /** Those that read the server's objects. */
  readonly node: Authorizer & RuleResolver;
  readonly rbac: Authorizer & RuleResolver;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** See `apiServerId`. */
  readonly serverId: string;
}

/** All authorizers as one. */
export interface AuthorizerChain extends Authorizer, RuleResolver, AsyncDisposable {}

/** Throws ConfigurationError. */
export async function createAuthorizerChain(init: AuthorizerChainOptions): Promise<AuthorizerChain> {
  const { options, clock, logger } = init;
  const { configurationFile } = options;
  if (configurationFile !== undefined && (options.modes ?? options.webhook) !== undefined)
    throw new ConfigurationError(
      '--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags are defined',
    );
  const text = configurationFile === undefined ? '' : await readText(configurationFile);
  const initial =
    configurationFile === undefined
      ? configurationOfModes(options)
      : await readAuthorizationConfiguration(text);
  const own = new Map<string, Authorizer & RuleResolver>();
  for (const { type } of initial.authorizers) {
    const authorizer = await ownAuthorizer(type, init);
    if (authorizer !== undefined) own.set(type, authorizer);
  }
  const link = createLinker({ ...init, own });
  const scope = new Scope();
  const retirement = scope.use(new Retirement(clock));
  let loaded = initial;
  let current = await link(initial);

  if (configurationFile !== undefined) {
    const reloads = createReloadMetrics(init, 'authorization', text);
    let lastText = text;
    const failed = (error: unknown): void => {
      logger.error('the authorization configuration was not taken over', { error: errorMessage(error) });
      reloads.failed();
    };
    const onChange = async (changed: string): Promise<void> => {
      if (changed === lastText) return;
      lastText = changed;
      try {
        const next = await readAuthorizationConfiguration(changed, own.keys());
        if (isDeepStrictEqual(next, loaded)) return;
        const replaced = current;
        current = await link(next);
        loaded = next;
        reloads.succeeded(changed);
        retirement.retire(replaced);
      } catch (error) {
        failed(error);
      }
    };
    scope.run(
      watchConfigurationFile({
        path: configurationFile,
        clock,
        logger,
        signal: scope.signal,
        onChange,
        onUnreadable: failed,
      }),
    );
  }
  return {
    name: 'chain',
    authorize: (attributes) => current.authorize(attributes),
    rulesFor: (user, namespace) => current.rulesFor(user, namespace),
    async [Symbol.asyncDispose]() {
      await scope[Symbol.asyncDispose]();
      await current[Symbol.asyncDispose]();
    },
  };
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new ConfigurationError(errorMessage(error), { cause: error });
  }
}

/** One that stays when the configuration changes; undefined for webhooks. */
async function ownAuthorizer(
  type: string,
  { options, node, rbac }: AuthorizerChainOptions,
): Promise<(Authorizer & RuleResolver) | undefined> {
  switch (type) {
    case 'Node':
      return node;
    case 'RBAC':
      return rbac;
    case 'AlwaysAllow':
      return alwaysAllowAuthorizer;
    case 'AlwaysDeny':
      return alwaysDenyAuthorizer;
    case 'ABAC': {
      const path = options.policyFile ?? '';
      try {
        return abacAuthorizer(parseAbacPolicies(await readText(path), path));
      } catch (error) {
        throw error instanceof AbacPolicyError ? new ConfigurationError(error.message) : error;
      }
    }
    default:
      return undefined;
  }
}
