import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { IncomingMessage } from 'node:http';
import { badRequest, isNotFound, timeout, type StatusError } from '@k8ts/apimachinery';
import {
  createMetrics,
  errorMessage,
  every,
  realClock,
  Scope,
  silentLogger,
  systemRandom,
  type CancelTimer,
  type Clock,
  type Logger,
  type Metrics,
} from '@k8ts/base';
import type { Transport } from '@k8ts/client';
import { auditedResponder } from './audit/audited-responder.ts';
import { auditResult } from './audit/audited-result.ts';
import type { UserInfo } from './authentication/contract.ts';
import { AggregatedDiscovery } from './discovery/aggregated-discovery.ts';
import { ADJUSTMENT_PERIOD, FlowControl } from './flowcontrol/flow-control.ts';
import { createFlowControlMetrics } from './flowcontrol/flow-control-metrics.ts';
import { PING, type HealthCheck } from './health/health.ts';
import { HttpServer, tlsSocketOf, type HttpRequest } from './http/http-server.ts';
import { streamBody } from './http/request-body.ts';
import { respond, respondError, statusOf, type RespondServices } from './http/respond.ts';
import { declinedResponder, webSocketResponder } from './http/upgraded-responder.ts';
import { isWebSocketRequest } from './connect/websocket-output.ts';
import type { Responder } from './http/responder.ts';
import { createInProcessTransport } from './in-process/in-process-transport.ts';
import type { ObjectReader } from './object-reader.ts';
import { OpenApi } from './openapi/documents.ts';
import { handleOther, type OtherHandler, type OtherPaths } from './other-paths.ts';
import { AdmissionChain } from './registry/admission-chain.ts';
import type { RegistryServices } from './registry/generic/scope.ts';
import { APISERVER_USER, createRegistryAccess } from './registry/registry-access.ts';
import { handleResource } from './registry/resource-handlers.ts';
import { ResourceRegistry } from './registry/resource-registry.ts';
import type { RegistryAccess } from './registry/special-subresources.ts';
import { queryFromText } from './request/query.ts';
import type { RequestAudit } from './request/request-audit.ts';
import { RequestContext, type RequestInit } from './request/request-context.ts';
import { parseRequestInfo } from './request/request-info.ts';
import type { Result } from './request/result.ts';
import { DEFAULT_REQUEST_TIMEOUT, isLongRunning, timeLimitOf } from './request/time-limit.ts';
import { createRequestMetrics, type RequestMetrics } from './request-metrics.ts';
import { runPipeline, type Pipeline } from './request-pipeline.ts';
import type { ApiServerOptions } from './server-options.ts';
import { anonymousUser } from './authentication/well-known-users.ts';
import { auditStep } from './steps/audit.ts';
import { authenticateStep } from './steps/authenticate.ts';
import { authorizeStep, createAuthorize } from './steps/authorize.ts';
import { DEFAULT_IN_FLIGHT, fairnessStep } from './steps/fairness.ts';
import { impersonateStep } from './steps/impersonate.ts';
import { LeaseBuckets } from './storage/lease-buckets.ts';
import { StoreFeed } from './watch-cache/store-feed.ts';

export interface ApiServer extends AsyncDisposable {
  /** Opens the ports that the options name. */
  listen(): Promise<void>;
  /** Where the TLS port is, once `listen` has resolved. */
  readonly address: { readonly host: string; readonly port: number } | undefined;
  readonly plainAddress: { readonly host: string; readonly port: number } | undefined;
  /** A way in for components of the same process, with this identity and its permissions. */
  transportFor(user: UserInfo): Transport;
  /** The objects without authorization or admission, for the server's own composition. */
  readonly registry: RegistryAccess;
  /** Resolves when all post-start hooks have succeeded. Rejects when the server is stopped before. */
  readonly ready: Promise<void>;
  readonly metrics: Metrics;
}

const NOT_FROZEN = (): void => undefined;

