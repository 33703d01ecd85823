import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { nodev1 } from '@k8ts/api';
import { isNotFound } from '@k8ts/apimachinery';
import { type Clock, errorMessage, type Logger } from '@k8ts/base';
import type { Client, EventRecorder } from '@k8ts/client';
import type { ContainerConfig, Image, Mount, RegistryAuth, Runtime } from '@k8ts/cri';

import type { ConfigObjects } from './config-objects.ts';
import { containerConfig } from './container/container-config.ts';
import { type NodeDns, podDns } from './container/dns.ts';
import { containerEnvironment } from './container/environment.ts';
import { nodeHostname, podHostname } from './container/hostname.ts';
import { hostNetworkHostsFile, managedHostsFile } from './container/hosts-file.ts';
import { sandboxConfig } from './container/sandbox-config.ts';
import { linuxSecurityContext } from './container/security-context.ts';
import type { ImageManager } from './images/image-manager.ts';
import { credentialsFor } from './images/pull-secrets.ts';
import { containerIdentity, podIdentity } from './pod/events.ts';
import type { ContainerToStart } from './pod/plan.ts';
import { type ContainerContext, PodPreparationError, type SandboxRequest } from './pod/pod-host.ts';
import { isHostNetwork, podName, podNamespace, podUid } from './pod/pod-spec.ts';
import type { Resize } from './pod/resize.ts';
import { findStatus, isRunning } from './pod/runtime-state.ts';
import type { RuntimeCache } from './pod/runtime-cache.ts';
import type { Pod, ResourceList, Secret, Service } from './pod/types.ts';
import type { CgroupManager } from './resources/cgroup-manager.ts';
import { containerResources } from './resources/linux-resources.ts';
import { containerMounts, terminationDirectory } from './volumes/container-mounts.ts';
import type { Mounter } from './volumes/mount-table.ts';
import type { PodDirectories } from './volumes/pod-directories.ts';
import type { ServiceAccountTokens } from './volumes/service-account-tokens.ts';
import type { MountedVolume, VolumeManager } from './volumes/volume-manager.ts';

export interface NodeHostOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: EventRecorder;
  readonly runtime: Runtime;
  readonly runtimeCache: RuntimeCache;
  readonly images: ImageManager;
  readonly config: ConfigObjects;
  readonly tokens: ServiceAccountTokens;
  readonly volumes: VolumeManager;
  readonly cgroups: CgroupManager;
  readonly directories: PodDirectories;
  readonly mounter: Mounter;
  readonly podLogsDirectory: string;
  readonly seccompRoot: string;
  readonly dns: () => Promise<NodeDns>;
  readonly services: () => readonly Service[];
  readonly allocatable: () => ResourceList;
  readonly hostIps: () => readonly string[];
  /** Bytes. */
  readonly memoryCapacity: number;
}

/** What a pod needs of a real machine: directories, volumes, cgroups, names, users. One half of `PodHost`. */
export class NodeHost {
  readonly #options: NodeHostOptions;
  readonly #volumes = new Map<string, ReadonlyMap<string, MountedVolume>>();

  constructor(options: NodeHostOptions) {
    this.#options = options;
  }

  async prepare(pod: Pod, signal: AbortSignal): Promise<void> {
    const { config, cgroups, directories, volumes } = this.#options;
    const uid = podUid(pod);
    config.register(pod);
    try {
      await cgroups.ensure(pod);
    } catch (error) {
      const message = `unable to ensure pod container exists: failed to create container for pod cgroup: ${errorMessage(error)}`;
      throw new PodPreparationError('FailedCreatePodContainer', message, { cause: error });
    }
    await mkdir(directories.pod(uid), { recursive: true, mode: 0o750 });
    await mkdir(directories.volumes(uid), { recursive: true, mode: 0o750 });
    signal.throwIfAborted();
    this.#volumes.set(uid, await volumes.setUp(pod));
  }

