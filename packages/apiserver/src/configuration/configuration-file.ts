/** A configuration file that is read again when it changes (k8s.io/apiserver/pkg/util/filesystem). */
import { watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errorMessage, every, type Clock, type Logger } from '@k8ts/base';

/** A change that the system does not tell of is seen after a minute, as upstream's. */
const INTERVAL = 60_000;

interface ConfigurationFileOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Called with the text whenever it may have changed; one call at a time. What it throws is logged. */
  readonly onChange: (text: string) => Promise<void> | void;
  /** The file could not be read. */
  readonly onUnreadable: (error: unknown) => void;
}

/**
 * Resolves when the signal aborts. The directory is watched, not the file: files are replaced by renaming, and mounted
 * ConfigMaps by renaming a link beside them.
 */
export async function watchConfigurationFile(options: ConfigurationFileOptions): Promise<void> {
  const { path, clock, logger, signal, onChange, onUnreadable } = options;
  let isChecking = false;
  let isStale = false;
  const check = async (): Promise<void> => {
    isStale = true;
    if (isChecking) return;
    isChecking = true;
    try {
      while (isStale && !signal.aborted) {
        isStale = false;
        let text: string;
        try {
          text = await readFile(path, 'utf8');
        } catch (error) {
          onUnreadable(error);
          continue;
        }
        await onChange(text);
      }
    } catch (error) {
      logger.error('a configuration file was not taken over', { path, error: errorMessage(error) });
    } finally {
      isChecking = false;
    }
  };
  try {
    const watcher = watch(dirname(path), { signal, persistent: false }, () => void check());
    watcher.on('error', (error) => {
      logger.warn('a configuration file is only looked at once a minute', {
        path,
        error: errorMessage(error),
      });
    });
  } catch (error) {
    logger.warn('a configuration file is only looked at once a minute', { path, error: errorMessage(error) });
  }
  await every(clock, INTERVAL, signal, check);
}
