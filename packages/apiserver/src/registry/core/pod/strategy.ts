/** Pods (pkg/registry/core/pod/strategy.go). */
import { corev1, type Draft } from '@k8ts/api';
import { isDNS1123Label } from '@k8ts/apimachinery';
import { podColumns, podRowConditions } from '../../../printing/columns/pod.ts';
import type { Strategy, SubresourceStrategy } from '../../contract.ts';
import { ipWarnings } from '../../ip-addresses.ts';
import { fieldComparison } from '../../semantic-equal.ts';
import { firstGeneration, hostnameWarning, keepField, resetMetadataForStatus } from '../../strategy-parts.ts';
import { podWarnings } from '../pod-template/warnings.ts';
import { setPodCondition } from './conditions.ts';
import { setPodDefaults } from './defaults.ts';
import { mergeLabelKeys } from './label-keys.ts';
import { computePodQos } from './qos.ts';
import { validateResize } from './resize.ts';
import { validatePodStatusUpdate } from './status-validation.ts';
import {
  validateEphemeralContainersUpdate,
  validateMetadataAndSpec,
  validatePod,
  validatePodUpdate,
} from './validation.ts';

type Pod = corev1.Pod;

const sameSpec = fieldComparison(corev1.pods, 'spec');

function countGeneration(pod: Draft<Pod>, old: Pod): void {
  const generation = old.metadata.generation ?? 0;
  const next = sameSpec(pod.spec, old.spec) ? generation : generation + 1;
  if (next > 0) pod.metadata.generation = next;
}

const status: SubresourceStrategy<Pod> = {
  prepareForUpdate(pod, old) {
    keepField(pod, old, 'spec');
    delete pod.metadata.deletionTimestamp;
    if (old.metadata.deletionTimestamp !== undefined)
      pod.metadata.deletionTimestamp = old.metadata.deletionTimestamp;
    // Old kubelets wrote owner references back incompletely, which misled the garbage collector.
    if (old.metadata.ownerReferences === undefined) delete pod.metadata.ownerReferences;
    else
      pod.metadata.ownerReferences = old.metadata.ownerReferences as Draft<
        Pod['metadata']
      >['ownerReferences'] &
        object;
    const next = (pod.status ??= {});
    if (!next.qosClass && old.status?.qosClass) next.qosClass = old.status.qosClass;
    keepObservedGenerations(next, old.status ?? {});
  },
  validateUpdate: validatePodStatusUpdate,
  warnings: (pod) => [
    ...(pod.status?.podIPs ?? []).flatMap(({ ip }, i) => ipWarnings(ip ?? '', `status.podIPs[${i}].ip`)),
    ...(pod.status?.hostIPs ?? []).flatMap(({ ip }, i) => ipWarnings(ip ?? '', `status.hostIPs[${i}].ip`)),
  ],
};

/** Clients that do not know observedGeneration must not lose it. */
function keepObservedGenerations(next: Draft<corev1.PodStatus>, old: corev1.PodStatus): void {
  if (!next.observedGeneration && old.observedGeneration) next.observedGeneration = old.observedGeneration;
  const known = new Map<string, number[]>();
  for (const { type, observedGeneration = 0 } of old.conditions ?? [])
    known.set(type, [...(known.get(type) ?? []), observedGeneration]);
  for (const condition of next.conditions ?? []) {
    const generation = known.get(condition.type)?.shift() ?? 0;
    if (!condition.observedGeneration && generation > 0) condition.observedGeneration = generation;
  }
}

const ephemeralContainers: SubresourceStrategy<Pod> = {
  prepareForUpdate(pod, old) {
    const { ephemeralContainers: containers } = pod.spec ?? {};
    pod.spec = { ...(old.spec as Draft<corev1.PodSpec>) };
    if (containers === undefined) delete pod.spec.ephemeralContainers;
    else pod.spec.ephemeralContainers = containers;
    keepField(pod, old, 'status');
    resetMetadataForStatus(pod, old);
    countGeneration(pod, old);
  },
  validateUpdate: validateEphemeralContainersUpdate,
};

