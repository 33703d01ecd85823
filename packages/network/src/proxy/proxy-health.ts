import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Clock, Metrics } from '@k8ts/base';

import type { IpFamily } from '../address.ts';

/** Milliseconds that a change may wait before the proxy counts as unhealthy. */
const HEALTH_TIMEOUT = 60_000;

export interface ListenAddress {
  readonly address: string;
  readonly port: number;
}

/** Knows whether the proxy keeps up (pkg/proxy/healthcheck/proxy_health.go). */
export class ProxyHealth {
  readonly #clock: Clock;
  readonly #oldestPending = new Map<IpFamily, number>();
  readonly #lastUpdated = new Map<IpFamily, number>();
  /** False while the node is about to be deleted: load balancers shall look elsewhere. */
  nodeEligible = true;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  queued(family: IpFamily): void {
    if (!this.#oldestPending.has(family)) this.#oldestPending.set(family, this.#clock.monotonic());
  }

  updated(family: IpFamily): void {
    this.#oldestPending.delete(family);
    this.#lastUpdated.set(family, this.#clock.now());
  }

  get healthy(): boolean {
    return [...this.#oldestPending.values()].every(
      (since) => this.#clock.monotonic() - since < HEALTH_TIMEOUT,
    );
  }

  /** While healthy: now. */
  get lastUpdated(): number {
    return this.healthy ? this.#clock.now() : Math.max(0, ...this.#lastUpdated.values());
  }
}

/** `/healthz` (the node takes traffic) and `/livez` (the proxy works); upstream's port is 10256. */
export function serveProxyHealth(
  health: ProxyHealth,
  clock: Clock,
  metrics: Metrics,
  listen: ListenAddress,
): Promise<AsyncDisposable & ListenAddress> {
  const healthz = metrics.counter({
    name: 'kubeproxy_proxy_healthz_total',
    help: 'Answers of /healthz, by code.',
    labels: ['code'],
  });
  const livez = metrics.counter({
    name: 'kubeproxy_proxy_livez_total',
    help: 'Answers of /livez, by code.',
    labels: ['code'],
  });
  return serve(listen, (request, response) => {
    const pathname = pathOf(request);
    if (pathname !== '/healthz' && pathname !== '/livez') return notFound(response);
    const isHealthz = pathname === '/healthz';
    const code = health.healthy && (!isHealthz || health.nodeEligible) ? 200 : 503;
    (isHealthz ? healthz : livez).increment([`${code}`]);
    const body = {
      lastUpdated: new Date(health.lastUpdated).toISOString(),
      currentTime: new Date(clock.now()).toISOString(),
      ...(isHealthz && { nodeEligible: health.nodeEligible }),
    };
    response.writeHead(code, { 'Content-Type': 'application/json', 'X-Content-Type-Options': 'nosniff' });
    response.end(JSON.stringify(body));
  });
}

/** `/metrics`, `/healthz` and `/proxyMode`; upstream's port is 10249, on loopback. */
export function serveProxyMetrics(
  mode: string,
  metrics: Metrics,
  listen: ListenAddress,
): Promise<AsyncDisposable & ListenAddress> {
  return serve(listen, (request, response) => {
    const pathname = pathOf(request);
    const text = (body: string): void => {
      response.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8' });
      response.end(body);
    };
    if (pathname === '/proxyMode') text(mode);
    else if (pathname === '/healthz') text('ok');
    else if (pathname === '/metrics') metrics.text().then(text, () => response.destroy());
    else notFound(response);
  });
}

function pathOf({ url = '/' }: IncomingMessage): string {
  const query = url.indexOf('?');
  return query < 0 ? url : url.slice(0, query);
}

function notFound(response: ServerResponse): void {
  response.writeHead(404, { 'Content-Type': 'text/plain; charset=utf-8' });
  response.end('404 page not found\n');
}

async function serve(
  listen: ListenAddress,
  handler: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<AsyncDisposable & ListenAddress> {
  const server = createServer(handler);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(listen.port, listen.address, resolve);
  });
  const bound = server.address();
  return {
    address: listen.address,
    port: typeof bound === 'object' && bound !== null ? bound.port : listen.port,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
