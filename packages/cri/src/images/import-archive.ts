import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract } from 'tar-stream';
import { decompressed } from './decompress.ts';
import { DigestStream } from './digest.ts';
import { parseImageConfig, parseJson, record, strings, text } from './image-config.ts';
import { openFile } from './image-store.ts';
import type { ImageRecord, ImageStore } from './image-store.ts';
import { choosePlatform, parseIndex, parseManifest } from './manifest.ts';
import type { Platform } from './manifest.ts';
import { formatReference, normalizeReference, parseReference } from './reference.ts';
import { TarGuard } from './tar-guard.ts';

export interface ImportOptions {
  /** Name for an image that the archive does not name; also a second name for one that it does. */
  readonly tag?: string;
  readonly platform?: Platform;
}

const ENTRY_LIMIT = 10_000;

/**
 * Imports every image of an archive: `docker save`'s or an OCI layout's, as a tar, plain or compressed. Returns the images
 * in the archive's order. Throws when it is neither, or when a digest is wrong; what is in the store stays as it was then.
 */
export async function importImageArchive(
  store: ImageStore,
  archive: string | Readable,
  options: ImportOptions = {},
): Promise<readonly ImageRecord[]> {
  const directory = store.temporaryPath('archive');
  try {
    const input = typeof archive === 'string' ? await openFile(archive) : archive;
    const files = await unpackArchive(input, directory, store.limits.imageBytes);
    const manifest = files.get('manifest.json');
    if (manifest !== undefined) return await importDocker(store, files, manifest, options);
    if (files.has('index.json') && files.has('oci-layout')) return await importLayout(store, files, options);
    throw new Error(
      'this is no image archive: it has neither manifest.json (docker save) nor index.json (OCI layout)',
    );
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

interface ArchiveFile {
  readonly path: string;
  readonly digest: string;
  readonly size: number;
}

/** Puts an archive's files down under numbers, so that no name of the archive becomes a path of ours. */
async function unpackArchive(
  input: Readable,
  directory: string,
  limit: number,
): Promise<ReadonlyMap<string, ArchiveFile>> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const files = new Map<string, ArchiveFile>();
  const links = new Map<string, string>();
  const entries = extract();
  const feeding = pipeline(
    await decompressed(input),
    new DigestStream('the archive', limit),
    new TarGuard(ENTRY_LIMIT),
    entries,
  );
  feeding.catch((error: unknown) => entries.destroy(error as Error));
  try {
    for await (const entry of entries) {
      const name = normalPath(entry.header.name);
      if (entry.header.type === 'file') {
        const path = join(directory, String(files.size));
        const digest = new DigestStream(name, limit);
        await pipeline(entry, digest, createWriteStream(path, { mode: 0o600 }));
        files.set(name, { path, digest: digest.digest(), size: digest.size });
      } else {
        if (entry.header.type === 'symlink' || entry.header.type === 'link') {
          const base = entry.header.type === 'link' ? '' : name.slice(0, name.lastIndexOf('/') + 1);
          links.set(name, normalPath(base + (entry.header.linkname ?? '')));
        }
        entry.resume();
      }
    }
  } catch (error) {
    entries.destroy();
    await feeding; // rejects with the cause when it was the input
    throw error;
  }
  await feeding;
  // Older `docker save` writes a layer that two images share once, and links to it from the other.
  for (const [name, target] of links) {
    const file = files.get(target);
    if (file !== undefined) files.set(name, file);
  }
  return files;
}

/** `./a/../b` → `b`. */
function normalPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

/** https://github.com/moby/docker-image-spec: `manifest.json` is a list of {Config, RepoTags, Layers}. */
async function importDocker(
  store: ImageStore,
  files: ReadonlyMap<string, ArchiveFile>,
  manifest: ArchiveFile,
  options: ImportOptions,
): Promise<readonly ImageRecord[]> {
  const list = parseJson(await readDocument(store, manifest, 'manifest.json'));
  if (!Array.isArray(list) || list.length === 0) throw new Error('manifest.json lists no images');
  const images: ImageRecord[] = [];
  for (const [index, item] of list.entries()) {
    const entry = record(item, 'manifest.json: an entry');
    const layers = strings(entry['Layers'], 'manifest.json: Layers') ?? [];
    const config = Buffer.from(
      await readDocument(
        store,
        archiveFile(files, text(entry['Config'], 'manifest.json: Config') ?? ''),
        'Config',
      ),
    );
    requireLayerCount(config, layers.length);
    const tags = (strings(entry['RepoTags'], 'manifest.json: RepoTags') ?? []).map(normalizeReference);
    if (options.tag !== undefined && index === 0) tags.push(normalizeReference(options.tag));
    const layerFiles = layers.map((name) => archiveFile(files, name));
    images.push(
      await store.add({
        config,
        openLayer: async (layer) => createReadStream((layerFiles[layer] as ArchiveFile).path),
        repoTags: tags,
        repoDigests: [],
      }),
    );
  }
  return images;
}

/** https://github.com/opencontainers/image-spec/blob/main/image-layout.md */
async function importLayout(
  store: ImageStore,
  files: ReadonlyMap<string, ArchiveFile>,
  options: ImportOptions,
): Promise<readonly ImageRecord[]> {
  const document = async (digest: string, what: string): Promise<string> =>
    readDocument(store, blob(files, digest), what);
  const index = parseIndex(await readDocument(store, archiveFile(files, 'index.json'), 'index.json'));
  const images: ImageRecord[] = [];
  for (const [position, listed] of index.entries()) {
    let digest = listed.digest;
    // An entry is a manifest, or an index of manifests by platform; a layout may nest them once.
    const kind = record(parseJson(await document(digest, 'manifest')), 'manifest');
    if (Array.isArray(kind['manifests'])) {
      digest = choosePlatform(parseIndex(await document(digest, 'index')), options.platform).digest;
    }
    const manifest = parseManifest(await document(digest, 'manifest'));
    const config = Buffer.from(await document(manifest.config.digest, 'configuration'));
    requireLayerCount(config, manifest.layers.length);
    const names: string[] = [];
    const named =
      listed.annotations['io.containerd.image.name'] ??
      listed.annotations['org.opencontainers.image.ref.name'];
    if (named !== undefined && /[/:]/.test(named)) names.push(normalizeReference(named));
    if (options.tag !== undefined && position === 0) names.push(normalizeReference(options.tag));
    images.push(
      await store.add({
        config,
        openLayer: async (layer) => createReadStream(blob(files, manifest.layers[layer]?.digest ?? '').path),
        repoTags: names.filter((name) => !name.includes('@')),
        repoDigests: names.map((name) => {
          const { registry, repository } = parseReference(name);
          return formatReference({ registry, repository, digest: listed.digest });
        }),
      }),
    );
  }
  return images;
}

function blob(files: ReadonlyMap<string, ArchiveFile>, digest: string): ArchiveFile {
  const file = archiveFile(files, `blobs/${digest.replace(':', '/')}`);
  if (file.digest !== digest) throw new Error(`the archive's blob ${digest} has the digest ${file.digest}`);
  return file;
}

function archiveFile(files: ReadonlyMap<string, ArchiveFile>, name: string): ArchiveFile {
  const file = files.get(normalPath(name));
  if (file === undefined) throw new Error(`the archive has no file ${JSON.stringify(name)}`);
  return file;
}

async function readDocument(store: ImageStore, file: ArchiveFile, what: string): Promise<string> {
  if (file.size > store.limits.documentBytes) throw new Error(`${what} is too large: ${file.size} bytes`);
  return readFile(file.path, 'utf8');
}

function requireLayerCount(config: Buffer, layers: number): void {
  const { diffIds } = parseImageConfig(config.toString('utf8'));
  if (diffIds.length !== layers) {
    throw new Error(`the image has ${layers} layers, but its configuration speaks of ${diffIds.length}`);
  }
}
