import { chmod, mkdir, readdir, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { corev1 } from '@k8ts/api';
import { isNotFound, parseQuantity, quantityValue } from '@k8ts/apimachinery';
import { type Clock, errorMessage, type Logger } from '@k8ts/base';
import type { Client } from '@k8ts/client';

import type { ConfigObjects } from '../config-objects.ts';
import type { PodAddresses } from '../container/field-ref.ts';
import { PodPreparationError } from '../pod/pod-host.ts';
import { podNamespace, podUid } from '../pod/pod-spec.ts';
import type { Pod, ResourceList, Volume } from '../pod/types.ts';
import { writeAtomically } from './atomic-writer.ts';
import { checkHostPath, exists } from './host-path.ts';
import type { Mounter } from './mount-table.ts';
import { applyFsGroup, matchesFsGroup } from './ownership.ts';
import { volumePayload } from './payload.ts';
import type { PodDirectories } from './pod-directories.ts';
import type { ServiceAccountTokens } from './service-account-tokens.ts';

/** A volume as containers mount it. */
export interface MountedVolume {
  /** Empty for an image volume. */
  readonly path: string;
  /** Whatever the mount says. */
  readonly readonly: boolean;
  readonly image?: string;
  /** Made by the kubelet from the API's data: links inside are its own. */
  readonly generated: boolean;
}

export interface VolumeManagerOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly directories: PodDirectories;
  readonly mounter: Mounter;
  readonly config: ConfigObjects;
  readonly tokens: ServiceAccountTokens;
  readonly addresses: (pod: Pod) => PodAddresses;
  readonly allocatable: () => ResourceList;
}

const PLUGINS: readonly [keyof Volume, string][] = [
  ['configMap', 'configmap'],
  ['secret', 'secret'],
  ['downwardAPI', 'downward-api'],
  ['projected', 'projected'],
];

/** Makes, updates and removes the volumes of pods. */
export class VolumeManager {
  readonly #options: VolumeManagerOptions;

  constructor(options: VolumeManagerOptions) {
    this.#options = options;
  }

