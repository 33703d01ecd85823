import type { PodPlan } from './plan.ts';
import { specContainers } from './pod-spec.ts';
import type { PodRuntimeState } from './runtime-state.ts';
import type { Pod } from './types.ts';

/**
 * Dead containers and sandboxes that nobody asks for any more. Of each container the newest stays, and one dead one
 * before it (its logs are `--previous`); when the pod gets a new sandbox its init containers all go, for they run again.
 */
export function superfluous(
  pod: Pod,
  state: PodRuntimeState,
  plan: Pick<PodPlan, 'createSandbox' | 'sandboxId' | 'containersToStart'>,
): { readonly containers: readonly string[]; readonly sandboxes: readonly string[] } {
  const containers: string[] = [];
  const starting = new Set(plan.containersToStart.map(({ container }) => container.name));
  for (const { kind, container } of specContainers(pod)) {
    const dead = state.containers.filter(
      ({ metadata, state: current }) => metadata.name === container.name && current === 'CONTAINER_EXITED',
    );
    const newest = state.containers.find(({ metadata }) => metadata.name === container.name);
    if (kind === 'init' && plan.createSandbox) {
      containers.push(...dead.map(({ id }) => id));
      continue;
    }
    // The one that starts becomes the newest, so of the dead ones only the last may stay.
    const keep = newest?.state === 'CONTAINER_EXITED' && !starting.has(container.name) ? 2 : 1;
    containers.push(...dead.slice(keep).map(({ id }) => id));
  }
  const removed = new Set(containers);
  const inUse = new Set(
    state.containers.filter(({ id }) => !removed.has(id)).map(({ sandboxId }) => sandboxId),
  );
  const sandboxes = state.sandboxes
    .slice(1)
    .filter(({ id, state: current }) => current === 'SANDBOX_NOTREADY' && !inUse.has(id))
    .map(({ id }) => id);
  return { containers, sandboxes };
}
