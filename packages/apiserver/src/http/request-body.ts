import type { Readable } from 'node:stream';
import { badRequest, requestEntityTooLarge } from '@k8ts/apimachinery';
import type { RequestBody } from '../request/request-context.ts';

/** The body of an HTTP request. `length` is its Content-Length, if it has one. */
export function streamBody(stream: Readable, length: number | undefined): RequestBody {
  return {
    kind: 'bytes',
    stream: () => stream,
    read: (limit) => readAll(stream, length, limit),
  };
}

function readAll(stream: Readable, length: number | undefined, limit: number): Promise<Buffer> {
  if (length === 0) return Promise.resolve(Buffer.alloc(0));
  const tooLarge = (): Error => requestEntityTooLarge(`limit is ${limit}`);
  if (length !== undefined && length > limit) return Promise.reject(tooLarge());
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const cleanUp = (): void => {
      stream.off('data', onData);
      stream.off('end', onEnd);
      stream.off('error', onError);
      stream.off('close', onClose);
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > limit) {
        cleanUp();
        stream.pause();
        reject(tooLarge());
        return;
      }
      chunks.push(chunk);
    };
    const onEnd = (): void => {
      cleanUp();
      resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks));
    };
    const onError = (error: Error): void => {
      cleanUp();
      reject(badRequest(`error reading the body: ${error.message}`));
    };
    const onClose = (): void => onError(new Error('unexpected EOF'));
    stream.on('data', onData);
    stream.once('end', onEnd);
    stream.once('error', onError);
    stream.once('close', onClose);
  });
}
