import { createHash } from 'node:crypto';
import { sleep } from '@k8ts/base';
import type { Clock } from '@k8ts/base';
import { ImagePullError } from '../../contract.ts';
import type { FilesystemUsage, Image, ImageService, RegistryAuth } from '../../contract.ts';
import { familiarName, normalizeReference } from '../../images/reference.ts';

/** `present`: on every node from the start. `pullable`: after a pull. `missing`: pulling fails. */
export type SimulatedImageState = 'present' | 'pullable' | 'missing';

export interface SimulatedImageOptions {
  /** By the image's full name (`docker.io/library/redis:7`). Default: every image is present. */
  readonly stateOf?: (image: string) => SimulatedImageState;
  /** Seconds a pull takes. */
  readonly pullSeconds?: number;
}

const SIMULATED_SIZE = 50 * 1024 * 1024;

/** What all nodes of one simulation share: an image is described once, not once a node. */
export class SimulatedImageCatalogue {
  readonly #images = new Map<string, Image>();
  readonly options: SimulatedImageOptions;

  constructor(options: SimulatedImageOptions) {
    this.options = options;
  }

  /** Throws `ImagePullError` with reason `InvalidImageName` for what is no image name. */
  image(name: string): Image {
    const reference = /^sha256:[0-9a-f]{64}$/.test(name) ? name : normalizeReference(name);
    let image = this.#images.get(reference);
    if (image === undefined) {
      const digest = `sha256:${createHash('sha256').update(reference).digest('hex')}`;
      const isId = reference.startsWith('sha256:');
      image = {
        id: isId ? reference : digest,
        repoTags: isId || reference.includes('@') ? [] : [reference],
        repoDigests: isId
          ? []
          : [reference.includes('@') ? reference : `${familiarName(reference)}@${digest}`],
        size: SIMULATED_SIZE,
        pinned: false,
      };
      this.#images.set(reference, image);
    }
    return image;
  }

  state(image: Image): SimulatedImageState {
    const name = image.repoTags[0] ?? image.repoDigests[0];
    return name === undefined ? 'present' : (this.options.stateOf?.(name) ?? 'present');
  }
}

/** One node's view of the catalogue. */
export class SimulatedImageService implements ImageService {
  readonly #catalogue: SimulatedImageCatalogue;
  readonly #clock: Clock;
  /** Made by the first pull or removal: most simulated nodes never have one. Value: here or removed. */
  #changed: Map<string, boolean> | undefined;
  readonly #used = new Set<Image>();

  constructor(catalogue: SimulatedImageCatalogue, clock: Clock) {
    this.#catalogue = catalogue;
    this.#clock = clock;
  }

  listImages(filter?: { readonly image?: string }): Promise<readonly Image[]> {
    if (filter?.image !== undefined) {
      const image = this.find(filter.image);
      return Promise.resolve(image === undefined ? [] : [image]);
    }
    return Promise.resolve([...this.#used].filter((image) => this.#isPresent(image)));
  }

  imageStatus(image: string): Promise<Image | undefined> {
    return Promise.resolve(this.find(image));
  }

  /** The image when it is on this node. */
  find(name: string): Image | undefined {
    let image: Image;
    try {
      image = this.#catalogue.image(name);
    } catch {
      return undefined;
    }
    if (!this.#isPresent(image)) return undefined;
    this.#used.add(image);
    return image;
  }

  async pullImage(name: string, _auth?: RegistryAuth, signal?: AbortSignal): Promise<string> {
    const image = this.#catalogue.image(name);
    const seconds = this.#catalogue.options.pullSeconds ?? 0;
    if (seconds > 0) await sleep(this.#clock, seconds * 1000, signal);
    if (this.#catalogue.state(image) === 'missing') {
      const reference = normalizeReference(name);
      throw new ImagePullError(
        'ErrImagePull',
        `failed to resolve reference "${reference}": ${reference}: not found`,
      );
    }
    (this.#changed ??= new Map()).set(image.id, true);
    this.#used.add(image);
    return image.id;
  }

  removeImage(name: string): Promise<void> {
    const image = this.find(name);
    if (image !== undefined) {
      (this.#changed ??= new Map()).set(image.id, false);
      this.#used.delete(image);
    }
    return Promise.resolve();
  }

  imageFsInfo(): Promise<FilesystemUsage> {
    let usedBytes = 0;
    for (const image of this.#used) usedBytes += image.size;
    return Promise.resolve({ mountpoint: '/simulated', usedBytes, inodesUsed: this.#used.size });
  }

  #isPresent(image: Image): boolean {
    return this.#changed?.get(image.id) ?? this.#catalogue.state(image) === 'present';
  }
}
