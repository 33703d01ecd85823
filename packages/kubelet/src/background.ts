import { errorMessage, every, type Logger, type Scope, sleep } from '@k8ts/base';

import type { KubeletOptions } from './kubelet-options.ts';
import { rotateLog } from './logs/log-rotation.ts';
import type { NodeReporter } from './node/node-reporter.ts';
import type { NodeHost } from './node-host.ts';
import { podUid } from './pod/pod-spec.ts';
import type { PodWorkers } from './pod/pod-workers.ts';
import type { RuntimeCache } from './pod/runtime-cache.ts';
import { isRunning } from './pod/runtime-state.ts';
import type { CgroupManager } from './resources/cgroup-manager.ts';
import type { RuntimeHealth } from './runtime-health.ts';
import type { ServiceAccountTokens } from './volumes/service-account-tokens.ts';
import type { VolumeManager } from './volumes/volume-manager.ts';

export interface BackgroundInput {
  readonly options: KubeletOptions;
  readonly logger: Logger;
  readonly scope: Scope;
  /** The node is registered and its pods are known. */
  readonly podsKnown: Promise<void>;
  readonly runtimeHealth: RuntimeHealth;
  readonly runtimeCache: RuntimeCache;
  readonly workers: PodWorkers;
  readonly reporter: NodeReporter;
  readonly cgroups: CgroupManager;
  readonly volumes: VolumeManager;
  readonly nodeHost: NodeHost;
  readonly tokens: ServiceAccountTokens;
  readonly refreshVolumes: (podUid: string) => void;
  readonly reconcileMirrors: () => void;
}

/** Milliseconds. */
const RELIST_INTERVAL = 10_000;
const HOUSEKEEPING_INTERVAL = 60_000;
const LOG_INTERVAL = 10_000;
const RUNTIME_CHECK_INTERVAL = 5_000;
const FAST_CHECK_INTERVAL = 250;
const LOG_SIZE = 10 * 1024 * 1024;
const LOG_FILES = 5;

/** What a kubelet does again and again beside its pods, until the scope ends. */
export function runBackground(input: BackgroundInput): void {
  const { scope, logger, podsKnown, runtimeCache, runtimeHealth, reporter } = input;
  const { clock } = input.options;
  const { signal } = scope;
  const guarded = (what: string, task: () => Promise<void>) => async (): Promise<void> => {
    try {
      await task();
    } catch (error) {
      if (!signal.aborted) logger.warn(what, { error: errorMessage(error) });
    }
  };
  const repeat = (interval: number, what: string, task: () => Promise<void>): void =>
    scope.run(every(clock, interval, signal, guarded(what, task)));

  repeat(RELIST_INTERVAL, 'Cannot list containers', () => runtimeCache.relist());
  repeat(RUNTIME_CHECK_INTERVAL, 'Cannot ask the runtime for its status', async () => {
    if (await runtimeHealth.check()) await reporter.report(signal);
  });
  repeat(LOG_INTERVAL, 'Log rotation failed', () => rotateLogs(input));
  const housekeeping = guarded('Housekeeping failed', () => keepHouse(input));
  scope.run(
    podsKnown.then(housekeeping).then(() => every(clock, HOUSEKEEPING_INTERVAL, signal, housekeeping)),
  );
  scope.run(
    podsKnown.then(async () => {
      // A node that starts is not kept waiting for the next regular check.
      while (!runtimeHealth.ready && !signal.aborted) {
        await sleep(clock, FAST_CHECK_INTERVAL, signal);
        await runtimeHealth.check();
      }
      await reporter.report(signal);
    }),
  );
}

/** Ends and removes what belongs to no pod any more, and renews tokens that will expire. */
async function keepHouse(input: BackgroundInput): Promise<void> {
  const { workers, runtimeCache, cgroups, volumes, nodeHost, tokens, options } = input;
  await workers.endOrphans();
  // A pod is known before anything of it is made, so what was found first and is not known then belongs to nobody.
  const isKnown = (uid: string): boolean => workers.has(uid) || runtimeCache.peek(uid).sandboxes.length > 0;
  await cgroups.removeOrphans(isKnown);
  await cgroups.updateClasses(workers.active());
  for (const uid of await volumes.podUids()) {
    if (isKnown(uid)) continue;
    await volumes.tearDown(uid);
    await nodeHost.removeDirectory(uid);
  }
  for (const pod of workers.pods()) {
    const refresh = tokens.nextRefresh(podUid(pod));
    if (refresh !== undefined && refresh <= options.clock.now() + HOUSEKEEPING_INTERVAL)
      input.refreshVolumes(podUid(pod));
  }
  input.reconcileMirrors();
}

async function rotateLogs({ workers, runtimeCache, options }: BackgroundInput): Promise<void> {
  const { runtimeService } = options.runtime;
  for (const pod of workers.active())
    for (const status of runtimeCache.peek(podUid(pod)).containers)
      if (isRunning(status) && status.logPath !== '')
        await rotateLog(
          status.logPath,
          status.id,
          {
            maxSize: options.containerLogMaxSize ?? LOG_SIZE,
            maxFiles: options.containerLogMaxFiles ?? LOG_FILES,
            reopen: (id) => runtimeService.reopenContainerLog(id),
          },
          options.clock.now(),
        );
}
