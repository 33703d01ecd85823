import { isDeepStrictEqual } from 'node:util';

import { corev1 } from '@k8ts/api';
import { isNotFound } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import { objectKey } from '@k8ts/client';

import type { ControllerDefinition } from '../contract.ts';
import { isNamespaceTerminating } from '../namespace-terminating.ts';
import { eventsRule, rule } from '../permissions.ts';
import { podsInformer } from '../pod-indexes.ts';
import { isHeadless, matchesService, selectsPods, watchMembers } from '../service-endpoints/membership.ts';
import { TriggerTimes, withTriggerTime } from '../service-endpoints/trigger-time.ts';
import {
  MAX_ADDRESSES,
  OVER_CAPACITY,
  countAddresses,
  endpointSubsets,
  equalSubsets,
  truncateSubsets,
} from './plan.ts';

const HEADLESS = 'service.kubernetes.io/headless';
const MANAGED_BY = 'endpoints.kubernetes.io/managed-by';
const CONTROLLER = 'endpoint-controller';

/** Endpoints are the older form of EndpointSlices; clients that know only them are still served. */
export const endpointsController: ControllerDefinition = {
  name: 'endpoints-controller',
  account: 'endpoint-controller',
  permissions: [
    rule(['get', 'list', 'watch'], [''], ['services', 'pods']),
    rule(['get', 'list', 'watch', 'create', 'update', 'delete'], [''], ['endpoints']),
    rule(['create'], [''], ['endpoints/restricted']),
    eventsRule,
  ],
  queue: 'endpoint',
  workers: 5,
  maxRetries: 15,
  eventSource: 'endpoint-controller',
  create: ({ client, informers, queue, recorder }) => {
    const services = informers.of(corev1.services);
    const pods = podsInformer(informers);
    const endpoints = informers.of(corev1.endpoints);
    const triggerTimes = new TriggerTimes();
    /** The version that was replaced by this controller's last write: seen again, the cache is behind. */
    const replaced = new Map<string, string>();

    const enqueue = (service: corev1.Service): void => queue.add(objectKey(service));
    services.addHandler({ added: enqueue, updated: enqueue, deleted: enqueue });
    endpoints.addHandler({
      // What is left over of a Service that went away while this controller was not running.
      added: (object) => {
        if (object.metadata.labels?.[MANAGED_BY] === CONTROLLER) queue.add(objectKey(object));
      },
      deleted: (object) => queue.add(objectKey(object)),
    });
    watchMembers(pods, services, (key) => queue.add(key));

    return {
      reconcile: async (key) => {
        const service = services.lister.byKey(key);
        const current = endpoints.lister.byKey(key);
        if (service === undefined) {
          triggerTimes.forget(key);
          replaced.delete(key);
          if (current === undefined) return;
          const { namespace, name } = current.metadata;
          await client
            .resource(corev1.endpoints, namespace)
            .delete(name)
            .catch((error: unknown) => {
              if (!isNotFound(error)) throw error;
            });
          return;
        }
        if (!selectsPods(service)) return;
        const { namespace, name, labels: serviceLabels = {} } = service.metadata;
        const version = current?.metadata.resourceVersion;
        if (version !== undefined && replaced.get(key) === version)
          throw new Error(
            `endpoints informer cache is out of date, resource version ${version} already processed for endpoints ${key}`,
          );
        const members = pods.lister.list(namespace ?? '').filter((pod) => matchesService(service, pod));
        const time = triggerTimes.next(service, members);
        const all = endpointSubsets(service, members);
        const subsets = truncateSubsets(all);
        const { [HEADLESS]: _headless, ...own } = serviceLabels;
        const labels = {
          ...own,
          ...(isHeadless(service) ? { [HEADLESS]: '' } : {}),
          [MANAGED_BY]: CONTROLLER,
        };
        const truncated = countAddresses(all) > MAX_ADDRESSES;
        if (
          current !== undefined &&
          equalSubsets(current.subsets ?? [], subsets) &&
          isDeepStrictEqual(current.metadata.labels, labels) &&
          (current.metadata.annotations?.[OVER_CAPACITY] !== undefined) === truncated
        )
          return;
        const { [OVER_CAPACITY]: _capacity, ...annotations } = withTriggerTime(
          current?.metadata.annotations,
          time,
        );
        const wanted: corev1.Endpoints = {
          metadata: {
            ...(current?.metadata ?? { name, ...(namespace === undefined ? {} : { namespace }) }),
            labels,
            annotations: truncated ? { ...annotations, [OVER_CAPACITY]: 'truncated' } : annotations,
          },
          ...(subsets.length > 0 ? { subsets } : {}),
        };
        const api = client.resource(corev1.endpoints, namespace);
        try {
          const written = await (current === undefined ? api.create(wanted) : api.update(wanted));
          if (version !== undefined && written.metadata.resourceVersion !== version)
            replaced.set(key, version);
        } catch (error) {
          if (isNamespaceTerminating(error)) return;
          const about = {
            apiVersion: 'v1',
            kind: 'Endpoints',
            name,
            ...(namespace === undefined ? {} : { namespace }),
          };
          const [reason, message] =
            current === undefined
              ? [
                  'FailedToCreateEndpoint',
                  `Failed to create endpoint for service ${key}: ${errorMessage(error)}`,
                ]
              : ['FailedToUpdateEndpoint', `Failed to update endpoint ${key}: ${errorMessage(error)}`];
          recorder.event(about, 'Warning', reason, message);
          throw error;
        }
      },
    };
  },
};
