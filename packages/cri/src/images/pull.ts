import { createReadStream } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { errorMessage } from '@k8ts/base';
import { ImagePullError } from '../contract.ts';
import type { RegistryAuth } from '../contract.ts';
import { sha256 } from './digest.ts';
import { parseImageConfig } from './image-config.ts';
import type { ImageRecord, ImageStore } from './image-store.ts';
import { choosePlatform, INDEX_TYPES, MANIFEST_TYPES, parseIndex, parseManifest } from './manifest.ts';
import type { Descriptor, Platform } from './manifest.ts';
import { formatReference, parseReference } from './reference.ts';
import type { ImageReference } from './reference.ts';
import { RegistryClient, RegistryError } from './registry-client.ts';

export interface PullOptions {
  readonly auth?: RegistryAuth;
  readonly platform?: Platform;
  readonly signal?: AbortSignal;
}

/** So many layers of one image are fetched at a time, as containerd does. */
const PARALLEL_DOWNLOADS = 3;

interface SharedPull {
  readonly result: Promise<ImageRecord>;
  readonly controller: AbortController;
  waiting: number;
}

const running = new WeakMap<ImageStore, Map<string, SharedPull>>();

/**
 * Fetches an image from its registry. Pulls of the same image with the same credentials that overlap are one; it is given
 * up when all who wait for it have. Throws `ImagePullError`.
 */
export async function pullImage(
  store: ImageStore,
  name: string,
  options: PullOptions = {},
): Promise<ImageRecord> {
  const reference = parseReference(name);
  options.signal?.throwIfAborted();
  let pulls = running.get(store);
  if (pulls === undefined) running.set(store, (pulls = new Map<string, SharedPull>()));
  const key = JSON.stringify([formatReference(reference), options.auth, options.platform]);
  let pull = pulls.get(key);
  if (pull === undefined || pull.controller.signal.aborted) {
    const controller = new AbortController();
    const result = fetchImage(store, reference, { ...options, signal: controller.signal }).finally(() => {
      if (pulls.get(key)?.controller === controller) pulls.delete(key);
    });
    pull = { result, controller, waiting: 0 };
    pulls.set(key, pull);
  }
  return waitFor(pull, options.signal);
}

async function waitFor(pull: SharedPull, signal: AbortSignal | undefined): Promise<ImageRecord> {
  pull.waiting++;
  let leave: (() => void) | undefined;
  const left = new Promise<never>((_, reject) => {
    leave = () => reject(signal?.reason as Error);
    signal?.addEventListener('abort', leave, { once: true });
  });
  try {
    return await Promise.race([pull.result, left]);
  } finally {
    if (leave !== undefined) signal?.removeEventListener('abort', leave);
    if (--pull.waiting === 0) {
      pull.controller.abort(new Error('nobody waits for the image any more'));
      pull.result.catch(() => undefined);
    }
  }
}

async function fetchImage(
  store: ImageStore,
  reference: ImageReference,
  options: PullOptions & { readonly signal: AbortSignal },
): Promise<ImageRecord> {
  const name = formatReference(reference);
  // Ends what is still on its way when the image is given up for any reason.
  const end = new AbortController();
  const onAbort = (): void => end.abort(options.signal.reason);
  options.signal.addEventListener('abort', onAbort, { once: true });
  const client = new RegistryClient(reference, { clock: store.clock, ...options, signal: end.signal });
  try {
    const { manifest, topDigest } = await resolveManifest(store, client, reference, options.platform).catch(
      (error: unknown) => {
        throw new Error(`failed to resolve reference "${name}": ${resolveFailure(name, error)}`, {
          cause: error,
        });
      },
    );
    const config = await smallBlob(store, client, manifest.config);
    const { diffIds } = parseImageConfig(config.toString('utf8'));
    if (diffIds.length !== manifest.layers.length) {
      throw new Error(
        `mismatched image rootfs and manifest layers (${diffIds.length} and ${manifest.layers.length})`,
      );
    }
    const total = manifest.layers.reduce((sum, { size }) => sum + size, 0);
    if (total > store.limits.imageBytes) throw new Error(`the image is too large: ${total} bytes`);
    const downloads = new Downloads(store, client, manifest.layers);
    try {
      const wanted: number[] = [];
      for (const [index, diffId] of diffIds.entries())
        if (!(await store.hasLayer(diffId))) wanted.push(index);
      downloads.start(wanted);
      return await store.add({
        config,
        openLayer: async (index) => createReadStream(await downloads.path(index)),
        repoTags: reference.digest === undefined ? [name] : [],
        repoDigests: [`${reference.registry}/${reference.repository}@${topDigest}`],
      });
    } finally {
      end.abort(new Error('the pull has ended'));
      await downloads.dispose();
    }
  } catch (error) {
    options.signal.throwIfAborted();
    if (error instanceof ImagePullError) throw error;
    throw new ImagePullError(
      'ErrImagePull',
      `failed to pull and unpack image "${name}": ${errorMessage(error)}`,
      {
        cause: error,
      },
    );
  }
}