  async sandboxConfig(pod: Pod, attempt: number): Promise<SandboxRequest> {
    const { cgroups, events } = this.#options;
    const dns = await this.#options.dns();
    const names = podHostname(pod, dns.clusterDomain);
    const warn = (reason: string, message: string): void =>
      events.event(podIdentity(pod), 'Warning', reason, message);
    const logDirectory = this.logDirectory(pod);
    await mkdir(logDirectory, { recursive: true, mode: 0o755 });
    const runtimeHandler = await this.#runtimeHandler(pod);
    return {
      config: sandboxConfig({
        pod,
        attempt,
        hostname: nodeHostname(pod, names),
        dns: podDns(pod, dns, warn),
        cgroupParent: cgroups.pathOf(pod),
        logDirectory,
      }),
      ...(runtimeHandler === '' ? {} : { runtimeHandler }),
    };
  }

  async containerConfig(
    pod: Pod,
    start: ContainerToStart,
    context: ContainerContext,
  ): Promise<ContainerConfig> {
    const { runtimeCache, runtime, services, allocatable, config, events } = this.#options;
    const { container } = start;
    const addresses = { podIps: this.#ipsOf(pod, context.podIps), hostIps: this.#options.hostIps() };
    const image = (await runtime.imageService.imageStatus(context.imageRef)) ?? EMPTY_IMAGE;
    const environment = await containerEnvironment({
      pod,
      container,
      addresses,
      services: services(),
      allocatable: allocatable(),
      config,
      isNotFound,
      onInvalidNames: (message) =>
        events.event(podIdentity(pod), 'Warning', 'InvalidEnvironmentVariableNames', message),
    });
    const target = pod.spec.ephemeralContainers?.find(
      ({ name }) => name === container.name,
    )?.targetContainerName;
    const targetStatus =
      target === undefined ? undefined : findStatus(await runtimeCache.state(podUid(pod)), target);
    if (target !== undefined && target !== '' && !isRunning(targetStatus))
      throw new Error(`unable to find target container "${target}"`);
    const mounts = await this.#mounts(pod, start, environment, addresses.podIps);
    return containerConfig({
      pod,
      start,
      imageRef: container.image ?? context.imageRef,
      environment,
      mounts,
      resources: containerResources(pod, container, this.#options.memoryCapacity),
      securityContext: linuxSecurityContext({
        pod,
        container,
        image,
        targetContainerId: targetStatus?.id,
        seccompRoot: this.#options.seccompRoot,
      }),
    });
  }

  async resize(pod: Pod, resizes: readonly Resize[]): Promise<void> {
    const { cgroups, runtime, memoryCapacity } = this.#options;
    await cgroups.makeRoom(pod);
    for (const { container, status } of resizes) {
      const { oomScoreAdj: _fixed, ...resources } = containerResources(pod, container, memoryCapacity);
      // No limit is ever taken away (ValidatePodResize), so what has none needs no word for it: crun writes a quota of -1 as
      // an unsigned number, which the kernel refuses.
      await runtime.runtimeService.updateContainerResources(status.id, resources);
    }
    await cgroups.ensure(pod);
  }

  async credentials(pod: Pod, image: string): Promise<readonly RegistryAuth[]> {
    const { config, logger, events } = this.#options;
    const secrets: Secret[] = [];
    const missing: string[] = [];
    for (const { name } of pod.spec.imagePullSecrets ?? []) {
      if (name === undefined || name === '') continue;
      try {
        secrets.push(await config.secret(podNamespace(pod), name));
      } catch {
        missing.push(name);
      }
    }
    if (missing.length > 0)
      events.event(
        podIdentity(pod),
        'Warning',
        'FailedToRetrieveImagePullSecret',
        `Unable to retrieve some image pull secrets (${missing.join(', ')}); attempting to pull the image may not succeed.`,
      );
    return credentialsFor(image, secrets, logger);
  }

  async release(pod: Pod): Promise<void> {
    const { config, tokens, volumes, cgroups } = this.#options;
    const uid = podUid(pod);
    await volumes.tearDown(uid);
    await cgroups.remove(pod);
    config.unregister(uid);
    tokens.forget(uid);
    this.#volumes.delete(uid);
  }

  async forget(pod: Pod): Promise<void> {
    await this.release(pod);
    await rm(this.#options.directories.pod(podUid(pod)), { recursive: true, force: true });
    await rm(this.logDirectory(pod), { recursive: true, force: true });
  }

  /** What is left of a pod that nobody knows any more. Its volumes are unmounted. */
  async removeDirectory(uid: string): Promise<void> {
    await rm(this.#options.directories.pod(uid), { recursive: true, force: true });
  }

  /** `NAMESPACE_NAME_UID`, as log collectors expect it. */
  logDirectory(pod: Pod): string {
    return join(this.#options.podLogsDirectory, `${podNamespace(pod)}_${podName(pod)}_${podUid(pod)}`);
  }

  #ipsOf(pod: Pod, podIps: readonly string[]): readonly string[] {
    return isHostNetwork(pod) ? this.#options.hostIps() : podIps;
  }

  async #mounts(
    pod: Pod,
    start: ContainerToStart,
    environment: ReadonlyMap<string, string>,
    podIps: readonly string[],
  ): Promise<Mount[]> {
    const { directories, mounter } = this.#options;
    const { container } = start;
    const mounts = await containerMounts({
      pod,
      container,
      volumes: this.#volumes.get(podUid(pod)) ?? new Map(),
      environment,
      directories,
      mounter,
      images: await this.#imageVolumes(pod, start),
    });
    const taken = new Set(mounts.map(({ containerPath }) => containerPath));
    if (!taken.has('/etc/hosts') && (podIps.length > 0 || isHostNetwork(pod)))
      mounts.push({
        containerPath: '/etc/hosts',
        hostPath: await this.#hostsFile(pod, podIps),
        readonly: false,
      });
    const messagePath = container.terminationMessagePath ?? '/dev/termination-log';
    if (messagePath !== '') {
      const directory = await terminationDirectory(directories, pod, container);
      const hostPath = join(directory, randomBytes(4).toString('hex'));
      await writeFile(hostPath, '', { mode: 0o666 });
      await chmod(hostPath, 0o666);
      mounts.push({ containerPath: messagePath, hostPath, readonly: false });
    }
    return mounts;
  }

  async #hostsFile(pod: Pod, podIps: readonly string[]): Promise<string> {
    const { directories } = this.#options;
    const path = directories.hostsFile(podUid(pod));
    const { clusterDomain } = await this.#options.dns();
    const content = isHostNetwork(pod)
      ? hostNetworkHostsFile(pod, await readFile('/etc/hosts', 'utf8').catch(() => ''))
      : managedHostsFile(pod, podIps, podHostname(pod, clusterDomain));
    await writeFile(path, content, { mode: 0o644 });
    return path;
  }

  /** Pulls the images of the image volumes that the container mounts; by volume. */
  async #imageVolumes(pod: Pod, start: ContainerToStart): Promise<Map<string, string>> {
    const images = new Map<string, string>();
    for (const { name } of start.container.volumeMounts ?? []) {
      const source = pod.spec.volumes?.find((volume) => volume.name === name)?.image;
      if (source?.reference === undefined) continue;
      const { reference } = source;
      const image = await this.#options.images.ensure({
        pod,
        about: containerIdentity(pod, start.kind, start.container),
        image: reference,
        pullPolicy: source.pullPolicy,
        credentials: () => this.credentials(pod, reference),
        signal: new AbortController().signal,
      });
      images.set(name, image.id);
    }
    return images;
  }

  async #runtimeHandler(pod: Pod): Promise<string> {
    const name = pod.spec.runtimeClassName;
    if (name === undefined || name === '') return '';
    try {
      return (await this.#options.client.resource(nodev1.runtimeClasses).get(name)).handler;
    } catch (error) {
      throw new Error(`failed to get sandbox runtime: ${errorMessage(error)}`, { cause: error });
    }
  }
}

const EMPTY_IMAGE: Pick<Image, 'uid' | 'username'> = {};
