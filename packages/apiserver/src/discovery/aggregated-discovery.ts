/** Discovery in one answer (KEP-3352): /api and /apis as APIGroupDiscoveryList, for clients that accept it. */
import { createHash } from 'node:crypto';
import type { ResourceInfo } from '@k8ts/api';
import type { Aggregation } from '../aggregation/contract.ts';
import { parseAccept } from '../output/media-types.ts';
import type { RequestContext } from '../request/request-context.ts';
import type { ResourceRegistry } from '../registry/resource-registry.ts';
import type { RawResult } from '../request/result.ts';
import { groupsOf } from './legacy-discovery.ts';

export type DiscoveryVersion = 'v2' | 'v2beta1';

/** The version of aggregated discovery that the client would rather have than the legacy form. */
export function wantedVersion({ headers }: RequestContext): DiscoveryVersion | undefined {
  const { accept } = headers;
  if (accept === undefined || !accept.includes('apidiscovery')) return undefined;
  for (const { type, subtype, parameters } of parseAccept(accept)) {
    const matches =
      (type === 'application' && (subtype === 'json' || subtype === '*')) ||
      (type === '*' && subtype === '*');
    if (!matches) continue;
    const as = parameters.get('as');
    if (as === undefined) return undefined;
    const version = parameters.get('v');
    if (as !== 'APIGroupDiscoveryList' || parameters.get('g') !== 'apidiscovery.k8s.io') continue;
    if (version === 'v2' || version === 'v2beta1') return version;
  }
  return undefined;
}

/** Made once per root and version, until custom resources or other servers come or go; the answer to a client that has it already is 304. */
export class AggregatedDiscovery {
  readonly #registry: ResourceRegistry;
  readonly #aggregation: Aggregation | undefined;
  readonly #documents = new Map<
    string,
    { readonly text: string; readonly value: object; readonly etag: string }
  >();
  #generation = 0;

  constructor(registry: ResourceRegistry, aggregation: Aggregation | undefined) {
    this.#registry = registry;
    this.#aggregation = aggregation;
  }

  result(root: 'api' | 'apis', version: DiscoveryVersion, context: RequestContext): RawResult {
    const { text, value, etag } = this.#document(root, version);
    const contentType = `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;
    const headers = { ETag: etag, Vary: 'Accept', 'Cache-Control': 'public' };
    if (context.headers['if-none-match'] === etag)
      return { kind: 'raw', code: 304, contentType: '', body: '', headers };
    return { kind: 'raw', code: 200, contentType, body: text, headers, value };
  }

  #document(
    root: 'api' | 'apis',
    version: DiscoveryVersion,
  ): { readonly text: string; readonly value: object; readonly etag: string } {
    // Both only grow.
    const generation = this.#registry.generation + (this.#aggregation?.generation ?? 0);
    if (this.#generation !== generation) {
      this.#generation = generation;
      this.#documents.clear();
    }
    const key = `${root} ${version}`;
    let document = this.#documents.get(key);
    if (document === undefined) {
      const value = discoveryList(this.#registry, this.#aggregation, root, version);
      const text = `${JSON.stringify(value)}\n`;
      const hash = createHash('sha512').update(text).digest('hex').toUpperCase();
      document = { text, value, etag: `"${hash}"` };
      this.#documents.set(key, document);
    }
    return document;
  }
}

function discoveryList(
  registry: ResourceRegistry,
  aggregation: Aggregation | undefined,
  root: 'api' | 'apis',
  version: DiscoveryVersion,
): object {
  const groups = root === 'api' ? [{ group: '', versions: ['v1'] }] : groupsOf(registry, aggregation);
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: groups.map(({ group, versions }) => ({
      metadata: { ...(group === '' ? {} : { name: group }), creationTimestamp: null },
      versions: versions.map(
        (name) =>
          aggregation?.discovery(group, name) ?? {
            version: name,
            resources: [...registry.infosOf(group, name)]
              .sort((a, b) => (a.resource < b.resource ? -1 : 1))
              .map(resourceDiscovery),
            freshness: 'Current',
          },
      ),
    })),
  };
}

function resourceDiscovery(info: ResourceInfo): object {
  const { group, version, kind } = info;
  return {
    resource: info.resource,
    responseKind: { group, version, kind },
    scope: info.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: info.singular,
    verbs: info.verbs,
    ...(info.shortNames.length === 0 ? {} : { shortNames: info.shortNames }),
    ...(info.categories.length === 0 ? {} : { categories: info.categories }),
    ...(info.subresources.length === 0
      ? {}
      : {
          subresources: info.subresources.map((subresource) => ({
            subresource: subresource.name,
            responseKind: {
              group: subresource.group,
              version: subresource.version,
              kind: subresource.kind,
            },
            verbs: subresource.verbs,
          })),
        }),
  };
}
