import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { constants as osConstants } from 'node:os';
import { dirname, join } from 'node:path';
import { errorMessage, sleep } from '@k8ts/base';
import { RuntimeNotFoundError } from '../../contract.ts';
import type { ContainerConfig, PodSandboxConfig } from '../../contract.ts';
import { isNotFound } from '../../files/atomic-file.ts';
import { oomKills, processesBelow, removeCgroup } from './cgroups.ts';
import type { Engine } from './engine.ts';
import { containerPaths, sandboxPaths } from './layout.ts';
import { containerSpec } from './oci-spec.ts';
import { identifyProcess, isAlive, signalProcess } from './records.ts';
import type { ContainerRecord, SandboxRecord } from './records.ts';
import { mountImageReadonly, mountpoints, mountRootfs, unmount } from './rootfs.ts';
import { resolveInside, resolveUser } from './users.ts';
import { seccompProfile } from './seccomp.ts';

const SIGKILL = 9;
/** What containerd reports when it cannot know how a container ended. */
const UNKNOWN_EXIT_CODE = 255;
/** How long after the process is gone the exit file may take; conmon writes it at once. */
const EXIT_FILE_PATIENCE = 2000;
const EXIT_FILE_INTERVAL = 10;

/** Makes root file system and bundle. When it throws, nothing is left. */
export async function createContainer(
  engine: Engine,
  sandboxId: string,
  config: ContainerConfig,
  sandboxConfig: PodSandboxConfig,
): Promise<string> {
  const sandbox = engine.sandbox(sandboxId);
  requireReady(sandbox);
  const image = engine.images.find(config.image);
  if (image === undefined) throw new RuntimeNotFoundError(`image ${JSON.stringify(config.image)}: not found`);
  const imageConfig = await engine.images.config(image);
  const id = engine.newId();
  const paths = containerPaths(engine.layout, id);
  try {
    await mkdir(paths.state, { recursive: true, mode: 0o711 });
    await mkdir(paths.bundle, { recursive: true, mode: 0o711 });
    await mountRootfs({
      layers: engine.images.layers(image),
      layersRoot: engine.images.layersRoot,
      state: paths.state,
      target: paths.rootfs,
      overlay: engine.overlay,
    });
    const user = await resolveUser(paths.rootfs, config.linux.securityContext, imageConfig.config.User ?? '');
    const container: ContainerRecord = {
      version: 1,
      id,
      sandboxId,
      config,
      imageId: image.id,
      imageRef: image.repoDigests[0] ?? image.id,
      diffIds: image.diffIds,
      createdAt: engine.clock.now(),
      user,
      stopSignal: config.stopSignal || imageConfig.config.StopSignal || 'SIGTERM',
      logPath: logPath(engine, sandbox.config, config, id),
      cgroup: `${sandbox.cgroup}/${id}`,
      state: 'CONTAINER_CREATED',
      process: undefined,
      startedAt: 0,
      finishedAt: 0,
      exitCode: 0,
      signal: 0,
      reason: '',
      message: '',
    };
    signalNumber(container.stopSignal); // an unknown one is refused now and not when it is needed
    const spec = await containerSpec({
      config,
      sandbox: sandboxConfig,
      paths: sandboxPaths(engine.layout, sandboxId),
      image: imageConfig,
      user,
      host: engine.host,
      cgroup: container.cgroup,
      rootfs: paths.rootfs,
      pidNamespace: pidNamespace(engine, sandbox, config),
      imageMounts: await mountImages(engine, config, paths.bundle),
      seccomp: await seccompProfile(config.linux.securityContext, engine.host),
    });
    await mkdirForMounts(config);
    await writeFile(join(paths.bundle, 'config.json'), JSON.stringify(spec), { mode: 0o600 });
    await engine.saveContainer(container);
    engine.containers.set(id, container);
    engine.emit(container, 'CONTAINER_CREATED_EVENT');
    return id;
  } catch (error) {
    await removeFiles(engine, id);
    throw error;
  }
}

