import { lstat, mkdir, readFile, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runCommand } from '@k8ts/base';

/**
 * Makes a root file system by copying layers over each other, for places where no overlay can be mounted (an overlay
 * below already, a file system without extended attributes). Slower to start, and every container has its own copy.
 */
export async function copyLayers(layers: readonly string[], target: string): Promise<void> {
  await rm(target, { recursive: true, force: true });
  await mkdir(target, { recursive: true, mode: 0o755 });
  for (const [index, layer] of layers.entries()) {
    if (index > 0) {
      // In this order: afterwards no parent of an opaque directory is a link that leads elsewhere.
      await clearPlaces(layer, target);
      for (const path of await opaqueDirectories(layer)) await empty(join(target, path));
    }
    // `cp -a` copies whiteout devices too; they are taken away behind it.
    await runCommand('cp', ['--archive', '--reflink=auto', `${layer}/.`, target]);
    await removeWhiteouts(layer, target);
  }
}

/** Removes from `target` what the layer hides or replaces. */
async function clearPlaces(layer: string, target: string): Promise<void> {
  for (const entry of await readdir(layer, { withFileTypes: true })) {
    const below = join(target, entry.name);
    const existing = await lstat(below).catch(() => undefined);
    if (existing === undefined) continue;
    // Whatever is not a directory in both goes: `cp` would follow a link that is in its place, out to the node's files.
    if (entry.isDirectory() && existing.isDirectory()) await clearPlaces(join(layer, entry.name), below);
    else await rm(below, { recursive: true, force: true });
  }
}

async function removeWhiteouts(layer: string, target: string): Promise<void> {
  for (const entry of await readdir(layer, { withFileTypes: true })) {
    const path = join(layer, entry.name);
    if (entry.isDirectory()) await removeWhiteouts(path, join(target, entry.name));
    else if (entry.isCharacterDevice() && (await lstat(path)).rdev === 0)
      await rm(join(target, entry.name), { force: true });
  }
}

/** Node cannot read extended attributes; the image store wrote down beside the layer which directories are opaque. */
async function opaqueDirectories(layer: string): Promise<readonly string[]> {
  const facts = JSON.parse(await readFile(join(dirname(layer), 'layer.json'), 'utf8')) as {
    opaque?: readonly string[];
  };
  return facts.opaque ?? [];
}

/** Only a real directory: a link at its place may lead elsewhere. */
async function empty(directory: string): Promise<void> {
  const info = await lstat(directory).catch(() => undefined);
  if (!info?.isDirectory()) return;
  for (const name of await readdir(directory))
    await rm(join(directory, name), { recursive: true, force: true });
}
