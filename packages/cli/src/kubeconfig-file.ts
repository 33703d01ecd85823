import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { randomUUID } from 'node:crypto';
import { parse, stringify } from 'yaml';
import { UserError } from './contract.ts';

/** How to reach a cluster as its administrator; certificates and key in PEM. */
export interface AdminAccess {
  /** Of context, cluster and user. */
  readonly name: string;
  readonly server: string;
  readonly certificateAuthority: string;
  readonly clientCertificate: string;
  readonly clientKey: string;
}

interface Named {
  readonly name: string;
}

interface Kubeconfig {
  apiVersion: 'v1';
  kind: 'Config';
  preferences?: object;
  clusters?: Named[];
  users?: Named[];
  contexts?: Named[];
  'current-context'?: string;
  [other: string]: unknown;
}

/** A kubeconfig with one context, for the cluster's administrator. */
export function adminKubeconfig(access: AdminAccess): string {
  return stringify(withAccess(empty(), access));
}

/**
 * Adds the cluster to a kubeconfig file, or replaces its entry there, and makes it the current context, as kind does.
 * Everything else in the file stays. Throws `UserError` for a file that is no kubeconfig.
 */
export async function addToKubeconfig(file: string, access: AdminAccess): Promise<void> {
  await change(file, (config) => withAccess(config, access));
}

/** Takes the cluster out of a kubeconfig file again. A missing file is no error. */
export async function removeFromKubeconfig(file: string, name: string): Promise<void> {
  await change(file, (config) => {
    const without = (entries: Named[] | undefined): Named[] =>
      (entries ?? []).filter((entry) => entry.name !== name);
    const rest = {
      ...config,
      clusters: without(config.clusters),
      users: without(config.users),
      contexts: without(config.contexts),
    };
    if (config['current-context'] !== name) return rest;
    return { ...rest, 'current-context': '' };
  });
}

function withAccess(config: Kubeconfig, access: AdminAccess): Kubeconfig {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const { name } = access;
  const put = (entries: Named[] | undefined, entry: Named): Named[] => [
    ...(entries ?? []).filter((other) => other.name !== name),
    entry,
  ];
  const cluster = {
    server: access.server,
    'certificate-authority-data': base64(access.certificateAuthority),
  };
  const user = {
    'client-certificate-data': base64(access.clientCertificate),
    'client-key-data': base64(access.clientKey),
  };
  return {
    ...config,
    clusters: put(config.clusters, { name, cluster } as Named),
    users: put(config.users, { name, user } as Named),
    contexts: put(config.contexts, { name, context: { cluster: name, user: name } } as Named),
    'current-context': name,
  };
}

function empty(): Kubeconfig {
  return { apiVersion: 'v1', kind: 'Config', preferences: {} };
}

/** Under kubectl's own lock file, and whole or not at all: other programs read and write this file too. */
async function change(file: string, update: (config: Kubeconfig) => Kubeconfig): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const lock = `${file}.lock`;
  await takeLock(lock);
  try {
    const before = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw new UserError(`the kubeconfig ${file} cannot be read: ${error.message}`, { cause: error });
    });
    const after = stringify(
      update(before === undefined || before.trim() === '' ? empty() : parseConfig(file, before)),
    );
    if (after === before) return;
    const mode = before === undefined ? 0o600 : (await stat(file)).mode & 0o777;
    const fresh = `${file}.${randomUUID()}`;
    await writeFile(fresh, after, { mode });
    await rename(fresh, file);
  } finally {
    await rm(lock, { force: true });
  }
}

async function takeLock(lock: string): Promise<void> {
  try {
    await (await open(lock, 'wx')).close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new UserError(
      `${lock} exists: another program is changing the kubeconfig, or was killed while it did; remove the file in that case`,
      { cause: error },
    );
  }
}

function parseConfig(file: string, text: string): Kubeconfig {
  let config: unknown;
  try {
    config = parse(text);
  } catch (error) {
    throw new UserError(`${file} is not YAML, and so left as it is: ${(error as Error).message}`, {
      cause: error,
    });
  }
  const valid =
    typeof config === 'object' &&
    config !== null &&
    !Array.isArray(config) &&
    ((config as Kubeconfig).kind === undefined || (config as Kubeconfig).kind === 'Config') &&
    ['clusters', 'users', 'contexts'].every((key) => {
      const entries = (config as Kubeconfig)[key];
      return entries === undefined || entries === null || Array.isArray(entries);
    });
  if (!valid) throw new UserError(`${file} is not a kubeconfig, and so left as it is`);
  return { ...empty(), ...(config as Kubeconfig) };
}
