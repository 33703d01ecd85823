import { createReadStream } from 'node:fs';
import { chmod, rm } from 'node:fs/promises';
import { createServer, request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { errorMessage } from '@k8ts/base';
import type { ImageRow } from '@k8ts/cli';
import { UserError } from '@k8ts/cli';
import type { ImageOperations } from './image-operations.ts';

/**
 * Orders to the process that runs a cluster, over a socket in its data directory that only its owner can open: the image
 * store belongs to that process. HTTP with JSON answers; an archive is the body of its request.
 */
export async function serveControl(path: string, images: ImageOperations): Promise<AsyncDisposable> {
  await rm(path, { force: true }); // left by a process that was killed
  const server = createServer((request, response) => {
    handle(request, images).then(
      (value) => response.end(JSON.stringify(value ?? null)),
      (error: unknown) => {
        response.statusCode = error instanceof UserError ? 400 : 500;
        response.end(JSON.stringify({ error: errorMessage(error) }));
      },
    );
  });
  server.requestTimeout = 0; // an image may take its time
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  await chmod(path, 0o600);
  return {
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function handle(request: IncomingMessage, images: ImageOperations): Promise<unknown> {
  const url = new URL(request.url ?? '/', 'http://control');
  const image = url.searchParams.get('image') ?? '';
  switch (`${request.method ?? ''} ${url.pathname}`) {
    case 'GET /images':
      return images.list();
    case 'POST /images/import':
      return images.import(request);
    case 'POST /images/pull':
      return images.pull(image);
    case 'POST /images/tag':
      return images.tag(image, url.searchParams.get('tag') ?? '');
    case 'DELETE /images':
      return images.remove(image);
    default:
      throw new UserError(`unknown order ${request.method ?? ''} ${url.pathname}`);
  }
}

/** The operations of the process behind the socket. */
export function remoteImages(path: string): ImageOperations {
  const order = async <T>(method: string, target: string, body?: Readable): Promise<T> => {
    const response = await send(path, method, target, body);
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    if ((response.statusCode ?? 500) >= 400) throw new UserError((value as { error: string }).error);
    return value as T;
  };
  const query = (values: Record<string, string>): string => new URLSearchParams(values).toString();
  return {
    import: (archive) =>
      order<readonly string[]>(
        'POST',
        '/images/import',
        typeof archive === 'string' ? createReadStream(archive) : archive,
      ),
    list: () => order<readonly ImageRow[]>('GET', '/images'),
    remove: (image) => order('DELETE', `/images?${query({ image })}`),
    pull: (image) => order<string>('POST', `/images/pull?${query({ image })}`),
    tag: (image, tag) => order('POST', `/images/tag?${query({ image, tag })}`),
  };
}

function send(
  socketPath: string,
  method: string,
  path: string,
  body: Readable | undefined,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ socketPath, method, path }, resolve);
    request.on('error', (error) =>
      reject(
        new UserError(`the cluster does not answer on ${socketPath}: ${error.message}`, { cause: error }),
      ),
    );
    if (body === undefined) {
      request.end();
      return;
    }
    body.on('error', (error) => {
      request.destroy();
      reject(new UserError(error.message, { cause: error }));
    });
    body.pipe(request);
  });
}
