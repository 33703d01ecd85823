/** ValidatePodResize (KEP-1287): CPU and memory of a running pod may change, within its QoS class. */
import { schemaOfType, type corev1, type Schema } from '@k8ts/api';
import { forbiddenField, invalidValue, type FieldError } from '@k8ts/apimachinery';
import { semanticEqual } from '../../semantic-equal.ts';
import { MIRROR_POD } from '../pod-template/annotations.ts';
import { computePodQos } from './qos.ts';

type Pod = corev1.Pod;
type Container = corev1.Container;
type Resources = corev1.ResourceRequirements;
type List = Readonly<Record<string, string>>;

const ONLY = 'only cpu and memory resources';
const schema = (name: string): Schema => schemaOfType('corev1', name) as Schema;

/** `others`: what is wrong with the pod apart from the resize. */
export function validateResize(pod: Pod, old: Pod, others: readonly FieldError[]): readonly FieldError[] {
  if (old.metadata.annotations?.[MIRROR_POD] !== undefined)
    return [forbiddenField('[]', 'static pods cannot be resized')];
  if (old.spec.os?.name === 'windows') return [forbiddenField('[]', 'windows pods cannot be resized')];
  const errors = [...others];
  const before = old.spec;
  const after = pod.spec;
  if ((old.status?.qosClass ?? computePodQos(before)) !== computePodQos(after))
    errors.push(
      invalidValue(
        'spec',
        pod.status?.qosClass ?? '',
        'Pod QOS Class may not change as a result of resizing',
      ),
    );
  const running = (old.status?.containerStatuses ?? []).find(
    (container) => container.state?.running !== undefined,
  );
  if (running !== undefined && running.resources === undefined)
    errors.push(forbiddenField('spec', 'Pod running on node without support for resize'));
  errors.push(...validatePodLevel(after.resources, before.resources));
  if ((old.status?.nodeAllocatableResourceClaimStatuses ?? []).length > 0)
    errors.push(forbiddenField('spec', 'pods with node allocatable resource claims cannot be resized'));

  const order = [
    ...validateOrder(after, before, 'containers'),
    ...validateOrder(after, before, 'initContainers'),
  ];
  if (order.length > 0) return [...errors, ...order];
  for (const list of ['initContainers', 'containers'] as const)
    for (const [i, container] of (before[list] ?? []).entries())
      errors.push(
        ...validateRemoved(
          after[list]?.[i]?.resources,
          container.resources,
          `spec.${list}[${i}].resources`,
          'resource',
        ),
      );
  for (const [i, container] of (after.containers ?? []).entries())
    if (!sameButCompute(container, before.containers[i] as Container))
      errors.push(forbiddenField('spec', `${ONLY} are mutable`));
  for (const [i, container] of (after.initContainers ?? []).entries()) {
    const previous = before.initContainers?.[i] as Container;
    const path = `spec.initContainers[${i}]`;
    if (!sameButCompute(container, previous))
      errors.push(forbiddenField(path, `${ONLY} for init or sidecar containers are mutable`));
    if (container.restartPolicy === 'Always' || semanticEqual(schema('Container'), container, previous))
      continue;
    for (const { restartPolicy } of container.resizePolicy ?? [])
      if (restartPolicy === 'RestartContainer')
        errors.push(
          forbiddenField(
            path,
            'non-sidecar init containers with a resize policy of RestartContainer cannot be resized',
          ),
        );
  }
  return errors;
}

function validateOrder(
  after: corev1.PodSpec,
  before: corev1.PodSpec,
  list: 'containers' | 'initContainers',
): FieldError[] {
  const next = after[list] ?? [];
  const old = before[list] ?? [];
  if (next.length !== old.length)
    return [forbiddenField(`spec.${list}`, `${list} may not be added or removed on resize`)];
  return old.flatMap((container, i) =>
    container.name === next[i]?.name
      ? []
      : [forbiddenField(`spec.${list}[${i}].name`, `${list} may not be renamed or reordered on resize`)],
  );
}

function validateRemoved(
  next: Resources | undefined,
  old: Resources | undefined,
  path: string,
  what: string,
): FieldError[] {
  const removed = (list: 'requests' | 'limits'): boolean =>
    Object.keys(old?.[list] ?? {}).some((name) => next?.[list]?.[name] === undefined);
  return [
    ...(removed('requests')
      ? [forbiddenField(`${path}.requests`, `${what} requests cannot be removed`)]
      : []),
    ...(removed('limits') ? [forbiddenField(`${path}.limits`, `${what} limits cannot be removed`)] : []),
  ];
}

const isSet = (resources: Resources | undefined): boolean =>
  Object.keys(resources?.requests ?? {}).length + Object.keys(resources?.limits ?? {}).length > 0;

function validatePodLevel(next: Resources | undefined, old: Resources | undefined): FieldError[] {
  if (!isSet(next) && !isSet(old)) return [];
  if (old !== undefined && next === undefined)
    return [forbiddenField('spec.resources', 'pod-level resources cannot be removed')];
  const errors = validateRemoved(next, old, 'spec.resources', 'pod-level resource');
  if (!semanticEqual(schema('ResourceRequirements'), withoutCompute(next), withoutCompute(old)))
    errors.push(forbiddenField('spec', `${ONLY} are mutable at pod-level`));
  return errors;
}

function sameButCompute(next: Container, old: Container): boolean {
  return semanticEqual(
    schema('Container'),
    { ...next, resources: withoutCompute(next.resources) },
    { ...old, resources: withoutCompute(old.resources) },
  );
}

function withoutCompute(resources: Resources | undefined): Resources {
  const rest = (list: List | undefined): List => {
    const { cpu: _cpu, memory: _memory, ...others } = list ?? {};
    return others;
  };
  const { claims } = resources ?? {};
  return {
    limits: rest(resources?.limits),
    requests: rest(resources?.requests),
    ...(claims === undefined ? {} : { claims }),
  };
}
