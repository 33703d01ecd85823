import { isJsonObject } from '@k8ts/apimachinery';
import { errorMessage, type Logger } from '@k8ts/base';
import { parseReference, type RegistryAuth } from '@k8ts/cri';

import type { Secret } from '../pod/types.ts';

interface AuthEntry {
  readonly username?: unknown;
  readonly password?: unknown;
  /** base64 of `username:password`. */
  readonly auth?: unknown;
  readonly identitytoken?: unknown;
  readonly registrytoken?: unknown;
}

/**
 * What the pull secrets of a pod (types kubernetes.io/dockerconfigjson and kubernetes.io/dockercfg) hold for an image, the
 * longest match first. Registries are matched as pkg/credentialprovider does: by host with `*` for whole labels, port, and
 * a prefix of the path; `https://index.docker.io/v1/` is Docker Hub.
 */
export function credentialsFor(image: string, secrets: readonly Secret[], logger: Logger): RegistryAuth[] {
  const { registry, repository } = parseReference(image);
  const matches: { auth: RegistryAuth; weight: number }[] = [];
  for (const secret of secrets) {
    for (const [server, entry] of Object.entries(authEntries(secret, logger))) {
      const pattern = splitServer(server);
      if (!hostMatches(pattern.host, registry) || !pathMatches(pattern.path, repository)) continue;
      const auth = registryAuth(server, entry);
      if (auth !== undefined)
        matches.push({ auth, weight: pattern.path.length * 1000 + pattern.host.length });
    }
  }
  return matches.sort((a, b) => b.weight - a.weight).map(({ auth }) => auth);
}

function authEntries(secret: Secret, logger: Logger): Readonly<Record<string, AuthEntry>> {
  const json = secret.data?.['.dockerconfigjson'];
  const legacy = secret.data?.['.dockercfg'];
  try {
    if (json !== undefined) {
      const parsed = JSON.parse(Buffer.from(json, 'base64').toString('utf8')) as { auths?: unknown } | null;
      return isJsonObject(parsed?.auths) ? (parsed.auths as Record<string, AuthEntry>) : {};
    }
    if (legacy !== undefined) {
      const parsed: unknown = JSON.parse(Buffer.from(legacy, 'base64').toString('utf8'));
      return isJsonObject(parsed) ? (parsed as Record<string, AuthEntry>) : {};
    }
  } catch (error) {
    // The text of a parse error may quote the secret.
    logger.warn('Unable to parse image pull secret', {
      secret: `${secret.metadata.namespace}/${secret.metadata.name}`,
      kind: error instanceof Error ? error.name : errorMessage(typeof error),
    });
  }
  return {};
}

function splitServer(server: string): { host: string; path: string } {
  const bare = server.replace(/^https?:\/\//, '').replace(/\/+$/, '');
  const slash = bare.indexOf('/');
  const host = slash < 0 ? bare : bare.slice(0, slash);
  const path = slash < 0 ? '' : bare.slice(slash + 1);
  const isHub = /^(index\.docker\.io|registry-1\.docker\.io|docker\.io)$/.test(host);
  return { host: isHub ? 'docker.io' : host, path: /^v[12]$/.test(path) ? '' : path };
}

/** `*` stands for any text within one label: `*.gcr.io` matches `eu.gcr.io`, not `a.eu.gcr.io`. */
function hostMatches(pattern: string, registry: string): boolean {
  const [patternHost, patternPort] = pattern.split(':');
  const [host, port] = registry.split(':');
  if (patternPort !== port) return false;
  const patternLabels = (patternHost ?? '').split('.');
  const labels = (host ?? '').split('.');
  return (
    patternLabels.length === labels.length &&
    patternLabels.every((label, i) => labelMatches(label, labels[i] ?? ''))
  );
}

function labelMatches(pattern: string, label: string): boolean {
  const parts = pattern.split('*');
  if (parts.length === 1) return pattern === label;
  const first = parts[0] as string;
  const last = parts[parts.length - 1] as string;
  if (!label.startsWith(first) || !label.endsWith(last) || label.length < first.length + last.length)
    return false;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = label.indexOf(part, at);
    if (found < 0 || found + part.length > label.length - last.length) return false;
    at = found + part.length;
  }
  return true;
}

function pathMatches(prefix: string, repository: string): boolean {
  return prefix === '' || repository.startsWith(prefix);
}

function registryAuth(server: string, entry: AuthEntry): RegistryAuth | undefined {
  if (!isJsonObject(entry)) return undefined;
  const text = (value: unknown): string | undefined =>
    typeof value === 'string' && value !== '' ? value : undefined;
  let username = text(entry.username);
  let password = text(entry.password);
  const joined = text(entry.auth);
  if (username === undefined && joined !== undefined) {
    const decoded = Buffer.from(joined, 'base64').toString('utf8');
    const colon = decoded.indexOf(':');
    if (colon < 0) return undefined;
    username = decoded.slice(0, colon);
    password = decoded.slice(colon + 1);
  }
  const identityToken = text(entry.identitytoken);
  const registryToken = text(entry.registrytoken);
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(identityToken === undefined ? {} : { identityToken }),
    ...(registryToken === undefined ? {} : { registryToken }),
    serverAddress: server,
  };
}