function requireReady(sandbox: SandboxRecord): void {
  if (sandbox.state === 'SANDBOX_READY') return;
  throw new Error(`sandbox container ${JSON.stringify(sandbox.id)} is not running`);
}

/** Starts a created container. When that fails it has ended, with code 128 and the reason `StartError`. */
export async function startContainer(engine: Engine, id: string): Promise<void> {
  await engine.exclusive(id, async () => {
    const container = engine.container(id);
    if (container.state !== 'CONTAINER_CREATED') throw new Error(`container is in ${container.state} state`);
    requireReady(engine.sandbox(container.sandboxId));
    const paths = containerPaths(engine.layout, id);
    const { tty, stdin, stdinOnce } = container.config;
    try {
      await mkdir(dirname(container.logPath), { recursive: true, mode: 0o755 });
      const { pid } = await engine.runtime.create(id, paths, {
        logPath: container.logPath,
        terminal: tty,
        stdin,
        stdinOnce,
      });
      container.process = await identifyProcess(pid);
      container.startedAt = engine.clock.now();
      container.state = 'CONTAINER_RUNNING';
      // Saved before it runs: killed between the two, the next start finds it in its control group and its state here.
      await engine.saveContainer(container);
      await engine.runtime.start(id, paths);
    } catch (error) {
      await engine.runtime.delete(id, paths).catch((failure: unknown) =>
        engine.logger.warn('cannot delete a container that did not start', {
          id,
          error: errorMessage(failure),
        }),
      );
      await recordExit(engine, container, {
        exitCode: 128,
        reason: 'StartError',
        message: errorMessage(error),
        finishedAt: engine.clock.now(),
      });
      throw error;
    }
    engine.emit(container, 'CONTAINER_STARTED_EVENT');
    // It may have ended before anybody watched for it.
    void checkExit(engine, id);
  });
}

export async function stopContainer(engine: Engine, id: string, timeoutSeconds: number): Promise<void> {
  const container = engine.containers.get(id);
  if (container?.state !== 'CONTAINER_RUNNING') return;
  if (timeoutSeconds > 0) {
    await signalProcess(container.process, signalNumber(container.stopSignal));
    let cancel: (() => void) | undefined;
    const grace = new Promise<void>((done) => {
      cancel = engine.clock.setTimeout(done, timeoutSeconds * 1000);
    });
    await Promise.race([engine.untilEnded(id), grace]);
    cancel?.();
  }
  await killContainer(engine, id);
}

/** Kills a running container and resolves when it has ended. */
export async function killContainer(engine: Engine, id: string): Promise<void> {
  const container = engine.containers.get(id);
  if (container?.state !== 'CONTAINER_RUNNING') return;
  const ended = engine.untilEnded(id);
  await signalProcess(container.process, SIGKILL);
  void checkExit(engine, id);
  await ended;
}

export async function removeContainer(engine: Engine, id: string): Promise<void> {
  await killContainer(engine, id);
  await engine.exclusive(id, async () => {
    const container = engine.containers.get(id);
    if (container === undefined) return;
    await removeFiles(engine, id);
    engine.containers.delete(id);
    engine.emit(container, 'CONTAINER_DELETED_EVENT');
  });
}

/**
 * Looks whether a running container has ended and records it: by the exit file, or, when the process is gone and conmon
 * left none (it was killed), as ended in an unknown way.
 */
export async function checkExit(engine: Engine, id: string): Promise<void> {
  const container = engine.containers.get(id);
  if (container?.state !== 'CONTAINER_RUNNING') return;
  const exit = await readExitFile(engine, id);
  if (exit !== undefined) return finishExit(engine, id, exit);
  if (await isAlive(container.process)) return;
  const finishedAt = engine.clock.now();
  for (let waited = 0; waited < EXIT_FILE_PATIENCE; waited += EXIT_FILE_INTERVAL) {
    await sleep(engine.clock, EXIT_FILE_INTERVAL);
    const late = await readExitFile(engine, id);
    if (late !== undefined) return finishExit(engine, id, late);
  }
  await finishExit(engine, id, { exitCode: UNKNOWN_EXIT_CODE, finishedAt, unknown: true });
}

