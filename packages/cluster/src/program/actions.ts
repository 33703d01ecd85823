import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { errorMessage, sleep } from '@k8ts/base';
import type { Clock, Logger, Random } from '@k8ts/base';
import { removeFromKubeconfig, UserError } from '@k8ts/cli';
import type { ClusterStatus, DirectoryOptions, ProgramActions, Progress } from '@k8ts/cli';
import { createClient, createHttpTransport, loadKubeconfig } from '@k8ts/client';
import { corev1 } from '@k8ts/api';
import { openOfflineImages } from '@k8ts/cri';
import { dataLayout } from '../data-layout.ts';
import type { DataLayout } from '../data-layout.ts';
import { removeNodeRemains } from '../node.ts';
import { unmountBelow } from '../mounts.ts';
import { remoteImages } from './control-socket.ts';
import { imageOperations } from './image-operations.ts';
import type { ImageOperations } from './image-operations.ts';
import { ACCESS_FLAGS } from './components/access-flags.ts';
import { AUDIT_FLAGS } from './components/audit-flags.ts';
import { CONTEXT, startCluster } from './running-cluster.ts';
import { isRunning, processStart, readState, removeState, writeState } from './state-file.ts';

export interface ActionContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Milliseconds that a stopping cluster gets before it is killed. */
const STOP_TIMEOUT = 60_000;

export function createActions(context: ActionContext): Omit<ProgramActions, 'components'> {
  return {
    apiserverFlags: [...AUDIT_FLAGS, ...ACCESS_FLAGS],

    async up(options, progress, signal) {
      const layout = dataLayout(options.dataDir);
      const state = await readState(layout.state);
      if (state !== undefined && isRunning(state))
        throw new UserError(`a cluster runs already with this data directory (process ${String(state.pid)})`);
      await mkdir(layout.root, { recursive: true, mode: 0o711 });
      const write = (server: string, node: boolean): Promise<void> =>
        writeState(layout.state, {
          pid: process.pid,
          startedAt: processStart(process.pid) ?? '',
          server,
          node,
        });
      const cluster = await startCluster(
        options,
        {
          ...context,
          layout,
          signal,
          // Before anything is made on the machine: whoever finds this process killed knows what to clean up.
          async onStarting(node) {
            await writeFile(layout.addedTo, resolve(options.kubeconfig));
            if (!node && state?.node === true) await removeNodeRemains({ layout, ...context });
            await write('', node);
          },
          onUndone: () => removeState(layout.state),
        },
        progress,
      );
      await write(cluster.server, cluster.node);
      return {
        server: cluster.server,
        ended: new Promise(() => undefined),
        async stop() {
          await cluster.takeDown();
          await cluster[Symbol.asyncDispose]();
          await removeState(layout.state);
        },
      };
    },

    down: (options, progress) => stopCluster(dataLayout(options.dataDir), context, progress),

    async reset(options, progress) {
      const layout = dataLayout(options.dataDir);
      await stopCluster(layout, context, progress);
      progress.step('deleting its data');
      await unmountBelow(layout.root);
      const kubeconfig = await readFile(layout.addedTo, 'utf8').catch(ignoreMissing);
      if (kubeconfig !== undefined && existsSync(kubeconfig)) await removeFromKubeconfig(kubeconfig, CONTEXT);
      await rm(layout.root, { recursive: true, force: true });
    },

    async status(options): Promise<ClusterStatus> {
      const layout = dataLayout(options.dataDir);
      const state = await readState(layout.state);
      if (state === undefined || !isRunning(state)) {
        const exists = await stat(layout.pki).then(
          () => true,
          () => false,
        );
        return { state: exists ? 'stopped' : 'absent', details: [] };
      }
      return {
        state: 'running',
        pid: state.pid,
        ...(state.server === '' ? {} : { server: state.server }),
        details:
          state.server === ''
            ? ['it is starting or stopping']
            : await health(layout).catch((error: unknown) => [
                `the API server does not answer: ${errorMessage(error)}`,
              ]),
      };
    },

    images: {
      import: (options, file) => withImages(options, context, (images) => images.import(file)),
      list: (options) => withImages(options, context, (images) => images.list()),
      remove: (options, image) => withImages(options, context, (images) => images.remove(image)),
      pull: (options, image) => withImages(options, context, (images) => images.pull(image)),
      tag: (options, image, tag) => withImages(options, context, (images) => images.tag(image, tag)),
    },
  };
}

async function stopCluster(layout: DataLayout, context: ActionContext, progress: Progress): Promise<void> {
  const state = await readState(layout.state);
  if (state === undefined) {
    progress.note('there is no cluster that runs with this data directory');
    return;
  }
  if (isRunning(state)) {
    progress.step(`stopping the cluster (process ${String(state.pid)})`);
    process.kill(state.pid, 'SIGTERM');
    const deadline = context.clock.monotonic() + STOP_TIMEOUT;
    while (isRunning(state) && context.clock.monotonic() < deadline) await sleep(context.clock, 50);
    if (isRunning(state)) {
      progress.note('it does not stop; it is killed');
      process.kill(state.pid, 'SIGKILL');
      while (isRunning(state)) await sleep(context.clock, 50);
    }
  }
  // A process that was killed could not clean up.
  if (state.node && (await readState(layout.state)) !== undefined) {
    progress.step('removing what the cluster left on this machine');
    await removeNodeRemains({ layout, ...context });
  }
  await removeState(layout.state);
}

async function health(layout: DataLayout): Promise<readonly string[]> {
  const target = await loadKubeconfig({ path: layout.kubeconfig });
  await using transport = createHttpTransport(target.transport);
  const client = createClient(transport);
  const { items } = await client.resource(corev1.nodes).list();
  return items.map(({ metadata, status }) => {
    const ready = status?.conditions?.find(({ type }) => type === 'Ready');
    return `node ${metadata.name}: ${ready?.status === 'True' ? 'Ready' : `not ready (${ready?.message ?? 'unknown'})`}`;
  });
}

/** The images belong to the process that runs the cluster; while none does, they are opened here. */
async function withImages<T>(
  options: DirectoryOptions,
  { clock, logger }: ActionContext,
  use: (images: ImageOperations) => Promise<T>,
): Promise<T> {
  const layout = dataLayout(options.dataDir);
  const state = await readState(layout.state);
  if (state !== undefined && isRunning(state)) return use(remoteImages(layout.control));
  const store = await openOfflineImages({ dataDir: layout.containers, clock, logger });
  return use(
    imageOperations(store, async (image) => {
      await store.remove(image);
      await store.collect();
    }),
  );
}

function ignoreMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}
