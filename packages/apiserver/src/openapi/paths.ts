/**
 * The operations of a group and version as OpenAPI paths: what clients look up there are the query parameters that an
 * operation takes (kubectl decides by them whether the server validates fields), and which kind a path is about.
 */
import { schemaOfType, type ResourceInfo, type SubresourceInfo } from '@k8ts/api';
import type { Definitions, GroupVersionKind, JsonObject, OpenApiVersion } from './definitions.ts';

export interface PathsContext {
  readonly version: OpenApiVersion;
  readonly definitions: Definitions;
  /** A reference to the definition of a kind, if there is one. */
  readonly kind: (group: string, version: string, kind: string) => JsonObject | undefined;
  /** What patches the resources of this group take. */
  readonly isCustom: boolean;
}

const OUTPUTS = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'] as const;
const PATCHES = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
] as const;

const DESCRIPTIONS: Readonly<Record<string, string>> = {
  get: 'read the specified',
  list: 'list or watch objects of kind',
  create: 'create a',
  update: 'replace the specified',
  patch: 'partially update the specified',
  delete: 'delete a',
  deletecollection: 'delete collection of',
};

const METHODS: Readonly<Record<string, string>> = {
  get: 'get',
  list: 'get',
  create: 'post',
  update: 'put',
  patch: 'patch',
  delete: 'delete',
  deletecollection: 'delete',
};

const ACTIONS: Readonly<Record<string, string>> = {
  get: 'get',
  list: 'list',
  create: 'post',
  update: 'put',
  patch: 'patch',
  delete: 'delete',
  deletecollection: 'deletecollection',
};

const COLLECTION_VERBS = ['list', 'create', 'deletecollection'];
const OBJECT_VERBS = ['get', 'update', 'patch', 'delete'];

/** All paths of the resources of one group and version. */
export function resourcePaths(
  context: PathsContext,
  root: string,
  infos: readonly ResourceInfo[],
): JsonObject {
  const paths: JsonObject = {};
  for (const info of infos) {
    const base = info.namespaced
      ? `${root}/namespaces/{namespace}/${info.resource}`
      : `${root}/${info.resource}`;
    const collection = COLLECTION_VERBS.filter((verb) => info.verbs.includes(verb));
    addPath(context, paths, base, info, undefined, collection);
    if (info.namespaced && info.verbs.includes('list'))
      addPath(context, paths, `${root}/${info.resource}`, info, undefined, ['list']);
    const single = OBJECT_VERBS.filter((verb) => info.verbs.includes(verb));
    addPath(context, paths, `${base}/{name}`, info, undefined, single);
    for (const subresource of info.subresources) {
      const verbs = [...OBJECT_VERBS, 'create'].filter((verb) => subresource.verbs.includes(verb));
      addPath(context, paths, `${base}/{name}/${subresource.name}`, info, subresource, verbs);
    }
  }
  return paths;
}

function addPath(
  context: PathsContext,
  paths: JsonObject,
  path: string,
  info: ResourceInfo,
  subresource: SubresourceInfo | undefined,
  verbs: readonly string[],
): void {
  if (verbs.length === 0) return;
  const item: JsonObject = {};
  for (const verb of verbs) item[METHODS[verb] as string] = operation(context, path, info, subresource, verb);
  const parameters: JsonObject[] = [];
  if (path.includes('{name}')) parameters.push(pathParameter(context, 'name', `name of the ${info.kind}`));
  if (path.includes('{namespace}'))
    parameters.push(
      pathParameter(context, 'namespace', 'object name and auth scope, such as for teams and projects'),
    );
  parameters.push(queryParameter(context, 'pretty', 'string'));
  item['parameters'] = parameters;
  paths[path] = item;
}

function operation(
  context: PathsContext,
  path: string,
  info: ResourceInfo,
  subresource: SubresourceInfo | undefined,
  verb: string,
): JsonObject {
  const kind = kindOf(info, subresource);
  const schema = context.kind(kind.group, kind.version, kind.kind);
  const isList = verb === 'list';
  const shown = isList ? context.kind(info.group, info.version, info.listKind) : schema;
  const status = metaReference(context, 'Status');
  const answer = verb === 'deletecollection' || (verb === 'delete' && status !== undefined) ? status : shown;
  const codes = verb === 'create' ? ['200', '201', '202'] : verb === 'delete' ? ['200', '202'] : ['200'];
  const group = info.group === '' ? 'core' : info.group;
  const described: JsonObject = {
    tags: [`${camelCase(group)}_${info.version}`],
    description: `${DESCRIPTIONS[verb]} ${subresource === undefined ? '' : `${subresource.name} of the specified `}${kind.kind}`,
    operationId: operationId(path, info, subresource, verb),
    'x-kubernetes-action': ACTIONS[verb],
    'x-kubernetes-group-version-kind': kind,
  };
  const parameters = queryParameters(verb).map(([name, type]) => queryParameter(context, name, type));
  const body = bodyOf(context, verb, schema);
  return context.version === 3
    ? {
        ...described,
        ...(parameters.length === 0 ? {} : { parameters }),
        ...(body === undefined ? {} : { requestBody: body3(context, body, verb) }),
        responses: responses3(codes, answer, isList),
      }
    : {
        ...described,
        schemes: ['https'],
        consumes: verb === 'patch' ? patchesOf(context) : ['*/*'],
        produces: OUTPUTS,
        parameters: [
          ...parameters,
          ...(body === undefined
            ? []
            : [{ name: 'body', in: 'body', required: verb !== 'delete', schema: body }]),
        ],
        responses: responses2(codes, answer),
      };
}

