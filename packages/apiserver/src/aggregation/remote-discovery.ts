/** What an extension API server says that it serves (kube-aggregator/pkg/apiserver/handler_discovery.go). */
import { parseAccept } from '../output/media-types.ts';
import type { APIService } from './api-service.ts';
import type {
  GroupVersionKind,
  ResourceDiscovery,
  SubresourceDiscovery,
  VersionDiscovery,
} from './contract.ts';
import type { Question, ServerAnswer } from './extension-server.ts';

type AskFor = (question: Pick<Question, 'path' | 'headers' | 'user'>) => Promise<ServerAnswer>;

/** Of the server behind a Service: all that it said last, for when it says that nothing has changed. */
export interface KnownDiscovery {
  readonly etag: string;
  /** By `group/version`. */
  readonly versions: ReadonlyMap<string, readonly ResourceDiscovery[]>;
}

export interface DiscoveryFindings {
  readonly found: VersionDiscovery;
  /** Absent: the server knows single versions only. */
  readonly known?: KnownDiscovery;
}

const ACCEPT = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
const AGGREGATOR = { name: 'system:kube-aggregator', uid: '', extra: {} };

/** Rejects with an Error when the server cannot be asked, or answers what is no discovery. */
export async function readDiscovery(
  askFor: AskFor,
  { spec: { group = '', version = '' } }: APIService,
  known: KnownDiscovery | undefined,
): Promise<DiscoveryFindings> {
  const key = `${group}/${version}`;
  const of = (versions: KnownDiscovery['versions']): VersionDiscovery => {
    const resources = versions.get(key);
    return { version, ...(resources === undefined ? {} : { resources }), freshness: 'Current' };
  };
  const answer = await askFor({
    path: '/apis',
    headers: { accept: ACCEPT, ...(known === undefined ? {} : { 'if-none-match': known.etag }) },
    user: { ...AGGREGATOR, groups: ['system:masters'] },
  });
  if (answer.code === 304 && known !== undefined) return { found: of(known.versions), known };
  if (answer.code === 503) throw new Error(`returned non-success response code: ${answer.code}`);
  if (answer.code === 200 && isGroupList(answer.headers['content-type'])) {
    const versions = readGroupList(JSON.parse(answer.text));
    const { etag } = answer.headers;
    return { found: of(versions), ...(etag === undefined ? {} : { known: { etag, versions } }) };
  }
  const path = group === '' ? `/api/${version}` : `/apis/${key}`;
  const legacy = await askFor({
    path,
    headers: { accept: 'application/json' },
    user: { ...AGGREGATOR, groups: [] },
  });
  if (legacy.code !== 200) throw new Error(`failed to download legacy discovery for ${path}: ${legacy.code}`);
  return { found: { version, resources: readResourceList(JSON.parse(legacy.text)), freshness: 'Current' } };
}

function isGroupList(contentType = ''): boolean {
  const parameters = parseAccept(contentType)[0]?.parameters;
  return (
    parameters?.get('g') === 'apidiscovery.k8s.io' &&
    parameters.get('v') === 'v2' &&
    parameters.get('as') === 'APIGroupDiscoveryList'
  );
}

function readGroupList(list: unknown): Map<string, readonly ResourceDiscovery[]> {
  const versions = new Map<string, readonly ResourceDiscovery[]>();
  for (const group of array(fields(list)['items'])) {
    const name = text(fields(fields(group)['metadata'])['name']);
    for (const version of array(fields(group)['versions'])) {
      const { resources, ...rest } = fields(version);
      versions.set(`${name}/${text(rest['version'])}`, array(resources).map(resourceOf));
    }
  }
  return versions;
}

function resourceOf(value: unknown): ResourceDiscovery {
  const resource = fields(value);
  const subresources = array(resource['subresources']).map((each): SubresourceDiscovery => {
    const subresource = fields(each);
    return {
      subresource: text(subresource['subresource']),
      responseKind: kindOf(subresource['responseKind']),
      verbs: texts(subresource['verbs']),
    };
  });
  return {
    resource: text(resource['resource']),
    responseKind: kindOf(resource['responseKind']),
    scope: resource['scope'] === 'Namespaced' ? 'Namespaced' : 'Cluster',
    singularResource: text(resource['singularResource']),
    verbs: texts(resource['verbs']),
    ...names(resource),
    ...(subresources.length === 0 ? {} : { subresources }),
  };
}

/** An APIResourceList: subresources stand beside their resources there, under `flunders/status`. */
function readResourceList(list: unknown): ResourceDiscovery[] {
  const all = array(fields(list)['resources']).map(fields);
  const found = new Map<string, ResourceDiscovery & { subresources?: SubresourceDiscovery[] }>();
  const scopeOf = (resource: Fields): ResourceDiscovery['scope'] =>
    resource['namespaced'] === true ? 'Namespaced' : 'Cluster';
  for (const resource of all) {
    const name = text(resource['name']);
    if (name.includes('/')) continue;
    found.set(name, {
      resource: name,
      responseKind: kindOf(resource),
      scope: scopeOf(resource),
      singularResource: text(resource['singularName']),
      verbs: texts(resource['verbs']),
      ...names(resource),
    });
  }
  for (const resource of all) {
    const [name = '', ...rest] = text(resource['name']).split('/');
    if (rest.length === 0) continue;
    const scope = scopeOf(resource);
    let parent = found.get(name);
    if (parent === undefined) {
      parent = { resource: name, responseKind: NO_KIND, scope, singularResource: '', verbs: [] };
      found.set(name, parent);
    }
    if (parent.scope !== scope)
      throw new Error(
        `Error: Parent ${name} (scope: ${parent.scope}) and subresource ${rest.join('/')} (scope: ${scope}) scope do not match`,
      );
    (parent.subresources ??= []).push({
      subresource: rest.join('/'),
      responseKind: kindOf(resource),
      verbs: texts(resource['verbs']),
    });
  }
  return [...found.values()];
}

type Fields = Readonly<Record<string, unknown>>;

const NO_KIND: GroupVersionKind = { group: '', version: '', kind: '' };

function kindOf(value: unknown): GroupVersionKind {
  if (value === undefined || value === null) return NO_KIND;
  const { group, version, kind } = fields(value);
  return { group: text(group), version: text(version), kind: text(kind) };
}

function names(resource: Fields): Pick<ResourceDiscovery, 'shortNames' | 'categories'> {
  const [shortNames, categories] = [texts(resource['shortNames']), texts(resource['categories'])];
  return {
    ...(shortNames.length === 0 ? {} : { shortNames }),
    ...(categories.length === 0 ? {} : { categories }),
  };
}

function fields(value: unknown): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw new TypeError('discovery has something else where an object should be');
}

function array(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value;
  throw new TypeError('discovery has something else where a list should be');
}

function text(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return value;
  throw new TypeError('discovery has something else where a text should be');
}

function texts(value: unknown): readonly string[] {
  return array(value).map(text);
}
