import type { FilesystemUsage, Image, ImageService, RegistryAuth } from '../contract.ts';
import { criImage } from './image-store.ts';
import type { ImageStore } from './image-store.ts';
import { pullImage } from './pull.ts';

/** The image side of the CRI over a store. */
export class StoreImageService implements ImageService {
  readonly #store: ImageStore;
  readonly #layersInUse: () => ReadonlySet<string>;

  constructor(store: ImageStore, layersInUse: () => ReadonlySet<string>) {
    this.#store = store;
    this.#layersInUse = layersInUse;
  }

  async listImages(filter?: { readonly image?: string }): Promise<readonly Image[]> {
    if (filter?.image === undefined) return this.#store.list().map(criImage);
    const image = await this.imageStatus(filter.image);
    return image === undefined ? [] : [image];
  }

  async imageStatus(image: string): Promise<Image | undefined> {
    const found = this.#store.find(image);
    return found === undefined ? undefined : criImage(found);
  }

  async pullImage(image: string, auth?: RegistryAuth, signal?: AbortSignal): Promise<string> {
    return (await pullImage(this.#store, image, { ...(auth && { auth }), ...(signal && { signal }) })).id;
  }

  async removeImage(image: string): Promise<void> {
    await this.#store.remove(image, this.#layersInUse());
  }

  imageFsInfo(): Promise<FilesystemUsage> {
    return this.#store.usage();
  }
}