function kindOf(info: ResourceInfo, subresource: SubresourceInfo | undefined): GroupVersionKind {
  const { group, version, kind } = subresource ?? info;
  return { group, kind, version };
}

/** `readCoreV1NamespacedPodStatus`, as generated clients know the operations. */
function operationId(
  path: string,
  info: ResourceInfo,
  subresource: SubresourceInfo | undefined,
  verb: string,
): string {
  const verbs: Readonly<Record<string, string>> = {
    get: 'read',
    list: 'list',
    create: 'create',
    update: 'replace',
    patch: 'patch',
    delete: 'delete',
    deletecollection: 'deleteCollection',
  };
  const group = info.group === '' ? 'Core' : upperFirst(camelCase(info.group.replace(/\.k8s\.io$/, '')));
  const scope = path.includes('{namespace}') ? 'Namespaced' : '';
  const all = info.namespaced && scope === '' ? 'ForAllNamespaces' : '';
  const suffix = subresource === undefined ? '' : upperFirst(subresource.name);
  return `${verbs[verb]}${group}${upperFirst(info.version)}${scope}${info.kind}${suffix}${all}`;
}

function camelCase(text: string): string {
  return text.replace(/[.-]([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function upperFirst(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

type ParameterType = 'string' | 'boolean' | 'integer';

const WRITE_PARAMETERS: readonly (readonly [string, ParameterType])[] = [
  ['dryRun', 'string'],
  ['fieldManager', 'string'],
  ['fieldValidation', 'string'],
];
const LIST_PARAMETERS: readonly (readonly [string, ParameterType])[] = [
  ['allowWatchBookmarks', 'boolean'],
  ['continue', 'string'],
  ['fieldSelector', 'string'],
  ['labelSelector', 'string'],
  ['limit', 'integer'],
  ['resourceVersion', 'string'],
  ['resourceVersionMatch', 'string'],
  ['sendInitialEvents', 'boolean'],
  ['timeoutSeconds', 'integer'],
  ['watch', 'boolean'],
];
const DELETE_PARAMETERS: readonly (readonly [string, ParameterType])[] = [
  ['dryRun', 'string'],
  ['gracePeriodSeconds', 'integer'],
  ['orphanDependents', 'boolean'],
  ['propagationPolicy', 'string'],
];

function queryParameters(verb: string): readonly (readonly [string, ParameterType])[] {
  switch (verb) {
    case 'list':
      return LIST_PARAMETERS;
    case 'create':
    case 'update':
      return WRITE_PARAMETERS;
    case 'patch':
      return [...WRITE_PARAMETERS, ['force', 'boolean']];
    case 'delete':
      return DELETE_PARAMETERS;
    case 'deletecollection':
      return [
        ...DELETE_PARAMETERS,
        ...LIST_PARAMETERS.filter(([name]) => name !== 'watch' && name !== 'allowWatchBookmarks'),
      ];
    default:
      return [];
  }
}

function queryParameter({ version }: PathsContext, name: string, type: ParameterType): JsonObject {
  return version === 3
    ? { name, in: 'query', schema: { type, uniqueItems: true } }
    : { uniqueItems: true, type, name, in: 'query' };
}

function pathParameter({ version }: PathsContext, name: string, description: string): JsonObject {
  return version === 3
    ? { name, in: 'path', description, required: true, schema: { type: 'string', uniqueItems: true } }
    : { uniqueItems: true, type: 'string', description, name, in: 'path', required: true };
}

function metaReference({ definitions }: PathsContext, name: string): JsonObject | undefined {
  const found = schemaOfType('metav1', name);
  return found === undefined ? undefined : definitions.reference(found);
}

function bodyOf(context: PathsContext, verb: string, schema: JsonObject | undefined): JsonObject | undefined {
  switch (verb) {
    case 'create':
    case 'update':
      return schema;
    case 'patch':
      return metaReference(context, 'Patch') ?? { type: 'object' };
    case 'delete':
    case 'deletecollection':
      return metaReference(context, 'DeleteOptions');
    default:
      return undefined;
  }
}

function patchesOf({ isCustom }: PathsContext): readonly string[] {
  return isCustom ? PATCHES.filter((type) => !type.includes('strategic')) : PATCHES;
}

function body3(context: PathsContext, schema: JsonObject, verb: string): JsonObject {
  const types = verb === 'patch' ? patchesOf(context) : ['*/*'];
  return {
    content: Object.fromEntries(types.map((type) => [type, { schema }])),
    ...(verb === 'delete' || verb === 'deletecollection' ? {} : { required: true }),
  };
}

const CODE_NAMES: Readonly<Record<string, string>> = { 200: 'OK', 201: 'Created', 202: 'Accepted' };

function responses3(codes: readonly string[], schema: JsonObject | undefined, isList: boolean): JsonObject {
  const content: JsonObject = {};
  if (schema !== undefined) {
    const types = isList ? [...OUTPUTS, 'application/json;stream=watch'] : OUTPUTS;
    for (const type of types) content[type] = { schema };
  }
  const responses: JsonObject = {};
  for (const code of codes) responses[code] = { description: CODE_NAMES[code], content };
  responses['401'] = { description: 'Unauthorized' };
  return responses;
}

function responses2(codes: readonly string[], schema: JsonObject | undefined): JsonObject {
  const responses: JsonObject = {};
  for (const code of codes)
    responses[code] = {
      description: CODE_NAMES[code],
      ...(schema === undefined ? {} : { schema }),
    };
  responses['401'] = { description: 'Unauthorized' };
  return responses;
}
