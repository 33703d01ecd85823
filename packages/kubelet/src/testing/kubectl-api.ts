import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

import type { Pod } from '../pod/types.ts';
import type { RequestHandlers } from '../server/kubelet-server.ts';

/**
 * As little of an API server as kubectl needs for exec, attach, cp, logs and port-forward of one pod; it hands the
 * connections on to the kubelet as the real one does, bytes untouched.
 */
export async function startKubectlApi(
  pod: () => Pod,
  kubelet: RequestHandlers,
): Promise<{ readonly url: string; readonly seen: string[] } & AsyncDisposable> {
  const seen: string[] = [];
  const sockets = new Set<Socket>();
  const forwarded = (request: IncomingMessage): boolean => {
    const url = new URL(request.url ?? '/', 'http://api');
    const match = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)\/(exec|attach|log|portforward)$/.exec(
      url.pathname,
    );
    if (match === null) return false;
    const [, namespace, name, subresource] = match;
    seen.push(
      `${subresource} ${request.headers.upgrade ?? ''} ${request.headers['sec-websocket-protocol'] ?? ''}`.trim(),
    );
    const container = url.searchParams.get('container') ?? 'app';
    const path = { exec: 'exec', attach: 'attach', log: 'containerLogs', portforward: 'portForward' }[
      subresource as 'exec'
    ];
    request.url =
      subresource === 'portforward'
        ? `/${path}/${namespace}/${name}${url.search}`
        : `/${path}/${namespace}/${name}/${container}${url.search}`;
    return true;
  };
  const server: Server = createServer((request, response) => {
    if (forwarded(request)) return kubelet.handle(request, response);
    const json = (body: object): void => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    };
    const path = (request.url ?? '').split('?')[0];
    if (path === '/api') return json({ kind: 'APIVersions', versions: ['v1'] });
    if (path === '/apis') return json({ kind: 'APIGroupList', apiVersion: 'v1', groups: [] });
    if (path === '/api/v1')
      return json({
        kind: 'APIResourceList',
        groupVersion: 'v1',
        resources: [
          {
            name: 'pods',
            singularName: 'pod',
            namespaced: true,
            kind: 'Pod',
            shortNames: ['po'],
            verbs: ['get', 'list'],
          },
        ],
      });
    if (/^\/api\/v1\/namespaces\/default\/pods\/[^/]+$/.test(path ?? '')) return json(pod());
    response.writeHead(404, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound', code: 404 }),
    );
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (request, socket, head) => {
    if (forwarded(request)) kubelet.upgrade(request, socket, head);
    else socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
