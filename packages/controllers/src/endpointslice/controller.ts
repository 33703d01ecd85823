import { corev1, discoveryv1 } from '@k8ts/api';
import { isNotFound } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import { objectKey } from '@k8ts/client';

import type { Controller, ControllerContext, ControllerDefinition } from '../contract.ts';
import { isNamespaceTerminating } from '../namespace-terminating.ts';
import { eventsRule, rule } from '../permissions.ts';
import { podsInformer } from '../pod-indexes.ts';
import { identityOf } from '../object-identity.ts';
import { matchesService, selectsPods, watchMembers } from '../service-endpoints/membership.ts';
import { TriggerTimes, withTriggerTime } from '../service-endpoints/trigger-time.ts';
import { CONTROLLER, MANAGED_BY, SERVICE_NAME, planSlices } from './plan.ts';
import type { SlicesPlan } from './plan.ts';
import { SliceTracker } from './slice-tracker.ts';

type Slice = discoveryv1.EndpointSlice;

/** A slice that somebody else changed is put right after this long (upstream's endpointSliceChangeMinSyncDelay). */
const FOREIGN_CHANGE_DELAY = 1000;

export const endpointSliceController: ControllerDefinition = {
  name: 'endpointslice-controller',
  account: 'endpointslice-controller',
  permissions: [
    rule(['get', 'list', 'watch'], [''], ['services', 'pods', 'nodes']),
    // To make a slice whose owner reference blocks the Service's deletion.
    rule(['update'], [''], ['services/finalizers']),
    rule(['get', 'list', 'watch', 'create', 'update', 'delete'], ['discovery.k8s.io'], ['endpointslices']),
    eventsRule,
  ],
  queue: 'endpoint_slice',
  workers: 5,
  maxRetries: 15,
  eventSource: 'endpoint-slice-controller',
  create: createEndpointSliceController,
};

