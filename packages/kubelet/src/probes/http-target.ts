import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';

import type { corev1 } from '@k8ts/api';

import type { Container } from '../pod/types.ts';

/** Where an HTTP probe or hook goes. */
export interface HttpTarget {
  readonly scheme: 'http' | 'https';
  readonly host: string;
  readonly port: number;
  /** With its query. */
  readonly path: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
}

interface HttpCall extends HttpTarget {
  readonly userAgent: string;
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly location: string | undefined;
  /** At most `BODY_LIMIT` bytes of it. */
  readonly body: string;
}

export type HttpFetch = (call: HttpCall) => Promise<HttpAnswer>;

const BODY_LIMIT = 10 * 1024;

export function httpTarget(action: corev1.HTTPGetAction, container: Container, podIp: string): HttpTarget {
  return {
    scheme: action.scheme === 'HTTPS' ? 'https' : 'http',
    host: action.host !== undefined && action.host !== '' ? action.host : podIp,
    port: resolvePort(action.port, container),
    path: withSlash(action.path ?? '/'),
    headers: action.httpHeaders ?? [],
  };
}

function withSlash(path: string): string {
  return path.startsWith('/') ? path : `/${path}`;
}

/** A number, or the name of one of the container's ports. Throws upstream's texts. */
export function resolvePort(port: number | string, container: Container): number {
  let value = -1;
  if (typeof port === 'number') {
    value = port;
  } else {
    const named = container.ports?.find(({ name }) => name === port);
    if (named !== undefined) value = named.containerPort;
    else if (/^\d+$/.test(port)) value = Number(port);
    else throw new Error(`couldn't find port: "${port}" in container "${container.name}"`);
  }
  if (value > 0 && value < 65_536) return value;
  throw new Error(`invalid port number: ${value}`);
}

export function targetUrl({ scheme, host, port, path }: HttpTarget): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}${path}`;
}

/** A single GET, without keep-alive, certificate checks or redirects. Rejects when no answer comes. */
export const httpGet: HttpFetch = (call) =>
  new Promise((resolve, reject) => {
    const headers: Record<string, string | string[]> = {
      'user-agent': call.userAgent,
      accept: '*/*',
      connection: 'close',
    };
    for (const { name, value } of call.headers) {
      const key = name.toLowerCase();
      // An empty value takes a default header away, as in upstream.
      if (value === '' && (key === 'accept' || key === 'user-agent')) delete headers[key];
      else
        headers[key] =
          key === 'host' || key === 'user-agent' || key === 'accept' ? value : join(headers[key], value);
    }
    const options = {
      host: call.host,
      port: call.port,
      path: call.path,
      headers,
      agent: false as const,
      rejectUnauthorized: false,
      signal: call.signal,
    };
    const request = (call.scheme === 'https' ? httpsRequest : httpRequest)(options, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const finish = (): void => {
        resolve({
          status: response.statusCode ?? 0,
          location: response.headers.location,
          body: Buffer.concat(chunks).toString('utf8', 0, BODY_LIMIT),
        });
      };
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.length;
        if (size >= BODY_LIMIT) {
          finish();
          response.destroy();
        }
      });
      response.on('end', finish);
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end();
  });

function join(known: string | string[] | undefined, value: string): string | string[] {
  if (known === undefined) return value;
  return [...(Array.isArray(known) ? known : [known]), value];
}
