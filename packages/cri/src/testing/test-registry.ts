import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sha256 } from '../images/digest.ts';

/** A registry of the distribution protocol on the loopback, in memory, for tests of pulls. */
export interface TestRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** Requests so far, `GET /v2/…`. */
  readonly requests: string[];
  putBlob(content: Buffer | string): { readonly digest: string; readonly size: number };
  /** Under its digest and, when given, a tag. Returns the digest. */
  putManifest(repository: string, mediaType: string, manifest: unknown, tag?: string): string;
  /** Answers a blob with other bytes than its own. */
  corruptBlob(digest: string, content: Buffer): void;
}

export interface TestRegistryOptions {
  /** How clients must show who they are. */
  readonly auth?: 'none' | 'basic' | 'token';
  readonly username?: string;
  readonly password?: string;
  /** Milliseconds before a blob is sent. */
  readonly blobDelay?: number;
}

export async function startTestRegistry(options: TestRegistryOptions = {}): Promise<TestRegistry> {
  const blobs = new Map<string, Buffer>();
  const manifests = new Map<string, { readonly mediaType: string; readonly body: Buffer }>();
  const requests: string[] = [];
  const basic = `Basic ${Buffer.from(`${options.username ?? ''}:${options.password ?? ''}`).toString('base64')}`;
  let host = '';

  const send = (response: ServerResponse, status: number, body: Buffer | string, headers = {}): void => {
    response.writeHead(status, headers).end(body);
  };
  const refuse = (response: ServerResponse, status: number, code: string, headers = {}): void =>
    send(response, status, JSON.stringify({ errors: [{ code, message: code.toLowerCase() }] }), headers);

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', `http://${host}`);
    requests.push(`${request.method} ${url.pathname}`);
    const { authorization } = request.headers;
    if (url.pathname === '/token') {
      if (options.username !== undefined && authorization !== basic)
        return refuse(response, 401, 'UNAUTHORIZED');
      return send(response, 200, JSON.stringify({ token: `token-for-${url.searchParams.get('scope')}` }));
    }
    // Registries send clients on to where their blobs are. Credentials must not go there.
    if (url.pathname.startsWith('/store/')) {
      if (authorization !== undefined) return refuse(response, 400, 'CREDENTIALS_SENT');
      return send(response, 200, blobs.get(url.pathname.slice('/store/'.length)) ?? '');
    }
    const [, repository = '', kind = '', name = ''] =
      /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(url.pathname) ?? [];
    if (options.auth === 'basic' && authorization !== basic) {
      return refuse(response, 401, 'UNAUTHORIZED', { 'www-authenticate': 'Basic realm="test"' });
    }
    const scope = `repository:${repository}:pull`;
    if (options.auth === 'token' && authorization !== `Bearer token-for-${scope}`) {
      const challenge = `Bearer realm="http://${host}/token",service="test",scope="${scope}"`;
      return refuse(response, 401, 'UNAUTHORIZED', { 'www-authenticate': challenge });
    }
    if (kind === 'manifests') {
      const manifest = manifests.get(`${repository}/${name}`);
      if (manifest === undefined) return refuse(response, 404, 'MANIFEST_UNKNOWN');
      return send(response, 200, manifest.body, { 'content-type': manifest.mediaType });
    }
    const blob = blobs.get(name);
    if (blob === undefined) return refuse(response, 404, 'BLOB_UNKNOWN');
    if (options.blobDelay !== undefined)
      await new Promise((resolve) => setTimeout(resolve, options.blobDelay));
    const { port } = new URL(`http://${host}`);
    return send(response, 307, '', { location: `http://localhost:${port}/store/${name}` });
  };

  const server = createServer((request, response) => {
    void handle(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    host,
    requests,
    putBlob(content) {
      const bytes = Buffer.from(content as string);
      blobs.set(sha256(bytes), bytes);
      return { digest: sha256(bytes), size: bytes.length };
    },
    putManifest(repository, mediaType, manifest, tag) {
      const body = Buffer.from(JSON.stringify(manifest));
      for (const name of [sha256(body), ...(tag === undefined ? [] : [tag])]) {
        manifests.set(`${repository}/${name}`, { mediaType, body });
      }
      return sha256(body);
    },
    corruptBlob: (digest, content) => void blobs.set(digest, content),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