const resize: SubresourceStrategy<Pod> = {
  prepareForUpdate(pod, old) {
    keepAllButResources(pod, old);
    countGeneration(pod, old);
  },
  validateUpdate: (pod, old) => validateResize(pod, old, validateMetadataAndSpec(pod)),
};

type Container = Draft<corev1.Container>;

/** Containers that were added, removed, renamed or moved stay as they came: validation names them. */
function keepAllButResources(pod: Draft<Pod>, old: Pod): void {
  const { containers = [], initContainers = [], resources } = pod.spec ?? {};
  const before = old.spec as Draft<corev1.PodSpec>;
  if (
    containers.length !== (before.containers?.length ?? 0) ||
    initContainers.length !== (before.initContainers?.length ?? 0)
  )
    return;
  pod.spec = { ...before };
  if (resources === undefined) delete pod.spec.resources;
  else pod.spec.resources = resources;
  pod.spec.containers = withResources(containers, before.containers ?? []);
  if (before.initContainers !== undefined)
    pod.spec.initContainers = withResources(initContainers, before.initContainers);
  keepField(pod, old, 'status');
  resetMetadataForStatus(pod, old);
}

function withResources(next: readonly Container[], old: readonly Container[]): Container[] {
  if (next.some((container, i) => container.name !== old[i]?.name)) return [...next];
  return old.map((container, i) => {
    const { resources, resizePolicy } = next[i] as Container;
    const { resources: _resources, resizePolicy: _resizePolicy, ...rest } = container;
    return {
      ...rest,
      ...(resources === undefined ? {} : { resources }),
      ...(resizePolicy === undefined ? {} : { resizePolicy }),
    };
  });
}

export const podStrategy: Strategy<Pod> = {
  type: corev1.pods,
  setDefaults: setPodDefaults,

  prepareForCreate(pod, { clock }) {
    firstGeneration(pod);
    pod.status = { phase: 'Pending', qosClass: computePodQos(pod.spec) };
    if ((pod.spec.schedulingGates ?? []).length > 0)
      setPodCondition(
        pod.status,
        {
          type: 'PodScheduled',
          status: 'False',
          reason: 'SchedulingGated',
          message: 'Scheduling is blocked due to non-empty scheduling gates',
        },
        clock.now(),
      );
    mergeLabelKeys(pod);
  },

  prepareForUpdate(pod, old) {
    keepField(pod, old, 'status');
    countGeneration(pod, old);
  },

  validate: validatePod,
  validateUpdate: validatePodUpdate,
  warnings(pod, old) {
    if (old !== undefined) return [];
    const wrong = isDNS1123Label(pod.metadata.name);
    return [
      ...(wrong.length > 0 ? [hostnameWarning("the Pod's hostname", wrong)] : []),
      ...podWarnings(pod.spec, pod.metadata, ''),
    ];
  },

  gracePeriod({ spec, status: podStatus }, requested) {
    if (!spec?.nodeName || podStatus?.phase === 'Failed' || podStatus?.phase === 'Succeeded') return 0;
    const period = requested ?? spec.terminationGracePeriodSeconds ?? 0;
    return period < 0 ? 1 : period;
  },

  subresources: { status, ephemeralcontainers: ephemeralContainers, resize },

  selectableFields: ({ spec, status: podStatus }) => ({
    'spec.nodeName': spec?.nodeName ?? '',
    'spec.restartPolicy': spec?.restartPolicy ?? '',
    'spec.schedulerName': spec?.schedulerName ?? '',
    'spec.serviceAccountName': spec?.serviceAccountName ?? '',
    'spec.hostNetwork': String(spec?.hostNetwork ?? false),
    'status.phase': podStatus?.phase ?? '',
    'status.podIP': podStatus?.podIPs?.[0]?.ip ?? podStatus?.podIP ?? '',
    'status.nominatedNodeName': podStatus?.nominatedNodeName ?? '',
  }),

  columns: podColumns,
  rowConditions: podRowConditions,
};
