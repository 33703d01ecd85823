import type { corev1 } from '@k8ts/api';
import { jsonEqual } from '@k8ts/apimachinery';
import { NodeTable } from './node-table.ts';
import { Nominations } from './nominations.ts';
import { PodCounters } from './pod-counters.ts';
import type { PodCounter, PodSelection } from './pod-counters.ts';
import { podInfo, startTimeOf, uidOf } from './pod-info.ts';
import type { PodInfo } from './pod-info.ts';
import { AntiAffinityTerms } from './anti-affinity-terms.ts';
import { NO_VOLUMES } from './volumes.ts';
import type { VolumeLookup } from './volumes.ts';
import type { WorkloadLookup } from './workloads.ts';

const NO_PODS: ReadonlySet<PodInfo> = new Set();

/**
 * Nodes with the pods on them. A pod that has been given a node is counted there at once (`place`), before the API server
 * has heard of it; when it cannot be bound it is taken away again.
 */
export class ClusterState {
  readonly nodes: NodeTable = new NodeTable();
  readonly antiAffinity: AntiAffinityTerms = new AntiAffinityTerms(this.nodes);
  readonly workloads: WorkloadLookup;
  readonly volumes: VolumeLookup;
  readonly nominations: Nominations;
  /** How many pods on nodes use a claim, by `namespace/name`. */
  readonly claimUsers: Map<string, number> = new Map();
  readonly #counters = new PodCounters();
  readonly #pods = new Map<string, PodInfo>();
  readonly #onNode: Set<PodInfo>[] = [];
  /** By node, of its pods; undefined where it must be looked up again. */
  readonly #lowestPriority: (number | undefined)[] = [];
  /** Pods whose node has not been seen yet, by node. */
  readonly #waiting = new Map<string, Map<string, corev1.Pod>>();

  constructor(workloads: WorkloadLookup, volumes: VolumeLookup = NO_VOLUMES) {
    this.workloads = workloads;
    this.volumes = volumes;
    this.nominations = new Nominations(this.antiAffinity, workloads);
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
    for (const { pod, latest } of [...this.podsOn(index)]) {
      this.remove(uidOf(pod));
      this.#wait(latest, name);
    }
    this.nodes.remove(name);
    this.#counters.clearNode(index);
  }

  /** Counts a pod on a node, where it is nominated no more; a pod that is there already is counted as it is now. */
  place(pod: corev1.Pod, nodeName: string): void {
    const uid = uidOf(pod);
    this.nominations.delete(uid);
    const known = this.#pods.get(uid);
    const index = this.nodes.indexOf(nodeName);
    if (known !== undefined) {
      if (known.node === index && sameDemands(known.pod, pod)) {
        this.#refresh(known, pod);
        return;
      }
      this.remove(uid);
    }
    if (index === undefined) {
      this.#wait(pod, nodeName);
      return;
    }
    const info = podInfo(pod, index, this.antiAffinity.register(pod, this.workloads));
    this.#pods.set(uid, info);
    (this.#onNode[index] ??= new Set<PodInfo>()).add(info);
    const lowest = this.#lowestPriority[index];
    if (lowest !== undefined && info.priority < lowest) this.#lowestPriority[index] = info.priority;
    this.suppose(info, index, 1);
    this.nodes.touch(index);
  }

  /** Takes a pod away; false if it was not there. */
  remove(uid: string): boolean {
    for (const [node, pods] of this.#waiting) {
      if (pods.delete(uid) && pods.size === 0) this.#waiting.delete(node);
    }
    const info = this.#pods.get(uid);
    if (info === undefined) return false;
    const { node, priority, terms } = info;
    this.#pods.delete(uid);
    this.#onNode[node]?.delete(info);
    if (this.#lowestPriority[node] === priority) this.#lowestPriority[node] = undefined;
    this.suppose(info, node, -1);
    this.antiAffinity.unregister(terms);
    this.nodes.touch(node);
    return true;
  }

  /** A pod that is on a node reports something that is not counted. */
  refresh(pod: corev1.Pod): void {
    const known = this.#pods.get(uidOf(pod));
    if (known !== undefined) this.#refresh(known, pod);
  }

  /** In no particular order. */
  podsOn(node: number): ReadonlySet<PodInfo> {
    return this.#onNode[node] ?? NO_PODS;
  }

  /** Infinity for a node without pods. */
  lowestPriorityOn(node: number): number {
    let lowest = this.#lowestPriority[node];
    if (lowest === undefined) {
      lowest = Infinity;
      for (const { priority } of this.podsOn(node)) lowest = Math.min(lowest, priority);
      this.#lowestPriority[node] = lowest;
    }
    return lowest;
  }

  /**
   * Counts a pod on a node as if it were there (`sign` 1) or were gone (-1). The change log is not told, so this must be
   * undone before the question is answered that it was done for. `rowOnly` leaves out what only rules between pods look at.
   */
  suppose(info: PodInfo, node: number, sign: 1 | -1, rowOnly = false): void {
    this.nodes.account(node, info.requests, info.nonZero, sign);
    if (info.ports.length > 0) this.nodes.usePorts(node, info.ports, sign);
    if (rowOnly) return;
    this.#counters.count(info, node, sign);
    this.antiAffinity.count(info.terms, node, sign);
    for (const claim of info.claims) this.#countUser(claim, sign);
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

  #countUser(claim: string, sign: 1 | -1): void {
    const users = (this.claimUsers.get(claim) ?? 0) + sign;
    if (users === 0) this.claimUsers.delete(claim);
    else this.claimUsers.set(claim, users);
  }

  #refresh(info: PodInfo, pod: corev1.Pod): void {
    info.latest = pod;
    const startTime = startTimeOf(pod);
    if (startTime === info.startTime) return;
    info.startTime = startTime;
    this.nodes.stamp(info.node);
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
