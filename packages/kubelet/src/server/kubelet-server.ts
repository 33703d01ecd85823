import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import { type Clock, errorMessage, type Logger, type Metrics } from '@k8ts/base';
import type { ContainerStatus } from '@k8ts/cri';

import { readLogFile, readLogSource } from '../logs/cri-log-reader.ts';
import { logOptions, LogOptionsError } from '../logs/log-options.ts';
import { podUid, specContainers } from '../pod/pod-spec.ts';
import { isRunning } from '../pod/runtime-state.ts';
import type { Pod } from '../pod/types.ts';
import { spdyPortForward, tunneledPortForward, type PortForwardOptions } from '../streaming/port-forward.ts';
import { type RemoteCommandOptions, runRemoteCommand } from '../streaming/remote-command.ts';
import { spdyRemoteCommand } from '../streaming/spdy/spdy-remote-command.ts';
import { isSpdyUpgrade, isWebSocketUpgrade, refuse, type UpgradeRequest } from '../streaming/upgrade.ts';
import { webSocketRemoteCommand } from '../streaming/websocket/websocket-remote-command.ts';
import { type Authenticator, type Authorizer, nodeAttributes, type User } from './authentication.ts';
import { containerForLogs, runningContainer, ServerError } from './find-container.ts';
import { type ContainerTarget, type PodTarget, type Route, route } from './routes.ts';
import type { ServedNode } from './served-node.ts';
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
        return sendJson(response, podList(chosenNodes(request).flatMap((node) => node.pods())));
      case 'runningpods':
        return sendJson(response, podList(await runningPods(chosenNodes(request))));
      case 'metrics':
        for (const node of chosenNodes(request)) node.collectMetrics?.();
        return sendText(response, (await options.metrics?.text()) ?? '', METRICS_TYPE);
      case 'metrics-probes':
        return sendText(response, '', METRICS_TYPE);
      case 'metrics-cadvisor':
        return sendText(response, await containerMetrics(chosenNode(request)), METRICS_TYPE);
      case 'metrics-resource':
        return sendText(
          response,
          await resourceMetrics(chosenNode(request), options.clock.now()),
          METRICS_TYPE,
        );
      case 'stats-summary': {
        const node = chosenNode(request);
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
      'namespace' in target ? findPod(target).node.nodeName : chosenNodes(request)[0]?.nodeName;
    const attempts = nodeAttributes(request.method ?? 'GET', path, nodeName ?? '');
    for (const attributes of attempts) if (await authorize(user, attributes)) return user;
    const last = attempts[0];
    throw new ServerError(
      403,
      `Forbidden (user=${user.name}, verb=${last?.verb}, resource=nodes, subresource(s)=[${attempts.map(({ subresource }) => subresource).join(' ')}])`,
    );
  }

  /** The node that the request's host names, or all when it names none. */
  function chosenNodes(request: IncomingMessage): readonly ServedNode[] {
    const nodes = options.nodes();
    const host = (request.headers.host ?? '').replace(/:\d+$/, '');
    const named = nodes.find(({ nodeName }) => nodeName === host);
    return named === undefined ? nodes : [named];
  }

  function chosenNode(request: IncomingMessage): ServedNode {
    const nodes = chosenNodes(request);
    const first = nodes[0];
    if (first === undefined) throw new ServerError(503, 'there is no node here');
    if (nodes.length > 1) throw new ServerError(400, 'several nodes are served here: name one as the host');
    return first;
  }

  function findPod({ namespace, pod: name, uid }: PodTarget): { node: ServedNode; pod: Pod } {
    for (const node of options.nodes()) {
      const pod = node.findPod(namespace, name);
      if (pod !== undefined && (uid === '' || podUid(pod) === uid)) return { node, pod };
    }
    throw new ServerError(404, 'pod does not exist');
  }

  async function findRunning(
    target: ContainerTarget,
  ): Promise<{ node: ServedNode; pod: Pod; status: ContainerStatus }> {
    const { node, pod } = findPod(target);
    return { node, pod, status: runningContainer(await node.state(podUid(pod)), target.container) };
  }

  async function serveLogs(
    target: ContainerTarget,
    query: URLSearchParams,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock } = options;
    const { node, pod } = findPod(target);
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
    const { node, status } = await findRunning(target);
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
    const spdy = isSpdyUpgrade(request);
    if (!spdy && !isWebSocketUpgrade(request)) throw new ServerError(400, 'Upgrade request required');
    switch (target.kind) {
      case 'exec':
      case 'attach':
        return remoteCommand(upgradeRequest, target.kind, target, url.searchParams, spdy);
      case 'portForward':
        return portForward(upgradeRequest, target, spdy);
      default:
        throw new ServerError(400, 'this path has no streams');
    }
  }

  async function remoteCommand(
    upgradeRequest: UpgradeRequest,
    kind: 'exec' | 'attach',
    target: ContainerTarget,
    query: URLSearchParams,
    spdy: boolean,
  ): Promise<void> {
    const { node, pod, status } = await findRunning(target);
    const spec = specContainers(pod).find(({ container }) => container.name === target.container)?.container;
    const asked = streamOptions(query);
    // Whether a running process has a terminal was decided at its start.
    const tty = kind === 'attach' ? spec?.tty === true : asked.tty;
    const command = query.getAll('command');
    const wanted = { ...asked, tty, stderr: asked.stderr && !tty };
    const session = spdy
      ? await spdyRemoteCommand(upgradeRequest, wanted, options.clock)
      : await webSocketRemoteCommand(upgradeRequest, wanted);
    if (session === undefined) return;
    const { runtimeService } = node.runtime;
    const combined = AbortSignal.any([session.signal, stop.signal]);
    await runRemoteCommand(session, command, async (streams) => {
      if (kind === 'exec') return runtimeService.exec(status.id, { command, tty }, streams, combined);
      await runtimeService.attach(status.id, { tty }, streams, combined);
      return undefined;
    });
  }

  async function portForward(
    upgradeRequest: UpgradeRequest,
    target: PodTarget,
    spdy: boolean,
  ): Promise<void> {
    const { node, pod } = findPod(target);
    const { sandboxes } = await node.state(podUid(pod));
    const sandbox = sandboxes.find(({ state }) => state === 'SANDBOX_READY');
    if (sandbox === undefined)
      throw new ServerError(500, `pod not found ("${target.pod}_${target.namespace}")`);
    const forwarding: PortForwardOptions = {
      clock: options.clock,
      logger: options.logger,
      pod: sandbox.id,
      uid: podUid(pod),
      forward: (port, stream, signal) =>
        node.runtime.runtimeService.portForward(
          sandbox.id,
          port,
          stream,
          AbortSignal.any([signal, stop.signal]),
        ),
    };
    await (spdy
      ? spdyPortForward(upgradeRequest, forwarding)
      : tunneledPortForward(upgradeRequest, forwarding));
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

/** The kubelet's own names of the parameters, or those of the API. */
function streamOptions(query: URLSearchParams): RemoteCommandOptions {
  const flag = (...names: string[]): boolean =>
    names.some((name) => ['1', 'true'].includes(query.get(name) ?? ''));
  const wanted = {
    stdin: flag('input', 'stdin'),
    stdout: flag('output', 'stdout'),
    stderr: flag('error', 'stderr'),
    tty: flag('tty'),
  };
  if (!wanted.stdin && !wanted.stdout && !wanted.stderr)
    throw new ServerError(400, 'you must specify at least 1 of stdin, stdout, stderr');
  return wanted;
}

function podList(items: readonly Pod[]): object {
  return { kind: 'PodList', apiVersion: 'v1', metadata: {}, items };
}

async function runningPods(nodes: readonly ServedNode[]): Promise<Pod[]> {
  const pods: Pod[] = [];
  for (const node of nodes)
    for (const pod of node.pods())
      if ((await node.state(podUid(pod))).containers.some(isRunning)) pods.push(pod);
  return pods;
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
