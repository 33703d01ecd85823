import { corev1, nodev1 } from '@k8ts/api';
import type { Draft } from '@k8ts/api';
import { compareQuantities, parseQuantity } from '@k8ts/apimachinery';
import type { ObjectReader } from '../../object-reader.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../contract.ts';
import { isResource, refuse } from '../refuse.ts';
import { mergeTolerations } from './toleration-merge.ts';

/**
 * Gives a pod what its RuntimeClass says about all pods of the class: what they cost besides their containers, and which
 * nodes can run them. A pod of a class that does not exist is refused.
 */
export function runtimeClass(objects: ObjectReader): AdmissionPlugin {
  const classOf = (attributes: AdmissionAttributes): nodev1.RuntimeClass | undefined => {
    const { runtimeClassName } = (attributes.object as Draft<corev1.Pod>).spec;
    if (runtimeClassName === undefined) return undefined;
    const found = objects.get(nodev1.runtimeClasses, '', runtimeClassName);
    if (found === undefined)
      throw refuse(attributes, `pod rejected: RuntimeClass ${JSON.stringify(runtimeClassName)} not found`);
    return found;
  };
  return {
    name: 'RuntimeClass',
    operations: ['CREATE'],
    handles: (resource, subresource) => subresource === '' && isResource(resource, corev1.pods),

    admit(attributes) {
      const { overhead, scheduling } = classOf(attributes) ?? {};
      const { spec } = attributes.object as Draft<corev1.Pod>;
      if (overhead !== undefined) {
        if (spec.overhead !== undefined) requireOverhead(attributes, overhead);
        spec.overhead = { ...overhead.podFixed };
      }
      if (scheduling !== undefined) {
        spec.nodeSelector = mergeSelectors(attributes, spec.nodeSelector, scheduling.nodeSelector);
        const tolerations = mergeTolerations(spec.tolerations ?? [], scheduling.tolerations ?? []);
        if (tolerations.length > 0) spec.tolerations = tolerations;
      }
    },

    validate(attributes) {
      const overhead = classOf(attributes)?.overhead;
      if (overhead !== undefined) requireOverhead(attributes, overhead);
      else if ((attributes.object as Draft<corev1.Pod>).spec.overhead !== undefined)
        throw refuse(
          attributes,
          'pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead',
        );
    },
  };
}

function requireOverhead(attributes: AdmissionAttributes, { podFixed }: nodev1.Overhead): void {
  if (!sameAmounts(podFixed ?? {}, (attributes.object as Draft<corev1.Pod>).spec.overhead ?? {}))
    throw refuse(attributes, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
}

type Amounts = Readonly<Record<string, string>>;

function sameAmounts(left: Amounts, right: Amounts): boolean {
  const names = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...names].every((name) => {
    const [one, other] = [left[name], right[name]];
    if (one === undefined || other === undefined) return false;
    return compareQuantities(parseQuantity(one), parseQuantity(other)) === 0;
  });
}

function mergeSelectors(
  attributes: AdmissionAttributes,
  pod: Readonly<Record<string, string>> = {},
  ofClass: Readonly<Record<string, string>> = {},
): Record<string, string> {
  for (const [key, value] of Object.entries(ofClass)) {
    const own = Object.hasOwn(pod, key) ? pod[key] : undefined;
    if (own !== undefined && own !== value)
      throw refuse(
        attributes,
        `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${own}`,
      );
  }
  return { ...pod, ...ofClass };
}
