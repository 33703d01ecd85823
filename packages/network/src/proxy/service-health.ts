import { createServer } from 'node:http';
import type { Server } from 'node:http';

import { errorMessage } from '@k8ts/base';
import type { Logger } from '@k8ts/base';

import type { ServicePlan } from './contract.ts';

/** Told of what cannot be served: the port is somebody else's. */
export type HealthCheckFailure = (plan: ServicePlan, message: string) => void;

interface HealthCheckServer {
  readonly port: number;
  readonly server: Server;
  localEndpoints: number;
}

/**
 * Answers load balancers on each Service's `healthCheckNodePort`: 200 where this node has endpoints, 503 where it has none
 * or its proxy is behind (pkg/proxy/healthcheck/service_health.go).
 */
export class ServiceHealth implements AsyncDisposable {
  readonly #nodeName: string;
  readonly #proxyHealthy: () => boolean;
  readonly #onFailure: HealthCheckFailure;
  readonly #logger: Logger;
  readonly #servers = new Map<string, HealthCheckServer>();

  constructor(options: {
    readonly nodeName: string;
    readonly proxyHealthy: () => boolean;
    readonly onFailure: HealthCheckFailure;
    readonly logger: Logger;
  }) {
    this.#nodeName = options.nodeName;
    this.#proxyHealthy = options.proxyHealthy;
    this.#onFailure = options.onFailure;
    this.#logger = options.logger;
  }

  /** Listens for the Services that ask for it, and no longer for those that do not. */
  async sync(plans: Iterable<ServicePlan>): Promise<void> {
    const wanted = new Map<string, ServicePlan>();
    for (const plan of plans)
      if (plan.healthCheck !== undefined) wanted.set(`${plan.namespace}/${plan.name}`, plan);
    for (const [key, { port, server }] of [...this.#servers]) {
      if (wanted.get(key)?.healthCheck?.port === port) continue;
      this.#servers.delete(key);
      await close(server);
    }
    for (const [key, plan] of wanted) {
      const { port, localEndpoints } = plan.healthCheck ?? { port: 0, localEndpoints: 0 };
      const known = this.#servers.get(key);
      if (known !== undefined) known.localEndpoints = localEndpoints;
      else await this.#open(key, plan, port, localEndpoints);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#servers.values()].map(({ server }) => close(server)));
    this.#servers.clear();
  }

  async #open(key: string, plan: ServicePlan, port: number, localEndpoints: number): Promise<void> {
    const server = createServer((_request, response) => {
      const count = entry.localEndpoints;
      const healthy = this.#proxyHealthy();
      response.writeHead(count > 0 && healthy ? 200 : 503, {
        'Content-Type': 'application/json',
        'X-Content-Type-Options': 'nosniff',
      });
      const body = {
        service: { namespace: plan.namespace, name: plan.name },
        localEndpoints: count,
        serviceProxyHealthy: healthy,
      };
      response.end(JSON.stringify(body, undefined, '\t'));
    });
    const entry: HealthCheckServer = { port, server, localEndpoints };
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, resolve);
      });
      this.#servers.set(key, entry);
    } catch (error) {
      const service = `"${plan.namespace}/${plan.name}"`;
      const message = `node ${this.#nodeName} failed to start healthcheck ${service} on port ${port}: ${errorMessage(error)}`;
      this.#logger.error('Failed to start healthcheck', { service: key, port, error: errorMessage(error) });
      this.#onFailure(plan, message);
    }
  }
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