  /**
   * Makes all volumes of a pod and brings those with the API's data up to date; twice is harmless. Throws
   * `PodPreparationError` with the first that cannot be made.
   */
  async setUp(pod: Pod): Promise<ReadonlyMap<string, MountedVolume>> {
    const volumes = new Map<string, MountedVolume>();
    for (const volume of pod.spec.volumes ?? []) {
      try {
        volumes.set(volume.name, await this.#setUpVolume(pod, volume));
      } catch (error) {
        if (error instanceof PodPreparationError) throw error;
        throw new PodPreparationError(
          'FailedMount',
          `MountVolume.SetUp failed for volume "${volume.name}" : ${errorMessage(error)}`,
          { cause: error },
        );
      }
    }
    return volumes;
  }

  /** Rewrites what came from the API and has changed there. */
  async refresh(pod: Pod): Promise<void> {
    for (const volume of pod.spec.volumes ?? []) {
      const plugin = PLUGINS.find(([field]) => volume[field] !== undefined);
      if (plugin === undefined) continue;
      try {
        await this.#write(pod, volume, plugin[1]);
      } catch (error) {
        this.#options.logger.warn('Cannot update a volume', {
          volume: volume.name,
          error: errorMessage(error),
        });
      }
    }
  }

  /** Unmounts and removes everything of a pod; twice is harmless, also for a pod that is only known by its directory. */
  async tearDown(uid: string): Promise<void> {
    const { directories, mounter } = this.#options;
    const directory = directories.pod(uid);
    for (const target of await mounter.below(directory)) await mounter.unmount(target);
    // What could not be unmounted must not be emptied: it may be a directory of the host.
    const left = await mounter.below(directory);
    if (left.length > 0) throw new Error(`still mounted: ${left.join(', ')}`);
    await rm(directories.volumes(uid), { recursive: true, force: true });
    await rm(directories.subPaths(uid), { recursive: true, force: true });
  }

  /** Pods of which something is on the disk. */
  async podUids(): Promise<string[]> {
    return readdir(this.#options.directories.pods).catch(() => []);
  }

  async #setUpVolume(pod: Pod, volume: Volume): Promise<MountedVolume> {
    const plugin = PLUGINS.find(([field]) => volume[field] !== undefined);
    if (plugin !== undefined)
      return { path: await this.#write(pod, volume, plugin[1]), readonly: true, generated: true };
    if (volume.emptyDir !== undefined) return this.#emptyDir(pod, volume, volume.emptyDir);
    if (volume.hostPath !== undefined) {
      await checkHostPath(volume.hostPath.path, volume.hostPath.type ?? '');
      return { path: volume.hostPath.path, readonly: false, generated: false };
    }
    if (volume.image !== undefined)
      return { path: '', readonly: true, generated: false, image: volume.image.reference ?? '' };
    if (volume.persistentVolumeClaim !== undefined)
      return this.#claim(
        pod,
        volume.persistentVolumeClaim.claimName,
        volume.persistentVolumeClaim.readOnly === true,
      );
    if (volume.ephemeral !== undefined) return this.#claim(pod, `${pod.metadata.name}-${volume.name}`, false);
    const kind = Object.keys(volume).find((field) => field !== 'name') ?? 'unknown';
    throw new Error(`no volume plugin matched: ${kind}`);
  }

  async #write(pod: Pod, volume: Volume, plugin: string): Promise<string> {
    const { clock, config, tokens, directories } = this.#options;
    const path = directories.volume(podUid(pod), plugin, volume.name);
    const files = await volumePayload(
      {
        pod,
        addresses: this.#options.addresses(pod),
        allocatable: this.#options.allocatable(),
        config,
        tokens,
        isNotFound,
      },
      volume,
    );
    await mkdir(path, { recursive: true });
    await chmod(path, 0o777);
    const gid = pod.spec.securityContext?.fsGroup;
    await writeAtomically(path, files, clock.now(), async (directory) => {
      if (gid !== undefined) await applyFsGroup(directory, gid, true);
    });
    return path;
  }

  async #emptyDir(pod: Pod, volume: Volume, source: corev1.EmptyDirVolumeSource): Promise<MountedVolume> {
    const { directories, mounter } = this.#options;
    const path = directories.volume(podUid(pod), 'empty-dir', volume.name);
    const mounted = { path, readonly: false, generated: false };
    const isNew = (await mkdir(path, { recursive: true })) !== undefined;
    const medium = source.medium ?? '';
    if (medium !== '' && medium !== 'Memory') throw new Error(`unknown storage medium "${medium}"`);
    if (medium === 'Memory' && !(await mounter.below(path)).includes(path)) {
      const limit = source.sizeLimit === undefined ? 0 : quantityValue(parseQuantity(source.sizeLimit));
      await mounter.mountTmpfs(path, limit === 0 ? undefined : limit);
    } else if (!isNew) {
      return mounted;
    }
    await chmod(path, 0o777);
    const gid = pod.spec.securityContext?.fsGroup;
    if (gid !== undefined) await applyFsGroup(path, gid, false);
    return mounted;
  }

  /** A claim that is bound to a volume on this node: hostPath or local. */
  async #claim(pod: Pod, claimName: string, readonly: boolean): Promise<MountedVolume> {
    const { client } = this.#options;
    const namespace = podNamespace(pod);
    const claim = await client.resource(corev1.persistentVolumeClaims, namespace).get(claimName);
    const volumeName = claim.spec?.volumeName ?? '';
    if (claim.status?.phase !== 'Bound' || volumeName === '')
      throw new Error(`error processing PVC ${namespace}/${claimName}: PVC is not bound`);
    if ((claim.spec?.volumeMode ?? 'Filesystem') !== 'Filesystem')
      throw new Error(`error processing PVC ${namespace}/${claimName}: block volumes need volumeDevices`);
    const { spec } = await client.resource(corev1.persistentVolumes).get(volumeName);
    const ref = spec?.claimRef;
    if (ref?.uid !== undefined && ref.uid !== claim.metadata.uid)
      throw new Error(`PVC ${namespace}/${claimName} is not bound to PV ${volumeName}`);
    const path = spec?.hostPath?.path ?? spec?.local?.path;
    if (path === undefined) throw new Error(`no volume plugin matched PV ${volumeName}`);
    if (spec?.hostPath !== undefined) await checkHostPath(path, spec.hostPath.type ?? '');
    if (spec?.local !== undefined && !(await exists(path)))
      throw new PodPreparationError(
        'FailedMount',
        `MountVolume.NewMounter initialization failed for volume "${volumeName}" : path "${path}" does not exist`,
      );
    const gid = pod.spec.securityContext?.fsGroup;
    // Upstream gives local volumes to the fsGroup, and leaves hostPath volumes alone.
    if (gid !== undefined && spec?.local !== undefined && !readonly) {
      const onMismatch = pod.spec.securityContext?.fsGroupChangePolicy === 'OnRootMismatch';
      if (!onMismatch || !(await matchesFsGroup(path, gid, false))) await applyFsGroup(path, gid, false);
    }
    return { path, readonly, generated: false };
  }
}

/** What a generated volume's visible name really is, so that a subPath can be opened without following links. */
export async function resolveGenerated(volume: string, subPath: string): Promise<string> {
  const data = await readlink(join(volume, '..data')).catch(() => undefined);
  return data === undefined ? subPath : join(data, subPath);
}
