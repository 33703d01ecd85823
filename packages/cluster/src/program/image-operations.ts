import type { Readable } from 'node:stream';
import type { ImageRow } from '@k8ts/cli';
import { UserError } from '@k8ts/cli';
import { importImageArchive, pullImage } from '@k8ts/cri';
import type { ImageStore } from '@k8ts/cri';

/** What `k8ts image` can do, on a store that is open in this process. */
export interface ImageOperations {
  import(archive: Readable | string): Promise<readonly string[]>;
  list(): Promise<readonly ImageRow[]>;
  remove(image: string): Promise<void>;
  pull(image: string): Promise<string>;
  tag(image: string, tag: string): Promise<void>;
}

/** `remove` takes an image away from the runtime, which refuses while a container uses it. */
export function imageOperations(
  store: ImageStore,
  remove: (image: string) => Promise<void>,
): ImageOperations {
  const known = (image: string): void => {
    if (store.find(image) === undefined) throw new UserError(`there is no image ${image}`);
  };
  return {
    async import(archive) {
      const images = await importImageArchive(store, archive);
      return images.flatMap(({ id, repoTags }) => (repoTags.length === 0 ? [id] : repoTags));
    },
    list: () =>
      Promise.resolve(
        store.list().map(({ id, repoTags, repoDigests, size }) => ({
          id,
          tags: repoTags.length > 0 ? repoTags : repoDigests,
          size,
        })),
      ),
    async remove(image) {
      known(image);
      await remove(image);
    },
    async pull(image) {
      const { repoTags, id } = await pullImage(store, image);
      return repoTags[0] ?? id;
    },
    async tag(image, tag) {
      known(image);
      await store.tag(image, tag);
    },
  };
}
