/** Calls to webhooks: HTTPS, by URL or by Service (k8s.io/apiserver/pkg/util/webhook). */
import { Agent, request as httpsRequest } from 'node:https';
import { connect as connectTls } from 'node:tls';
import { corev1, type admissionregistrationv1 } from '@k8ts/api';
import { goQuote } from '@k8ts/apimachinery';
import { errorMessage, realClock } from '@k8ts/base';
import { connectionError } from '../../connect/connection-error.ts';
import type { ObjectReader } from '../../object-reader.ts';

type ClientConfig = admissionregistrationv1.WebhookClientConfig;

/** What a webhook may answer. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;
const MAX_AGENTS = 100;

interface WebhookCall {
  readonly clientConfig: ClientConfig;
  readonly body: object;
  /** Milliseconds. */
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
}

export interface WebhookClient {
  /** The parsed answer. Rejects with an Error in the words of upstream's client. */
  call(call: WebhookCall): Promise<unknown>;
  close(): void;
}

interface Target {
  readonly url: URL;
  /** Where the connection goes, when that is not where the URL points. */
  readonly address?: { readonly host: string; readonly port: number };
}

export function createWebhookClient(objects: ObjectReader): WebhookClient {
  const agents = new Map<string, Agent>();
  let isClosed = false;

  /** Connections are kept for the next call. */
  const agentFor = (config: ClientConfig, { url, address }: Target): Agent => {
    const key = JSON.stringify([config.caBundle, url.host, address]);
    let agent = agents.get(key);
    if (agent !== undefined) return agent;
    const servername = url.hostname.replace(/^\[|\]$/g, '');
    agent = new Agent({ keepAlive: true, maxFreeSockets: 4, timeout: 90_000 });
    // As in Go: with a bundle, only its authorities are trusted.
    const ca = config.caBundle === undefined ? undefined : Buffer.from(config.caBundle, 'base64').toString();
    agent.createConnection = (options) =>
      connectTls({
        host: address?.host ?? servername,
        port: address?.port ?? Number(options.port ?? 443),
        ...(/^[\d.]+$|:/.test(servername) ? {} : { servername }),
        ...(ca === undefined || ca === '' ? {} : { ca }),
        ALPNProtocols: ['http/1.1'],
      });
    if (agents.size >= MAX_AGENTS) {
      const [oldest = '', gone] = agents.entries().next().value ?? [];
      gone?.destroy();
      agents.delete(oldest);
    }
    agents.set(key, agent);
    return agent;
  };

  return {
    async call({ clientConfig, body, timeout, signal }) {
      if (isClosed) throw new Error('context canceled');
      const target = targetOf(clientConfig, objects);
      target.url.searchParams.set('timeout', `${Math.ceil(timeout / 1_000)}s`);
      return post(target.url, agentFor(clientConfig, target), JSON.stringify(body), timeout, signal);
    },
    close: () => {
      isClosed = true;
      for (const agent of agents.values()) agent.destroy();
      agents.clear();
    },
  };
}

function targetOf({ service, url }: ClientConfig, objects: ObjectReader): Target {
  if (service === undefined) {
    if (url === undefined) throw new Error('webhook configuration must have either service or URL');
    return { url: new URL(url) };
  }
  const { namespace, name, path = '', port = 443 } = service;
  const named = new URL(`https://${name}.${namespace}.svc:${port}`);
  named.pathname = path;
  return { url: named, address: serviceAddress(objects, namespace, name, port, named) };
}

/** The cluster IP: names are for pods (kube-aggregator/pkg/apiserver/resolvers.go). */
function serviceAddress(
  objects: ObjectReader,
  namespace: string,
  name: string,
  port: number,
  url: URL,
): { readonly host: string; readonly port: number } {
  const fail = (message: string): Error => new Error(`Post ${goQuote(url.href)}: ${message}`);
  const service = objects.get(corev1.services, namespace, name);
  if (service === undefined) throw fail(`service ${goQuote(name)} not found`);
  const { type, clusterIP = '', externalName = '', ports = [] } = service.spec;
  if (type === 'ExternalName') return { host: externalName, port };
  if (clusterIP === '' || clusterIP === 'None')
    throw fail(`no service IP found for service ${goQuote(name)}`);
  if (!ports.some((each) => each.port === port))
    throw fail(`no service port ${port} found for service ${goQuote(name)}`);
  return { host: clusterIP, port };
}

function post(
  url: URL,
  agent: Agent,
  body: string,
  timeout: number,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  const fail = (message: string): Error => new Error(`Post ${goQuote(url.href)}: ${message}`);
  return new Promise((resolve, reject) => {
    const request = httpsRequest(url, {
      method: 'POST',
      agent,
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, */*',
        'content-length': Buffer.byteLength(body),
        'user-agent': 'kube-apiserver-admission',
      },
    });
    const end = (error: Error): void => {
      settle();
      reject(error);
      request.destroy();
    };
    // The other side is in real time, whatever clock the cluster runs on.
    const cancelTimeout = realClock.setTimeout(() => end(fail('context deadline exceeded')), timeout);
    const onAbort = (): void => end(fail('context canceled'));
    const settle = (): void => {
      cancelTimeout();
      signal?.removeEventListener('abort', onAbort);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
    request.once('error', (error) => end(fail(connectionError(error))));
    request.once('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_ANSWER_BYTES) end(fail('the answer is too large'));
        else chunks.push(chunk);
      });
      response.once('error', (error) => end(fail(errorMessage(error))));
      response.once('aborted', () => end(fail('unexpected EOF')));
      response.once('end', () => {
        settle();
        const text = Buffer.concat(chunks).toString();
        const code = response.statusCode ?? 0;
        if (code < 200 || code > 299) reject(answeredWith(code, text));
        else
          try {
            resolve(JSON.parse(text));
          } catch (error) {
            reject(new Error(`couldn't get version/kind; json parse error: ${errorMessage(error)}`));
          }
      });
    });
    request.end(body);
  });
}

/** As client-go words the answers of a server that is no API server. */
function answeredWith(code: number, text: string): Error {
  switch (code) {
    case 404:
      return new Error('the server could not find the requested resource');
    case 401:
      return new Error('the server has asked for the client to provide credentials');
    case 403:
      return new Error('unknown');
    case 503:
      return new Error('the server is currently unable to handle the request');
    default:
      return code >= 500
        ? new Error(
            `an error on the server (${goQuote(text.slice(0, 1_024))}) has prevented the request from succeeding`,
          )
        : new Error('the server rejected our request for an unknown reason');
  }
}