/**
 * Reads the caches from the store and starts the hooks; can be asked (in process) as soon as it resolves. Options that
 * need to read the server's own objects (authorizers read bindings) are given as a function of them.
 */
export async function createApiServer(
  given: ApiServerOptions | ((objects: ObjectReader) => ApiServerOptions | Promise<ApiServerOptions>),
): Promise<ApiServer> {
  const objects: ObjectReader = {
    get: (type, namespace, name) => registry.lookUp(type, namespace, name),
    list: (type, namespace) => registry.lookUpAll(type, namespace),
    version: (type) => registry.version(type),
  };
  const options: ApiServerOptions = typeof given === 'function' ? await given(objects) : given;
  const clock = options.clock ?? realClock;
  const logger = options.logger ?? silentLogger;
  const random = options.random ?? systemRandom;
  const metrics = options.metrics ?? createMetrics();
  const scope = new Scope();
  const feed = new StoreFeed(options.store, clock, logger);
  await feed.start();
  scope.use(feed);

  const registry: ResourceRegistry = new ResourceRegistry({
    storage: {
      store: options.store,
      feed,
      clock,
      logger,
      leases: new LeaseBuckets(options.store, clock),
      freeze: options.freeze ?? NOT_FROZEN,
    },
    strategies: options.strategies ?? [],
    specialHandlers: options.specialHandlers ?? [],
    ...(options.stages === undefined ? {} : { stages: options.stages }),
  });
  scope.defer(() => {
    for (const storage of registry.storages()) storage.cache.close();
  });
  for (const storage of registry.storages()) await storage.cache.load();

  const authorize = createAuthorize(options.authorizers ?? []);
  const services: RegistryServices = {
    clock,
    random,
    logger,
    admission: new AdmissionChain(options.admission ?? []),
    authorize,
    lookUp: (type, namespace, name) => registry.lookUp(type, namespace, name),
    lookUpAll: (type, namespace) => registry.lookUpAll(type, namespace),
    objects: {
      create: async (type, object) => {
        await server.registry.create(type, object as never);
      },
      delete: (type, namespace, name) =>
        server.registry.delete(type, namespace, name, {}).catch((error: unknown) => {
          if (!isNotFound(error)) throw error;
        }),
    },
  };
  const { reading, writing } = options.inFlight ?? DEFAULT_IN_FLIGHT;
  const seats = reading + writing;
  const flowControl = new FlowControl({
    objects,
    clock,
    seats,
    metrics: createFlowControlMetrics(metrics),
  });
  scope.run(every(clock, ADJUSTMENT_PERIOD, scope.signal, () => flowControl.adjust()));
  const server = new Server({
    options,
    clock,
    logger,
    metrics,
    scope,
    registry,
    objects,
    services,
    feed,
    flowControl,
  });
  server.startHooks();
  return server;
}

interface ServerParts {
  readonly options: ApiServerOptions;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly scope: Scope;
  readonly registry: ResourceRegistry;
  readonly objects: ObjectReader;
  readonly services: RegistryServices;
  readonly feed: StoreFeed;
  readonly flowControl: FlowControl;
}

class Server implements ApiServer {
  readonly registry: RegistryAccess;
  readonly metrics: Metrics;
  readonly ready: Promise<void>;
  address: { readonly host: string; readonly port: number } | undefined = undefined;
  plainAddress: { readonly host: string; readonly port: number } | undefined = undefined;
  readonly #parts: ServerParts;
  readonly #pipeline: Pipeline;
  readonly #requestMetrics: RequestMetrics;
  readonly #hooksDone = new Map<string, boolean>();
  readonly #ports: HttpServer[] = [];
  /** What the hooks leave running. It watches this server, so it is to end before the watches do. */
  readonly #hooks = new Scope();
  readonly #listening: Promise<number>;
  #resolveListening: (port: number) => void = () => undefined;
  #rejectListening: (error: Error) => void = () => undefined;
  #resolveReady: () => void = () => undefined;
  #rejectReady: (error: Error) => void = () => undefined;
  #stopping = false;

