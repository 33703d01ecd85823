import type { KubeObject } from '@k8ts/api';
import { VirtualClock } from '@k8ts/base';
import type { DiscoveredResource, Informer, InformerFactory } from '@k8ts/client';
import { expect, test } from 'vitest';

import type { ControllerContext } from './contract.ts';
import { ResourceMonitors } from './resource-monitors.ts';

/** Informers that are synced when the test says so. */
function fakeInformers(): { readonly factory: InformerFactory; sync(resource: string): void } {
  const known = new Map<string, { synced: boolean; readonly waiting: (() => void)[] }>();
  const factory = {
    of: ({ resource }: DiscoveredResource) => {
      const state = known.get(resource) ?? { synced: false, waiting: [] };
      known.set(resource, state);
      return {
        get synced() {
          return state.synced;
        },
        waitForSync: () => new Promise<void>((resolve) => state.waiting.push(resolve)),
        addHandler: () => ({ [Symbol.dispose]: () => undefined }),
      } as unknown as Informer<KubeObject>;
    },
    start: () => undefined,
  } as unknown as InformerFactory;
  return {
    factory,
    sync(resource) {
      const state = known.get(resource);
      if (state === undefined) throw new Error(`nobody watches ${resource}`);
      state.synced = true;
      for (const resolve of state.waiting.splice(0)) resolve();
    },
  };
}

const type = (resource: string): DiscoveredResource =>
  ({
    group: '',
    version: 'v1',
    resource,
    kind: resource,
    preferred: true,
    verbs: [],
  }) as unknown as DiscoveredResource;

test('a type whose API does not answer is waited for once, and not again', async () => {
  const clock = new VirtualClock();
  const { factory, sync } = fakeInformers();
  const context = { clock, informers: factory } as unknown as ControllerContext;
  const monitors = new ResourceMonitors(context, { wants: () => true });
  const discovered = (...resources: readonly string[]): Promise<void> =>
    monitors.follow({ resources: resources.map(type), failures: new Map() });
  const { signal } = new AbortController();
  /** Milliseconds that one has to wait. */
  const waited = async (): Promise<number> => {
    const start = clock.monotonic();
    let isDone = false;
    const pending = monitors.waitForSync(signal).then(() => (isDone = true));
    await clock.advanceUntil(() => isDone, 60_000);
    await pending;
    return clock.monotonic() - start;
  };

  await discovered('answers', 'silent');
  sync('answers');
  expect(await waited()).toBe(30_000);
  expect(await waited()).toBe(0);
  // What comes later gets its own time.
  await discovered('answers', 'silent', 'new');
  expect(await waited()).toBe(30_000);
  expect(await waited()).toBe(0);
  await discovered('answers', 'silent', 'new', 'quick');
  sync('quick');
  expect(await waited()).toBe(0);
});
