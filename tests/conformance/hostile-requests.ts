import { builtinResources, schemaOf, type ResourceInfo } from '@k8ts/api';
import { sampleObject } from '@k8ts/api/testing';
import type { Random } from '@k8ts/base';

export interface HostileRequest {
  readonly method: string;
  readonly path: string;
  readonly body?: string | Buffer;
  readonly contentType?: string;
  readonly accept?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const pick = <T>(random: Random, values: readonly T[]): T =>
  values[Math.floor(random() * values.length)] as T;

/** Values that programs trip over. */
const ODD_VALUES: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e308,
  -2147483649,
  9223372036854775807,
  '',
  ' ',
  '0',
  'a'.repeat(70_000),
  '\u0000',
  '\ud800',
  '../../..',
  '%2e%2e%2f',
  '__proto__',
  'constructor',
  '💥'.repeat(300),
  '1e1000000000',
  '99999999999999999999999999Ei',
  '2026-13-45T99:99:99Z',
  '*',
  [],
  {},
  [[[[[]]]]],
  [null],
  [{}],
  { a: { b: { c: null } } },
];
/** As text, since JSON.stringify would lose them. */
const ODD_OBJECTS = ['{"__proto__":{"polluted":true}}', '{"constructor":{"prototype":{"polluted":true}}}'];

const ODD_NAMES = [
  'a',
  'A',
  '..',
  '%2e%2e',
  '%00',
  '%ff%fe',
  'a%2Fb',
  'a'.repeat(300),
  'a'.repeat(9_000),
  '__proto__',
  'constructor',
  'toString',
  '%F0%9F%92%A5',
  'a:b',
  'a;b',
  '-',
];

const CONTENT_TYPES = [
  'application/json',
  'application/yaml',
  'application/vnd.kubernetes.protobuf',
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
  'text/plain',
  'application/json; charset=latin1',
  ';;;',
  'a'.repeat(2_000),
];

const ACCEPTS = [
  'application/json',
  'application/yaml',
  'application/vnd.kubernetes.protobuf',
  'application/json;as=Table;v=v1;g=meta.k8s.io',
  'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io',
  'application/json;as=Nonsense;v=v9;g=meta.k8s.io',
  '*/*;q=abc',
  ',;,;=',
  'x'.repeat(3_000),
];

const QUERIES = [
  'limit=-1',
  'limit=abc',
  'limit=99999999999999999999',
  'continue=garbage',
  `continue=${Buffer.from('{"v":"meta.k8s.io/v1","rv":-5,"start":"\u0000/../"}').toString('base64url')}`,
  'resourceVersion=abc',
  'resourceVersion=-1',
  'resourceVersion=18446744073709551616',
  'resourceVersion=0&resourceVersionMatch=Exact',
  'resourceVersionMatch=Sometimes',
  'labelSelector=%3D%3D%3D',
  'labelSelector=a+in+(',
  `labelSelector=${'a%2C'.repeat(2_000)}`,
  'fieldSelector=metadata.name',
  'fieldSelector=no.such=1',
  'fieldSelector=%5C%5C%5C',
  'watch=true&timeoutSeconds=0&resourceVersion=1&fieldSelector=a',
  'watch=perhaps&timeoutSeconds=1', // anything but false and 0 is true
  'watch=false&timeoutSeconds=x',
  'dryRun=Some',
  'dryRun=All&dryRun=All',
  'fieldManager=%00',
  `fieldManager=${'x'.repeat(300)}`,
  'fieldValidation=Maybe',
  'propagationPolicy=Whatever',
  'gracePeriodSeconds=-9999999999',
  'gracePeriodSeconds=x',
  'orphanDependents=1&propagationPolicy=Orphan',
  'pretty=%ff',
  '%',
  '&&&=&',
  `${'a=b&'.repeat(3_000)}`,
  'force=maybe',
  'sendInitialEvents=true',
  'allowWatchBookmarks=x',
];

const HEADERS: readonly Readonly<Record<string, string>>[] = [
  { 'impersonate-user': '' },
  { 'impersonate-user': 'system:anonymous', 'impersonate-group': '' },
  { 'impersonate-group': 'system:masters' },
  { 'impersonate-extra-%': 'x' },
  { authorization: 'Bearer a.b.c' },
  { authorization: 'Basic ====' },
  { 'content-encoding': 'gzip' },
  { 'accept-encoding': 'gzip;q=nan, *' },
  { 'if-none-match': '"' },
  { 'x-remote-user': 'admin' },
];

/** Everything of one endless kind: the same seed makes the same requests. */
export function hostileRequest(random: Random): HostileRequest {
  const request = pick(random, MAKERS)(random);
  if (!request.path.startsWith('/apis/admissionregistration.k8s.io/')) return request;
  // A webhook or policy that is stored may refuse what others ask, and rightly.
  return { ...request, path: `${request.path}${request.path.includes('?') ? '&' : '?'}dryRun=All` };
}

