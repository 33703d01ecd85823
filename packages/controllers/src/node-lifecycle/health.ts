import type { coordinationv1, corev1 } from '@k8ts/api';
import { formatTime } from '@k8ts/apimachinery';

import { milliseconds } from '../pod-state.ts';
import { nodeCondition } from './node-state.ts';

/** What this controller remembers of a node between two looks. Times are of its own clock, in milliseconds. */
export interface NodeHealth {
  /** The last time there was a sign of life. */
  readonly probed: number;
  /** The Ready condition at the last look. */
  readonly ready: corev1.NodeCondition | undefined;
  readonly leaseRenewed: string | undefined;
}

export interface Assessment {
  readonly health: NodeHealth;
  /** What the node said of itself; before a node has said anything, Unknown. */
  readonly observed: corev1.NodeCondition['status'];
  /** What counts now: Unknown after a silence longer than the grace period. Undefined: it never said anything. */
  readonly current: corev1.NodeCondition['status'] | undefined;
  /** The conditions to be written; undefined when they stay. */
  readonly conditions: readonly corev1.NodeCondition[] | undefined;
}

/** What a kubelet says of its node. NetworkUnavailable is others' affair. */
const KUBELET_CONDITIONS = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'] as const;

/**
 * Looks at a node's heartbeats: its status and, cheaper and more often, its Lease. Only that something changed counts, never
 * the time that is written in it, since the clocks of nodes are not trusted (KEP-0009).
 */
export function assessNode(
  node: corev1.Node,
  lease: coordinationv1.Lease | undefined,
  before: NodeHealth | undefined,
  now: number,
  gracePeriod: { readonly startup: number; readonly monitor: number },
): Assessment {
  const ready = nodeCondition(node, 'Ready');
  const created = milliseconds(node.metadata.creationTimestamp) ?? now;
  const leaseRenewed = lease?.spec?.renewTime;
  const renewed = leaseRenewed !== undefined && leaseRenewed !== before?.leaseRenewed;
  const health: NodeHealth = {
    probed: renewed ? now : probedAt(ready, before, created, now),
    ready,
    leaseRenewed: renewed ? leaseRenewed : before?.leaseRenewed,
  };
  const observed = ready?.status ?? 'Unknown';
  const grace = ready === undefined ? gracePeriod.startup : gracePeriod.monitor;
  if (now <= health.probed + grace)
    return { health, observed, current: ready?.status, conditions: undefined };

  const conditions = silentConditions(node, now);
  return {
    health,
    observed,
    current: 'Unknown',
    conditions: ready?.status === 'Unknown' ? undefined : conditions,
  };
}

function probedAt(
  ready: corev1.NodeCondition | undefined,
  before: NodeHealth | undefined,
  created: number,
  now: number,
): number {
  if (before === undefined) return ready === undefined ? created : now;
  if (ready === undefined) return before.ready === undefined ? before.probed : now;
  const news = before.ready === undefined || before.ready.lastHeartbeatTime !== ready.lastHeartbeatTime;
  return news ? now : before.probed;
}

function silentConditions(node: corev1.Node, now: number): corev1.NodeCondition[] {
  const conditions = [...(node.status?.conditions ?? [])];
  const time = formatTime(now);
  for (const type of KUBELET_CONDITIONS) {
    const index = conditions.findIndex((condition) => condition.type === type);
    const known = conditions[index];
    if (known === undefined)
      conditions.push({
        type,
        status: 'Unknown',
        reason: 'NodeStatusNeverUpdated',
        message: 'Kubelet never posted node status.',
        ...(node.metadata.creationTimestamp === undefined
          ? {}
          : { lastHeartbeatTime: node.metadata.creationTimestamp }),
        lastTransitionTime: time,
      });
    else if (known.status !== 'Unknown')
      conditions[index] = {
        ...known,
        status: 'Unknown',
        reason: 'NodeStatusUnknown',
        message: 'Kubelet stopped posting node status.',
        lastTransitionTime: time,
      };
  }
  return conditions;
}
