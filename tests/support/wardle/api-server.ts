/**
 * A small extension API server: `flunders` in `wardle.example.com/v1alpha1`, kept in memory. It listens to front proxies
 * only, and asks the cluster whether a user may do what is asked. It uses nothing but Node, for it also runs in a pod.
 */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';

export interface WardleOptions {
  readonly cert: string;
  readonly key: string;
  readonly port: number;
  readonly host: string;
  /** `requestheader-client-ca-file` and `requestheader-allowed-names` of extension-apiserver-authentication. */
  readonly frontProxyCa: string;
  readonly allowedNames: readonly string[];
  /** A SubjectAccessReview's answer. */
  readonly isAllowed: (review: object) => Promise<boolean>;
}

export interface Wardle {
  readonly port: number;
  close(): Promise<void>;
}

interface Flunder {
  readonly metadata: { readonly name: string; readonly namespace: string; [field: string]: unknown };
  [field: string]: unknown;
}

const GROUP = 'wardle.example.com';
const VERSION = 'v1alpha1';
const ROOT = `/apis/${GROUP}/${VERSION}`;
const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
const VERB_OF: Readonly<Record<string, string>> = {
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

export async function startWardle(options: WardleOptions): Promise<Wardle> {
  const flunders = new Map<string, Flunder>();
  const watchers = new Set<{ readonly namespace: string; readonly response: ServerResponse }>();
  let version = 1;

  const changed = (type: string, flunder: Flunder): void => {
    for (const { namespace, response } of watchers)
      if (namespace === '' || namespace === flunder.metadata.namespace)
        response.write(`${JSON.stringify({ type, object: flunder })}\n`);
  };
  const stored = (given: Flunder, namespace: string, old?: Flunder): Flunder => {
    const flunder: Flunder = {
      ...given,
      apiVersion: `${GROUP}/${VERSION}`,
      kind: 'Flunder',
      metadata: {
        ...given.metadata,
        namespace,
        uid: old?.metadata['uid'] ?? crypto.randomUUID(),
        creationTimestamp:
          old?.metadata['creationTimestamp'] ?? new Date().toISOString().replace(/\.\d+/, ''),
        resourceVersion: String(++version),
      },
    };
    flunders.set(`${namespace}/${flunder.metadata.name}`, flunder);
    changed(old === undefined ? 'ADDED' : 'MODIFIED', flunder);
    return flunder;
  };
  const remove = (flunder: Flunder): void => {
    flunders.delete(`${flunder.metadata.namespace}/${flunder.metadata.name}`);
    changed('DELETED', { ...flunder, metadata: { ...flunder.metadata, resourceVersion: String(++version) } });
  };
  const list = (namespace: string): Flunder[] =>
    [...flunders.values()].filter(({ metadata }) => namespace === '' || metadata.namespace === namespace);

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'https://wardle');
    const path = url.pathname.replace(/\/$/, '');
    if (path === '/readyz') return void response.end('ok');
    const user = userOf(request, options.allowedNames);
    if (user === undefined) return fail(response, 401, 'Unauthorized', 'Unauthorized');
    if (path === ROOT) return answer(response, 200, RESOURCES);
    if (path === '/openapi/v2') return answer(response, 200, SWAGGER);
    const match = /^(?:\/namespaces\/([^/]+))?\/flunders(?:\/([^/]+))?$/.exec(path.slice(ROOT.length));
    if (!path.startsWith(ROOT) || match === null)
      return fail(response, 404, 'NotFound', 'the server could not find the requested resource');
    const [, namespace = '', name = ''] = match;
    const isWatch = url.searchParams.get('watch') === 'true' || url.searchParams.get('watch') === '1';
    const { method = 'GET' } = request;
    let verb = VERB_OF[method] ?? (name !== '' ? 'get' : isWatch ? 'watch' : 'list');
    if (verb === 'delete' && name === '') verb = 'deletecollection';
    const resourceAttributes = {
      group: GROUP,
      version: VERSION,
      resource: 'flunders',
      namespace,
      name,
      verb,
    };
    if (!(await options.isAllowed({ ...user, resourceAttributes })))
      return fail(
        response,
        403,
        'Forbidden',
        `flunders.${GROUP} is forbidden: ${user.user} cannot ${verb} them`,
      );

    const old = flunders.get(`${namespace}/${name}`);
    const body = await bodyOf(request);
    if (name !== '' && old === undefined && verb !== 'create')
      return fail(response, 404, 'NotFound', `flunders.${GROUP} "${name}" not found`);
    switch (verb) {
      case 'create': {
        const given = body as Flunder;
        if (flunders.has(`${namespace}/${given.metadata.name}`))
          return fail(
            response,
            409,
            'AlreadyExists',
            `flunders.${GROUP} "${given.metadata.name}" already exists`,
          );
        return answer(response, 201, stored(given, namespace));
      }
      case 'update':
        return answer(response, 200, stored(body as Flunder, namespace, old));
      case 'patch': {
        const { metadata, ...rest } = body as Partial<Flunder>;
        const merged = { ...old, ...rest, metadata: { ...old?.metadata, ...metadata } } as Flunder;
        return answer(response, 200, stored(merged, namespace, old));
      }
      case 'delete':
        remove(old as Flunder);
        return answer(response, 200, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' });
      case 'deletecollection':
        for (const each of list(namespace)) remove(each);
        return answer(response, 200, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' });
      case 'get':
        return answer(response, 200, old as Flunder);
      case 'watch': {
        // As API servers do that know no initial events: clients then list before they watch.
        if (url.searchParams.has('resourceVersionMatch'))
          return fail(response, 422, 'Invalid', 'resourceVersionMatch is forbidden for watch');
        response.writeHead(200, { 'content-type': 'application/json' });
        response.flushHeaders();
        if (['', '0'].includes(url.searchParams.get('resourceVersion') ?? ''))
          for (const object of list(namespace))
            response.write(`${JSON.stringify({ type: 'ADDED', object })}\n`);
        const watcher = { namespace, response };
        watchers.add(watcher);
        response.once('close', () => watchers.delete(watcher));
        return;
      }
      default:
        return answer(response, 200, {
          kind: 'FlunderList',
          apiVersion: `${GROUP}/${VERSION}`,
          metadata: { resourceVersion: String(version) },
          items: list(namespace),
        });
    }
  };

  const server = createServer(
    {
      cert: options.cert,
      key: options.key,
      ca: options.frontProxyCa,
      requestCert: true,
      rejectUnauthorized: false,
    },
    (request, response) => {
      serve(request, response).catch((error: unknown) => fail(response, 500, 'InternalError', String(error)));
    },
  );
  server.listen(options.port, options.host);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Whom a front proxy speaks for; nobody who is no front proxy says anything. */
function userOf(
  { socket, headers }: IncomingMessage,
  allowedNames: readonly string[],
): { readonly user: string; readonly groups: readonly string[] } | undefined {
  const connection = socket as TLSSocket;
  if (!connection.authorized) return undefined;
  const { CN: name } = connection.getPeerCertificate().subject as unknown as { readonly CN: string };
  const user = headers['x-remote-user'];
  if (!allowedNames.includes(name) || typeof user !== 'string') return undefined;
  return { user, groups: String(headers['x-remote-group'] ?? '').split(', ') };
}

async function bodyOf(request: IncomingMessage): Promise<object> {
  let text = '';
  for await (const chunk of request as AsyncIterable<Buffer>) text += chunk.toString();
  return text === '' ? {} : (JSON.parse(text) as object);
}

function answer(response: ServerResponse, code: number, value: object): void {
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function fail(response: ServerResponse, code: number, reason: string, message: string): void {
  answer(response, code, {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    reason,
    code,
  });
}

const RESOURCES = {
  kind: 'APIResourceList',
  apiVersion: 'v1',
  groupVersion: `${GROUP}/${VERSION}`,
  resources: [
    {
      name: 'flunders',
      singularName: 'flunder',
      namespaced: true,
      group: GROUP,
      version: VERSION,
      kind: 'Flunder',
      verbs: VERBS,
      shortNames: ['fl'],
    },
  ],
};

const SWAGGER = {
  swagger: '2.0',
  info: { title: 'wardle', version: VERSION },
  paths: {
    [`${ROOT}/namespaces/{namespace}/flunders`]: {
      post: {
        consumes: ['application/json'],
        produces: ['application/json'],
        parameters: [
          {
            name: 'body',
            in: 'body',
            required: true,
            schema: { $ref: '#/definitions/com.example.wardle.Flunder' },
          },
        ],
        responses: {
          201: { description: 'Created', schema: { $ref: '#/definitions/com.example.wardle.Flunder' } },
        },
        'x-kubernetes-action': 'post',
        'x-kubernetes-group-version-kind': { group: GROUP, version: VERSION, kind: 'Flunder' },
      },
    },
  },
  definitions: {
    'com.example.wardle.Flunder': {
      description: 'Flunder is what wardle keeps.',
      type: 'object',
      properties: { apiVersion: { type: 'string' }, kind: { type: 'string' }, metadata: { type: 'object' } },
      'x-kubernetes-group-version-kind': [{ group: GROUP, version: VERSION, kind: 'Flunder' }],
    },
  },
};
