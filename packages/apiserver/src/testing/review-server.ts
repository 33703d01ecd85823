import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testAuthority, testCertificate } from './certificates.ts';

/** How a webhook behaves with one request. */
interface ReviewAnswer {
  readonly code?: number;
  /** An object is sent as JSON; absent: nothing is ever answered. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** The connection is cut in the middle of the answer. */
  readonly cut?: boolean;
}

export interface ReviewServer extends AsyncDisposable {
  /** What it was asked, parsed, and at which path with query. */
  readonly asked: { readonly path: string; readonly review: { readonly spec: Record<string, unknown> } }[];
  /** The next requests are answered so. */
  answer: (review: { readonly spec: Record<string, unknown> }) => ReviewAnswer;
  readonly url: string;
  /** PEM. */
  readonly ca: string;
  /** A kubeconfig file that names it; goes with the server. */
  readonly kubeconfig: string;
  /** Where further files of a test may be; goes with the server. */
  readonly directory: string;
}

/** A webhook for TokenReviews and SubjectAccessReviews on loopback. */
export async function startReviewServer(path = '/judge'): Promise<ReviewServer> {
  const authority = testAuthority('webhook-ca');
  const directory = await mkdtemp(join(tmpdir(), 'k8ts-reviews-'));
  const http = createServer(testCertificate(authority, '/CN=webhook', ['127.0.0.1']), (request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.once('end', () => {
      const review = JSON.parse(text) as { readonly spec: Record<string, unknown> };
      server.asked.push({ path: request.url ?? '', review });
      const { code = 200, body, headers = {}, cut = false } = server.answer(review);
      if (cut) {
        response.writeHead(code, { 'content-type': 'application/json', 'content-length': '1000' });
        response.write('{');
        request.socket.destroy();
      } else if (body !== undefined) {
        response.writeHead(code, { 'content-type': 'application/json', ...headers });
        response.end(typeof body === 'string' ? body : JSON.stringify(body));
      }
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const url = `https://127.0.0.1:${String((http.address() as AddressInfo).port)}${path}`;
  const kubeconfig = join(directory, 'kubeconfig');
  await writeFile(
    kubeconfig,
    JSON.stringify({
      clusters: [
        {
          name: 'webhook',
          cluster: {
            server: url,
            'certificate-authority-data': Buffer.from(authority.cert).toString('base64'),
          },
        },
      ],
      users: [{ name: 'apiserver', user: {} }],
      contexts: [{ name: 'webhook', context: { cluster: 'webhook', user: 'apiserver' } }],
      'current-context': 'webhook',
    }),
  );
  const server: ReviewServer = {
    asked: [],
    answer: () => ({ code: 500, body: 'nothing was prepared' }),
    url,
    ca: authority.cert,
    kubeconfig,
    directory,
    async [Symbol.asyncDispose]() {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
      await rm(directory, { recursive: true });
    },
  };
  return server;
}
