import { matchesNode, toleratesTaint } from '@k8ts/apimachinery';

import { isStaticPod, podUid } from './pod/pod-spec.ts';
import type { PodEnding } from './pod/pod-ending.ts';
import type { Node, Pod } from './pod/types.ts';
import { amounts, podAmounts } from './resources/amounts.ts';

export interface AdmissionInput {
  readonly pod: Pod;
  /** As the API has it; undefined before the kubelet has read it. */
  readonly node: Node | undefined;
  /** Those that hold resources now. */
  readonly activePods: readonly Pod[];
  /** `linux` */
  readonly os: string;
}

const OUT_OF: Readonly<Record<string, string>> = {
  cpu: 'OutOfcpu',
  memory: 'OutOfmemory',
  'ephemeral-storage': 'OutOfephemeral-storage',
  pods: 'OutOfpods',
};

/**
 * Whether the node takes a pod that was bound to it; the last check, for bindings that raced and pods bound by hand
 * (pkg/kubelet/lifecycle/predicate.go). Undefined: it does.
 */
export function admitPod(input: AdmissionInput): PodEnding | undefined {
  const { pod, node, os } = input;
  const selected = pod.metadata.labels?.['kubernetes.io/os'];
  if (selected !== undefined && selected !== os)
    return {
      reason: 'PodOSSelectorNodeLabelDoesNotMatch',
      message: "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
    };
  if (pod.spec.os !== undefined && pod.spec.os.name !== os)
    return {
      reason: 'PodOSNotSupported',
      message: "Failed to admit pod as the OS field doesn't match node OS",
    };
  if (node === undefined)
    return isStaticPod(pod)
      ? undefined
      : { reason: 'InvalidNodeInfo', message: 'Kubelet cannot get node info.' };
  return (
    resourceShortage(input, node) ??
    predicate(
      !matchesNode(pod.spec, node),
      'NodeAffinity',
      "node(s) didn't match Pod's node affinity/selector",
    ) ??
    predicate(
      hasPortConflict(input),
      'NodePorts',
      "node(s) didn't have free ports for the requested pod ports",
    ) ??
    predicate(
      !isStaticPod(pod) && hasUntoleratedTaint(pod, node),
      'TaintToleration',
      "node(s) had taints that the pod didn't tolerate",
    )
  );
}

function predicate(failed: boolean, name: string, description: string): PodEnding | undefined {
  return failed ? { reason: name, message: `Predicate ${name} failed: ${description}` } : undefined;
}

function resourceShortage({ pod, activePods }: AdmissionInput, node: Node): PodEnding | undefined {
  const allocatable = amounts(node.status?.allocatable);
  const others = activePods.filter((other) => podUid(other) !== podUid(pod));
  const short = (name: string, requested: number, used: number, capacity: number): PodEnding => ({
    reason: OUT_OF[name] ?? `OutOf${name}`,
    message: `Node didn't have enough resource: ${name}, requested: ${requested}, used: ${used}, capacity: ${capacity}`,
  });
  const podLimit = allocatable['pods'] ?? 0;
  if (others.length + 1 > podLimit) return short('pods', 1, others.length, podLimit);
  for (const [name, requested] of Object.entries(podAmounts(pod, 'requests'))) {
    if (requested === 0) continue;
    const capacity = allocatable[name];
    // Extended resources that the node does not know are somebody else's (cluster-level resources).
    if (capacity === undefined && name.includes('/')) continue;
    const used = others.reduce((total, other) => total + (podAmounts(other, 'requests')[name] ?? 0), 0);
    if (requested + used > (capacity ?? 0)) return short(name, requested, used, capacity ?? 0);
  }
  return undefined;
}

function hostPorts(pod: Pod): { ip: string; key: string }[] {
  const containers = [
    ...pod.spec.containers,
    ...(pod.spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always'),
  ];
  return containers.flatMap(({ ports }) =>
    (ports ?? [])
      .filter(({ hostPort }) => (hostPort ?? 0) > 0)
      .map((port) => ({ ip: port.hostIP ?? '0.0.0.0', key: `${port.protocol ?? 'TCP'}/${port.hostPort}` })),
  );
}

function hasPortConflict({ pod, activePods }: AdmissionInput): boolean {
  const wanted = hostPorts(pod);
  if (wanted.length === 0) return false;
  return activePods.some(
    (other) =>
      podUid(other) !== podUid(pod) &&
      hostPorts(other).some((taken) =>
        wanted.some(({ ip, key }) => key === taken.key && (ip === taken.ip || isAny(ip) || isAny(taken.ip))),
      ),
  );
}

function isAny(ip: string): boolean {
  return ip === '' || ip === '0.0.0.0' || ip === '::';
}

function hasUntoleratedTaint(pod: Pod, node: Node): boolean {
  const tolerations = pod.spec.tolerations ?? [];
  return (node.spec?.taints ?? []).some(
    (taint) =>
      taint.effect === 'NoExecute' && !tolerations.some((toleration) => toleratesTaint(toleration, taint)),
  );
}
