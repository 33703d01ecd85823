/** Whether an APIService can be asked (kube-aggregator/pkg/controllers/status). */
import { corev1, type apiregistrationv1 } from '@k8ts/api';
import { goQuote } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import type { ObjectReader } from '../object-reader.ts';
import { LOCALLY_AVAILABLE, type APIService } from './api-service.ts';
import { ask, backendOf, type BackendOptions } from './extension-server.ts';
import { endpointSlicesOf } from './service-resolver.ts';

type Condition = apiregistrationv1.APIServiceCondition;

export interface Availability {
  readonly condition: Condition;
  /** Its server has not answered as it should: to be tried again soon. */
  readonly isRetried: boolean;
}

/** Milliseconds for one attempt. */
const PROBE_TIMEOUT = 5_000;
/** At the same time; one that succeeds is enough. */
const ATTEMPTS = 5;
const PROBER = { name: 'system:kube-aggregator', uid: '', groups: ['system:masters'], extra: {} };

export async function checkAvailability(
  apiService: APIService,
  objects: ObjectReader,
  backends: BackendOptions,
  signal: AbortSignal,
): Promise<Availability> {
  const lacking = lackingService(apiService, objects);
  if (lacking !== undefined) return { condition: lacking, isRetried: false };
  const attempts = Array.from({ length: ATTEMPTS }, () => probe(apiService, backends, signal));
  try {
    await Promise.any(attempts);
  } catch (error) {
    const { errors } = error as AggregateError;
    return { condition: unavailable('FailedDiscoveryCheck', errorMessage(errors.at(-1))), isRetried: true };
  }
  return {
    condition: { type: 'Available', status: 'True', reason: 'Passed', message: 'all checks passed' },
    isRetried: false,
  };
}

/** Undefined: the Service has somebody to ask. */
function lackingService({ spec }: APIService, objects: ObjectReader): Condition | undefined {
  if (spec.service === undefined) return LOCALLY_AVAILABLE;
  const { namespace = '', name = '', port = 443 } = spec.service;
  const about = `service/${name} in ${goQuote(namespace)}`;
  const service = objects.get(corev1.services, namespace, name);
  if (service === undefined) return unavailable('ServiceNotFound', `${about} is not present`);
  if (service.spec.type !== 'ClusterIP') return undefined;
  const servicePort = (service.spec.ports ?? []).find((each) => each.port === port);
  if (servicePort === undefined)
    return unavailable('ServicePortError', `${about} is not listening on port ${port}`);
  const slices = endpointSlicesOf(objects, namespace, name);
  if (slices.length === 0) return unavailable('EndpointsNotFound', `cannot find endpointslices for ${about}`);
  const portName = servicePort.name ?? '';
  const hasEndpoint = slices.some(
    ({ endpoints, ports }) =>
      (endpoints ?? []).some(({ conditions }) => conditions?.ready !== false) &&
      (ports ?? []).some((each) => each.name === portName && each.port !== undefined),
  );
  if (hasEndpoint) return undefined;
  return unavailable(
    'MissingEndpoints',
    `endpointslices for ${about} have no addresses with port name ${goQuote(portName)}`,
  );
}

function unavailable(reason: string, message: string): Condition {
  return { type: 'Available', status: 'False', reason, message };
}

/** Certificates do not matter here: only whether somebody answers. Rejects with an Error in upstream's words. */
async function probe(apiService: APIService, backends: BackendOptions, signal: AbortSignal): Promise<void> {
  const { group = '', version = '' } = apiService.spec;
  const path = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  const backend = backendOf(apiService, backends, 'nothing');
  const url = `https://${backend.authority}${path}`;
  const fail = (message: string): Error => new Error(`failing or missing response from ${url}: ${message}`);
  let code: number;
  try {
    ({ code } = await ask(backend, { path, user: PROBER, timeout: PROBE_TIMEOUT, signal, headOnly: true }));
  } catch (error) {
    throw fail(`Get ${goQuote(url)}: ${errorMessage(error)}`);
  }
  if (code < 200 || code > 299) throw fail(`bad status from ${url}: ${code}`);
}
