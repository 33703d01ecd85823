import { Agent, request } from 'node:https';

import { kubeconfigTarget, parseKubeconfig } from '@k8ts/client';
import type { Cluster } from '@k8ts/cluster';

export interface Answer {
  readonly code: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The body as JSON. */
  json<T = Readonly<Record<string, unknown>>>(): T;
}

export interface WireRequest {
  /** Text and bytes are sent as they are, everything else as JSON. */
  readonly body?: unknown;
  readonly contentType?: string;
  readonly accept?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Without the administrator's certificate. */
  readonly anonymous?: boolean;
}

/** Plain HTTPS as the cluster's administrator: what no typed client lets one say or see. */
export interface Wire extends Disposable {
  send(method: string, path: string, options?: WireRequest): Promise<Answer>;
}

/** An answer that does not come is a failure of its own, said where it happens. */
const IDLE_LIMIT = 20_000;

export async function createWire(cluster: Pick<Cluster, 'kubeconfig'>): Promise<Wire> {
  const target = await kubeconfigTarget(parseKubeconfig(cluster.kubeconfig, 'kubeconfig'));
  const { ca, cert, key, server } = target.transport;
  const agent = new Agent({ keepAlive: true, maxSockets: 32, ca, cert, key });
  const nobody = new Agent({ keepAlive: true, ca });
  return {
    send: (method, path, { body, contentType, accept, headers, anonymous = false } = {}) =>
      new Promise((resolve, reject) => {
        const sent =
          body === undefined || typeof body === 'string' || Buffer.isBuffer(body)
            ? body
            : JSON.stringify(body);
        const outgoing = request(`${server}${path}`, {
          method,
          agent: anonymous ? nobody : agent,
          headers: {
            ...(sent === undefined ? {} : { 'content-type': contentType ?? 'application/json' }),
            ...(sent === undefined ? {} : { 'content-length': Buffer.byteLength(sent) }),
            ...(accept === undefined ? {} : { accept }),
            ...headers,
          },
        });
        outgoing.on('error', reject);
        outgoing.setTimeout(IDLE_LIMIT, () => outgoing.destroy(new Error('no answer')));
        outgoing.on('response', (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString();
            resolve({
              code: response.statusCode ?? 0,
              headers: response.headers,
              text,
              json: <T>() => JSON.parse(text) as T,
            });
          });
        });
        outgoing.end(sent);
      }),
    [Symbol.dispose]() {
      agent.destroy();
      nobody.destroy();
    },
  };
}
