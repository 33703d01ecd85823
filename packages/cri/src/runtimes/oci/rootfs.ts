import { mkdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { runCommand } from '@k8ts/base';
import { copyLayers } from './copy-layers.ts';

/** The kernel takes one page of mount options. */
const OPTIONS_LIMIT = 4000;

export interface RootfsRequest {
  /** Lowest first. */
  readonly layers: readonly string[];
  /** Directory above all layers, so that their paths in the mount's options are short. */
  readonly layersRoot: string;
  /** Where `upper` and `work` go, or the copied files. */
  readonly state: string;
  readonly target: string;
  readonly overlay: boolean;
}

/** Makes a container's root file system at `target`: an overlay on the image's layers, or a copy of them. */
export async function mountRootfs(request: RootfsRequest): Promise<void> {
  const { layers, state, target } = request;
  await mkdir(target, { recursive: true, mode: 0o755 });
  if (!request.overlay) {
    const copy = join(state, 'rootfs');
    await copyLayers(layers, copy);
    await runCommand('mount', ['--bind', copy, target]);
    return;
  }
  const upper = join(state, 'upper');
  const work = join(state, 'work');
  await mkdir(upper, { recursive: true, mode: 0o755 });
  await mkdir(work, { recursive: true, mode: 0o700 });
  const options = overlayOptions(layers, request.layersRoot);
  await runCommand(
    'mount',
    ['-t', 'overlay', 'overlay', '-o', `${options},upperdir=${upper},workdir=${work}`, target],
    {
      cwd: request.layersRoot,
    },
  );
}

/** Mounts an image's content read-only. */
export async function mountImageReadonly(
  layers: readonly string[],
  layersRoot: string,
  target: string,
): Promise<void> {
  await mkdir(target, { recursive: true, mode: 0o755 });
  const [only] = layers;
  if (only !== undefined && layers.length === 1) {
    await runCommand('mount', ['--bind', '-o', 'ro', only, target]);
    return;
  }
  const options = overlayOptions(layers, layersRoot);
  await runCommand('mount', ['-t', 'overlay', 'overlay', '-o', `ro,${options}`, target], { cwd: layersRoot });
}

function overlayOptions(layers: readonly string[], layersRoot: string): string {
  if (layers.length === 0) throw new Error('the image has no layers');
  // Highest first. Relative to the working directory of `mount`.
  const lower = layers
    .map((layer) => relative(layersRoot, layer))
    .reverse()
    .join(':');
  const options = `lowerdir=${lower}`;
  if (options.length > OPTIONS_LIMIT)
    throw new Error(`an image of ${layers.length} layers is too deep for one overlay mount`);
  return options;
}

/** Unmounts `target` and whatever is mounted below it. Not mounted is fine. */
export async function unmount(target: string): Promise<void> {
  if (!(await isMounted(target))) return;
  await runCommand('umount', ['--lazy', '--recursive', target]).catch(async (error: unknown) => {
    if (await isMounted(target)) throw error;
  });
}

export async function isMounted(target: string): Promise<boolean> {
  return (await mountpoints()).has(target);
}

/** All mount points of this mount namespace. */
export async function mountpoints(): Promise<ReadonlySet<string>> {
  const points = new Set<string>();
  for (const line of (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')) {
    const path = line.split(' ')[4];
    // Blanks and backslashes are written in octal.
    if (path !== undefined)
      points.add(path.replace(/\\(\d{3})/g, (_, code: string) => String.fromCharCode(parseInt(code, 8))));
  }
  return points;
}