/** The texts that users know from containerd. */
function resolveFailure(name: string, error: unknown): string {
  if (error instanceof RegistryError) {
    if (error.status === 404) return `${name}: not found`;
    if (error.status === 401 || error.status === 403) {
      return `pull access denied, repository does not exist or may require authorization: ${error.message}`;
    }
  }
  return errorMessage(error);
}

async function resolveManifest(
  store: ImageStore,
  client: RegistryClient,
  reference: ImageReference,
  platform: Platform | undefined,
): Promise<{ readonly manifest: ReturnType<typeof parseManifest>; readonly topDigest: string }> {
  const accept = [...MANIFEST_TYPES, ...INDEX_TYPES];
  const limit = store.limits.documentBytes;
  const read = async (
    tagOrDigest: string,
  ): Promise<{ readonly text: string; readonly digest: string; readonly isIndex: boolean }> => {
    const { body, mediaType } = await client.manifest(tagOrDigest, accept, limit);
    const digest = sha256(body);
    if (tagOrDigest.startsWith('sha256:') && tagOrDigest !== digest) {
      throw new Error(`the manifest ${tagOrDigest} has the digest ${digest}`);
    }
    const text = body.toString('utf8');
    return { text, digest, isIndex: INDEX_TYPES.includes(mediaType) || /"manifests"\s*:/.test(text) };
  };
  const top = await read(reference.digest ?? reference.tag ?? 'latest');
  if (!top.isIndex) return { manifest: parseManifest(top.text), topDigest: top.digest };
  const chosen = choosePlatform(parseIndex(top.text), platform);
  const { text } = await read(chosen.digest);
  return { manifest: parseManifest(text), topDigest: top.digest };
}

async function smallBlob(store: ImageStore, client: RegistryClient, descriptor: Descriptor): Promise<Buffer> {
  const limit = store.limits.documentBytes;
  if (descriptor.size > limit) throw new Error(`the configuration is too large: ${descriptor.size} bytes`);
  const chunks: Uint8Array[] = [];
  let size = 0;
  await client.blob(descriptor.digest, async (chunk) => {
    size += chunk.length;
    if (size > descriptor.size)
      throw new Error(`blob ${descriptor.digest} is larger than its ${descriptor.size} bytes`);
    chunks.push(chunk);
  });
  const content = Buffer.concat(chunks);
  if (sha256(content) !== descriptor.digest)
    throw new Error(`blob ${descriptor.digest} has the digest ${sha256(content)}`);
  return content;
}

/** Layers on their way into files, a few at a time and in order. */
class Downloads {
  readonly #store: ImageStore;
  readonly #client: RegistryClient;
  readonly #layers: readonly Descriptor[];
  readonly #paths = new Map<number, Promise<string>>();
  readonly #files: string[] = [];
  readonly #turn: Promise<unknown>[] = [];

  constructor(store: ImageStore, client: RegistryClient, layers: readonly Descriptor[]) {
    this.#store = store;
    this.#client = client;
    this.#layers = layers;
  }

  start(indexes: readonly number[]): void {
    for (const index of indexes) void this.path(index).catch(() => undefined); // whoever needs it sees the failure
  }

  path(index: number): Promise<string> {
    let path = this.#paths.get(index);
    if (path === undefined) {
      // Each waits for the one that is so many places before it.
      const before = this.#turn[this.#turn.length - PARALLEL_DOWNLOADS] ?? Promise.resolve();
      path = before.then(() => this.#download(this.#layers[index] as Descriptor));
      this.#turn.push(path.catch(() => undefined));
      this.#paths.set(index, path);
    }
    return path;
  }

  async #download(layer: Descriptor): Promise<string> {
    const path = this.#store.temporaryPath('blob');
    this.#files.push(path);
    const file = await open(path, 'wx', 0o600);
    const hash = createHash('sha256');
    let size = 0;
    try {
      await this.#client.blob(layer.digest, async (chunk) => {
        size += chunk.length;
        if (size > layer.size) throw new Error(`blob ${layer.digest} is larger than its ${layer.size} bytes`);
        hash.update(chunk);
        for (let written = 0; written < chunk.length;) {
          written += (await file.write(chunk, written, chunk.length - written)).bytesWritten;
        }
      });
    } finally {
      await file.close();
    }
    const digest = `sha256:${hash.digest('hex')}`;
    if (digest !== layer.digest) throw new Error(`blob ${layer.digest} has the digest ${digest}`);
    return path;
  }

  /** Waits for what is on its way (the pull's signal has ended it, when it failed) and removes the files. */
  async dispose(): Promise<void> {
    await Promise.all(this.#turn);
    for (const path of this.#files) await rm(path, { force: true });
  }
}
