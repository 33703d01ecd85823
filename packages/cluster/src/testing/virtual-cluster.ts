import { seededRandom, VirtualClock } from '@k8ts/base';
import type { KubeObject } from '@k8ts/api';
import { Cluster } from '../cluster.ts';
import type { ClusterOptions } from '../cluster.ts';

export interface VirtualCluster extends AsyncDisposable {
  readonly cluster: Cluster;
  readonly clock: VirtualClock;
}

/**
 * A cluster on virtual time, with seeded randomness and frozen objects: hours of its life pass in milliseconds, and the
 * same each time. Not served over HTTPS unless asked for.
 */
export async function startOnVirtualTime(
  options: Omit<ClusterOptions, 'clock' | 'random'> & { readonly seed?: number } = {},
): Promise<VirtualCluster> {
  const { seed = 1, ...rest } = options;
  const clock = new VirtualClock();
  const random = seededRandom(seed);
  const cluster = await passing(
    clock,
    Cluster.start({ serve: false, freeze: deepFreeze, ...rest, clock, random }),
  );
  return {
    cluster,
    clock,
    [Symbol.asyncDispose]: () => passing(clock, cluster[Symbol.asyncDispose]()),
  };
}

/** Lets time pass until a promise settles: starting and stopping wait for timers too. */
async function passing<T>(clock: VirtualClock, promise: Promise<T>): Promise<T> {
  let settled = false;
  const done = (): void => {
    settled = true;
  };
  promise.then(done, done);
  while (!settled) await clock.advance(10);
  return promise;
}

function deepFreeze(value: KubeObject): void {
  freezeAll(value);
}

function freezeAll(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const child of Object.values(value)) freezeAll(child);
}
