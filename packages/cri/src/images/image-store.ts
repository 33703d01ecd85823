import { createReadStream } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { errorMessage } from '@k8ts/base';
import type { Clock, Logger } from '@k8ts/base';
import type { FilesystemUsage, Image } from '../contract.ts';
import { isNotFound, writeFileAtomic } from '../files/atomic-file.ts';
import { sha256 } from './digest.ts';
import { parseImageConfig } from './image-config.ts';
import type { ImageConfig } from './image-config.ts';
import { DIGEST, normalizeReference } from './reference.ts';
import { unpackLayer } from './unpack-layer.ts';
import type { LayerLimits } from './unpack-layer.ts';

/** An image that is here whole. */
export interface ImageRecord {
  /** `sha256:…` of the configuration. */
  readonly id: string;
  /** Full names with tags. */
  readonly repoTags: readonly string[];
  /** Full names with the digest of the manifest. */
  readonly repoDigests: readonly string[];
  /** Bytes of the uncompressed layers and the configuration. */
  readonly size: number;
  readonly diffIds: readonly string[];
  readonly user: string;
  readonly pinned: boolean;
}

export interface ImageStoreOptions {
  readonly directory: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits?: Partial<ImageLimits>;
  /** DiffIDs of layers that containers stand on; the collection spares them. */
  readonly layersInUse?: () => Promise<ReadonlySet<string>>;
}

export interface ImageLimits {
  /** Bytes of one uncompressed layer. */
  readonly layerBytes: number;
  readonly layerEntries: number;
  /** Bytes of one downloaded image, or one imported archive. */
  readonly imageBytes: number;
  /** Bytes of a manifest or configuration. */
  readonly documentBytes: number;
}

const DEFAULT_IMAGE_LIMITS: ImageLimits = {
  layerBytes: 32 * 1024 ** 3,
  layerEntries: 1_000_000,
  imageBytes: 64 * 1024 ** 3,
  documentBytes: 4 * 1024 ** 2, // what registries take at most (distribution-spec, pushing manifests)
};

/** A complete image to put into the store: its configuration and where its layers come from, lowest first. */
export interface NewImage {
  readonly config: Buffer;
  readonly openLayer: (index: number) => Promise<Readable>;
  readonly repoTags: readonly string[];
  readonly repoDigests: readonly string[];
}

/**
 * Images below one directory:
 *
 *     images.json           which images there are, by their ids, with their names
 *     configs/<hex>.json    image configurations; the file's sha256 is the image's id
 *     layers/<hex>/fs       unpacked layers by diffID, shared by images; layers/<hex>/layer.json their facts
 *     tmp/                  what is being made; emptied at the start
 *
 * Everything is made in `tmp` and renamed into place, and a layer is put down before the image that needs it, so a kill
 * at any moment leaves at most a layer nobody uses, which the next collection takes away.
 */
export class ImageStore {
  readonly directory: string;
  readonly limits: ImageLimits;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly #layersInUse: () => Promise<ReadonlySet<string>>;
  readonly #images = new Map<string, ImageRecord>();
  /** Layers that are being unpacked; a second image that needs one waits for the first. */
  readonly #unpacking = new Map<string, Promise<void>>();
  /** Layers that an image which is not complete yet will need; the collection spares them. */
  readonly #claims = new Map<string, number>();
  readonly #configs = new Map<string, ImageConfig>();
  #saving: Promise<void> = Promise.resolve();
  #temporaries = 0;

  private constructor(options: ImageStoreOptions) {
    this.directory = options.directory;
    this.clock = options.clock;
    this.logger = options.logger;
    this.limits = { ...DEFAULT_IMAGE_LIMITS, ...options.limits };
    this.#layersInUse = options.layersInUse ?? (() => Promise.resolve(new Set()));
  }

