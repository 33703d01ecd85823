import type { corev1 } from '@k8ts/api';
import type { LabelSelector } from '@k8ts/apimachinery';

/** What plugins may ask of the rest of the cluster. */
export interface WorkloadLookup {
  /** The selector of the Services and the controller that a pod belongs to; undefined: it belongs to none. */
  selectorOf(pod: corev1.Pod): LabelSelector | undefined;
  /** Names of the namespaces whose labels match. */
  namespacesMatching(selector: LabelSelector): ReadonlySet<string>;
}
