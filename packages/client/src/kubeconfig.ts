import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';

import type { clientcmdv1 } from '@k8ts/api';
import { parse as parseYaml } from 'yaml';

import type { HttpTransportOptions } from './http-transport.ts';

export interface KubeconfigOptions {
  /** A file, or several joined as in `$KUBECONFIG`. Default: `$KUBECONFIG`, then `~/.kube/config`. */
  readonly path?: string;
  /** Default: the current context. */
  readonly context?: string;
}

export interface KubeconfigTarget {
  readonly transport: HttpTransportOptions;
  /** The context's namespace; `default` when it names none. */
  readonly namespace: string;
  readonly context: string;
}

/** Something in a kubeconfig does not fit together; the message says what and where. */
export class KubeconfigError extends Error {
  override readonly name = 'KubeconfigError';
}

/** A kubeconfig is a small file; more is something else. */
const MAX_SIZE = 16 << 20;

/** Reads where the cluster is and who the user is. Certificates and keys named as files are read too. */
export async function loadKubeconfig(options: KubeconfigOptions = {}): Promise<KubeconfigTarget> {
  const paths = (options.path ?? process.env['KUBECONFIG'] ?? '')
    .split(delimiter)
    .filter((path) => path !== '');
  const explicit = paths.length > 0;
  if (!explicit) paths.push(join(homedir(), '.kube', 'config'));
  const configs: clientcmdv1.Config[] = [];
  for (const path of paths) {
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      // Of several files some may be missing, as for kubectl; one that stands alone may not.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT' && paths.length > 1) continue;
      throw error;
    }
    configs.push(parseKubeconfig(text, path));
  }
  return kubeconfigTarget(mergeKubeconfigs(configs), options.context);
}

/** Parses YAML or JSON. Relative file names in it count from the directory of `path`. */
export function parseKubeconfig(text: string, path: string): clientcmdv1.Config {
  if (text.length > MAX_SIZE) throw new KubeconfigError(`${path} is too large to be a kubeconfig`);
  let parsed: unknown;
  try {
    parsed = parseYaml(text, { maxAliasCount: 100 });
  } catch (error) {
    throw new KubeconfigError(`error loading config file "${path}": ${(error as Error).message}`);
  }
  const config = (parsed ?? {}) as Partial<clientcmdv1.Config>;
  if (typeof config !== 'object' || Array.isArray(config))
    throw new KubeconfigError(`error loading config file "${path}": it is not an object`);
  for (const part of ['clusters', 'users', 'contexts'] as const) {
    const entries: unknown = config[part] ?? [];
    const named = (entry: unknown): boolean =>
      typeof entry === 'object' && entry !== null && typeof (entry as { name?: unknown }).name === 'string';
    if (!Array.isArray(entries) || !entries.every(named))
      throw new KubeconfigError(
        `error loading config file "${path}": ${part} must be a list of named entries`,
      );
  }
  const directory = dirname(path);
  const absolute = <T extends object, K extends keyof T>(object: T | null | undefined, ...keys: K[]): T => {
    const copy = { ...object } as T;
    for (const key of keys) {
      const value = copy[key];
      if (typeof value === 'string' && value !== '') copy[key] = resolve(directory, value) as T[K];
    }
    return copy;
  };
  return {
    ...config,
    clusters: (config.clusters ?? []).map(({ name, cluster }) => ({
      name,
      cluster: absolute(cluster, 'certificate-authority'),
    })),
    users: (config.users ?? []).map(({ name, user }) => ({
      name,
      user: absolute(user, 'client-certificate', 'client-key', 'tokenFile'),
    })),
    contexts: config.contexts ?? [],
    'current-context': config['current-context'] ?? '',
  };
}

/** The first file to name something decides it, as for kubectl. */
export function mergeKubeconfigs(configs: readonly clientcmdv1.Config[]): clientcmdv1.Config {
  const first = <T extends { readonly name: string }>(entries: readonly T[]): T[] => {
    const seen = new Map<string, T>();
    for (const entry of entries) if (!seen.has(entry.name)) seen.set(entry.name, entry);
    return [...seen.values()];
  };
  return {
    clusters: first(configs.flatMap(({ clusters }) => clusters)),
    users: first(configs.flatMap(({ users }) => users)),
    contexts: first(configs.flatMap(({ contexts }) => contexts)),
    'current-context': configs.map((config) => config['current-context']).find((name) => name !== '') ?? '',
  };
}

/** Follows a context to its cluster and user. */
export async function kubeconfigTarget(
  config: clientcmdv1.Config,
  contextName: string = config['current-context'],
): Promise<KubeconfigTarget> {
  if (contextName === '') throw new KubeconfigError('current-context is not set');
  const context = config.contexts.find(({ name }) => name === contextName)?.context;
  if (!context) throw new KubeconfigError(`context "${contextName}" does not exist`);
  const cluster = config.clusters.find(({ name }) => name === context.cluster)?.cluster;
  if (!cluster) throw new KubeconfigError(`cluster "${context.cluster}" does not exist`);
  // A context without a user is anonymous.
  const user = context.user ? config.users.find(({ name }) => name === context.user)?.user : {};
  if (!user) throw new KubeconfigError(`auth info "${context.user}" does not exist`);
  if (user.exec !== undefined)
    throw new KubeconfigError(`user "${context.user}": exec credential plugins are not supported`);
  if (user['auth-provider'] !== undefined)
    throw new KubeconfigError(`user "${context.user}": auth providers are not supported`);
  if (cluster['proxy-url'])
    throw new KubeconfigError(`cluster "${context.cluster}": proxy-url is not supported`);
  if (!cluster.server) throw new KubeconfigError(`cluster "${context.cluster}" has no server`);

  const insecure = cluster['insecure-skip-tls-verify'] === true;
  const ca = await pem(cluster['certificate-authority-data'], cluster['certificate-authority']);
  const cert = await pem(user['client-certificate-data'], user['client-certificate']);
  const key = await pem(user['client-key-data'], user['client-key']);
  return {
    context: contextName,
    namespace: context.namespace || 'default',
    transport: {
      server: cluster.server,
      ...(ca === undefined || insecure ? {} : { ca }),
      ...(cluster['tls-server-name'] ? { tlsServerName: cluster['tls-server-name'] } : {}),
      ...(insecure ? { insecureSkipTlsVerify: true } : {}),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(user.token ? { token: user.token } : {}),
      // With both, the token serves until the file has been read.
      ...(user.tokenFile ? { tokenFile: user.tokenFile } : {}),
      ...(user.username ? { username: user.username, password: user.password ?? '' } : {}),
      ...(user.as
        ? {
            impersonate: {
              user: user.as,
              ...(user['as-uid'] ? { uid: user['as-uid'] } : {}),
              groups: user['as-groups'] ?? [],
              extra: user['as-user-extra'] ?? {},
            },
          }
        : {}),
    },
  };
}

/** `-data` comes before the file of the same thing. */
async function pem(data: string | undefined, file: string | undefined): Promise<string | undefined> {
  if (data) return Buffer.from(data, 'base64').toString('utf8');
  return file ? readFile(file, 'utf8') : undefined;
}
