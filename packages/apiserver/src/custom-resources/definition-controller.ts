/**
 * Keeps what the server serves in step with the CustomResourceDefinitions: accepts their names, serves their resources,
 * and removes the objects of a definition that is deleted before it goes.
 */
import { apiextensionsv1, type KubeObject, type ResourceType } from '@k8ts/api';
import { formatTime, isNotFound } from '@k8ts/apimachinery';
import { errorMessage, type Clock, type Logger, type Random } from '@k8ts/base';
import {
  createClient,
  createInformerFactory,
  createWorkQueue,
  type Transport,
  type WorkQueue,
} from '@k8ts/client';
import type { RegistryAccess } from '../registry/special-subresources.ts';
import { webhookConverter, type ConversionServices } from './conversion/webhook-converter.ts';
import { compileCustomResource, type CustomResource } from './custom-resource.ts';
import {
  conditionOf,
  isUpToDate,
  judge,
  setCondition,
  state,
  type ConditionState,
} from './definition-status.ts';
import type { Definition } from './rows.ts';

export const CLEANUP_FINALIZER = 'customresourcecleanup.apiextensions.k8s.io';

const definitions: ResourceType<Definition> = apiextensionsv1.customResourceDefinitions;
/** Milliseconds between looks whether the objects of a definition that goes are gone. */
const CLEANUP_PERIOD = 1_000;

/** Where custom resources come and go. */
export interface CustomResources {
  install(resource: CustomResource): void;
  uninstall(name: string): void;
}

export interface DefinitionControllerOptions {
  readonly registry: RegistryAccess;
  readonly customResources: CustomResources;
  readonly conversion: ConversionServices;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

export interface DefinitionController {
  /** Resolves when all definitions that are there are served. */
  readonly synced: Promise<void>;
  /** Ends when the signal aborts. */
  readonly done: Promise<void>;
}

export function runDefinitionController(options: DefinitionControllerOptions): DefinitionController {
  const { transport, clock, random, logger, signal, registry, customResources } = options;
  const client = createClient(transport);
  const informers = createInformerFactory({ client, clock, random, logger });
  const informer = informers.of(definitions);
  const queue = createWorkQueue({ clock });
  const reconciler = new Reconciler(registry, customResources, options.conversion, queue, clock);
  const enqueue = ({ metadata }: Definition): void => queue.add(metadata.name);
  informer.addHandler({
    added: enqueue,
    updated: enqueue,
    deleted: (gone) => {
      enqueue(gone);
      // It has freed its names.
      for (const other of informer.lister.list()) if (other.spec.group === gone.spec.group) enqueue(other);
    },
  });

  const work = async (): Promise<void> => {
    for (let name = await queue.get(); name !== undefined; name = await queue.get()) {
      try {
        await reconciler.reconcile(name);
        queue.forget(name);
      } catch (error) {
        logger.warn('a custom resource definition could not be put into effect', {
          name,
          error: errorMessage(error),
        });
        queue.addRateLimited(name);
      }
      queue.done(name);
    }
  };
  const run = async (): Promise<void> => {
    const stopped = new Promise<void>((resolve) => {
      const stop = (): void => {
        queue.shutDown();
        resolve(informers[Symbol.asyncDispose]());
      };
      if (signal.aborted) stop();
      else signal.addEventListener('abort', stop, { once: true });
    });
    informers.start();
    // What went between the look at the start and the informer's own has no event.
    const caughtUp = informer.waitForSync(signal).then(
      () => {
        for (const name of reconciler.installed())
          if (informer.lister.get('', name) === undefined) queue.add(name);
      },
      () => undefined, // it is being stopped
    );
    // One worker: names are given out one definition after the other.
    await work();
    await Promise.all([caughtUp, stopped]);
  };
  const installAll = async (): Promise<void> => {
    for (const definition of await registry.list(definitions))
      if (conditionOf(definition, 'Established')?.status === 'True')
        await reconciler.reconcile(definition.metadata.name);
  };
  const synced = installAll();
  return { synced, done: synced.catch(() => undefined).then(run) };
}

class Reconciler {
  readonly #registry: RegistryAccess;
  readonly #customResources: CustomResources;
  readonly #conversion: ConversionServices;
  readonly #queue: WorkQueue;
  readonly #clock: Clock;
  /** What is served of each definition, to know when that changes. */
  readonly #installed = new Map<string, { readonly served: string; readonly resource: CustomResource }>();

