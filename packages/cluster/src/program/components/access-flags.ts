/** Upstream's flags of authentication and authorization (k8s.io/kubernetes/pkg/kubeapiserver/options: AddFlags). */
import { readFile } from 'node:fs/promises';
import { goQuote, parseDuration } from '@k8ts/apimachinery';
import type { AuthenticationOptions, AuthorizationOptions } from '@k8ts/apiserver';
import { errorMessage } from '@k8ts/base';
import { UserError } from '@k8ts/cli';
import type { ComponentFlag } from '@k8ts/cli';
import { boolean, flag, type Flags } from './flags.ts';

export const ACCESS_FLAGS: readonly ComponentFlag[] = [
  flag('authentication-config', 'AuthenticationConfiguration: JWT issuers, and who is anonymous'),
  flag('api-audiences', 'names of this API in tokens, separated by commas'),
  flag('anonymous-auth', 'requests without credentials are system:anonymous: true or false'),
  flag(
    'enable-bootstrap-token-auth',
    'Secrets of type bootstrap.kubernetes.io/token are tokens: true or false',
  ),
  flag('oidc-issuer-url', 'OpenID issuer of tokens; https only'),
  flag('oidc-client-id', 'audience that such tokens must have'),
  flag('oidc-ca-file', 'authority of the issuer’s certificates'),
  flag('oidc-username-claim', 'claim that is the user name; sub unless given'),
  flag('oidc-username-prefix', 'what user names are prefixed with; - for nothing'),
  flag('oidc-groups-claim', 'claim with the user’s groups'),
  flag('oidc-groups-prefix', 'what groups are prefixed with'),
  flag('oidc-signing-algs', 'accepted signing algorithms, separated by commas; RS256 unless given'),
  { ...flag('oidc-required-claim', 'key=value that a token must have; may be repeated'), repeatable: true },
  flag('authentication-token-webhook-config-file', 'kubeconfig of a server that knows tokens'),
  flag('authentication-token-webhook-version', 'version of the TokenReviews it gets; v1beta1 unless given'),
  flag('authentication-token-webhook-cache-ttl', 'how long its answers are kept; 2m unless given'),
  flag('authorization-config', 'AuthorizationConfiguration: the authorizers in their order'),
  flag(
    'authorization-mode',
    'authorizers in their order, separated by commas: AlwaysAllow, AlwaysDeny, ABAC, Webhook, RBAC, Node; Node,RBAC unless given',
  ),
  flag('authorization-policy-file', 'policies of mode ABAC, one JSON object per line'),
  flag('authorization-webhook-config-file', 'kubeconfig of the server of mode Webhook'),
  flag('authorization-webhook-version', 'version of the SubjectAccessReviews it gets; v1beta1 unless given'),
  flag('authorization-webhook-cache-authorized-ttl', 'how long what it allows is kept; 5m unless given'),
  flag('authorization-webhook-cache-unauthorized-ttl', 'how long what it refuses is kept; 30s unless given'),
];

interface AccessOptions {
  readonly authentication?: AuthenticationOptions;
  readonly authorization?: AuthorizationOptions;
}

/** Empty where no such flag is given. Throws `UserError` for values that cannot be read. */
export async function accessOptions(flags: Flags): Promise<AccessOptions> {
  const authentication: AuthenticationOptions = {
    ...when(flags, 'anonymous-auth', () => ({ anonymous: boolean(flags, 'anonymous-auth') })),
    ...when(flags, 'api-audiences', (value) => ({ apiAudiences: list(value) })),
    ...when(flags, 'enable-bootstrap-token-auth', () => ({
      bootstrapTokens: boolean(flags, 'enable-bootstrap-token-auth'),
    })),
    ...when(flags, 'authentication-config', (configurationFile) => ({ configurationFile })),
    ...(await oidcOptions(flags)),
    ...when(flags, 'authentication-token-webhook-config-file', (kubeconfig) => ({
      tokenWebhook: {
        kubeconfig,
        ...when(flags, 'authentication-token-webhook-version', (version) => ({ version })),
        ...when(flags, 'authentication-token-webhook-cache-ttl', (_value, name) => ({
          cacheTtl: milliseconds(flags, name),
        })),
      },
    })),
  };
  const authorization: AuthorizationOptions = {
    ...when(flags, 'authorization-config', (configurationFile) => ({ configurationFile })),
    ...when(flags, 'authorization-mode', (value) => ({ modes: list(value) })),
    ...when(flags, 'authorization-policy-file', (policyFile) => ({ policyFile })),
    ...when(flags, 'authorization-webhook-config-file', (kubeconfig) => ({
      webhook: {
        kubeconfig,
        ...when(flags, 'authorization-webhook-version', (version) => ({ version })),
        ...when(flags, 'authorization-webhook-cache-authorized-ttl', (_value, name) => ({
          authorizedTtl: milliseconds(flags, name),
        })),
        ...when(flags, 'authorization-webhook-cache-unauthorized-ttl', (_value, name) => ({
          unauthorizedTtl: milliseconds(flags, name),
        })),
      },
    })),
  };
  return {
    ...(Object.keys(authentication).length === 0 ? {} : { authentication }),
    ...(Object.keys(authorization).length === 0 ? {} : { authorization }),
  };
}

async function oidcOptions(flags: Flags): Promise<Pick<AuthenticationOptions, 'oidc'>> {
  if (!ACCESS_FLAGS.some(({ name }) => name.startsWith('oidc-') && flags[name] !== undefined)) return {};
  const ca = flags['oidc-ca-file'];
  return {
    oidc: {
      ...when(flags, 'oidc-issuer-url', (issuerUrl) => ({ issuerUrl })),
      ...when(flags, 'oidc-client-id', (clientId) => ({ clientId })),
      ...(ca === undefined ? {} : { ca: await text('oidc-ca-file', ca) }),
      ...when(flags, 'oidc-username-claim', (usernameClaim) => ({ usernameClaim })),
      ...when(flags, 'oidc-username-prefix', (usernamePrefix) => ({ usernamePrefix })),
      ...when(flags, 'oidc-groups-claim', (groupsClaim) => ({ groupsClaim })),
      ...when(flags, 'oidc-groups-prefix', (groupsPrefix) => ({ groupsPrefix })),
      ...when(flags, 'oidc-signing-algs', (value) => ({ signingAlgorithms: list(value) })),
      ...when(flags, 'oidc-required-claim', (value) => ({ requiredClaims: pairs(value) })),
    },
  };
}

async function text(name: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new UserError(`--${name}: ${errorMessage(error)}`, { cause: error });
  }
}

function when<T extends object>(
  flags: Flags,
  name: string,
  make: (value: string, name: string) => T,
): T | Record<never, never> {
  const value = flags[name];
  return value === undefined ? {} : make(value, name);
}

function list(value: string): string[] {
  return value
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

/** `key=value`, one per line. */
function pairs(value: string): Record<string, string> {
  return Object.fromEntries(
    value.split('\n').map((line) => {
      const at = line.indexOf('=');
      if (at < 1) throw new UserError(`--oidc-required-claim takes key=value; this is ${goQuote(line)}`);
      return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    }),
  );
}

function milliseconds(flags: Flags, name: string): number {
  try {
    return Number(parseDuration(flags[name] ?? '')) / 1e6;
  } catch (error) {
    throw new UserError(`--${name}: ${errorMessage(error)}`, { cause: error });
  }
}
