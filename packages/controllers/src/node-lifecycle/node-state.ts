import { corev1 } from '@k8ts/api';
import { formatTime } from '@k8ts/apimachinery';
import { retryOnConflict } from '@k8ts/client';

import type { ControllerContext } from '../contract.ts';

export function nodeCondition(node: corev1.Node, type: string): corev1.NodeCondition | undefined {
  return node.status?.conditions?.find((condition) => condition.type === type);
}

export function isNodeReady(node: corev1.Node): boolean {
  return nodeCondition(node, 'Ready')?.status === 'True';
}

/** Nodes fail together per zone; empty for nodes that name neither region nor zone. */
export function zoneOf({ metadata }: corev1.Node): string {
  const { labels = {} } = metadata;
  const region = labels['topology.kubernetes.io/region'] ?? '';
  const zone = labels['topology.kubernetes.io/zone'] ?? '';
  return region === '' && zone === '' ? '' : `${region}:\u0000:${zone}`;
}

export const NOT_READY = 'node.kubernetes.io/not-ready';
export const UNREACHABLE = 'node.kubernetes.io/unreachable';
const UNSCHEDULABLE = 'node.kubernetes.io/unschedulable';

/** Which taint a condition with this status stands for. */
const CONDITION_TAINTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  Ready: { False: NOT_READY, Unknown: UNREACHABLE },
  MemoryPressure: { True: 'node.kubernetes.io/memory-pressure' },
  DiskPressure: { True: 'node.kubernetes.io/disk-pressure' },
  NetworkUnavailable: { True: 'node.kubernetes.io/network-unavailable' },
  PIDPressure: { True: 'node.kubernetes.io/pid-pressure' },
};

const MANAGED_TAINTS: ReadonlySet<string> = new Set([
  UNSCHEDULABLE,
  ...Object.values(CONDITION_TAINTS).flatMap((taints) => Object.values(taints)),
]);

export type TaintRef = Pick<corev1.Taint, 'key' | 'effect'>;

export interface TaintChange {
  readonly add: readonly TaintRef[];
  readonly remove: readonly TaintRef[];
}

/** How the NoSchedule taints of a node must change to say what its conditions say; undefined when they do. */
export function planNoScheduleTaints(node: corev1.Node): TaintChange | undefined {
  const wanted = new Set<string>();
  for (const { type, status } of node.status?.conditions ?? []) {
    const key = CONDITION_TAINTS[type]?.[status];
    if (key !== undefined) wanted.add(key);
  }
  if (node.spec.unschedulable === true) wanted.add(UNSCHEDULABLE);
  const present = (node.spec.taints ?? [])
    .filter(({ key, effect }) => effect === 'NoSchedule' && MANAGED_TAINTS.has(key))
    .map(({ key }) => key);
  const add = [...wanted].filter((key) => !present.includes(key));
  const remove = present.filter((key) => !wanted.has(key));
  if (add.length === 0 && remove.length === 0) return undefined;
  const taint = (key: string): TaintRef => ({ key, effect: 'NoSchedule' });
  return { add: add.map(taint), remove: remove.map(taint) };
}

export function hasTaint(node: corev1.Node, wanted: TaintRef): boolean {
  return node.spec.taints?.some(({ key, effect }) => key === wanted.key && effect === wanted.effect) === true;
}

/** Changes taints of the newest state of a node. Others that come and go meanwhile are not touched. */
export async function changeTaints(
  { client, clock, random }: ControllerContext,
  name: string,
  change: TaintChange,
): Promise<void> {
  await retryOnConflict({ clock, random }, async () => {
    const node = await client.resource(corev1.nodes).get(name);
    const before = node.spec.taints ?? [];
    const is = (taint: TaintRef, other: TaintRef): boolean =>
      taint.key === other.key && taint.effect === other.effect;
    const kept = before.filter((taint) => !change.remove.some((other) => is(taint, other)));
    const added = change.add
      .filter((taint) => !kept.some((other) => is(taint, other)))
      .map((taint) => ({ ...taint, timeAdded: formatTime(clock.now()) }));
    if (added.length === 0 && kept.length === before.length) return;
    const { resourceVersion } = node.metadata;
    const patch = { metadata: { resourceVersion }, spec: { taints: [...kept, ...added] } };
    await client.resource(corev1.nodes).patch(name, patch, { type: 'strategic' });
  });
}
