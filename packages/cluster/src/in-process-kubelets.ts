import { createServer } from 'node:http';
import { duplexPair } from 'node:stream';
import type { KubeletConnection } from '@k8ts/apiserver';
import type { RequestHandlers } from '@k8ts/kubelet';

/**
 * Kubelets of the same process, reached without a socket: the API server, which has authenticated and authorized the
 * request, gets one half of a stream pair, and an HTTP server without a port the other.
 */
export function inProcessKubelets(handlers: () => RequestHandlers): KubeletConnection & AsyncDisposable {
  const server = createServer((request, response) => handlers().handle(request, response));
  server.on('upgrade', (request, socket, head) => handlers().upgrade(request, socket, head));
  server.requestTimeout = 0;
  return {
    forNode: (node) => ({
      scheme: 'http',
      authority: node.metadata.name,
      open() {
        const [near, far] = duplexPair();
        // Unlike a socket's, the other end of a pair does not hear of a client that goes away.
        near.once('close', () => far.destroy());
        far.once('close', () => near.destroy());
        server.emit('connection', far);
        return Promise.resolve(near);
      },
    }),
    [Symbol.asyncDispose]() {
      server.closeAllConnections();
      return Promise.resolve();
    },
  };
}
