import type { corev1 } from '@k8ts/api';
import type { AntiAffinityTerms } from './anti-affinity-terms.ts';
import { podInfo, podPriority, uidOf } from './pod-info.ts';
import type { PodInfo } from './pod-info.ts';
import type { WorkloadLookup } from './workloads.ts';

const NOBODY: readonly PodInfo[] = [];

interface Nomination {
  readonly nodeName: string;
  /** `node` is no row here: the node may come and go while the pod waits for it. */
  readonly info: PodInfo;
}

/**
 * Pods that wait for room on a node that was promised to them (`status.nominatedNodeName`). Others of their priority or a
 * lower one must fit there beside them. What the scheduler itself decided is known here before the API server has heard
 * of it (pkg/scheduler/backend/queue/nominator.go).
 */
export class Nominations {
  readonly #antiAffinity: AntiAffinityTerms;
  readonly #workloads: WorkloadLookup;
  readonly #ofPod = new Map<string, Nomination>();
  readonly #onNode = new Map<string, PodInfo[]>();

  constructor(antiAffinity: AntiAffinityTerms, workloads: WorkloadLookup) {
    this.#antiAffinity = antiAffinity;
    this.#workloads = workloads;
  }

  get size(): number {
    return this.#ofPod.size;
  }

  nodeOf(uid: string): string | undefined {
    return this.#ofPod.get(uid)?.nodeName;
  }

  /** The same array as long as nothing about it changes. */
  on(nodeName: string): readonly PodInfo[] {
    return this.#onNode.get(nodeName) ?? NOBODY;
  }

  /** Nodes with pods that a pod of this priority must leave room for. */
  *contendersOf(pod: corev1.Pod): Iterable<readonly [nodeName: string, contenders: readonly PodInfo[]]> {
    for (const nodeName of this.#onNode.keys()) {
      const contenders = this.contenders(pod, nodeName);
      if (contenders.length > 0) yield [nodeName, contenders];
    }
  }

  contenders(pod: corev1.Pod, nodeName: string): readonly PodInfo[] {
    const waiting = this.#onNode.get(nodeName);
    if (waiting === undefined) return NOBODY;
    const [priority, uid] = [podPriority(pod), uidOf(pod)];
    return waiting.filter((other) => other.priority >= priority && uidOf(other.pod) !== uid);
  }

  /** An empty name takes the nomination away. */
  nominate(pod: corev1.Pod, nodeName: string): void {
    const uid = uidOf(pod);
    this.delete(uid);
    if (nodeName === '') return;
    const info = podInfo(pod, -1, this.#antiAffinity.register(pod, this.#workloads));
    this.#ofPod.set(uid, { nodeName, info });
    this.#onNode.set(nodeName, [...this.on(nodeName), info]);
  }

  /**
   * A pod without a node came or changed. An update that knows of no nomination, before and after, is older than the one
   * decided here.
   */
  observe(pod: corev1.Pod, before?: corev1.Pod): void {
    const reported = pod.status?.nominatedNodeName ?? '';
    const isLate = before !== undefined && reported === '' && (before.status?.nominatedNodeName ?? '') === '';
    const nodeName = isLate ? (this.nodeOf(uidOf(pod)) ?? '') : reported;
    this.nominate(pod, nodeName);
  }

  /** The node that was promised; undefined if none was. */
  delete(uid: string): string | undefined {
    const known = this.#ofPod.get(uid);
    if (known === undefined) return undefined;
    const { nodeName, info } = known;
    this.#ofPod.delete(uid);
    this.#antiAffinity.unregister(info.terms);
    const others = this.on(nodeName).filter((each) => each !== info);
    if (others.length > 0) this.#onNode.set(nodeName, others);
    else this.#onNode.delete(nodeName);
    return nodeName;
  }
}