interface ExitFile {
  readonly exitCode: number;
  readonly finishedAt: number;
  readonly unknown?: boolean;
}

async function readExitFile(engine: Engine, id: string): Promise<ExitFile | undefined> {
  const { exitFile } = containerPaths(engine.layout, id);
  try {
    const [text, info] = await Promise.all([readFile(exitFile, 'utf8'), stat(exitFile)]);
    const exitCode = Number.parseInt(text.trim(), 10);
    return Number.isNaN(exitCode) ? undefined : { exitCode, finishedAt: Math.round(info.mtimeMs) };
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

async function finishExit(engine: Engine, id: string, exit: ExitFile): Promise<void> {
  await engine.exclusive(id, async () => {
    const container = engine.containers.get(id);
    if (container?.state !== 'CONTAINER_RUNNING') return;
    const paths = containerPaths(engine.layout, id);
    const oomKilled =
      (await exists(paths.oomMark)) || (await oomKills(engine.host.cgroups, container.cgroup)) > 0;
    // Processes that the container's first one left behind, where it had no process namespace of its own.
    await killBelow(engine, container.cgroup);
    await recordExit(engine, container, {
      exitCode: exit.exitCode,
      reason: oomKilled
        ? 'OOMKilled'
        : exit.unknown
          ? 'Unknown'
          : exit.exitCode === 0
            ? 'Completed'
            : 'Error',
      message: exit.unknown ? 'how the container ended is not known: its monitor was killed' : '',
      finishedAt: Math.max(exit.finishedAt, container.startedAt),
    });
    // The control group and the mount go now; the files stay until the container is removed.
    await engine.runtime
      .delete(id, paths)
      .then(() => unmount(paths.rootfs))
      .catch((error: unknown) =>
        engine.logger.warn('cannot clean up an ended container', { id, error: errorMessage(error) }),
      );
  });
}

/** Kills every process of a control group and of those below it. */
export async function killBelow(engine: Engine, cgroup: string): Promise<void> {
  for (const pid of await processesBelow(engine.host.cgroups, cgroup)) {
    await signalProcess(await identifyProcess(pid), SIGKILL);
  }
}

async function recordExit(
  engine: Engine,
  container: ContainerRecord,
  exit: {
    readonly exitCode: number;
    readonly reason: string;
    readonly message: string;
    readonly finishedAt: number;
  },
): Promise<void> {
  container.state = 'CONTAINER_EXITED';
  container.exitCode = exit.exitCode;
  container.signal = exit.exitCode > 128 && exit.exitCode <= 128 + 64 ? exit.exitCode - 128 : 0;
  container.reason = exit.reason;
  container.message = exit.message;
  container.finishedAt = exit.finishedAt;
  container.process = undefined;
  await engine.saveContainer(container);
  engine.wakeExitWaiters(container.id);
  engine.emit(container, 'CONTAINER_STOPPED_EVENT');
}

/** Takes away everything of a container that is not running. */
export async function removeFiles(engine: Engine, id: string): Promise<void> {
  const paths = containerPaths(engine.layout, id);
  const container = engine.containers.get(id);
  await endMonitor(engine, id, container);
  await unmountBundle(paths.bundle);
  if (container !== undefined) await removeCgroup(engine.clock, engine.host.cgroups, container.cgroup);
  await rm(paths.bundle, { recursive: true, force: true });
  await rm(paths.exitFile, { force: true });
  await rm(paths.state, { recursive: true, force: true });
}

/**
 * Ends what a killed k8ts may have left of a start: a conmon that is creating the container, or one whose container waits
 * to be started. A container that was never given to conmon costs nothing here.
 */
async function endMonitor(engine: Engine, id: string, container: ContainerRecord | undefined): Promise<void> {
  const paths = containerPaths(engine.layout, id);
  const pid = Number((await readFile(paths.conmonPidFile, 'utf8').catch(() => '')).trim());
  if (pid === 0) return;
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  const conmon = commandLine.includes(id) ? await identifyProcess(pid) : undefined;
  // While it creates, the OCI runtime does not know the container yet and could not delete it.
  await waitUntil(engine, async () => !(await isAlive(conmon)) || (await exists(paths.pidFile)));
  await engine.runtime.delete(id, paths);
  if (container !== undefined) await killBelow(engine, container.cgroup);
  await waitUntil(engine, async () => !(await isAlive(conmon)));
  await signalProcess(conmon, SIGKILL);
}

/** Waits a moment at most. */
async function waitUntil(engine: Engine, condition: () => Promise<boolean>): Promise<void> {
  for (let waited = 0; waited < EXIT_FILE_PATIENCE && !(await condition()); waited += EXIT_FILE_INTERVAL) {
    await sleep(engine.clock, EXIT_FILE_INTERVAL);
  }
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** The root file system and mounted images. Nothing may be removed recursively while one is mounted. */
async function unmountBundle(bundle: string): Promise<void> {
  for (const point of await mountpoints()) {
    if (point.startsWith(`${bundle}/`)) await unmount(point);
  }
}

async function mountImages(
  engine: Engine,
  config: ContainerConfig,
  bundle: string,
): Promise<ReadonlyMap<string, string>> {
  const mounted = new Map<string, string>();
  for (const [index, mount] of config.mounts.entries()) {
    if (mount.image === undefined) continue;
    const image = engine.images.find(mount.image);
    if (image === undefined)
      throw new RuntimeNotFoundError(`image ${JSON.stringify(mount.image)}: not found`);
    const target = join(bundle, `image-${index}`);
    await mountImageReadonly(engine.images.layers(image), engine.images.layersRoot, target);
    // The image's links are followed inside the image: this path is mounted as seen from the node.
    mounted.set(mount.containerPath, await resolveInside(target, mount.imageSubPath ?? ''));
  }
  return mounted;
}

/** A mount's source that is not there becomes a directory, as containerd does. */
async function mkdirForMounts(config: ContainerConfig): Promise<void> {
  for (const { hostPath, image } of config.mounts) {
    if (image !== undefined) continue;
    await stat(hostPath).catch(async (error: unknown) => {
      if (!isNotFound(error)) throw error;
      await mkdir(hostPath, { recursive: true, mode: 0o755 });
    });
  }
}

function pidNamespace(engine: Engine, sandbox: SandboxRecord, config: ContainerConfig): string | undefined {
  const { namespaces, targetContainerId } = config.linux.securityContext;
  if (targetContainerId !== undefined && targetContainerId !== '') {
    const target = engine.container(targetContainerId);
    if (target.process === undefined)
      throw new Error(`target container ${JSON.stringify(targetContainerId)} is not running`);
    return `/proc/${target.process.pid}/ns/pid`;
  }
  return namespaces.pid === 'POD' ? sandboxPaths(engine.layout, sandbox.id).pid : undefined;
}

function logPath(engine: Engine, sandbox: PodSandboxConfig, config: ContainerConfig, id: string): string {
  if (sandbox.logDirectory === '' || config.logPath === '') {
    return join(containerPaths(engine.layout, id).state, 'container.log');
  }
  return join(sandbox.logDirectory, config.logPath);
}

/** `SIGTERM`, `TERM`, `15` or `SIGRTMIN+3`. */
function signalNumber(name: string): number {
  if (/^\d{1,2}$/.test(name)) return Number(name);
  const full = name.toUpperCase().startsWith('SIG') ? name.toUpperCase() : `SIG${name.toUpperCase()}`;
  const realtime = /^SIGRTM(IN|AX)([+-]\d+)?$/.exec(full);
  if (realtime !== null) return (realtime[1] === 'IN' ? 34 : 64) + Number(realtime[2] ?? 0);
  const number = (osConstants.signals as Readonly<Record<string, number>>)[full];
  if (number === undefined) throw new Error(`unknown signal ${JSON.stringify(name)}`);
  return number;
}
