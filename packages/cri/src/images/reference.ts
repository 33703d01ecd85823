import { ImagePullError } from '../contract.ts';

/**
 * Image references, by the grammar of github.com/distribution/reference:
 *
 *     redis                         → docker.io/library/redis:latest
 *     bitnami/redis:7               → docker.io/bitnami/redis:7
 *     localhost:5000/app@sha256:…   → localhost:5000/app@sha256:…
 */
export interface ImageReference {
  /** Host and port of the registry: `docker.io`, `localhost:5000`. */
  readonly registry: string;
  /** `library/redis`. */
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: string;
}

export const DEFAULT_REGISTRY = 'docker.io';
const DEFAULT_TAG = 'latest';
const NAME_LIMIT = 255;

const DOMAIN =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?$/;
const PATH_COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^[\w][\w.-]{0,127}$/;
export const DIGEST: RegExp = /^sha256:[0-9a-f]{64}$/;

/** Throws `ImagePullError` (`InvalidImageName`) with the text that containerd and Docker give. */
export function parseReference(text: string): ImageReference {
  const invalid = (why: string): ImagePullError =>
    new ImagePullError('InvalidImageName', `couldn't parse image name "${text}": ${why}`);
  const format = 'invalid reference format';
  if (text.length === 0 || text.length > 4096) throw invalid(format);
  let rest = text;
  let digest: string | undefined;
  const at = rest.indexOf('@');
  if (at >= 0) {
    digest = rest.slice(at + 1);
    rest = rest.slice(0, at);
    if (!DIGEST.test(digest))
      throw invalid(/^[a-z0-9]+:/.test(digest) ? 'unsupported digest algorithm' : format);
  }
  let tag: string | undefined;
  const colon = rest.lastIndexOf(':');
  if (colon > rest.lastIndexOf('/')) {
    tag = rest.slice(colon + 1);
    rest = rest.slice(0, colon);
    if (!TAG.test(tag)) throw invalid(format);
  }
  let registry = DEFAULT_REGISTRY;
  let repository = rest;
  const slash = rest.indexOf('/');
  if (slash >= 0) {
    const first = rest.slice(0, slash);
    // The first part is a registry when it could not be a user name: it has a dot, a port or capitals, or is localhost.
    if (/[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase()) {
      registry = first === 'index.docker.io' ? DEFAULT_REGISTRY : first;
      repository = rest.slice(slash + 1);
    }
  }
  if (!DOMAIN.test(registry)) throw invalid(format);
  if (repository !== repository.toLowerCase()) {
    throw invalid(`${format}: repository name (${repository}) must be lowercase`);
  }
  if (!repository.split('/').every((component) => PATH_COMPONENT.test(component))) throw invalid(format);
  if (registry === DEFAULT_REGISTRY && !repository.includes('/')) repository = `library/${repository}`;
  if (registry.length + 1 + repository.length > NAME_LIMIT) {
    throw invalid(`repository name must not be more than ${NAME_LIMIT} characters`);
  }
  return { registry, repository, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) };
}

/** With neither tag nor digest: `latest`. */
export function formatReference(reference: ImageReference): string {
  const name = `${reference.registry}/${reference.repository}`;
  if (reference.digest !== undefined) return `${name}@${reference.digest}`;
  return `${name}:${reference.tag ?? DEFAULT_TAG}`;
}

/** The full form of a name. A tag beside a digest is dropped: the digest alone says which image it is. */
export function normalizeReference(text: string): string {
  return formatReference(parseReference(text));
}

/** `registry/repository` of a full name. */
export function familiarName(reference: string): string {
  const { registry, repository } = parseReference(reference);
  return `${registry}/${repository}`;
}
