import { chmod, lstat, mkdir } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';

import type { Mount } from '@k8ts/cri';

import { expandStrictly } from '../container/expansion.ts';
import { podUid } from '../pod/pod-spec.ts';
import type { Container, Pod, VolumeMount } from '../pod/types.ts';
import type { Mounter } from './mount-table.ts';
import type { PodDirectories } from './pod-directories.ts';
import { bindSubPath, subPathTarget } from './sub-path.ts';
import { type MountedVolume, resolveGenerated } from './volume-manager.ts';

export interface MountsInput {
  readonly pod: Pod;
  readonly container: Container;
  readonly volumes: ReadonlyMap<string, MountedVolume>;
  readonly environment: ReadonlyMap<string, string>;
  readonly directories: PodDirectories;
  readonly mounter: Mounter;
  /** Images of image volumes as the image manager resolved them, by volume. */
  readonly images: ReadonlyMap<string, string>;
}

const PROPAGATION = {
  HostToContainer: 'HOST_TO_CONTAINER',
  Bidirectional: 'BIDIRECTIONAL',
  None: 'PRIVATE',
} as const;

/** A container's mounts of its pod's volumes (makeMounts in pkg/kubelet/kubelet_pods.go); texts are upstream's. */
export async function containerMounts(input: MountsInput): Promise<Mount[]> {
  const mounts: Mount[] = [];
  for (const [index, mount] of (input.container.volumeMounts ?? []).entries())
    mounts.push(await oneMount(input, mount, index));
  return mounts;
}

async function oneMount(input: MountsInput, mount: VolumeMount, index: number): Promise<Mount> {
  const volume = input.volumes.get(mount.name);
  if (volume === undefined)
    throw new Error(`cannot find volume "${mount.name}" to mount into container "${input.container.name}"`);
  const subPath = subPathOf(input, mount);
  const containerPath = isAbsolute(mount.mountPath) ? mount.mountPath : join('/', mount.mountPath);
  const readonly = mount.readOnly === true || volume.readonly;
  if (volume.image !== undefined)
    return {
      containerPath,
      hostPath: '',
      readonly: true,
      image: input.images.get(mount.name) ?? volume.image,
      ...(subPath === '' ? {} : { imageSubPath: subPath }),
    };
  const recursive = mount.recursiveReadOnly === 'Enabled' || mount.recursiveReadOnly === 'IfPossible';
  const propagation = PROPAGATION[mount.mountPropagation ?? 'None'];
  return {
    containerPath,
    hostPath: subPath === '' ? volume.path : await boundSubPath(input, mount, volume, subPath, index),
    readonly,
    ...(propagation === undefined ? {} : { propagation }),
    ...(recursive && readonly ? { recursiveReadonly: true } : {}),
  };
}

function subPathOf({ environment }: MountsInput, mount: VolumeMount): string {
  let subPath = mount.subPath ?? '';
  if (mount.subPathExpr !== undefined && mount.subPathExpr !== '') {
    const { text, missing } = expandStrictly(mount.subPathExpr, environment);
    if (missing.length > 0) throw new Error(`missing value for "${missing[0]}"`);
    subPath = text;
  }
  if (isAbsolute(subPath)) throw new Error(`error SubPath \`${subPath}\` must not be an absolute path`);
  if (subPath.split('/').includes('..'))
    throw new Error(`unable to provision SubPath \`${subPath}\`: must not contain '..'`);
  return subPath;
}

async function boundSubPath(
  { pod, container, directories, mounter }: MountsInput,
  mount: VolumeMount,
  volume: MountedVolume,
  subPath: string,
  index: number,
): Promise<string> {
  try {
    const inside = volume.generated ? await resolveGenerated(volume.path, subPath) : subPath;
    // What came from the API is complete; elsewhere a missing directory is made like the volume's own.
    const mode = volume.generated ? undefined : (await lstat(volume.path)).mode & 0o777;
    const target = subPathTarget(directories.subPaths(podUid(pod)), mount.name, container.name, index);
    return await bindSubPath(mounter, volume.path, inside, target, mode);
  } catch (error) {
    throw new Error(
      `failed to prepare subPath for volumeMount "${mount.name}" of container "${container.name}"`,
      {
        cause: error,
      },
    );
  }
}

/** The directory that a container's termination messages lie in. */
export async function terminationDirectory(
  directories: PodDirectories,
  pod: Pod,
  container: Container,
): Promise<string> {
  const path = directories.container(podUid(pod), container.name);
  await mkdir(path, { recursive: true });
  await chmod(path, 0o750);
  return path;
}
