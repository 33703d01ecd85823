import type { KubeObject, ResourceType } from '@k8ts/api';
import { Scope } from '@k8ts/base';
import type { Clock, Logger, Random } from '@k8ts/base';

import type { Client, Informer, InformerFactory, InformerOptions } from './contract.ts';
import { SharedInformer } from './informer.ts';

export interface InformerFactoryOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

interface Entry {
  readonly informer: SharedInformer<KubeObject>;
  scope: Scope | undefined;
}

/** One informer per resource and selection for all who ask. Dispose it to end their watches. */
export function createInformerFactory(options: InformerFactoryOptions): InformerFactory {
  const { client, clock, random, logger } = options;
  const entries = new Map<string, Entry>();
  const stopping = new Set<Promise<void>>();
  let started = false;
  let disposed = false;

  const startEntry = (entry: Entry): void => {
    if (entry.scope !== undefined || disposed) return;
    const scope = new Scope();
    entry.scope = scope;
    scope.run(entry.informer.run(scope.signal));
  };

  return {
    of: <T extends KubeObject>(type: ResourceType<T>, selection: InformerOptions = {}): Informer<T> => {
      const key = entryKey(type, selection);
      let entry = entries.get(key);
      if (entry === undefined) {
        const { namespace, ...rest } = selection;
        const informer = new SharedInformer<T>({
          source: client.resource(type, namespace),
          name: type.group === '' ? type.resource : `${type.resource}.${type.group}`,
          clock,
          random,
          logger,
          ...rest,
        });
        // The map holds informers of all types; `key` names the type, so what comes out is what went in.
        entry = { informer: informer as unknown as SharedInformer<KubeObject>, scope: undefined };
        entries.set(key, entry);
      }
      return entry.informer as unknown as Informer<T>;
    },
    start: () => {
      started = true;
      for (const entry of entries.values()) startEntry(entry);
    },
    stop: async (type, selection = {}) => {
      const key = entryKey(type, selection);
      const entry = entries.get(key);
      if (entry === undefined || entry.informer.hasHandlers) return;
      entries.delete(key);
      const stopped = entry.scope?.[Symbol.asyncDispose]() ?? Promise.resolve();
      stopping.add(stopped);
      await stopped.finally(() => stopping.delete(stopped));
    },
    waitForSync: async (signal) => {
      if (!started) throw new Error('the informers have not been started');
      // One after another: they sync at the same time anyway, and the signal gets one listener.
      for (const { informer } of [...entries.values()]) await informer.waitForSync(signal);
    },
    [Symbol.asyncDispose]: async () => {
      disposed = true;
      await Promise.all([
        ...stopping,
        ...[...entries.values()].map(({ scope }) => scope?.[Symbol.asyncDispose]()),
      ]);
    },
  };
}

function entryKey(type: ResourceType<KubeObject>, selection: InformerOptions): string {
  return JSON.stringify([
    type.group,
    type.version,
    type.resource,
    selection.namespace ?? '',
    selection.labelSelector ?? '',
    selection.fieldSelector ?? '',
    selection.metadataOnly === true,
  ]);
}