  constructor(
    registry: RegistryAccess,
    customResources: CustomResources,
    conversion: ConversionServices,
    queue: WorkQueue,
    clock: Clock,
  ) {
    this.#registry = registry;
    this.#customResources = customResources;
    this.#conversion = conversion;
    this.#queue = queue;
    this.#clock = clock;
  }

  /** The names of the definitions that are served. */
  installed(): Iterable<string> {
    return this.#installed.keys();
  }

  async reconcile(name: string): Promise<void> {
    const definition = await this.#registry.find(definitions, '', name);
    if (definition === undefined) {
      this.#installed.delete(name);
      this.#customResources.uninstall(name);
      return;
    }
    const judgement = judge(definition, await this.#registry.list(definitions));
    const current = {
      ...definition,
      status: { ...definition.status, acceptedNames: judgement.acceptedNames },
    };
    // Served first: who reads that it is established may use it at once.
    if (judgement.isServed) this.#install(current);
    if (!isUpToDate(definition, judgement)) {
      await this.#setConditions(name, judgement.conditions, (draft) => {
        (draft as { acceptedNames?: unknown }).acceptedNames = judgement.acceptedNames;
      });
    }
    const { deletionTimestamp, finalizers = [] } = definition.metadata;
    if (deletionTimestamp !== undefined && finalizers.includes(CLEANUP_FINALIZER))
      await this.#cleanUp(definition);
  }

  #install(definition: Definition): void {
    const { spec, status, metadata } = definition;
    const served = JSON.stringify([spec, status?.acceptedNames, metadata.uid]);
    const installed = this.#installed.get(metadata.name);
    if (installed?.served !== served) {
      const convert =
        spec.conversion?.strategy === 'Webhook' ? webhookConverter(definition, this.#conversion) : undefined;
      const resource = compileCustomResource(definition, convert);
      this.#customResources.install(resource);
      this.#installed.set(metadata.name, { served, resource });
    } else if (metadata.deletionTimestamp !== undefined) installed.resource.terminate();
  }

  async #cleanUp(definition: Definition): Promise<void> {
    const { name } = definition.metadata;
    if (conditionOf(definition, 'Established')?.status !== 'True') {
      await this.#finish(
        name,
        state('Terminating', false, 'NeverEstablished', 'resource was never established'),
      );
      return;
    }
    // What was said before stays until there is something new to say: each change brings the definition here again.
    if (conditionOf(definition, 'Terminating')?.status !== 'True')
      await this.#setConditions(name, [
        state('Terminating', true, 'InstanceDeletionInProgress', 'CustomResource deletion is in progress'),
      ]);
    const type = compileCustomResource(definition).storage.info as ResourceType<KubeObject>;
    /** A webhook that should convert what is to be deleted may be down. */
    const attempt = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
      try {
        return await work();
      } catch (error) {
        const message = `${what}: ${errorMessage(error)}`;
        await this.#setConditions(name, [state('Terminating', true, 'InstanceDeletionFailed', message)]);
        throw error;
      }
    };
    const list = (): Promise<readonly KubeObject[]> =>
      attempt('could not list instances', () => this.#registry.list(type));
    const left = (await list()).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    await attempt('could not issue all deletes', async () => {
      for (const { metadata } of left)
        await this.#registry.delete(type, metadata.namespace ?? '', metadata.name, {}).catch(ignoreNotFound);
    });
    if ((await list()).length > 0) {
      this.#queue.addAfter(name, CLEANUP_PERIOD);
      return;
    }
    await this.#finish(
      name,
      state('Terminating', false, 'InstanceDeletionCompleted', 'removed all instances'),
    );
  }

  async #finish(name: string, condition: ConditionState): Promise<void> {
    await this.#setConditions(name, [condition], undefined, true);
  }

  async #setConditions(
    name: string,
    conditions: readonly ConditionState[],
    further?: (status: object) => void,
    removeFinalizer = false,
  ): Promise<void> {
    const now = formatTime(this.#clock.now());
    await this.#registry
      .update(definitions, '', name, (draft) => {
        for (const condition of conditions) setCondition(draft, condition, now);
        further?.(draft.status as object);
        if (!removeFinalizer) return;
        const left = (draft.metadata.finalizers ?? []).filter((finalizer) => finalizer !== CLEANUP_FINALIZER);
        if (left.length > 0) draft.metadata.finalizers = left;
        else delete draft.metadata.finalizers;
      })
      .catch(ignoreNotFound);
  }
}

function ignoreNotFound(error: unknown): void {
  if (!isNotFound(error)) throw error;
}