const MAKERS: readonly ((random: Random) => HostileRequest)[] = [
  mutatedObject,
  mutatedObject,
  mutatedObject,
  brokenText,
  brokenProtobuf,
  oddPath,
  oddQuery,
  oddPatch,
  oddPatch,
  oddDelete,
];

/** Those that anybody may list; writing them cannot shut the tester out. */
const RESOURCES = builtinResources.filter(
  ({ verbs, group }) =>
    verbs.includes('create') && verbs.includes('list') && group !== 'rbac.authorization.k8s.io',
);

function collectionPath({ group, version, resource, namespaced }: ResourceInfo): string {
  const prefix = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  return `${prefix}${namespaced ? '/namespaces/default' : ''}/${resource}`;
}

function exampleOf(info: ResourceInfo, name: string): Record<string, unknown> {
  const schema = schemaOf(info.group, info.version, info.kind);
  const object = schema === undefined ? {} : sampleObject(schema);
  return {
    ...object,
    apiVersion: info.group === '' ? info.version : `${info.group}/${info.version}`,
    kind: info.kind,
    metadata: { name },
  };
}

const nameOf = (random: Random): string => `fuzz-${Math.floor(random() * 50)}`;

/** One of every kind, with every field set but the name. */
export const NAMELESS: readonly HostileRequest[] = RESOURCES.map((info) => ({
  method: 'POST',
  path: collectionPath(info),
  body: JSON.stringify({ ...exampleOf(info, ''), metadata: {} }),
}));

/** An object of some kind with every field set, of which some are then something else. */
function mutatedObject(random: Random): HostileRequest {
  const info = pick(random, RESOURCES);
  const name = nameOf(random);
  const object = exampleOf(info, name);
  const mutations = Math.floor(random() * 4);
  for (let count = 0; count < mutations; count++) mutate(random, object);
  let body = JSON.stringify(object);
  if (random() < 0.1) body = body.replace('{', `{"spec":${pick(random, ODD_OBJECTS)},`);
  const put = random() < 0.3;
  return {
    method: put ? 'PUT' : 'POST',
    path: put ? `${collectionPath(info)}/${name}` : collectionPath(info),
    body,
    contentType: random() < 0.9 ? 'application/json' : 'application/yaml',
    ...(random() < 0.2 ? { accept: pick(random, ACCEPTS) } : {}),
    ...(random() < 0.1 ? { headers: pick(random, HEADERS) } : {}),
  };
}

/** Puts an odd value at a random place. */
function mutate(random: Random, root: Record<string, unknown>): void {
  let place: Record<string, unknown> = root;
  for (;;) {
    const keys = Object.keys(place);
    const key = keys.length === 0 || random() < 0.05 ? pick(random, ODD_NAMES) : pick(random, keys);
    const below = Object.hasOwn(place, key) ? place[key] : undefined;
    if (typeof below === 'object' && below !== null && random() < 0.85) {
      place = below as Record<string, unknown>;
      continue;
    }
    if (key === '__proto__') return;
    place[key] = structuredClone(pick(random, ODD_VALUES)); // a later mutation may reach into it
    return;
  }
}

