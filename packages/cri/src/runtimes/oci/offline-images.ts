import { join, resolve } from 'node:path';
import type { Clock, Logger } from '@k8ts/base';
import { ImageStore } from '../../images/image-store.ts';
import { recordedLayers } from './records.ts';

/**
 * Opens the images of an embedded runtime's data directory while no runtime has it open. Containers may run all the same;
 * the layers they stand on are spared.
 */
export function openOfflineImages(options: {
  readonly dataDir: string;
  readonly clock: Clock;
  readonly logger: Logger;
}): Promise<ImageStore> {
  const dataDir = resolve(options.dataDir);
  return ImageStore.open({
    directory: join(dataDir, 'images'),
    clock: options.clock,
    logger: options.logger,
    layersInUse: () => recordedLayers(dataDir, options.logger),
  });
}
