import { corev1 } from '@k8ts/api';
import { claimNameOf } from '@k8ts/apimachinery';
import { controllerOf } from '@k8ts/client';

import type { Controller, ControllerContext, ControllerDefinition } from '../contract.ts';
import { eventsRule, rule } from '../permissions.ts';
import { BY_CLAIM, claimKeysOf } from '../persistent-volume/claims-of-pods.ts';
import { isPodTerminal } from '../pod-state.ts';
import { protect } from './protection.ts';

type Claim = corev1.PersistentVolumeClaim;

/** A claim that a pod mounts stays until the pod is gone. */
export const pvcProtectionController: ControllerDefinition = {
  name: 'persistentvolumeclaim-protection-controller',
  account: 'pvc-protection-controller',
  permissions: [
    rule(['get', 'list', 'watch', 'update'], [''], ['persistentvolumeclaims']),
    rule(['list', 'watch', 'get'], [''], ['pods']),
    eventsRule,
  ],
  queue: 'pvcprotection',
  workers: 1,
  maxRetries: undefined,
  eventSource: 'pvc-protection-controller',
  create: createPvcProtection,
};

function createPvcProtection(context: ControllerContext): Controller {
  const { client, informers } = context;
  const pods = informers.of(corev1.pods);
  pods.addIndex(BY_CLAIM, claimKeysOf);
  const { controller, recheck } = protect<Claim>(context, {
    type: corev1.persistentVolumeClaims,
    finalizer: 'kubernetes.io/pvc-protection',
    async isUsed(claim) {
      const { namespace = '', name } = claim.metadata;
      if (pods.lister.byIndex(BY_CLAIM, `${namespace}/${name}`).some((pod) => usesClaim(pod, claim)))
        return true;
      // A pod may be there that has not arrived here yet.
      const { items } = await client.resource(corev1.pods, namespace).list();
      return items.some((pod) => usesClaim(pod, claim));
    },
  });
  const release = (pod: corev1.Pod): void => {
    for (const key of claimKeysOf(pod)) recheck(key);
  };
  const look = (pod: corev1.Pod): void => {
    if (!pod.spec.nodeName || isPodTerminal(pod)) release(pod);
  };
  pods.addHandler({
    added: look,
    updated: (pod, previous) => {
      if (pod.metadata.uid !== previous.metadata.uid) release(previous);
      look(pod);
    },
    deleted: release,
  });
  return controller;
}

/** A kubelet does not start a pod whose claim is being deleted, so that pods count from when they are on a node. */
function usesClaim(pod: corev1.Pod, { metadata }: Claim): boolean {
  if (!pod.spec.nodeName) return false;
  // Such a pod's own claim may be what its removal waits for.
  const isShutDown =
    pod.metadata.deletionTimestamp !== undefined && pod.metadata.deletionGracePeriodSeconds === 0;
  const isOwner = controllerOf({ metadata })?.uid === pod.metadata.uid;
  return (pod.spec.volumes ?? []).some(
    (volume) =>
      claimNameOf(pod, volume) === metadata.name &&
      (volume.ephemeral === undefined || (isOwner && !isShutDown)),
  );
}
