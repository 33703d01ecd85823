import { corev1 } from '@k8ts/api';
import { controllerOf } from '@k8ts/client';
import type { Informer, InformerFactory } from '@k8ts/client';

/** The index of pods by the UID of their controller; pods without one are under `orphansOf(namespace)`. */
export const BY_CONTROLLER = 'controller';
/** The index of pods by `spec.nodeName`. */
export const BY_NODE = 'node';

export function orphansOf(namespace: string): string {
  return `orphans/${namespace}`;
}

/** The informer of pods with the indexes that controllers look things up by. */
export function podsInformer(informers: InformerFactory): Informer<corev1.Pod> {
  const pods = informers.of(corev1.pods);
  pods.addIndex(BY_CONTROLLER, (pod) => [controllerOf(pod)?.uid ?? orphansOf(pod.metadata.namespace ?? '')]);
  pods.addIndex(BY_NODE, ({ spec }) => (spec.nodeName ? [spec.nodeName] : []));
  return pods;
}
