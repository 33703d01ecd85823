/** How an extension API server is reached and asked by this server itself. */
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ConnectionOptions } from 'node:tls';
import { realClock } from '@k8ts/base';
import { certificatesOf } from '../authentication/certificate-chain.ts';
import type { UserInfo } from '../authentication/contract.ts';
import { tlsBackend, type Backend } from '../connect/dial.ts';
import type { APIService } from './api-service.ts';
import { identityHeaders, type ProxyClient } from './front-proxy.ts';
import type { ServiceResolver } from './service-resolver.ts';

/** A document of discovery or OpenAPI may be so large. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

export interface BackendOptions {
  readonly resolve: ServiceResolver;
  /** Absent: this server cannot say who asks, and shows nothing. */
  readonly proxyClient: ProxyClient | undefined;
}

/** Throws an Error when the Service leads nowhere, and `CertificateError` when its authorities are none. */
export function backendOf(
  { spec }: APIService,
  { resolve, proxyClient }: BackendOptions,
  check: 'certificate' | 'nothing' = 'certificate',
): Backend {
  const { name = '', namespace = '', port = 443 } = spec.service ?? {};
  const trust = trustOf(spec, check === 'certificate');
  const { host, port: at } = resolve(namespace, name, port);
  return tlsBackend(host, at, { ...trust, ...proxyClient, servername: `${name}.${namespace}.svc` });
}

export class CertificateError extends Error {}

function trustOf(
  { insecureSkipTLSVerify, caBundle = '' }: APIService['spec'],
  isChecked: boolean,
): ConnectionOptions {
  if (insecureSkipTLSVerify === true || !isChecked) return { rejectUnauthorized: false };
  if (caBundle === '') return {};
  const ca = Buffer.from(caBundle, 'base64').toString();
  if (certificatesOf(ca).length > 0) return { ca };
  throw new CertificateError(
    `unable to load root certificates: ${ca.includes('-----BEGIN ') ? 'no valid certificate authority data seen' : 'unable to parse bytes as PEM block'}`,
  );
}

export interface Question {
  readonly path: string;
  readonly user: UserInfo;
  readonly headers?: Readonly<Record<string, string>>;
  /** Milliseconds, for all of it. */
  readonly timeout: number;
  readonly signal: AbortSignal;
  /** The body is not wanted. */
  readonly headOnly?: boolean;
}

export interface ServerAnswer {
  readonly code: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** A GET. Rejects with what the connection says, or when the answer is too slow or too large. */
export async function ask(backend: Backend, question: Question): Promise<ServerAnswer> {
  const { path, user, headers, timeout, signal } = question;
  signal.throwIfAborted();
  const undo: (() => void)[] = [];
  const over = new Promise<never>((_, reject) => {
    // The other side is in real time, whatever clock the cluster runs on.
    undo.push(realClock.setTimeout(() => reject(new Error('context deadline exceeded')), timeout));
    const onAbort = (): void => reject(new Error('context canceled'));
    signal.addEventListener('abort', onAbort, { once: true });
    undo.push(() => signal.removeEventListener('abort', onAbort));
  });
  over.catch(() => undefined);
  const opening = backend.open();
  undo.push(() =>
    opening.then(
      (connection) => void connection.destroy(),
      () => undefined,
    ),
  );
  try {
    const connection = await Promise.race([opening, over]);
    const response = await Promise.race([
      sent(connection, path, { ...headers, ...identityHeaders(user), host: backend.authority }),
      over,
    ]);
    const text = question.headOnly === true ? '' : await Promise.race([textOf(response), over]);
    return { code: response.statusCode ?? 0, headers: response.headers, text };
  } finally {
    for (const each of undo) each();
  }
}

function sent(
  connection: Duplex,
  path: string,
  headers: Readonly<Record<string, string | string[]>>,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ path, headers, createConnection: () => connection });
    request.on('error', reject);
    request.once('upgrade', () => reject(new Error('invalid upgrade response: status code 101')));
    request.once('response', (response) => {
      response.on('error', () => undefined); // who reads it is told
      resolve(response);
    });
    request.end();
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) throw new Error(`the answer is larger than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