function brokenText(random: Random): HostileRequest {
  const info = pick(random, RESOURCES);
  const valid = JSON.stringify(exampleOf(info, nameOf(random)));
  const depth = 1 + Math.floor(random() * 20_000);
  const bodies: readonly (() => string | Buffer)[] = [
    () => valid.slice(0, Math.floor(random() * valid.length)),
    () => `${valid}${valid}`,
    () => '['.repeat(depth),
    () => `{"metadata":${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}}`,
    () => `${'[\n'.repeat(depth)}${']'.repeat(depth)}`,
    () => '',
    () => 'null',
    () => '[]',
    () => '"text"',
    () => Buffer.from(Array.from({ length: 200 }, () => Math.floor(random() * 256))),
    () =>
      Buffer.concat([
        Buffer.from(valid.slice(0, 40)),
        Buffer.from([0xff, 0xfe, 0xc0]),
        Buffer.from(valid.slice(40)),
      ]),
    () => valid.replace(/"metadata":\{/, '"metadata":{"name":"twice","name":"twice",'),
    () =>
      `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"many"},"data":{${Array.from({ length: depth }, (_, index) => `"k${index}":"v"`).join(',')}}}`,
    () =>
      'a: &a ["x","x"]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c]\ne: [*d,*d,*d,*d]\n',
    () => `${'- '.repeat(Math.min(depth, 3_000))}a`,
    () => '%YAML 9.9\n---\n!!js/function "x"\n',
    () => `{"a":${'9'.repeat(depth)}}`,
    () => `{"a":"\\u${'d800'}\\ud800"}`,
  ];
  return {
    method: pick(random, ['POST', 'PUT', 'PATCH', 'DELETE']),
    path: `${collectionPath(info)}${random() < 0.5 ? '' : '/fuzz-1'}`,
    body: pick(random, bodies)(),
    contentType: pick(random, CONTENT_TYPES),
  };
}

/** With the right beginning, so that it gets as far as the decoder. */
function brokenProtobuf(random: Random): HostileRequest {
  const info = pick(random, RESOURCES);
  const length = Math.floor(random() * 400);
  const noise = Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
  return {
    method: random() < 0.7 ? 'POST' : 'PATCH',
    path: collectionPath(info),
    body: Buffer.concat([Buffer.from('k8s\0'), noise]),
    contentType: 'application/vnd.kubernetes.protobuf',
    ...(random() < 0.5 ? { accept: 'application/vnd.kubernetes.protobuf' } : {}),
  };
}

function oddPath(random: Random): HostileRequest {
  const info = pick(random, RESOURCES);
  const name = pick(random, ODD_NAMES);
  const paths = [
    `${collectionPath(info)}/${name}`,
    `${collectionPath(info)}/${name}/status`,
    `${collectionPath(info)}/a/${name}`,
    `/api/v1/namespaces/${name}/pods`,
    `/api/v1/namespaces/${name}/pods/${name}/log?tailLines=x`,
    `/apis/${name}/v1/${name}`,
    `/${name}`,
    `//${name}//`,
    `/api/v1/nodes/${name}/proxy/..%2f..`,
    `/openapi/v3/apis/${name}`,
    `/api/v1/namespaces/default/services/${name}:${name}/proxy`,
    `/api/v1/watch/namespaces/default/pods/${name}?timeoutSeconds=0&labelSelector=(`,
  ];
  return {
    method: pick(random, ['GET', 'GET', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'HEAD', 'TRACE', 'PROPFIND']),
    path: pick(random, paths),
    ...(random() < 0.3 ? { headers: pick(random, HEADERS) } : {}),
  };
}

function oddQuery(random: Random): HostileRequest {
  const info = pick(random, RESOURCES);
  return {
    method: pick(random, ['GET', 'GET', 'GET', 'DELETE']),
    path: `${collectionPath(info)}/${random() < 0.5 ? '' : 'fuzz-none'}?${pick(random, QUERIES)}`.replace(
      '/?',
      '?',
    ),
    accept: pick(random, ACCEPTS),
  };
}

function oddPatch(random: Random): HostileRequest {
  const info = pick(random, RESOURCES);
  const value = (): string => JSON.stringify(pick(random, ODD_VALUES));
  const pointer = (): string =>
    pick(random, [
      '',
      '/',
      '/metadata',
      '/metadata/labels/a',
      '/spec/-',
      '/spec/99999999',
      '/~',
      '/~2',
      '/metadata/__proto__/x',
      '/a'.repeat(500),
    ]);
  const operation = (): string =>
    `{"op":${JSON.stringify(pick(random, ['add', 'remove', 'replace', 'move', 'copy', 'test', 'explode']))},"path":${JSON.stringify(pointer())},"from":${JSON.stringify(pointer())},"value":${value()}}`;
  const bodies: readonly (() => string)[] = [
    () => `[${operation()},${operation()},${operation()}]`,
    () => `[${Array.from({ length: 11_000 }, () => '{"op":"test","path":"","value":{}}').join(',')}]`,
    () =>
      `[${Array.from({ length: 40 }, () => '{"op":"copy","from":"/metadata","path":"/metadata/annotations"}').join(',')}]`,
    () => `{"metadata":${value()},"spec":${value()}}`,
    () => `{"metadata":{"labels":{"a":${value()}},"finalizers":${value()},"ownerReferences":[${value()}]}}`,
    () =>
      `{"metadata":{"managedFields":[{"manager":${value()},"operation":"Apply","fieldsType":"FieldsV1","fieldsV1":${value()}}]}}`,
    () =>
      `{"spec":{"containers":[{"$patch":${value()},"name":"a"}],"$setElementOrder/containers":${value()},"$retainKeys":${value()}}}`,
    () => `{"$patch":"replace"}`,
    () =>
      `{"$deleteFromPrimitiveList/finalizers":${value()},"metadata":{"$deleteFromPrimitiveList/finalizers":[${value()}]}}`,
    () =>
      `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"config","resourceVersion":${value()}},"data":${value()}}`,
    () => pick(random, ODD_OBJECTS),
  ];
  const known = random() < 0.6;
  return {
    method: 'PATCH',
    path: `${known ? '/api/v1/namespaces/default/configmaps/config' : `${collectionPath(info)}/${nameOf(random)}`}${random() < 0.2 ? '/status' : ''}?fieldManager=fuzz${random() < 0.2 ? '&force=true' : ''}`,
    contentType: pick(random, CONTENT_TYPES.slice(3, 7)),
    body: pick(random, bodies)(),
  };
}

function oddDelete(random: Random): HostileRequest {
  const value = (): string => JSON.stringify(pick(random, ODD_VALUES));
  const info = pick(
    random,
    RESOURCES.filter(({ namespaced }) => namespaced),
  );
  return {
    method: 'DELETE',
    path: `${collectionPath(info)}/${nameOf(random)}`,
    body: `{"apiVersion":"v1","kind":"DeleteOptions","gracePeriodSeconds":${value()},"propagationPolicy":${value()},"preconditions":{"uid":${value()}},"dryRun":[${value()}]}`,
  };
}
