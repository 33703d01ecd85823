import { watch } from 'node:fs';
import { mkdir, readFile, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { errorMessage, every, Scope } from '@k8ts/base';
import type { Clock, Logger } from '@k8ts/base';
import type { ImageService, PodNetwork, Runtime, RuntimeService } from '../../contract.ts';
import { ImageStore } from '../../images/image-store.ts';
import type { ImageLimits } from '../../images/image-store.ts';
import { StoreImageService } from '../../images/image-service.ts';
import { removeEmptyCgroup } from './cgroups.ts';
import { checkExit, removeContainer, removeFiles } from './containers.ts';
import { Engine } from './engine.ts';
import { inspectHost, isOnOverlay } from './host.ts';
import type { ContainerProgram } from './host.ts';
import { containerPaths, exitsDirectory, sandboxPaths } from './layout.ts';
import { OciRuntime } from './oci-runtime.ts';
import { UtilLinuxRuntime } from './util-linux-runtime.ts';
import { isAlive, readRecords } from './records.ts';
import type { ContainerRecord, SandboxRecord } from './records.ts';
import { isMounted, unmount } from './rootfs.ts';
import { OciRuntimeService } from './runtime-service.ts';
import { OWN_CGROUPS, removeSandbox } from './sandboxes.ts';
import { tearDownSandbox } from './sandbox-setup.ts';

export interface OciRuntimeOptions {
  /** For what outlives a reboot: images, states, writable layers. */
  readonly dataDir: string;
  /** For what does not: namespaces, mounts, sockets. Best on a tmpfs; `/run/k8ts`. */
  readonly runDir: string;
  readonly network: PodNetwork;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly imageLimits?: Partial<ImageLimits>;
  /** Root file systems as copies even where an overlay would work. */
  readonly copyRootfs?: boolean;
  /** Which program runs the containers; default: the first of them that is installed. */
  readonly program?: ContainerProgram;
}

export interface EmbeddedRuntime extends Runtime {
  readonly images: ImageStore;
  /** Removes every container and sandbox with processes, mounts, namespaces and control groups; images stay. */
  destroyAll(): Promise<void>;
}

/** A monitor that was killed leaves no exit file: this often the processes themselves are looked at. */
const LOOK_INTERVAL = 10_000;

/**
 * Opens the embedded runtime: takes up the containers that run since before, records those that have ended meanwhile and
 * clears what was left half made. Disposing leaves the containers running. Throws an `Error` that says in a sentence what
 * the machine lacks.
 */
export async function openOciRuntime(options: OciRuntimeOptions): Promise<EmbeddedRuntime> {
  const { clock, logger, network } = options;
  const layout = { dataDir: resolve(options.dataDir), runDir: resolve(options.runDir) };
  const host = await inspectHost(options.program);
  for (const name of ['sandboxes', 'containers', 'images']) {
    await mkdir(join(layout.dataDir, name), { recursive: true, mode: 0o711 });
  }
  for (const name of ['sandboxes', 'containers', 'exits']) {
    await mkdir(join(layout.runDir, name), { recursive: true, mode: 0o711 });
  }
  const overlay = !options.copyRootfs && !(await isOnOverlay(layout.dataDir));
  const images = await ImageStore.open({
    directory: join(layout.dataDir, 'images'),
    clock,
    logger,
    ...(options.imageLimits && { limits: options.imageLimits }),
  });
  const runtime =
    host.runtime === undefined
      ? await UtilLinuxRuntime.prepare(host, layout, clock)
      : await OciRuntime.prepare(host, layout);
  const engine = new Engine({ host, layout, runtime, images, network, clock, logger, overlay });
  for (const shortcoming of engine.shortcomings) logger.warn('containers are limited here', { shortcoming });
  const scope = new Scope();
  try {
    await reconcile(engine);
    watchExits(engine, scope);
  } catch (error) {
    await scope[Symbol.asyncDispose]();
    throw error;
  }
  await images.collect(engine.layersInUse());
  return {
    runtimeService: new OciRuntimeService(engine) satisfies RuntimeService,
    imageService: new StoreImageService(images, () => engine.layersInUse()) satisfies ImageService,
    images,
    destroyAll: () => destroyAll(engine),
    [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
  };
}

function watchExits(engine: Engine, scope: Scope): void {
  const look = (id: string): void => {
    checkExit(engine, id).catch((error: unknown) =>
      engine.logger.error('cannot record the end of a container', { id, error: errorMessage(error) }),
    );
  };
  const watcher = watch(exitsDirectory(engine.layout), (_, name) => {
    if (name !== null && engine.containers.has(name)) look(name);
  });
  watcher.on('error', (error) =>
    engine.logger.error('cannot watch for ended containers', { error: error.message }),
  );
  scope.defer(() => watcher.close());
  scope.run(
    every(engine.clock, LOOK_INTERVAL, scope.signal, () => {
      for (const { id, state } of engine.containers.values()) if (state === 'CONTAINER_RUNNING') look(id);
    }),
  );
}

/** Brings what was written down together with what really is. */
async function reconcile(engine: Engine): Promise<void> {
  const { layout, logger } = engine;
  const sandboxes = await readRecords<SandboxRecord>(
    join(layout.dataDir, 'sandboxes'),
    'sandbox.json',
    logger,
  );
  const containers = await readRecords<ContainerRecord>(
    join(layout.dataDir, 'containers'),
    'container.json',
    logger,
  );
  for (const sandbox of sandboxes.records) engine.sandboxes.set(sandbox.id, sandbox);
  for (const container of containers.records) engine.containers.set(container.id, container);

  // What cannot be set right is reported and left: the others must not suffer from it.
  const attempt = async (what: string, id: string, work: () => Promise<void>): Promise<void> => {
    await work().catch((error: unknown) => logger.error(what, { id, error: errorMessage(error) }));
  };
  const strays = [...containers.incomplete, ...(await readdir(join(layout.runDir, 'containers')))];
  for (const id of new Set(strays)) {
    if (engine.containers.has(id)) continue;
    await attempt('cannot remove what is left of a container', id, () => removeFiles(engine, id));
  }
  for (const id of await readdir(join(layout.runDir, 'sandboxes'))) {
    if (engine.sandboxes.has(id)) continue;
    await attempt('cannot remove what is left of a sandbox', id, () =>
      tearDownSandbox(sandboxPaths(layout, id)),
    );
  }
  for (const id of sandboxes.incomplete) {
    await rm(sandboxPaths(layout, id).state, { recursive: true, force: true });
  }
  for (const sandbox of sandboxes.records) {
    if (sandbox.state !== 'SANDBOX_READY' || (await sandboxStands(engine, sandbox))) continue;
    // After a reboot: the kubelet sees it as not ready, stops it, and makes a new one.
    sandbox.state = 'SANDBOX_NOTREADY';
    await engine.saveSandbox(sandbox);
  }
  for (const container of containers.records) {
    await attempt('cannot take up a container', container.id, () => takeUp(engine, container));
  }
}

async function takeUp(engine: Engine, container: ContainerRecord): Promise<void> {
  const { id, state } = container;
  if (!engine.sandboxes.has(container.sandboxId)) await removeContainer(engine, id);
  else if (state === 'CONTAINER_RUNNING') await resume(engine, container);
  else if (state === 'CONTAINER_EXITED') {
    const paths = containerPaths(engine.layout, id);
    await engine.runtime.delete(id, paths);
    await unmount(paths.rootfs);
  } else if (
    !(await isMounted(containerPaths(engine.layout, id).rootfs)) ||
    (await wasGivenToConmon(engine, id))
  ) {
    // Lost with a reboot, or killed on the way to running, and nobody can start it twice: the kubelet makes a new one.
    await removeContainer(engine, id);
  }
}

async function sandboxStands(engine: Engine, sandbox: SandboxRecord): Promise<boolean> {
  const { network, ipc, pid } = sandbox.config.linux.namespaces;
  const paths = sandboxPaths(engine.layout, sandbox.id);
  if (network !== 'NODE' && !(await isMounted(paths.net))) return false;
  if (ipc !== 'NODE' && !(await isMounted(paths.ipc))) return false;
  return pid !== 'POD' || isAlive(sandbox.pause);
}

async function wasGivenToConmon(engine: Engine, id: string): Promise<boolean> {
  const { conmonPidFile } = containerPaths(engine.layout, id);
  return (await readFile(conmonPidFile, 'utf8').catch(() => '')) !== '';
}

/** A container that ran when we last saw it: it runs still, or has ended since. */
async function resume(engine: Engine, container: ContainerRecord): Promise<void> {
  if (container.process !== undefined && (await isAlive(container.process))) {
    // Killed between creating and starting it: its process still waits to be told to execute the program.
    const waiting = await isWaitingToStart(container);
    if (waiting) await engine.runtime.start(container.id, containerPaths(engine.layout, container.id));
  }
  await checkExit(engine, container.id);
}

/** Until it is told to start, a container's first process is still the OCI runtime (or the script that sets it up). */
async function isWaitingToStart(container: ContainerRecord): Promise<boolean> {
  const pid = container.process?.pid;
  if (pid === undefined) return false;
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  if (/^\S*runc\0init\0/.test(command)) return true;
  return /^\S*crun\0|\/init\.sh\0/.test(command) && command.includes(container.id);
}

async function destroyAll(engine: Engine): Promise<void> {
  const errors: unknown[] = [];
  await Promise.all(
    [...engine.sandboxes.keys()].map((id) =>
      removeSandbox(engine, id).catch((error: unknown) => void errors.push(error)),
    ),
  );
  for (const id of [...engine.containers.keys()]) {
    await removeContainer(engine, id).catch((error: unknown) => void errors.push(error));
  }
  await removeEmptyCgroup(engine.host.cgroups, OWN_CGROUPS);
  if (errors.length > 0) throw new AggregateError(errors, 'not everything could be removed');
}
