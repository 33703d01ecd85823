import type { appsv1, corev1 } from '@k8ts/api';
import { matchesNode, toleratesTaint } from '@k8ts/apimachinery';

import { REVISION_HASH } from '../controller-revisions.ts';

const TEMPLATE_GENERATION_ANNOTATION = 'deprecated.daemonset.template.generation';
const TEMPLATE_GENERATION_LABEL = 'pod-template-generation';

type Toleration = corev1.Toleration;

function exists(key: string, effect: corev1.TaintEffect): Toleration {
  return { key: `node.kubernetes.io/${key}`, operator: 'Exists', effect };
}

/** Daemons are there for the node itself, so they stay when it is in trouble. */
const TOLERATIONS: readonly Toleration[] = [
  exists('not-ready', 'NoExecute'),
  exists('unreachable', 'NoExecute'),
  exists('disk-pressure', 'NoSchedule'),
  exists('memory-pressure', 'NoSchedule'),
  exists('pid-pressure', 'NoSchedule'),
  exists('unschedulable', 'NoSchedule'),
];
const HOST_NETWORK_TOLERATION: Toleration = exists('network-unavailable', 'NoSchedule');

function withTolerations(spec: corev1.PodSpec): readonly Toleration[] {
  const added = spec.hostNetwork === true ? [...TOLERATIONS, HOST_NETWORK_TOLERATION] : TOLERATIONS;
  const isSame = (a: Toleration, b: Toleration): boolean =>
    a.key === b.key &&
    a.effect === b.effect &&
    a.operator === b.operator &&
    (a.value ?? '') === (b.value ?? '');
  const own = (spec.tolerations ?? []).filter(
    (toleration) => !added.some((other) => isSame(toleration, other)),
  );
  return [...own, ...added];
}

/** The number that the API server gives each template of a DaemonSet; pods of older clusters carry only it. */
export function templateGeneration({ metadata }: appsv1.DaemonSet): string | undefined {
  const text = metadata.annotations?.[TEMPLATE_GENERATION_ANNOTATION];
  return text !== undefined && /^\d+$/.test(text) ? text : undefined;
}

/** The template of the daemon pod of one node: bound to it by affinity, so that the scheduler places it there. */
export function daemonTemplate(
  daemonSet: appsv1.DaemonSet,
  node: string,
  hash: string,
): corev1.PodTemplateSpec {
  const { metadata = {}, spec } = daemonSet.spec.template;
  const generation = templateGeneration(daemonSet);
  const { nodeAffinity } = spec.affinity ?? {};
  return {
    metadata: {
      ...metadata,
      labels: {
        ...metadata.labels,
        ...(generation === undefined ? {} : { [TEMPLATE_GENERATION_LABEL]: generation }),
        [REVISION_HASH]: hash,
      },
    },
    spec: {
      ...spec,
      affinity: {
        ...spec.affinity,
        nodeAffinity: {
          ...nodeAffinity,
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] }],
          },
        },
      },
      tolerations: withTolerations(spec),
    },
  };
}

/** The node a daemon pod is on, or is meant for. */
export function targetNode({ spec }: corev1.Pod): string | undefined {
  if (spec.nodeName) return spec.nodeName;
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  for (const { matchFields = [] } of required?.nodeSelectorTerms ?? [])
    for (const { key, operator, values = [] } of matchFields)
      if (key === 'metadata.name' && operator === 'In' && values.length === 1) return values[0];
  return undefined;
}

export function isUpdated(pod: corev1.Pod, hash: string, generation: string | undefined): boolean {
  const { labels = {} } = pod.metadata;
  return (
    (hash !== '' && labels[REVISION_HASH] === hash) ||
    (generation !== undefined && labels[TEMPLATE_GENERATION_LABEL] === generation)
  );
}

export interface NodeVerdict {
  readonly shouldRun: boolean;
  readonly shouldContinue: boolean;
}

/** Whether a daemon belongs on a node, and whether one that is there may stay. */
export function judgeNode(daemonSet: appsv1.DaemonSet, node: corev1.Node): NodeVerdict {
  const { spec } = daemonSet.spec.template;
  const named = spec.nodeName ?? '';
  if ((named !== '' && named !== node.metadata.name) || !matchesNode(spec, node))
    return { shouldRun: false, shouldContinue: false };
  const tolerations = withTolerations(spec);
  const untolerated = (node.spec.taints ?? []).filter(
    (taint) => !tolerations.some((toleration) => toleratesTaint(toleration, taint)),
  );
  return {
    shouldRun: untolerated.every(({ effect }) => effect === 'PreferNoSchedule'),
    shouldContinue: untolerated.every(({ effect }) => effect !== 'NoExecute'),
  };
}
