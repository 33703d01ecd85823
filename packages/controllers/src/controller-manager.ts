import { Scope, errorMessage, untilAborted } from '@k8ts/base';
import type { Clock, Logger, Metrics, Random } from '@k8ts/base';
import {
  createEventBroadcaster,
  createInformerFactory,
  createQueueMetrics,
  createWorkQueue,
  runLeaderElection,
} from '@k8ts/client';
import type { Client, LeaderElectionOptions, WorkQueue } from '@k8ts/client';

import type { Controller, ControllerDefinition, ControllerOptions } from './contract.ts';
import { controllerRegistry } from './controller-registry.ts';

export interface ControllerManagerOptions {
  /** The manager's own identity (system:kube-controller-manager): it reads for all controllers. */
  readonly client: Client;
  /** The identity a controller writes with (`--use-service-account-credentials`). Default: the manager's. */
  readonly clientFor?: (account: string) => Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly options?: ControllerOptions;
  /** Default: all of the registry. */
  readonly controllers?: readonly ControllerDefinition[];
  /** Workers by the controller's name (`--concurrent-deployment-syncs` …). */
  readonly workers?: Readonly<Record<string, number>>;
  /** Take part in an election first. Default: start at once. */
  readonly leaderElection?: Pick<LeaderElectionOptions, 'identity'> &
    Partial<
      Pick<LeaderElectionOptions, 'namespace' | 'name' | 'leaseDuration' | 'renewDeadline' | 'retryPeriod'>
    >;
  /** Called once all informers have synced and the workers run. */
  readonly onReady?: () => void;
}

/**
 * Runs the controllers until the signal aborts; with leader election also until leadership is lost, and the process should
 * end then. Nothing is left running when it returns.
 */
export async function runControllerManager(
  manager: ControllerManagerOptions,
  signal: AbortSignal,
): Promise<void> {
  const { leaderElection, client, clock, random, logger, metrics } = manager;
  if (leaderElection === undefined) return runControllers(manager, signal);
  const status = metrics.gauge({
    name: 'leader_election_master_status',
    help: 'Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master.',
    labels: ['name'],
  });
  const name = leaderElection.name ?? 'kube-controller-manager';
  status.set(0, [name]);
  await runLeaderElection(
    {
      namespace: 'kube-system',
      ...leaderElection,
      name,
      client,
      clock,
      random,
      logger,
      releaseOnCancel: true,
      lead: async (leading) => {
        status.set(1, [name]);
        try {
          await runControllers(manager, leading);
        } finally {
          status.set(0, [name]);
        }
      },
    },
    signal,
  );
}

interface Running {
  readonly definition: ControllerDefinition;
  readonly controller: Controller;
  readonly queue: WorkQueue;
  readonly logger: Logger;
}

async function runControllers(manager: ControllerManagerOptions, signal: AbortSignal): Promise<void> {
  const { client, clientFor, clock, random, logger, metrics, options = {} } = manager;
  await using scope = new Scope();
  const informers = scope.use(createInformerFactory({ client, clock, random, logger }));
  const broadcaster = scope.use(createEventBroadcaster({ client, clock, random, logger }));

  const running: Running[] = [];
  for (const definition of manager.controllers ?? controllerRegistry) {
    const queue = createWorkQueue({ clock, metrics: createQueueMetrics(metrics, clock, definition.queue) });
    scope.defer(() => queue.shutDown());
    const own = logger.child({ controller: definition.name });
    const controller = definition.create({
      client: definition.account === undefined ? client : (clientFor?.(definition.account) ?? client),
      informers,
      queue,
      recorder: broadcaster.recorder(definition.eventSource),
      clock,
      random,
      logger: own,
      metrics,
      options,
    });
    running.push({ definition, controller, queue, logger: own });
  }

  informers.start();
  try {
    await informers.waitForSync(signal);
  } catch {
    return; // stopped before the informers had synced
  }
  manager.onReady?.();
  const work = running.map((one) => {
    const workers = manager.workers?.[one.definition.name] ?? one.definition.workers;
    return runController(one, workers, scope.signal);
  });
  await untilAborted(signal);
  for (const { queue } of running) queue.shutDown();
  // Reconciles under way are told to end by the scope's signal, and waited for.
  scope.run(Promise.all(work));
}

async function runController(running: Running, workers: number, signal: AbortSignal): Promise<void> {
  const { controller, logger } = running;
  logger.debug('starting controller', { workers });
  const sweep = controller.run?.(signal).catch((error: unknown) => {
    if (!signal.aborted) logger.error('the controller stopped working', { error: errorMessage(error) });
  });
  await Promise.all([sweep, ...Array.from({ length: workers }, () => worker(running, signal))]);
}

async function worker(
  { definition, controller, queue, logger }: Running,
  signal: AbortSignal,
): Promise<void> {
  for (let key = await queue.get(); key !== undefined; key = await queue.get()) {
    if (signal.aborted || queue.shuttingDown) {
      queue.done(key);
      return;
    }
    try {
      await controller.reconcile(key, signal);
      queue.forget(key);
    } catch (error) {
      const { maxRetries } = definition;
      if (signal.aborted) {
        // Stopped in the middle: nothing to report, and nobody to try again.
      } else if (maxRetries === undefined || queue.retries(key) < maxRetries) {
        logger.debug('reconciling failed, will try again', { key, error: errorMessage(error) });
        queue.addRateLimited(key);
      } else {
        logger.warn('reconciling failed too often, dropped', { key, error: errorMessage(error) });
        queue.forget(key);
      }
    } finally {
      queue.done(key);
    }
  }
}
