/**
 * What keeps `AggregatedApis` and the status of the APIServices up to date. Services, endpoints and other servers are looked
 * at only while there is an APIService of another server.
 */
import { apiregistrationv1, corev1, discoveryv1 } from '@k8ts/api';
import { formatTime, isConflict, isNotFound } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import {
  createClient,
  createInformerFactory,
  createWorkQueue,
  exponentialRateLimiter,
  type InformerFactory,
  type WorkQueue,
} from '@k8ts/client';
import type { PostStartContext } from '../post-start/contract.ts';
import type { AggregatedApis } from './aggregated-apis.ts';
import { isAvailable, withCondition, type APIService } from './api-service.ts';
import { checkAvailability } from './availability.ts';
import { ask, backendOf, type BackendOptions } from './extension-server.ts';
import { readDocuments } from './openapi/extension-documents.ts';
import { readDiscovery, type KnownDiscovery } from './remote-discovery.ts';

export interface ControllerOptions {
  readonly apis: AggregatedApis;
  readonly backends: BackendOptions;
}

type Context = Pick<
  PostStartContext,
  'registry' | 'objects' | 'metrics' | 'transport' | 'clock' | 'random' | 'logger' | 'signal'
>;

const WORKERS = 5;
/** Milliseconds: how often what cannot be watched is looked at, and the bounds of the waits after failures. */
const STATUS = { period: 30_000, firstWait: 5, longestWait: 30_000 };
const DISCOVERY = { period: 60_000, firstWait: 500, longestWait: 60_000, timeout: 5_000 };
const OPEN_API = { delay: 1_000, period: 60_000, firstWait: 60_000, longestWait: 3_600_000, timeout: 60_000 };
const OPEN_API_READER = { name: 'system:aggregator', uid: '', groups: [], extra: {} };

/** Ends when the signal aborts. */
export async function runAggregationControllers(context: Context, options: ControllerOptions): Promise<void> {
  const { clock, random, logger, signal, transport } = context;
  const { apis } = options;
  await using informers = createInformerFactory({ client: createClient(transport), clock, random, logger });
  const queueOf = ({ firstWait, longestWait }: { firstWait: number; longestWait: number }): WorkQueue =>
    createWorkQueue({ clock, rateLimiter: exponentialRateLimiter(firstWait, longestWait) });
  const [statuses, discovery, openApi] = [queueOf(STATUS), queueOf(DISCOVERY), queueOf(OPEN_API)];
  const services = new Map<string, KnownDiscovery>();

  let isWatchingServices = false;
  let isRefreshing = false;
  /** Once for all that come together, and before the workers see any of them. */
  const refresh = (): void => {
    if (isRefreshing) return;
    isRefreshing = true;
    queueMicrotask(() => {
      isRefreshing = false;
      apis.refresh();
    });
  };
  const changed = (apiService: APIService): void => {
    const { name } = apiService.metadata;
    refresh();
    statuses.add(name);
    if (apiService.spec.service === undefined) return;
    discovery.add(name);
    if (apis.documents(name) === undefined) {
      openApi.forget(name);
      openApi.addAfter(name, OPEN_API.delay);
    }
    if (isWatchingServices) return;
    isWatchingServices = true;
    watchServices(informers, apis, statuses);
  };
  informers
    .of(apiregistrationv1.apiServices)
    .addHandler({ added: changed, updated: changed, deleted: changed });

  const work = (what: string, queue: WorkQueue, step: (name: string) => Promise<void>): Promise<void>[] =>
    Array.from({ length: WORKERS }, async () => {
      for (let name = await queue.get(); name !== undefined; name = await queue.get()) {
        try {
          await step(name);
          queue.forget(name);
        } catch (error) {
          if (!signal.aborted) logger.debug(what, { apiService: name, error: errorMessage(error) });
          queue.addRateLimited(name);
        }
        queue.done(name);
      }
    });
  const shutDown = (): void => {
    for (const queue of [statuses, discovery, openApi]) queue.shutDown();
    void informers[Symbol.asyncDispose](); // at once: the watches end with the server
  };
  signal.addEventListener('abort', shutDown, { once: true });
  if (signal.aborted) return;
  informers.start();
  const reportStatus = statusReporter(context, options);
  await Promise.all([
    ...work('an APIService is not available', statuses, async (name) => {
      await reportStatus(name);
      if (apis.get(name)?.spec.service !== undefined) statuses.addAfter(name, STATUS.period);
    }),
    ...work('an API server says nothing of what it serves', discovery, async (name) => {
      await discover(name, services, options, signal);
      if (apis.get(name) !== undefined) discovery.addAfter(name, DISCOVERY.period);
    }),
    ...work('an API server says nothing in OpenAPI', openApi, async (name) => {
      await describe(name, options, signal);
      if (apis.get(name) !== undefined) openApi.addAfter(name, OPEN_API.period);
    }),
  ]);
}

