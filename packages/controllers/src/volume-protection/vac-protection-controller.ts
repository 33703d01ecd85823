import { corev1, storagev1 } from '@k8ts/api';

import type { ControllerDefinition } from '../contract.ts';
import { eventsRule, rule } from '../permissions.ts';
import { protect } from './protection.ts';

const BY_CLASS = 'volumeAttributesClassName';

/** A VolumeAttributesClass stays as long as a volume or a claim names it. */
export const vacProtectionController: ControllerDefinition = {
  name: 'volumeattributesclass-protection-controller',
  account: 'volumeattributesclass-protection-controller',
  permissions: [
    rule(['list', 'watch', 'get'], [''], ['persistentvolumeclaims']),
    rule(['list', 'watch', 'get'], [''], ['persistentvolumes']),
    rule(['get', 'list', 'watch', 'update'], ['storage.k8s.io'], ['volumeattributesclasses']),
    eventsRule,
  ],
  queue: 'vacprotection',
  workers: 1,
  maxRetries: undefined,
  eventSource: 'volumeattributesclass-protection-controller',
  create(context) {
    const volumes = context.informers.of(corev1.persistentVolumes);
    const claims = context.informers.of(corev1.persistentVolumeClaims);
    volumes.addIndex(BY_CLASS, classesOfVolume);
    claims.addIndex(BY_CLASS, classesOfClaim);
    const { controller, recheck } = protect(context, {
      type: storagev1.volumeAttributesClasses,
      finalizer: 'kubernetes.io/vac-protection',
      isUsed: ({ metadata: { name } }) =>
        volumes.lister.byIndex(BY_CLASS, name).length > 0 || claims.lister.byIndex(BY_CLASS, name).length > 0,
    });
    volumes.addHandler({
      updated: (_volume, previous) => classesOfVolume(previous).forEach(recheck),
      deleted: (volume) => classesOfVolume(volume).forEach(recheck),
    });
    claims.addHandler({
      updated: (_claim, previous) => classesOfClaim(previous).forEach(recheck),
      deleted: (claim) => classesOfClaim(claim).forEach(recheck),
    });
    return controller;
  },
};

function classesOfVolume({ spec }: corev1.PersistentVolume): string[] {
  return named(spec.volumeAttributesClassName);
}

function classesOfClaim({ spec, status }: corev1.PersistentVolumeClaim): string[] {
  return named(
    spec.volumeAttributesClassName,
    status?.currentVolumeAttributesClassName,
    status?.modifyVolumeStatus?.targetVolumeAttributesClassName,
  );
}

function named(...names: readonly (string | undefined)[]): string[] {
  return [...new Set(names)].filter((name) => name !== undefined && name !== '') as string[];
}