  /** Reads what is there and clears what was under way. Rejects when `images.json` cannot be read. */
  static async open(options: ImageStoreOptions): Promise<ImageStore> {
    const store = new ImageStore(options);
    await rm(store.#path('tmp'), { recursive: true, force: true });
    for (const name of ['tmp', 'configs', 'layers'])
      await mkdir(store.#path(name), { recursive: true, mode: 0o711 });
    try {
      const saved = JSON.parse(await readFile(store.#path('images.json'), 'utf8')) as {
        images: ImageRecord[];
      };
      for (const image of saved.images) store.#images.set(image.id, image);
    } catch (error) {
      if (!isNotFound(error))
        throw new Error(`${store.#path('images.json')} cannot be read`, { cause: error });
    }
    return store;
  }

  list(): readonly ImageRecord[] {
    return [...this.#images.values()];
  }

  /** By id, by a unique beginning of the id of at least 12 digits, or by name. Undefined when it is not here. */
  find(nameOrId: string): ImageRecord | undefined {
    const hex = nameOrId.startsWith('sha256:') ? nameOrId.slice(7) : nameOrId;
    if (/^[0-9a-f]{12,64}$/.test(hex)) {
      const found = this.list().filter((image) => image.id.startsWith(`sha256:${hex}`));
      if (found.length === 1) return found[0];
      if (nameOrId.startsWith('sha256:')) return undefined;
    }
    let reference: string;
    try {
      reference = normalizeReference(nameOrId);
    } catch {
      return undefined;
    }
    for (const image of this.#images.values()) {
      if (image.repoTags.includes(reference) || image.repoDigests.includes(reference)) return image;
    }
    return undefined;
  }

  /** An image's layers, lowest first. */
  layers(image: ImageRecord): readonly string[] {
    return image.diffIds.map((diffId) => this.#layerPath(diffId, 'fs'));
  }

  /** Above all layers. */
  get layersRoot(): string {
    return this.#path('layers');
  }

  async config(image: ImageRecord): Promise<ImageConfig> {
    let config = this.#configs.get(image.id);
    if (config === undefined) {
      const text = await readFile(this.#path(`configs/${hexOf(image.id)}.json`), 'utf8');
      if (sha256(text) !== image.id) throw new Error(`the configuration of image ${image.id} is damaged`);
      config = parseImageConfig(text);
      this.#configs.set(image.id, config);
    }
    return config;
  }

  /** Unpacks what is not here yet and records the image. Layers and configuration are verified by their digests. */
  async add(image: NewImage): Promise<ImageRecord> {
    const config = parseImageConfig(image.config.toString('utf8'));
    const id = sha256(image.config);
    for (const diffId of config.diffIds) this.#claims.set(diffId, (this.#claims.get(diffId) ?? 0) + 1);
    try {
      let size = image.config.length;
      for (const [index, diffId] of config.diffIds.entries()) {
        await this.#ensureLayer(diffId, () => image.openLayer(index));
        size += await this.#layerSize(diffId);
      }
      await writeFileAtomic(this.#path(`configs/${hexOf(id)}.json`), image.config, { mode: 0o644 });
      this.#untag([...image.repoTags]);
      const known = this.#images.get(id);
      const added: ImageRecord = {
        id,
        repoTags: union(known?.repoTags, image.repoTags),
        repoDigests: union(known?.repoDigests, image.repoDigests),
        size,
        diffIds: config.diffIds,
        user: config.config.User ?? '',
        pinned: known?.pinned ?? false,
      };
      this.#images.set(id, added);
      await this.#save();
      return added;
    } finally {
      for (const diffId of config.diffIds) {
        const claims = (this.#claims.get(diffId) ?? 1) - 1;
        if (claims === 0) this.#claims.delete(diffId);
        else this.#claims.set(diffId, claims);
      }
    }
  }

  /** Whether a layer is unpacked already, so that it need not be fetched. */
  async hasLayer(diffId: string): Promise<boolean> {
    return (await this.#layerSize(diffId)) >= 0;
  }

  /** Gives an image another name, which another image may lose by it. */
  async tag(nameOrId: string, name: string): Promise<void> {
    const image = this.find(nameOrId);
    if (image === undefined) throw new Error(`image ${JSON.stringify(nameOrId)}: not found`);
    const reference = normalizeReference(name);
    if (reference.includes('@')) throw new Error(`a tag cannot be a digest: ${reference}`);
    this.#untag([reference]);
    const current = this.#images.get(image.id) ?? image;
    this.#images.set(image.id, { ...current, repoTags: union(current.repoTags, [reference]) });
    await this.#save();
  }

  /** Spared by `removeUnused` and by the kubelet's collection. */
  async pin(nameOrId: string, pinned: boolean): Promise<void> {
    const image = this.find(nameOrId);
    if (image === undefined) throw new Error(`image ${JSON.stringify(nameOrId)}: not found`);
    this.#images.set(image.id, { ...image, pinned });
    await this.#save();
  }

  /** Removes the image with all its names. Its layers stay while something uses them (`inUse`: diffIDs). */
  async remove(nameOrId: string, inUse: ReadonlySet<string> = new Set()): Promise<void> {
    const image = this.find(nameOrId);
    if (image === undefined) return;
    this.#images.delete(image.id);
    this.#configs.delete(image.id);
    await this.#save();
    await this.collect(inUse);
  }

  /** Takes away layers and configurations that belong to no image. */
  async collect(inUse: ReadonlySet<string> = new Set()): Promise<void> {
    const layers = new Set([
      ...inUse,
      ...(await this.#layersInUse()),
      ...this.#claims.keys(),
      ...this.#unpacking.keys(),
    ]);
    for (const image of this.#images.values()) for (const diffId of image.diffIds) layers.add(diffId);
    for (const name of await readdir(this.#path('layers'))) {
      if (layers.has(`sha256:${name}`)) continue;
      // Renamed first: a half-removed layer must not look like a whole one.
      const doomed = this.temporaryPath('removed');
      await rename(this.#path(`layers/${name}`), doomed);
      await rm(doomed, { recursive: true, force: true });
    }
    for (const name of await readdir(this.#path('configs'))) {
      if (!this.#images.has(`sha256:${name.replace(/\.json$/, '')}`)) await rm(this.#path(`configs/${name}`));
    }
  }

  async usage(): Promise<FilesystemUsage> {
    const layers = new Set(this.list().flatMap((image) => image.diffIds));
    let usedBytes = 0;
    for (const diffId of layers) usedBytes += Math.max(0, await this.#layerSize(diffId));
    return { mountpoint: this.directory, usedBytes, inodesUsed: layers.size };
  }

  /** A path nobody else uses, on the store's file system; gone at the next start. */
  temporaryPath(kind: string): string {
    return this.#path(`tmp/${kind}-${this.#temporaries++}`);
  }

  async #ensureLayer(diffId: string, open: () => Promise<Readable>): Promise<void> {
    for (;;) {
      if (await this.hasLayer(diffId)) return;
      const running = this.#unpacking.get(diffId);
      if (running === undefined) break;
      // When the other one fails, this image tries with its own source.
      await running.catch(() => undefined);
    }
    const work = this.#unpackLayer(diffId, open).finally(() => this.#unpacking.delete(diffId));
    this.#unpacking.set(diffId, work);
    await work;
  }

  async #unpackLayer(diffId: string, open: () => Promise<Readable>): Promise<void> {
    const directory = this.temporaryPath('layer');
    const limits: LayerLimits = { bytes: this.limits.layerBytes, entries: this.limits.layerEntries };
    try {
      await mkdir(directory, { mode: 0o711 });
      const layer = await unpackLayer(await open(), join(directory, 'fs'), limits, this.logger);
      if (layer.diffId !== diffId) {
        throw new Error(`wrong diff id calculated on extraction "${layer.diffId}", expected "${diffId}"`);
      }
      await writeFileAtomic(
        join(directory, 'layer.json'),
        JSON.stringify({ size: layer.size, opaque: layer.opaque }),
      );
      await rename(directory, this.#layerPath(diffId));
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** -1 when the layer is not here. */
  async #layerSize(diffId: string): Promise<number> {
    try {
      const text = await readFile(this.#layerPath(diffId, 'layer.json'), 'utf8');
      return (JSON.parse(text) as { size: number }).size;
    } catch (error) {
      if (isNotFound(error)) return -1;
      throw error;
    }
  }

  #layerPath(diffId: string, ...below: string[]): string {
    return join(this.#path('layers'), hexOf(diffId), ...below);
  }

  /** A name belongs to one image: the others lose it, and one that has no name left stays as a nameless image. */
  #untag(references: readonly string[]): void {
    for (const image of this.#images.values()) {
      const repoTags = image.repoTags.filter((tag) => !references.includes(tag));
      if (repoTags.length !== image.repoTags.length) this.#images.set(image.id, { ...image, repoTags });
    }
  }

  #save(): Promise<void> {
    const save = async (): Promise<void> => {
      const text = JSON.stringify({ images: this.list() }, undefined, 1);
      await writeFileAtomic(this.#path('images.json'), text, { mode: 0o644, sync: true });
    };
    this.#saving = this.#saving.then(save, save);
    return this.#saving;
  }

  #path(name: string): string {
    return join(this.directory, name);
  }
}

/** The CRI's view of an image. */
export function criImage(image: ImageRecord): Image {
  const user = image.user.split(':')[0] ?? '';
  return {
    id: image.id,
    repoTags: image.repoTags,
    repoDigests: image.repoDigests,
    size: image.size,
    ...(/^\d+$/.test(user) ? { uid: Number(user) } : user !== '' && { username: user }),
    pinned: image.pinned,
  };
}

function hexOf(digest: string): string {
  if (!DIGEST.test(digest)) throw new Error(`not a sha256 digest: ${JSON.stringify(digest)}`);
  return digest.slice('sha256:'.length);
}

function union(first: readonly string[] | undefined, second: readonly string[]): readonly string[] {
  return [...new Set([...(first ?? []), ...second])];
}

/** Opens a file as a stream, failing at once when it is not there. */
export async function openFile(path: string): Promise<Readable> {
  await stat(path).catch((error: unknown) => {
    throw new Error(`cannot read ${path}: ${errorMessage(error)}`, { cause: error });
  });
  return createReadStream(path);
}
