import { isDeepStrictEqual } from 'node:util';

import { formatTime } from '@k8ts/apimachinery';
import type { Image } from '@k8ts/cri';

import type { NodeCondition, NodeStatus, ResourceList } from '../pod/types.ts';

/** Of the machine and the programs on it. */
export interface NodeFacts {
  readonly addresses: readonly { readonly type: string; readonly address: string }[];
  readonly capacity: ResourceList;
  readonly allocatable: ResourceList;
  readonly nodeInfo: NonNullable<NodeStatus['nodeInfo']>;
  readonly kubeletPort: number;
}

/** What may be wrong with it now. Empty: nothing. */
export interface NodeHealth {
  /** Reasons why it cannot run pods. */
  readonly notReady: readonly string[];
  readonly memoryPressure: boolean;
  readonly diskPressure: boolean;
  readonly pidPressure: boolean;
}

export const HEALTHY: NodeHealth = {
  notReady: [],
  memoryPressure: false,
  diskPressure: false,
  pidPressure: false,
};

const MAXIMUM_IMAGES = 50;
const MAXIMUM_NAMES_PER_IMAGE = 5;

/** A node's status with upstream's reasons and texts (pkg/kubelet/nodestatus/setters.go). `now` in milliseconds. */
export function nodeStatus(
  facts: NodeFacts,
  health: NodeHealth,
  images: readonly Image[],
  previous: NodeStatus | undefined,
  now: number,
): NodeStatus {
  const conditions = [
    pressure(
      'MemoryPressure',
      health.memoryPressure,
      'KubeletHasInsufficientMemory',
      'kubelet has insufficient memory available',
      'KubeletHasSufficientMemory',
      'kubelet has sufficient memory available',
    ),
    pressure(
      'DiskPressure',
      health.diskPressure,
      'KubeletHasDiskPressure',
      'kubelet has disk pressure',
      'KubeletHasNoDiskPressure',
      'kubelet has no disk pressure',
    ),
    pressure(
      'PIDPressure',
      health.pidPressure,
      'KubeletHasInsufficientPID',
      'kubelet has insufficient PID available',
      'KubeletHasSufficientPID',
      'kubelet has sufficient PID available',
    ),
    health.notReady.length === 0
      ? {
          type: 'Ready',
          status: 'True' as const,
          reason: 'KubeletReady',
          message: 'kubelet is posting ready status',
        }
      : {
          type: 'Ready',
          status: 'False' as const,
          reason: 'KubeletNotReady',
          message: aggregate(health.notReady),
        },
  ];
  const time = formatTime(now);
  return {
    capacity: facts.capacity,
    allocatable: facts.allocatable,
    conditions: conditions.map((condition): NodeCondition => {
      const before = previous?.conditions?.find(({ type }) => type === condition.type);
      const unchanged = before?.status === condition.status && before.lastTransitionTime !== undefined;
      return {
        type: condition.type,
        status: condition.status,
        lastHeartbeatTime: time,
        lastTransitionTime: unchanged ? before.lastTransitionTime : time,
        reason: condition.reason,
        message: condition.message,
      };
    }),
    addresses: facts.addresses,
    daemonEndpoints: { kubeletEndpoint: { Port: facts.kubeletPort } },
    nodeInfo: facts.nodeInfo,
    images: [...images]
      .sort((a, b) => b.size - a.size || (a.id < b.id ? -1 : 1))
      .slice(0, MAXIMUM_IMAGES)
      .map((image) => ({
        names: [...image.repoDigests, ...image.repoTags].slice(0, MAXIMUM_NAMES_PER_IMAGE),
        sizeBytes: image.size,
      })),
  };
}

/** Go's aggregate of errors: one alone, several in brackets. */
function aggregate(messages: readonly string[]): string {
  return messages.length === 1 ? (messages[0] as string) : `[${messages.join(', ')}]`;
}

function pressure(
  type: string,
  pressed: boolean,
  badReason: string,
  badMessage: string,
  goodReason: string,
  goodMessage: string,
): { type: string; status: 'True' | 'False'; reason: string; message: string } {
  return pressed
    ? { type, status: 'True', reason: badReason, message: badMessage }
    : { type, status: 'False', reason: goodReason, message: goodMessage };
}

/** Whether two statuses differ in more than their heartbeats. */
export function statusChanged(before: NodeStatus | undefined, after: NodeStatus): boolean {
  return !isDeepStrictEqual(withoutHeartbeats(before), withoutHeartbeats(after));
}

const REPORTED = ['capacity', 'allocatable', 'addresses', 'daemonEndpoints', 'nodeInfo', 'images'] as const;

function withoutHeartbeats(status: NodeStatus | undefined): object {
  const fields = Object.fromEntries(REPORTED.map((field) => [field, status?.[field]]));
  const conditions = (status?.conditions ?? [])
    .filter(({ type }) => ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'Ready'].includes(type))
    .map(({ lastHeartbeatTime: _heartbeat, ...rest }) => rest);
  return { ...fields, conditions };
}
