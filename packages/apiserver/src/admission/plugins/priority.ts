import { corev1, schedulingv1 } from '@k8ts/api';
import type { Draft } from '@k8ts/api';
import type { ObjectReader } from '../../object-reader.ts';
import { isResource, refuse } from '../refuse.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../contract.ts';

/** Resolves a pod's priority from its class, and keeps the default class the only one. */
export function priority(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'Priority',
    operations: ['CREATE', 'UPDATE'],
    handles: (resource, subresource) =>
      subresource === '' && isResource(resource, corev1.pods, schedulingv1.priorityClasses),

    admit(attributes) {
      if (!isResource(attributes.resource, corev1.pods)) return;
      const { spec } = attributes.object as Draft<corev1.Pod>;
      if (attributes.operation === 'UPDATE') {
        // What was resolved at creation holds; leaving it out of an update is no change.
        const old = (attributes.oldObject as corev1.Pod).spec;
        if (spec.priority === undefined && old.priority !== undefined) spec.priority = old.priority;
        if (spec.preemptionPolicy === undefined && old.preemptionPolicy !== undefined)
          spec.preemptionPolicy = old.preemptionPolicy;
        return;
      }
      resolve(attributes, spec, objects);
    },

    validate(attributes) {
      if (!isResource(attributes.resource, schedulingv1.priorityClasses)) return;
      const priorityClass = attributes.object as Draft<schedulingv1.PriorityClass>;
      if (priorityClass.globalDefault !== true) return;
      const present = defaultClass(objects);
      if (present === undefined) return;
      if (attributes.operation === 'CREATE' || present.metadata.name !== priorityClass.metadata.name)
        throw refuse(
          attributes,
          `PriorityClass ${present.metadata.name ?? ''} is already marked as default. Only one default can exist`,
        );
    },
  };
}

function resolve(attributes: AdmissionAttributes, spec: Draft<corev1.PodSpec>, objects: ObjectReader): void {
  let priorityClass: schedulingv1.PriorityClass | undefined;
  if (spec.priorityClassName === undefined || spec.priorityClassName === '') {
    priorityClass = defaultClass(objects);
    if (priorityClass !== undefined) spec.priorityClassName = priorityClass.metadata.name;
  } else {
    priorityClass = objects.get(schedulingv1.priorityClasses, '', spec.priorityClassName);
    if (priorityClass === undefined)
      throw refuse(attributes, `no PriorityClass with name ${spec.priorityClassName} was found`);
  }
  const value = priorityClass?.value ?? 0;
  const policy = priorityClass?.preemptionPolicy ?? 'PreemptLowerPriority';
  if (spec.priority !== undefined && spec.priority !== value)
    throw refuse(
      attributes,
      `the integer value of priority (${String(spec.priority)}) must not be provided in pod spec; priority admission controller computed ${String(value)} from the given PriorityClass name`,
    );
  if (spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== policy)
    throw refuse(
      attributes,
      `the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${policy} from the given PriorityClass name`,
    );
  spec.priority = value;
  spec.preemptionPolicy = policy;
}

/** Should a race have made two, the lower one counts. */
function defaultClass(objects: ObjectReader): schedulingv1.PriorityClass | undefined {
  let found: schedulingv1.PriorityClass | undefined;
  for (const candidate of objects.list(schedulingv1.priorityClasses))
    if (
      candidate.globalDefault === true &&
      (found === undefined || (candidate.value ?? 0) < (found.value ?? 0))
    )
      found = candidate;
  return found;
}
