import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import { type Clock, errorMessage, type Logger, type Metrics } from '@k8ts/base';

import { readLogFile, readLogSource } from '../logs/cri-log-reader.ts';
import { logOptions, LogOptionsError } from '../logs/log-options.ts';
import { podUid } from '../pod/pod-spec.ts';
import { isRunning } from '../pod/runtime-state.ts';
import type { Pod } from '../pod/types.ts';
import { refuse, type UpgradeRequest } from '../streaming/upgrade.ts';
import { type Authenticator, type Authorizer, nodeAttributes, type User } from './authentication.ts';
import { containerForLogs, ServerError } from './find-container.ts';
import { type ContainerTarget, type Route, route } from './routes.ts';
import { serveStreams } from './serve-streams.ts';
import type { ServedNode } from './served-node.ts';
import { runningPods, ServedNodes } from './served-nodes.ts';
import { containerMetrics, resourceMetrics, statsSummary, UsageRates } from './stats.ts';

export interface KubeletServerOptions {
  /** Asked anew for each request: nodes may come and go. */
  readonly nodes: () => readonly ServedNode[];
  readonly clock: Clock;
  readonly logger: Logger;
  /** For /metrics. */
  readonly metrics?: Metrics;
  /** Both absent: `listen` serves nobody but /healthz. */
  readonly authenticate?: Authenticator;
  readonly authorize?: Authorizer;
  /** PEM; needed for `listen`. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly clientCa?: string };
}

/** Takes requests and upgrades as node:http hands them out. */
export interface RequestHandlers {
  handle(request: IncomingMessage, response: ServerResponse): void;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

export interface KubeletServer extends AsyncDisposable {
  /** With authentication and authorization. */
  readonly handlers: RequestHandlers;
  /** Without: for the API server of the same process, which has done both. */
  readonly trusted: RequestHandlers;
  /** Serves HTTPS; port 0 takes any. Resolves to the port. */
  listen(port: number, host?: string): Promise<number>;
}

/** The kubelet's API: logs, commands, port forwarding, pods, statistics. One server may speak for many nodes. */
export function createKubeletServer(options: KubeletServerOptions): KubeletServer {
  const nodes = new ServedNodes(options.nodes);
  const rates = new Map<string, UsageRates>();
  const stop = new AbortController();
  const sockets = new Set<Socket>();
  let server: Server | undefined;

  const handlers = (trusted: boolean): RequestHandlers => ({
    handle: (request, response) => {
      void serve(request, response, trusted).catch((error: unknown) => fail(response, error));
    },
    upgrade: (request, socket, head) => {
      socket.on('error', () => undefined);
      void upgrade({ request, socket, head }, trusted).catch((error: unknown) => {
        const { code, message } = asServerError(error);
        refuse(socket, `${code} ${STATUS_TEXTS[code] ?? 'Error'}`, message);
      });
    },
  });

  async function serve(request: IncomingMessage, response: ServerResponse, trusted: boolean): Promise<void> {
    const url = requestUrl(request);
    const target = route(url.pathname);
    if (!trusted) await authorizeRequest(request, url.pathname, target);
    const method = request.method ?? 'GET';
    const gone = new AbortController();
    response.on('close', () => gone.abort(new Error('the client has gone')));
    const signal = AbortSignal.any([gone.signal, stop.signal]);
    if (target.kind !== 'run' && method !== 'GET' && method !== 'HEAD') {
      if (target.kind === 'exec' || target.kind === 'attach' || target.kind === 'portForward')
        throw new ServerError(400, 'Upgrade request required');
      throw new ServerError(405, 'Method Not Allowed');
    }
    switch (target.kind) {
      case 'healthz':
        return sendText(response, 'ok');
      case 'pods':
        return sendJson(response, podList(nodes.named(request).flatMap((node) => node.pods())));
      case 'runningpods':
        return sendJson(response, podList(await runningPods(nodes.named(request))));
      case 'metrics':
        for (const node of nodes.named(request)) node.collectMetrics?.();
        return sendText(response, (await options.metrics?.text()) ?? '', METRICS_TYPE);
      case 'metrics-probes':
        return sendText(response, '', METRICS_TYPE);
      case 'metrics-cadvisor':
        return sendText(response, await containerMetrics(nodes.one(request)), METRICS_TYPE);
      case 'metrics-resource':
        return sendText(
          response,
          await resourceMetrics(nodes.one(request), options.clock.now()),
          METRICS_TYPE,
        );
      case 'stats-summary': {
        const node = nodes.one(request);
        let known = rates.get(node.nodeName);
        if (known === undefined) rates.set(node.nodeName, (known = new UsageRates()));
        return sendJson(response, await statsSummary(node, known, options.clock.now()));
      }
      case 'containerLogs':
        return serveLogs(target, url.searchParams, response, signal);
      case 'run':
        return serveRun(target, url.searchParams, method, response);
      case 'exec':
      case 'attach':
      case 'portForward':
        throw new ServerError(400, 'Upgrade request required');
    }
  }

  async function authorizeRequest(
    request: IncomingMessage,
    path: string,
    target: Route,
  ): Promise<User | undefined> {
    const { authenticate, authorize } = options;
    // Health is for everybody, as with upstream's anonymous access to it switched on by RBAC.
    if (authenticate === undefined || authorize === undefined) {
      if (target.kind === 'healthz') return undefined;
      throw new ServerError(401, 'Unauthorized');
    }
    const user = await authenticate(request);
    if (user === undefined) throw new ServerError(401, 'Unauthorized');
    const nodeName =
      'namespace' in target ? nodes.pod(target).node.nodeName : nodes.named(request)[0]?.nodeName;
    const attempts = nodeAttributes(request.method ?? 'GET', path, nodeName ?? '');
    for (const attributes of attempts) if (await authorize(user, attributes)) return user;
    const last = attempts[0];
    throw new ServerError(
      403,
      `Forbidden (user=${user.name}, verb=${last?.verb}, resource=nodes, subresource(s)=[${attempts.map(({ subresource }) => subresource).join(' ')}])`,
    );
  }

  async function serveLogs(
    target: ContainerTarget,
    query: URLSearchParams,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock } = options;
    const { node, pod } = nodes.pod(target);
    const { previous, ...wanted } = logOptions(query, clock.now());
    const status = containerForLogs(pod, await node.state(podUid(pod)), target.container, previous);
    const { logs, runtimeService } = node.runtime;
    const input = { clock, options: wanted, signal };
    const running = async (): Promise<boolean> =>
      runtimeService.containerStatus(status.id).then(isRunning, () => false);
    const output =
      logs === undefined
        ? readLogFile(status.logPath, input, running)
        : readLogSource(logs, status.id, input);
    // The first piece decides between a log and an error.
    const first = await output.next();
    response.writeHead(200, { 'content-type': 'text/plain' });
    response.flushHeaders();
    for (let item = first; !item.done && !signal.aborted; item = await output.next())
      if (!response.write(item.value)) await drained(response, signal);
    await output.return();
    response.end();
  }

