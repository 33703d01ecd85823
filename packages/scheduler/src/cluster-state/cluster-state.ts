import type { corev1 } from '@k8ts/api';
import { jsonEqual } from '@k8ts/apimachinery';
import { NodeTable } from './node-table.ts';
import { PodCounters, placedPod } from './pod-counters.ts';
import type { PlacedPod, PodCounter, PodSelection } from './pod-counters.ts';
import { podRequests } from './pod-resources.ts';
import type { ResourceAmounts } from './pod-resources.ts';
import { AntiAffinityTerms } from './anti-affinity-terms.ts';
import type { WorkloadLookup } from './workloads.ts';

interface PodEntry extends PlacedPod {
  readonly pod: corev1.Pod;
  readonly requests: ResourceAmounts;
  readonly nonZero: ResourceAmounts;
  readonly ports: readonly string[];
}

/**
 * Nodes with the pods on them. A pod that has been given a node is counted there at once (`place`), before the API server
 * has heard of it; when it cannot be bound it is taken away again.
 */
export class ClusterState {
  readonly nodes: NodeTable = new NodeTable();
  readonly antiAffinity: AntiAffinityTerms = new AntiAffinityTerms(this.nodes);
  readonly workloads: WorkloadLookup;
  readonly #counters = new PodCounters();
  readonly #pods = new Map<string, PodEntry>();
  /** Pods whose node has not been seen yet, by node. */
  readonly #waiting = new Map<string, Map<string, corev1.Pod>>();

  constructor(workloads: WorkloadLookup) {
    this.workloads = workloads;
  }

  putNode(node: corev1.Node): void {
    const { capacity } = this.nodes;
    const name = node.metadata.name ?? '';
    this.nodes.put(node);
    if (this.nodes.capacity !== capacity) {
      this.#counters.grow(this.nodes.capacity);
      this.antiAffinity.grow(this.nodes.capacity);
    }
    const waiting = this.#waiting.get(name);
    if (waiting === undefined) return;
    this.#waiting.delete(name);
    for (const pod of waiting.values()) this.place(pod, name);
  }

  removeNode(name: string): void {
    const index = this.nodes.indexOf(name);
    if (index === undefined) return;
    // Its pods stay known: should the node come back, they are still there.
    for (const entry of [...this.#pods.values()]) {
      if (entry.node !== index) continue;
      this.remove(uidOf(entry.pod));
      this.#wait(entry.pod, name);
    }
    this.nodes.remove(name);
    this.#counters.clearNode(index);
  }

  /** Counts a pod on a node; a pod that is there already is counted as it is now. */
  place(pod: corev1.Pod, nodeName: string): void {
    const uid = uidOf(pod);
    const known = this.#pods.get(uid);
    const index = this.nodes.indexOf(nodeName);
    if (known !== undefined) {
      if (known.node === index && sameDemands(known.pod, pod)) return;
      this.remove(uid);
    }
    if (index === undefined) {
      this.#wait(pod, nodeName);
      return;
    }
    const entry: PodEntry = {
      ...placedPod(pod, index),
      pod,
      requests: podRequests(pod.spec),
      nonZero: podRequests(pod.spec, true),
      ports: hostPortsOf(pod),
    };
    this.#pods.set(uid, entry);
    this.nodes.account(index, entry.requests, entry.nonZero, 1);
    if (entry.ports.length > 0) {
      const used = (this.nodes.hostPorts[index] ??= new Map<string, number>());
      for (const port of entry.ports) used.set(port, (used.get(port) ?? 0) + 1);
    }
    this.#counters.count(entry, 1);
    this.antiAffinity.add(pod, index, this.workloads);
  }

  /** Takes a pod away; false if it was not there. */
  remove(uid: string): boolean {
    for (const [node, pods] of this.#waiting) {
      if (pods.delete(uid) && pods.size === 0) this.#waiting.delete(node);
    }
    const entry = this.#pods.get(uid);
    if (entry === undefined) return false;
    this.#pods.delete(uid);
    this.nodes.account(entry.node, entry.requests, entry.nonZero, -1);
    const used = this.nodes.hostPorts[entry.node];
    for (const port of entry.ports) {
      const users = (used?.get(port) ?? 1) - 1;
      if (users > 0) used?.set(port, users);
      else used?.delete(port);
    }
    this.#counters.count(entry, -1);
    this.antiAffinity.remove(entry.pod, entry.node);
    return true;
  }

  has(uid: string): boolean {
    return this.#pods.has(uid);
  }

  /** How many pods of the selection are on each node, from now on. Give it back with `releaseCounter`. */
  countPods(selection: PodSelection): PodCounter {
    return this.#counters.acquire(selection, this.nodes.capacity, this.#pods.values());
  }

  releaseCounter(counter: PodCounter): void {
    this.#counters.release(counter);
  }

  #wait(pod: corev1.Pod, node: string): void {
    const waiting = this.#waiting.get(node) ?? new Map<string, corev1.Pod>();
    this.#waiting.set(node, waiting.set(uidOf(pod), pod));
  }
}

/** Of what is counted of a pod, labels and resources may change while it runs. */
export function sameDemands(a: corev1.Pod, b: corev1.Pod): boolean {
  return (
    jsonEqual(a.metadata.labels, b.metadata.labels) &&
    jsonEqual(a.spec.resources, b.spec.resources) &&
    sameResources(a.spec.containers, b.spec.containers) &&
    sameResources(a.spec.initContainers, b.spec.initContainers)
  );
}

function sameResources(a: readonly corev1.Container[] = [], b: readonly corev1.Container[] = []): boolean {
  return (
    a.length === b.length && a.every(({ resources }, index) => jsonEqual(resources, b[index]?.resources))
  );
}

export function uidOf(pod: corev1.Pod): string {
  return pod.metadata.uid ?? `${pod.metadata.namespace ?? ''}/${pod.metadata.name ?? ''}`;
}

/** `TCP/0.0.0.0/80` for each port of the node that the pod takes. */
export function hostPortsOf({ spec }: corev1.Pod): readonly string[] {
  const ports: string[] = [];
  const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  for (const container of [...spec.containers, ...sidecars])
    for (const { hostPort, protocol, hostIP } of container.ports ?? [])
      if (hostPort !== undefined && hostPort > 0)
        ports.push(
          `${protocol ?? 'TCP'}/${hostIP === undefined || hostIP === '' ? '0.0.0.0' : hostIP}/${String(hostPort)}`,
        );
  return ports;
}
