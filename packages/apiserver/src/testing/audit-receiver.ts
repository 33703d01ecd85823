import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { auditv1 } from '@k8ts/api';
import { testAuthority, testCertificate } from './certificates.ts';

/** A status code; `hang`: no answer; `break`: the connection breaks; `flood`: an answer without an end. */
type Behaviour = number | 'hang' | 'break' | 'flood';

export interface AuditReceiver extends AsyncDisposable {
  readonly port: number;
  /** A kubeconfig's text. */
  kubeconfig(path?: string): string;
  /** What came, also what was not answered well. */
  readonly lists: auditv1.EventList[];
  readonly paths: (string | undefined)[];
  /** Of the first requests, in their order; then everything is well. */
  readonly behaviours: Behaviour[];
}

/** What audit events are sent to: an HTTPS server on loopback, with a certificate of its own authority. */
export async function startAuditReceiver(): Promise<AuditReceiver> {
  const authority = testAuthority('audit');
  const { cert, key } = testCertificate(authority, '/CN=audit', ['127.0.0.1']);
  const lists: auditv1.EventList[] = [];
  const paths: (string | undefined)[] = [];
  const behaviours: Behaviour[] = [];
  const server = createServer({ cert, key }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      lists.push(JSON.parse(Buffer.concat(chunks).toString()) as auditv1.EventList);
      paths.push(request.url);
      const behaviour = behaviours.shift() ?? 200;
      if (behaviour === 'hang') return;
      if (behaviour === 'break') return void request.socket.destroy();
      if (behaviour !== 'flood') return void response.writeHead(behaviour).end('{}');
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(64 * 1024)));
      };
      response.on('drain', more);
      more();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    lists,
    paths,
    behaviours,
    kubeconfig: (path = '/events') =>
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [
          {
            name: 'receiver',
            cluster: {
              server: `https://127.0.0.1:${port}${path}`,
              'certificate-authority-data': Buffer.from(authority.cert).toString('base64'),
            },
          },
        ],
        users: [{ name: 'me', user: { token: 'secret' } }],
        contexts: [{ name: 'x', context: { cluster: 'receiver', user: 'me' } }],
        'current-context': 'x',
      }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
