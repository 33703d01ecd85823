import { corev1 } from '@k8ts/api';
import type { Draft } from '@k8ts/api';
import { notFound } from '@k8ts/apimachinery';
import type { ObjectReader } from '../../object-reader.ts';
import { computePodQos } from '../../registry/core/pod/qos.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../contract.ts';
import { isResource } from '../refuse.ts';
import { covers, mergeTolerations } from './toleration-merge.ts';

const DEFAULTS = 'scheduler.alpha.kubernetes.io/defaultTolerations';
const WHITELIST = 'scheduler.alpha.kubernetes.io/tolerationsWhitelist';
const MEMORY_PRESSURE = 'node.kubernetes.io/memory-pressure';

type Toleration = corev1.Toleration;

/** A namespace's annotations say, as JSON, what its pods tolerate besides, and what they may tolerate at most. */
export function podTolerationRestriction(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'PodTolerationRestriction',
    operations: ['CREATE', 'UPDATE'],
    handles: (resource, subresource) => subresource === '' && isResource(resource, corev1.pods),

    admit(attributes) {
      const { spec } = attributes.object as Draft<corev1.Pod>;
      const added = attributes.operation === 'CREATE' ? tolerationsOf(attributes, DEFAULTS, objects) : [];
      const all: readonly Toleration[] =
        computePodQos(spec) === 'BestEffort'
          ? added
          : [...added, { key: MEMORY_PRESSURE, operator: 'Exists', effect: 'NoSchedule' }];
      if (all.length > 0) spec.tolerations = mergeTolerations(spec.tolerations ?? [], all);
    },

    validate(attributes) {
      const { tolerations = [] } = (attributes.object as Draft<corev1.Pod>).spec;
      if (tolerations.length === 0) return;
      const allowed = tolerationsOf(attributes, WHITELIST, objects);
      if (allowed.length > 0 && !tolerations.every((one) => allowed.some((wide) => covers(wide, one))))
        throw new Error(
          'pod tolerations (possibly merged with namespace default tolerations) conflict with its namespace whitelist',
        );
    },
  };
}

function tolerationsOf(
  attributes: AdmissionAttributes,
  annotation: string,
  objects: ObjectReader,
): readonly Toleration[] {
  const namespace = objects.get(corev1.namespaces, '', attributes.namespace);
  if (namespace === undefined) throw notFound(corev1.namespaces, attributes.namespace);
  const text = namespace.metadata.annotations?.[annotation] ?? '';
  if (text === '') return [];
  const value: unknown = JSON.parse(text);
  if (value === null) return [];
  if (!Array.isArray(value) || !value.every((each) => typeof each === 'object' && each !== null))
    throw new Error(`${annotation} is no list of tolerations`);
  return value as Toleration[];
}