  async function serveRun(
    target: ContainerTarget,
    query: URLSearchParams,
    method: string,
    response: ServerResponse,
  ): Promise<void> {
    if (method !== 'POST') throw new ServerError(405, 'Method Not Allowed');
    const { node, status } = await nodes.container(target);
    const command = (query.get('cmd') ?? '').split(' ').filter((word) => word !== '');
    const result = await node.runtime.runtimeService.execSync(status.id, command, 0);
    const output = Buffer.concat([result.stdout, result.stderr]);
    if (result.exitCode !== 0)
      throw new ServerError(
        500,
        `command '${command.join(' ')}' exited with ${result.exitCode}: ${output.toString('utf8')}`,
      );
    sendText(response, output.toString('utf8'));
  }

  async function upgrade(upgradeRequest: UpgradeRequest, trusted: boolean): Promise<void> {
    const { request } = upgradeRequest;
    const url = requestUrl(request);
    const target = route(url.pathname);
    if (!trusted) await authorizeRequest(request, url.pathname, target);
    const { clock, logger } = options;
    await serveStreams(upgradeRequest, target, url.searchParams, {
      nodes,
      clock,
      logger,
      signal: stop.signal,
    });
  }

  function fail(response: ServerResponse, error: unknown): void {
    const { code, message } = asServerError(error);
    if (code === 500) options.logger.warn('Kubelet request failed', { error: message });
    if (response.headersSent) {
      response.destroy();
      return;
    }
    response.writeHead(code, { 'content-type': 'text/plain; charset=utf-8' });
    response.end(`${message}\n`);
  }

  const checked = handlers(false);
  return {
    handlers: checked,
    trusted: handlers(true),
    async listen(port, host) {
      const { tls } = options;
      if (tls === undefined) throw new Error('a kubelet server needs a certificate to listen');
      const listening = createServer({
        cert: tls.cert,
        key: tls.key,
        minVersion: 'TLSv1.2',
        ...(tls.clientCa === undefined
          ? {}
          : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: false }),
      });
      server = listening;
      listening.on('request', (request, response) => checked.handle(request, response));
      listening.on('upgrade', (request, socket, head) => checked.upgrade(request, socket, head));
      listening.on('connection', (socket: Socket) => {
        sockets.add(socket);
        socket.on('close', () => sockets.delete(socket));
      });
      await new Promise<void>((resolve, reject) => {
        listening.once('error', reject);
        listening.listen(port, host, () => {
          listening.off('error', reject);
          resolve();
        });
      });
      return (listening.address() as AddressInfo).port;
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the kubelet stops'));
      const closing = server;
      if (closing === undefined) return;
      const closed = new Promise<void>((resolve) => closing.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
const STATUS_TEXTS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  414: 'URI Too Long',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

function requestUrl(request: IncomingMessage): URL {
  try {
    return new URL(request.url ?? '/', 'https://kubelet');
  } catch {
    throw new ServerError(400, 'the path is not well-formed');
  }
}

function asServerError(error: unknown): ServerError {
  if (error instanceof ServerError) return error;
  if (error instanceof LogOptionsError) return new ServerError(422, error.message);
  return new ServerError(500, errorMessage(error));
}

function podList(items: readonly Pod[]): object {
  return { kind: 'PodList', apiVersion: 'v1', metadata: {}, items };
}

function sendText(response: ServerResponse, text: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(200, { 'content-type': type, 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

function sendJson(response: ServerResponse, object: object): void {
  sendText(response, JSON.stringify(object), 'application/json');
}

function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    response.once('drain', done);
    signal.addEventListener('abort', done, { once: true });
  });
}