function createEndpointSliceController(context: ControllerContext): Controller {
  const { client, informers, queue, recorder, options, metrics } = context;
  const maxEndpoints = options.maxEndpointsPerSlice ?? 100;
  const services = informers.of(corev1.services);
  const nodes = informers.of(corev1.nodes);
  const pods = podsInformer(informers);
  const slices = informers.of(discoveryv1.endpointSlices);
  slices.addIndex('service', (slice) => {
    const key = serviceOf(slice);
    return key === undefined || slice.metadata.labels?.[MANAGED_BY] !== CONTROLLER ? [] : [key];
  });
  const tracker = new SliceTracker();
  const triggerTimes = new TriggerTimes();
  const changes = metrics.counter({
    name: 'endpoint_slice_controller_changes',
    help: 'Number of EndpointSlice changes',
    labels: ['operation'],
  });
  const syncs = metrics.counter({
    name: 'endpoint_slice_controller_syncs',
    help: 'Number of EndpointSlice syncs',
    labels: ['result'],
  });

  const enqueue = (service: corev1.Service): void => queue.add(objectKey(service));
  services.addHandler({ added: enqueue, updated: enqueue, deleted: enqueue });
  watchMembers(pods, services, (key) => queue.add(key));
  // Pods whose node was not known yet were left out.
  nodes.addHandler({
    added: ({ metadata }) => {
      for (const pod of pods.lister.byIndex('node', metadata.name))
        for (const service of services.lister.list(pod.metadata.namespace ?? ''))
          if (selectsPods(service) && matchesService(service, pod)) enqueue(service);
    },
  });
  const foreign = (slice: Slice): void => {
    const key = serviceOf(slice);
    if (key !== undefined && isManaged(slice) && tracker.isForeign(key, slice))
      queue.addAfter(key, FOREIGN_CHANGE_DELAY);
  };
  slices.addHandler({
    added: foreign,
    updated: (slice, previous) => {
      const [key, before] = [serviceOf(slice), serviceOf(previous)];
      if (key === before && isManaged(slice) === isManaged(previous)) {
        foreign(slice);
        return;
      }
      for (const service of [key, before])
        if (service !== undefined) queue.addAfter(service, FOREIGN_CHANGE_DELAY);
    },
    deleted: (slice) => {
      const key = serviceOf(slice);
      if (key !== undefined && isManaged(slice) && !tracker.observeDeletion(key, slice))
        queue.addAfter(key, FOREIGN_CHANGE_DELAY);
    },
  });

  const execute = async (
    service: corev1.Service,
    plan: SlicesPlan,
    time: string | undefined,
  ): Promise<void> => {
    const key = objectKey(service);
    const api = client.resource(discoveryv1.endpointSlices, service.metadata.namespace);
    // While the Service is being deleted its slices go with it; new ones would be left over.
    for (const slice of service.metadata.deletionTimestamp === undefined ? plan.create : []) {
      try {
        const annotations = withTriggerTime(slice.metadata.annotations, time);
        tracker.written(key, await api.create({ ...slice, metadata: { ...slice.metadata, annotations } }));
      } catch (error) {
        if (isNamespaceTerminating(error)) return;
        throw new Error(`failed to create EndpointSlice for Service ${key}: ${errorMessage(error)}`, {
          cause: error,
        });
      }
      changes.increment(['create']);
    }
    for (const slice of plan.update) {
      const annotations = withTriggerTime(slice.metadata.annotations, time);
      try {
        tracker.written(key, await api.update({ ...slice, metadata: { ...slice.metadata, annotations } }));
      } catch (error) {
        const { name } = slice.metadata;
        throw new Error(`failed to update ${name} EndpointSlice for Service ${key}: ${errorMessage(error)}`, {
          cause: error,
        });
      }
      changes.increment(['update']);
    }
    for (const slice of plan.delete) {
      try {
        await api.delete(slice.metadata.name);
      } catch (error) {
        if (isNotFound(error)) continue;
        const { name } = slice.metadata;
        throw new Error(`failed to delete ${name} EndpointSlice for Service ${key}: ${errorMessage(error)}`, {
          cause: error,
        });
      }
      tracker.deleted(key, slice);
      changes.increment(['delete']);
    }
  };

  return {
    reconcile: async (key) => {
      const service = services.lister.byKey(key);
      if (service === undefined) {
        tracker.forget(key);
        triggerTimes.forget(key);
        return;
      }
      if (!selectsPods(service)) return;
      const existing = slices.lister
        .byIndex('service', key)
        .filter(({ metadata }) => metadata.deletionTimestamp === undefined);
      if (tracker.isStale(key, existing)) {
        syncs.increment(['stale']);
        throw new Error('EndpointSlice informer cache is out of date');
      }
      const members = pods.lister
        .list(service.metadata.namespace ?? '')
        .filter((pod) => matchesService(service, pod));
      const time = triggerTimes.next(service, members);
      const plan = planSlices({
        service,
        pods: members,
        node: (name) => nodes.lister.byKey(name),
        existing,
        maxEndpoints,
      });
      try {
        await execute(service, plan, time);
        const [missing] = plan.withoutNode;
        if (missing !== undefined)
          throw new Error(
            `skipping Pod ${missing.metadata.name} for Service ${key}: Node ${missing.spec.nodeName ?? ''} Not Found`,
          );
      } catch (error) {
        syncs.increment(['error']);
        recorder.event(
          identityOf(service, corev1.services),
          'Warning',
          'FailedToUpdateEndpointSlices',
          `Error updating Endpoint Slices for Service ${key}: ${errorMessage(error)}`,
        );
        throw error;
      }
      syncs.increment(['success']);
    },
  };
}

function isManaged({ metadata }: Slice): boolean {
  return metadata.labels?.[MANAGED_BY] === CONTROLLER;
}

function serviceOf({ metadata }: Slice): string | undefined {
  const name = metadata.labels?.[SERVICE_NAME];
  return name === undefined || name === '' ? undefined : `${metadata.namespace ?? ''}/${name}`;
}
