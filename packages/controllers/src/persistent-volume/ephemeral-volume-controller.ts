import { corev1 } from '@k8ts/api';
import { claimNameOf } from '@k8ts/apimachinery';
import { controllerRef, isControlledBy, objectKey } from '@k8ts/client';
import { errorMessage } from '@k8ts/base';

import type { Controller, ControllerContext, ControllerDefinition } from '../contract.ts';
import { identityOf } from '../object-identity.ts';
import { eventsRule, rule } from '../permissions.ts';
import { BY_CLAIM, claimKeysOf } from './claims-of-pods.ts';

/** Makes the claims of pods' ephemeral volumes, which go with the pod (pkg/controller/volume/ephemeral). */
export const ephemeralVolumeController: ControllerDefinition = {
  name: 'ephemeral-volume-controller',
  account: 'ephemeral-volume-controller',
  permissions: [
    rule(['get', 'list', 'watch'], [''], ['pods']),
    rule(['update'], [''], ['pods/finalizers']),
    rule(['get', 'list', 'watch', 'create'], [''], ['persistentvolumeclaims']),
    eventsRule,
  ],
  queue: 'ephemeral_volume',
  workers: 5,
  maxRetries: undefined,
  eventSource: 'ephemeral_volume',
  create: createEphemeralVolumes,
};

function createEphemeralVolumes({ client, informers, queue, recorder }: ControllerContext): Controller {
  const pods = informers.of(corev1.pods);
  const claims = informers.of(corev1.persistentVolumeClaims);
  pods.addIndex(BY_CLAIM, claimKeysOf);
  const look = (pod: corev1.Pod): void => {
    if (pod.metadata.deletionTimestamp !== undefined) return;
    if (pod.spec.volumes?.some(({ ephemeral }) => ephemeral !== undefined) === true)
      queue.add(objectKey(pod));
  };
  pods.addHandler({ added: look });
  claims.addHandler({
    deleted: (claim) => pods.lister.byIndex(BY_CLAIM, objectKey(claim)).forEach(look),
  });

  async function ensureClaim(pod: corev1.Pod, volume: corev1.Volume): Promise<void> {
    const template = volume.ephemeral?.volumeClaimTemplate;
    const name = claimNameOf(pod, volume);
    if (template === undefined || name === undefined) return;
    const { namespace = '' } = pod.metadata;
    const claim = claims.lister.get(namespace, name);
    if (claim !== undefined) {
      if (isControlledBy(claim, pod)) return;
      throw new Error(
        `PVC ${namespace}/${name} was not created for pod ${objectKey(pod)} (pod is not owner)`,
      );
    }
    const { annotations, labels } = template.metadata ?? {};
    try {
      await client.resource(corev1.persistentVolumeClaims, namespace).create({
        metadata: {
          name,
          ownerReferences: [controllerRef(pod, corev1.pods)],
          ...(annotations === undefined ? {} : { annotations }),
          ...(labels === undefined ? {} : { labels }),
        },
        spec: template.spec,
      });
    } catch (error) {
      throw new Error(`create PVC ${name}: ${errorMessage(error)}`, { cause: error });
    }
  }

  return {
    async reconcile(key) {
      const pod = pods.lister.byKey(key);
      if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) return;
      for (const volume of pod.spec.volumes ?? []) {
        try {
          await ensureClaim(pod, volume);
        } catch (error) {
          const message = `ephemeral volume ${volume.name}: ${errorMessage(error)}`;
          recorder.event(identityOf(pod, corev1.pods), 'Warning', 'FailedBinding', message);
          throw new Error(`pod ${key}, ${message}`, { cause: error });
        }
      }
    },
  };
}
