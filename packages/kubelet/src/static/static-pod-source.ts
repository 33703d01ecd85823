import { watch } from 'node:fs';
import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { formatTime } from '@k8ts/apimachinery';
import { type Clock, errorMessage, every, type Logger } from '@k8ts/base';
import { parse } from 'yaml';

import { podKey, podUid } from '../pod/pod-spec.ts';
import type { Pod } from '../pod/types.ts';
import { staticPod } from './static-pod.ts';

export interface StaticPodSourceOptions {
  readonly directory: string;
  readonly nodeName: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called with all pods whenever there are others than before. */
  readonly onChange: (pods: readonly Pod[]) => void;
}

const POLL_INTERVAL = 20_000;
const MANIFEST_LIMIT = 10 * 1024 * 1024;

/** Reads a directory of pod manifests (YAML or JSON) now, whenever it changes, and every 20 s; until the signal aborts. */
export async function runStaticPodSource(
  options: StaticPodSourceOptions,
  signal: AbortSignal,
): Promise<void> {
  const { directory, clock, logger } = options;
  await mkdir(directory, { recursive: true });
  let known = new Map<string, Pod>();
  let first = true;
  let reading: Promise<void> = Promise.resolve();
  const read = (): Promise<void> => {
    reading = reading.then(async () => {
      const pods = await readManifests(options, known);
      const changed = pods.size !== known.size || [...pods.keys()].some((uid) => !known.has(uid));
      known = pods;
      if (changed || first) options.onChange([...pods.values()]);
      first = false;
    });
    return reading;
  };
  await read();
  const watcher = watch(directory, { signal }, () => void read());
  // Without inotify the poll still finds every change.
  watcher.on('error', (error) => {
    if (!signal.aborted)
      logger.warn('Cannot watch the manifests of static pods', { directory, error: errorMessage(error) });
  });
  await every(clock, POLL_INTERVAL, signal, read);
  await reading;
}

async function readManifests(
  options: StaticPodSourceOptions,
  known: ReadonlyMap<string, Pod>,
): Promise<Map<string, Pod>> {
  const { directory, nodeName, clock, logger } = options;
  const pods = new Map<string, Pod>();
  const names = new Set<string>();
  for (const file of (await readdir(directory).catch(() => [])).sort()) {
    if (file.startsWith('.')) continue;
    const path = join(directory, file);
    try {
      const info = await stat(path);
      if (!info.isFile()) continue;
      if (info.size > MANIFEST_LIMIT) throw new Error(`the manifest is larger than ${MANIFEST_LIMIT} bytes`);
      const manifest: unknown = parse(await readFile(path, 'utf8'), { maxAliasCount: 100 });
      const pod = staticPod(manifest, { nodeName, path, seen: formatTime(clock.now()) });
      if (names.has(podKey(pod))) throw new Error(`another manifest has the name ${podKey(pod)}`);
      names.add(podKey(pod));
      // The one that was seen first keeps its time.
      pods.set(podUid(pod), known.get(podUid(pod)) ?? pod);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
      logger.error('Could not process manifest file', { path, error: errorMessage(error) });
    }
  }
  return pods;
}
