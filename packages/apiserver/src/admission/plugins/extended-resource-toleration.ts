import { corev1 } from '@k8ts/api';
import type { Draft } from '@k8ts/api';
import { isExtendedResource } from '@k8ts/apimachinery';
import type { AdmissionPlugin } from '../contract.ts';
import { isResource } from '../refuse.ts';

/** Nodes with something dear are tainted with its name; pods that ask for it tolerate that. */
export function extendedResourceToleration(): AdmissionPlugin {
  return {
    name: 'ExtendedResourceToleration',
    operations: ['CREATE', 'UPDATE'],
    handles: (resource, subresource) => subresource === '' && isResource(resource, corev1.pods),

    admit({ object }) {
      const { spec } = object as Draft<corev1.Pod>;
      const names = new Set<string>();
      for (const { resources } of [...spec.containers, ...(spec.initContainers ?? [])])
        for (const name of Object.keys(resources?.requests ?? {}))
          if (isExtendedResource(name)) names.add(name);
      for (const key of [...names].sort()) {
        const tolerations = spec.tolerations ?? [];
        const same = tolerations.find(
          (toleration) =>
            toleration.key === key &&
            toleration.operator === 'Exists' &&
            toleration.effect === 'NoSchedule' &&
            !toleration.value,
        );
        if (same === undefined)
          spec.tolerations = [...tolerations, { key, operator: 'Exists', effect: 'NoSchedule' }];
      }
    },
  };
}
