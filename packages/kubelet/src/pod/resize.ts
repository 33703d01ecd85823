import type { ContainerStatus } from '@k8ts/cri';

import { resizeNeedsRestart } from '../resources/linux-resources.ts';
import { containerMarks } from './labels.ts';
import { condition } from './conditions.ts';
import { resourceKey } from './resource-key.ts';
import type { PodEnding } from './pod-ending.ts';
import type { Container, Pod, PodCondition } from './types.ts';

/**
 * In-place resize (KEP-1287). A pod's resources may change while it runs: the node first allocates them, when it has so
 * much, then gives them to the containers, by a new limit or by a new container, as their resizePolicy wants.
 */

export interface Resize {
  readonly container: Container;
  readonly status: ContainerStatus;
  readonly restart: boolean;
}

/** Undefined when the container has what the spec says. `applied` is what it was given since its start, if anything. */
export function resizeOf(
  pod: Pod,
  container: Container,
  status: ContainerStatus,
  applied: string | undefined,
): Resize | undefined {
  const before = applied ?? containerMarks(status.annotations, status.metadata.attempt).resources;
  const wanted = resourceKey(container);
  if (before === '' || before === wanted) return undefined;
  const restart = changedResources(before, wanted).some((name) => resizeNeedsRestart(pod, container, name));
  return { container, status, restart };
}

function changedResources(before: string, after: string): ('cpu' | 'memory')[] {
  const old = parsed(before);
  const now = parsed(after);
  const differs = (index: number): boolean => old[index] !== now[index];
  return [
    ...(differs(0) || differs(2) ? (['cpu'] as const) : []),
    ...(differs(1) || differs(3) ? (['memory'] as const) : []),
  ];
}

function parsed(key: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(key);
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}

/** Whether two states of a pod ask for different resources. */
export function sameResources(a: Pod, b: Pod): boolean {
  return (
    a.spec.containers.length === b.spec.containers.length &&
    a.spec.containers.every((container, index) => {
      const other = b.spec.containers[index];
      return (
        other !== undefined &&
        (container.resources === other.resources || resourceKey(container) === resourceKey(other))
      );
    })
  );
}

/** The pod as it is allocated: with the resources of `allocated`, in all else the newest. */
export function withResourcesOf(pod: Pod, allocated: Pod): Pod {
  const resources = new Map(
    allocated.spec.containers.map((container) => [container.name, container.resources]),
  );
  return {
    ...pod,
    spec: {
      ...pod.spec,
      containers: pod.spec.containers.map((container) => {
        const { resources: _wanted, ...rest } = container;
        const given = resources.get(container.name);
        return given === undefined ? rest : { ...rest, resources: given };
      }),
    },
  };
}

/** Why the node does not allocate what the pod now wants: `alone` is asked as if no other pod were there. */
export function resizePending(pod: Pod, refusal: PodEnding, alone: PodEnding | undefined): PodCondition {
  return alone === undefined
    ? condition(pod, 'PodResizePending', true, 'Deferred', refusal.message)
    : condition(pod, 'PodResizePending', true, 'Infeasible', alone.message);
}