  constructor(parts: ServerParts) {
    this.#parts = parts;
    const { options, metrics, registry, services } = parts;
    this.metrics = metrics;
    this.registry = createRegistryAccess(registry, services);
    this.#requestMetrics = createRequestMetrics(metrics, ({ info }) => {
      const row = registry.info(info.group, info.version, info.resource);
      if (row === undefined) return false;
      return info.subresource === '' || row.subresources.some(({ name }) => name === info.subresource);
    });
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    this.ready.catch(() => undefined); // nobody need wait for it
    this.#listening = new Promise((resolve, reject) => {
      this.#resolveListening = resolve;
      this.#rejectListening = reject;
    });
    this.#listening.catch(() => undefined); // hooks that wait for it are told

    const handlers = { registry, services, store: options.store, clock: parts.clock };
    const otherPaths = this.#otherPaths();
    this.#pipeline = {
      steps: [
        authenticateStep(options.authenticators ?? [], options.anonymous ?? true),
        ...(options.auditor === undefined ? [] : [auditStep]),
        impersonateStep(services.authorize),
        fairnessStep({
          flowControl: parts.flowControl,
          stats: (info) => registry.stats(info),
          clock: parts.clock,
          metrics,
          requestTimeout: options.requestTimeout,
        }),
        authorizeStep(services.authorize),
      ],
      route: (context) =>
        options.aggregation?.route(context) ??
        (context.info.isResourceRequest
          ? handleResource(handlers, context)
          : handleOther(otherPaths, context)),
    };
  }

  async listen(): Promise<void> {
    const { options, logger, clock } = this.#parts;
    const host = options.host ?? '0.0.0.0';
    const open = async (port: number, at: string, tls: boolean): Promise<number> => {
      const http = new HttpServer({
        host: at,
        port,
        tls: tls ? options.tls : undefined,
        logger,
        clock,
        onRequest: (request, responder) => this.#onRequest(request, responder),
        onUpgrade: (request, message, socket, head) => {
          socket.on('error', () => socket.destroy());
          this.#onRequest(request, declinedResponder(message, socket), { message, socket, head });
        },
      });
      const opened = await http.listen();
      this.#ports.push(http);
      return opened;
    };
    if (options.tls !== undefined) {
      this.address = { host, port: await open(options.port ?? 6443, host, true) };
      this.#resolveListening(this.address.port);
    }
    if (options.plainPort !== undefined)
      this.plainAddress = {
        host: '127.0.0.1',
        port: await open(options.plainPort, '127.0.0.1', false),
      };
  }

  transportFor(user: UserInfo): Transport {
    return createInProcessTransport({ serve: (init) => this.#serveInProcess(init) }, user);
  }

  startHooks(): void {
    const { options, clock, logger, metrics, registry, objects, services } = this.#parts;
    const hooks = options.postStartHooks ?? [];
    for (const { name } of hooks) this.#hooksDone.set(name, false);
    const run = async (): Promise<void> => {
      for (const hook of hooks) {
        await hook.run({
          registry: this.registry,
          customResources: registry,
          objects,
          metrics,
          groupVersions: registry.builtinGroupVersions,
          transport: this.transportFor(APISERVER_USER),
          clock,
          random: services.random,
          logger,
          signal: this.#hooks.signal,
          listening: this.#listening,
          background: (work) =>
            this.#hooks.run(work, (error) =>
              logger.error('background work of a hook failed', {
                hook: hook.name,
                error: errorMessage(error),
              }),
            ),
        });
        this.#hooksDone.set(hook.name, true);
      }
      this.#resolveReady();
    };
    this.#hooks.run(run(), (error) => {
      logger.error('a post-start hook failed', { error: errorMessage(error) });
      this.#rejectReady(error instanceof Error ? error : new Error(String(error)));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#rejectReady(new Error('the API server was stopped'));
    this.#rejectListening(new Error('the API server was stopped'));
    const { scope, registry, options } = this.#parts;
    const hooksEnded = this.#hooks[Symbol.asyncDispose]();
    // Watches end by themselves once their caches close; then the connections are idle and can go.
    for (const storage of registry.storages()) storage.cache.close();
    await Promise.all(this.#ports.map((port) => port.close(options.shutdownGrace ?? 0)));
    await hooksEnded;
    await scope[Symbol.asyncDispose]();
  }

  #otherPaths(): OtherPaths {
    const { registry, metrics, feed, options } = this.#parts;
    const log: HealthCheck = { name: 'log', check: () => undefined };
    const etcd: HealthCheck = {
      name: 'etcd',
      check: () => (feed.healthy ? undefined : 'the watch on the store is being re-established'),
    };
    const hooks: HealthCheck[] = (options.postStartHooks ?? []).map(({ name }) => ({
      name: `poststarthook/${name}`,
      check: () => (this.#hooksDone.get(name) === true ? undefined : 'not finished'),
    }));
    const informers: HealthCheck = {
      name: 'informer-sync',
      check: () => (registry.isLoaded ? undefined : 'not loaded'),
    };
    const shutdown: HealthCheck = {
      name: 'shutdown',
      check: () => (this.#stopping ? 'process is shutting down' : undefined),
    };
    const further = options.healthChecks ?? [];
    const live = [PING, log, etcd, ...hooks, ...further];
    return {
      registry,
      aggregation: options.aggregation,
      aggregatedDiscovery: new AggregatedDiscovery(registry, options.aggregation),
      openApi: new OpenApi({ registry, docs: options.docs, aggregation: options.aggregation }),
      metrics,
      further: options.otherPaths ?? new Map<string, OtherHandler>(),
      serverAddress: () => (this.address === undefined ? '' : `${this.address.host}:${this.address.port}`),
      checks: {
        healthz: live,
        livez: live,
        readyz: [PING, log, etcd, informers, ...hooks, ...further, shutdown],
      },
    };
  }

  /** Call the result with the status code when the request is over. */
  #begin(context: RequestContext): (code: number) => void {
    return this.#requestMetrics.begin(context, this.#parts.clock);
  }

  #context(init: RequestInit): RequestContext {
    const given = init.headers['audit-id'];
    const context = new RequestContext(
      init,
      parseRequestInfo(init.method, init.path, init.query),
      anonymousUser,
      typeof given === 'string' && given !== '' ? given : randomUUID(),
    );
    const { auditor } = this.#parts.options;
    if (auditor !== undefined) context.audit = auditor.begin(context);
    return context;
  }

  async #serveInProcess(
    init: RequestInit,
  ): Promise<{ readonly result: Result; readonly finish: () => void }> {
    const context = this.#context(init);
    const finish = this.#begin(context);
    try {
      const result = await runPipeline(this.#pipeline, context);
      const code = 'code' in result ? result.code : 200;
      if (context.audit !== undefined) {
        await auditResult(context.audit, { clock: this.#parts.clock }, context, result);
        context.audit.started(code);
        if (!isLongRunning(context)) await context.audit.completed();
      }
      if (result.kind === 'watch') context.release?.(); // it has begun
      return {
        result,
        finish: () => {
          context.release?.();
          finish(code);
          void context.audit?.completed();
        },
      };
    } catch (error) {
      context.release?.();
      const status = statusOf(this.#parts.logger, error);
      finish(status.code);
      if (context.audit !== undefined) {
        context.audit.failed(error, status);
        context.audit.started(status.code);
        await context.audit.completed();
      }
      throw error;
    }
  }

  /** `upgrade`: the client asked for another protocol, which only some answers are. */
  #onRequest(request: HttpRequest, plain: Responder, upgrade?: Upgrade): void {
    const { clock, logger } = this.#parts;
    const respondServices = { clock, logger, output: { clock } };
    let context: RequestContext | undefined;
    let given = plain;
    let finish: ((code: number) => void) | undefined;
    let cancelDeadline: CancelTimer | undefined;
    let isOver = false;
    const done = (code: number): void => {
      isOver = true;
      cancelDeadline?.();
      context?.release?.();
      finish?.(code);
      context?.audit?.started(code);
      void context?.audit?.completed();
    };
    // A request that was given up before it had its seat may still get one: it is given back when the work is done.
    const fail = (error: unknown): void => {
      if (isOver) context?.release?.();
      else done(respondError(respondServices, context, given, error));
    };
    const answer = (result: Result): void | Promise<void> => {
      if (isOver) return context?.release?.();
      if (result.kind === 'watch') context?.release?.(); // it has begun
      if (result.kind === 'upgrade') {
        if (upgrade === undefined) return fail(upgradeRequired());
        const { message, socket, head } = upgrade;
        cancelDeadline?.(); // it lasts as long as both sides like
        context?.audit?.started(101);
        result.accept(message, socket, head);
        socket.once('close', () => done(101));
        return;
      }
      const current = context as RequestContext;
      const responder =
        upgrade !== undefined && result.kind === 'watch' && isWebSocketRequest(current)
          ? audited(webSocketResponder(upgrade.message, upgrade.socket, upgrade.head), current, 101)
          : given;
      const sent =
        current.audit === undefined
          ? respond(respondServices, current, responder, result)
          : respondAudited(current.audit, respondServices, current, responder, result);
      const code = 'code' in result ? result.code : 200;
      if (sent === undefined) done(code);
      else
        return sent.then(() => {
          if (!isOver) done(code);
        });
    };
    try {
      context = this.#context(httpInit(request));
      given = audited(plain, context);
      finish = this.#begin(context);
      const limit = timeLimitOf(context, this.#parts.options.requestTimeout ?? DEFAULT_REQUEST_TIMEOUT);
      const result = runPipeline(this.#pipeline, context);
      const pending = result instanceof Promise ? result.then(answer) : answer(result);
      if (pending === undefined) return;
      pending.catch(fail);
      if (limit === undefined) return;
      // Bytes come and go in real time, whatever clock the cluster runs on.
      cancelDeadline = realClock.setTimeout(() => {
        fail(timeout('request did not complete within the allotted timeout'));
        context?.cancel(new Error('the request took too long'));
      }, limit);
    } catch (error) {
      fail(error);
    }
  }
}

/** What is answered is taken down first. */
function respondAudited(
  audit: RequestAudit,
  services: RespondServices,
  context: RequestContext,
  responder: Responder,
  result: Exclude<Result, { readonly kind: 'upgrade' }>,
): void | Promise<void> {
  const noted = auditResult(audit, services.output, context, result);
  return noted === undefined
    ? respond(services, context, responder, result)
    : noted.then(() => respond(services, context, responder, result));
}

function audited(responder: Responder, context: RequestContext, sent?: number): Responder {
  return context.audit === undefined ? responder : auditedResponder(responder, context, sent);
}

interface Upgrade {
  readonly message: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
}

function httpInit(request: HttpRequest): RequestInit {
  const { url, headers, rawHeaders, body, socket } = request;
  const question = url.indexOf('?');
  const length = headers['content-length'];
  const tls = tlsSocketOf(socket);
  return {
    method: request.method,
    path: question < 0 ? url : url.slice(0, question),
    query: queryFromText(question < 0 ? '' : url.slice(question + 1)),
    headers,
    rawHeaders,
    body: streamBody(body, length === undefined ? undefined : Number(length)),
    ...(tls === undefined ? {} : { socket: tls }),
    remoteAddress: socket.remoteAddress ?? '',
    onAbort: request.onAbort,
  };
}

function upgradeRequired(): StatusError {
  return badRequest('you must specify at least 1 of stdin, stdout, stderr');
}
