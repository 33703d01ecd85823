import { corev1, discoveryv1 } from '@k8ts/api';
import { isNotFound } from '@k8ts/apimachinery';
import { controllerOf, objectKey } from '@k8ts/client';

import type { ControllerDefinition } from '../contract.ts';
import { MANAGED_BY, SERVICE_NAME } from '../endpointslice/plan.ts';
import { SliceTracker } from '../endpointslice/slice-tracker.ts';
import { isNamespaceTerminating } from '../namespace-terminating.ts';
import { eventsRule, rule } from '../permissions.ts';
import { identityOf } from '../object-identity.ts';
import { MAX_MIRRORED, MIRRORING_CONTROLLER, isMirrored, planMirror } from './plan.ts';

/** A slice that somebody else changed is put right after this long. */
const FOREIGN_CHANGE_DELAY = 1000;

/** Endpoints made by hand, for Services without a selector, have EndpointSlices too: proxies and DNS read nothing else. */
export const endpointSliceMirroringController: ControllerDefinition = {
  name: 'endpointslice-mirroring-controller',
  account: 'endpointslicemirroring-controller',
  permissions: [
    rule(['get', 'list', 'watch'], [''], ['services', 'endpoints']),
    rule(['update'], [''], ['services/finalizers']),
    rule(['update'], [''], ['endpoints/finalizers']),
    rule(['get', 'list', 'watch', 'create', 'update', 'delete'], ['discovery.k8s.io'], ['endpointslices']),
    eventsRule,
  ],
  queue: 'endpoint_slice_mirroring',
  workers: 5,
  maxRetries: 15,
  eventSource: 'endpoint-slice-mirroring-controller',
  create: ({ client, informers, queue, recorder }) => {
    const services = informers.of(corev1.services);
    const endpoints = informers.of(corev1.endpoints);
    const slices = informers.of(discoveryv1.endpointSlices);
    const tracker = new SliceTracker();
    const isOurs = ({ metadata }: discoveryv1.EndpointSlice): boolean =>
      metadata.labels?.[MANAGED_BY] === MIRRORING_CONTROLLER;
    const keyOf = ({ metadata }: discoveryv1.EndpointSlice): string =>
      `${metadata.namespace ?? ''}/${metadata.labels?.[SERVICE_NAME] ?? ''}`;
    slices.addIndex('mirrored', (slice) => (isOurs(slice) ? [keyOf(slice)] : []));

    const enqueue = (object: corev1.Service | corev1.Endpoints): void => queue.add(objectKey(object));
    services.addHandler({ added: enqueue, updated: enqueue, deleted: enqueue });
    endpoints.addHandler({ added: enqueue, updated: enqueue, deleted: enqueue });
    const foreign = (slice: discoveryv1.EndpointSlice): void => {
      if (isOurs(slice) && tracker.isForeign(keyOf(slice), slice))
        queue.addAfter(keyOf(slice), FOREIGN_CHANGE_DELAY);
    };
    slices.addHandler({
      added: foreign,
      updated: foreign,
      deleted: (slice) => {
        if (isOurs(slice) && !tracker.observeDeletion(keyOf(slice), slice))
          queue.addAfter(keyOf(slice), FOREIGN_CHANGE_DELAY);
      },
    });

    return {
      reconcile: async (key) => {
        const object = endpoints.lister.byKey(key);
        const existing = slices.lister
          .byIndex('mirrored', key)
          .filter(({ metadata }) => metadata.deletionTimestamp === undefined);
        if (tracker.isStale(key, existing)) throw new Error('EndpointSlice informer cache is out of date');
        const mirrored = object !== undefined && isMirrored(object, services.lister.byKey(key));
        // Slices of an earlier Endpoints object of this name are the garbage collector's.
        const own = existing.filter((slice) => !mirrored || controllerOf(slice)?.uid === object.metadata.uid);
        const plan = mirrored
          ? planMirror(object, own)
          : { create: [], update: [], delete: own, invalid: 0, beyond: 0 };
        const api = client.resource(discoveryv1.endpointSlices, key.slice(0, key.indexOf('/')));
        for (const slice of object?.metadata.deletionTimestamp === undefined ? plan.create : []) {
          try {
            tracker.written(key, await api.create(slice));
          } catch (error) {
            if (isNamespaceTerminating(error)) return;
            throw error;
          }
        }
        for (const slice of plan.update) tracker.written(key, await api.update(slice));
        for (const slice of plan.delete) {
          try {
            await api.delete(slice.metadata.name);
            tracker.deleted(key, slice);
          } catch (error) {
            if (!isNotFound(error)) throw error;
          }
        }
        if (object !== undefined && plan.create.length + plan.update.length > 0) {
          const about = identityOf(object, corev1.endpoints);
          if (plan.invalid > 0)
            recorder.event(
              about,
              'Warning',
              'InvalidIPAddress',
              `Skipped ${plan.invalid} invalid IP addresses when mirroring to EndpointSlices`,
            );
          if (plan.beyond > 0)
            recorder.event(
              about,
              'Warning',
              'TooManyAddressesToMirror',
              `A max of ${MAX_MIRRORED} addresses can be mirrored to EndpointSlices per Endpoints subset. ${plan.invalid + plan.beyond} addresses were skipped`,
            );
        }
        if (object === undefined && own.length === 0) tracker.forget(key);
      },
    };
  },
};