function watchServices(informers: InformerFactory, apis: AggregatedApis, statuses: WorkQueue): void {
  const enqueue = (namespace: string | undefined, name: string | undefined): void => {
    for (const { metadata, spec } of apis.remote)
      if (spec.service?.name === name && spec.service?.namespace === namespace) statuses.add(metadata.name);
  };
  const service = ({ metadata }: corev1.Service): void => enqueue(metadata.namespace, metadata.name);
  const slice = ({ metadata }: discoveryv1.EndpointSlice): void =>
    enqueue(metadata.namespace, metadata.labels?.['kubernetes.io/service-name']);
  informers.of(corev1.services).addHandler({ added: service, updated: service, deleted: service });
  informers.of(discoveryv1.endpointSlices).addHandler({ added: slice, updated: slice, deleted: slice });
  informers.start();
}

function statusReporter(
  { registry, objects, metrics, clock, logger, signal }: Context,
  { apis, backends }: ControllerOptions,
): (name: string) => Promise<void> {
  const gauge = metrics.gauge({
    name: 'aggregator_unavailable_apiservice',
    help: '[ALPHA] Gauge of APIServices which are marked as unavailable broken down by APIService name.',
    labels: ['name'],
  });
  const counter = metrics.counter({
    name: 'aggregator_unavailable_apiservice_total',
    help: '[ALPHA] Counter of APIServices which are marked as unavailable broken down by APIService name and reason.',
    labels: ['name', 'reason'],
  });
  return async (name) => {
    const apiService = apis.get(name);
    if (apiService === undefined) {
      gauge.remove([name]);
      return;
    }
    const { condition, isRetried } = await checkAvailability(apiService, objects, backends, signal);
    if (apis.get(name)?.metadata.uid !== apiService.metadata.uid) return; // another one, or none
    gauge.set(condition.status === 'True' ? 0 : 1, [name]);
    const now = formatTime(clock.now());
    if (withCondition(apiService.status, condition, now) !== apiService.status) {
      const { uid = '' } = apiService.metadata;
      try {
        await registry.update(
          apiregistrationv1.apiServices,
          '',
          name,
          (draft, old) => {
            draft.status = withCondition(old.status, condition, now) as NonNullable<typeof draft.status>;
          },
          { preconditions: { uid } },
        );
      } catch (error) {
        if (!isNotFound(error) && !isConflict(error)) throw error;
        return; // gone, or made anew
      }
      logger.debug('the availability of an APIService has changed', { name, ...condition });
      if (isAvailable(apiService) && condition.status !== 'True')
        counter.increment([name, condition.reason ?? 'UnknownReason']);
    }
    if (isRetried) throw new Error(condition.message);
  };
}

async function discover(
  name: string,
  services: Map<string, KnownDiscovery>,
  { apis, backends }: ControllerOptions,
  signal: AbortSignal,
): Promise<void> {
  const apiService = apis.get(name);
  if (apiService?.spec.service === undefined) {
    // Nobody else's either, perhaps.
    const used = new Set([...apis.remote].map(serviceKey));
    for (const key of services.keys()) if (!used.has(key)) services.delete(key);
    return;
  }
  const key = serviceKey(apiService);
  const { timeout } = DISCOVERY;
  try {
    const { found, known } = await readDiscovery(
      (question) => ask(backendOf(apiService, backends), { ...question, timeout, signal }),
      apiService,
      services.get(key),
    );
    if (known !== undefined) services.set(key, known);
    if (isSame(apis, apiService)) apis.setDiscovery(name, found);
  } catch (error) {
    if (isSame(apis, apiService))
      apis.setDiscovery(name, { version: apiService.spec.version ?? '', freshness: 'Stale' });
    throw error;
  }
}

async function describe(
  name: string,
  { apis, backends }: ControllerOptions,
  signal: AbortSignal,
): Promise<void> {
  const apiService = apis.get(name);
  if (apiService?.spec.service === undefined) return;
  const { group = '', version = '' } = apiService.spec;
  if (group === '') return;
  const { timeout } = OPEN_API;
  const documents = await readDocuments(
    (path) =>
      ask(backendOf(apiService, backends), {
        path,
        user: OPEN_API_READER,
        headers: { accept: 'application/json' },
        timeout,
        signal,
      }),
    group,
    version,
  );
  if (isSame(apis, apiService)) apis.setDocuments(name, documents);
}

/** Whether what was learnt is still about the APIService of that name. */
function isSame(apis: AggregatedApis, { metadata }: APIService): boolean {
  const current = apis.get(metadata.name);
  return current?.metadata.uid === metadata.uid && current?.spec.service !== undefined;
}

/** With the trust in it: who is no longer trusted is asked anew. */
function serviceKey({ spec }: APIService): string {
  return JSON.stringify([spec.service, spec.caBundle, spec.insecureSkipTLSVerify]);
}
