/**
 * APIServices for what this server serves itself: `v1.apps`, and those of custom resources
 * (kube-aggregator/pkg/controllers/autoregister, pkg/controlplane/controller/crdregistration).
 */
import { apiextensionsv1, apiregistrationv1 } from '@k8ts/api';
import { isAlreadyExists, isConflict, isNotFound } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import { createClient, createInformerFactory, createWorkQueue } from '@k8ts/client';
import type { PostStartContext } from '../post-start/contract.ts';
import type { APIService } from './api-service.ts';

export const MANAGED_LABEL = 'kube-aggregator.kubernetes.io/automanaged';
/** Written when the server starts, and left to its users then; or kept as it is to be. */
type Management = 'onstart' | 'true';

const OWN_GROUP = 'apiregistration.k8s.io';
/** Custom resources come after what is built in, their versions in the order of their names. */
const CUSTOM_PRIORITY = { groupPriorityMinimum: 1000, versionPriority: 100 };

type Definition = apiextensionsv1.CustomResourceDefinition;
type Spec = Pick<APIService['spec'], 'group' | 'version' | 'groupPriorityMinimum' | 'versionPriority'>;

interface Desired {
  readonly management: Management;
  readonly spec: Spec;
}

type RegistrationStep = 'create' | 'update' | 'delete' | undefined;

/** What is to be done about an APIService; `wasThere`: when the server started, `isDone`: it was seen to once since. */
export function registrationStep(
  current: APIService | undefined,
  desired: Desired | undefined,
  { wasThere, isDone }: { readonly wasThere: boolean; readonly isDone: boolean },
): RegistrationStep {
  if (desired?.management === 'onstart' && isDone) return undefined;
  if (current === undefined) return desired === undefined ? undefined : 'create';
  const management = current.metadata.labels?.[MANAGED_LABEL];
  if (management !== 'onstart' && management !== 'true') return undefined;
  if (management === 'onstart' && (!wasThere || isDone)) return undefined;
  if (desired === undefined) return 'delete';
  return isSpec(current.spec, desired.spec) ? undefined : 'update';
}

function isSpec(current: APIService['spec'], desired: Spec): boolean {
  return (
    current.service === undefined &&
    (current.group ?? '') === desired.group &&
    current.version === desired.version &&
    current.groupPriorityMinimum === desired.groupPriorityMinimum &&
    current.versionPriority === desired.versionPriority &&
    !current.caBundle &&
    current.insecureSkipTLSVerify !== true
  );
}

type Context = Pick<
  PostStartContext,
  'registry' | 'objects' | 'groupVersions' | 'transport' | 'clock' | 'random' | 'logger' | 'signal'
>;

export interface Registration {
  /** Resolves when all APIServices that are to be there are. */
  readonly synced: Promise<void>;
  /** Ends when the signal aborts. */
  readonly done: Promise<void>;
}

export function runRegistration(context: Context): Registration {
  const { registry, objects, groupVersions, signal, clock, random, logger, transport } = context;
  const type = apiregistrationv1.apiServices;
  const own = new Map<string, Desired>();
  for (const { group, version, groupPriority, versionPriority } of groupVersions) {
    if (group === OWN_GROUP) continue; // nobody else can serve it
    const spec = { group, version, groupPriorityMinimum: groupPriority, versionPriority };
    own.set(`${version}.${group}`, { management: 'onstart', spec });
  }
  const wasThere = new Set(objects.list(type).map(({ metadata }) => metadata.name));
  const isDone = new Set<string>();

  const desiredOf = (name: string): Desired | undefined => {
    const builtIn = own.get(name);
    if (builtIn !== undefined) return builtIn;
    const dot = name.indexOf('.');
    const [version, group] = [name.slice(0, dot), name.slice(dot + 1)];
    const isServed = objects
      .list<Definition>(apiextensionsv1.customResourceDefinitions)
      .some(
        ({ spec }) =>
          spec.group === group && spec.versions.some((each) => each.name === version && each.served),
      );
    return isServed ? { management: 'true', spec: { group, version, ...CUSTOM_PRIORITY } } : undefined;
  };

  const reconcile = async (name: string): Promise<void> => {
    const current = objects.get(type, '', name);
    const desired = desiredOf(name);
    const state = { wasThere: wasThere.has(name), isDone: isDone.has(name) };
    try {
      switch (registrationStep(current, desired, state)) {
        case 'create': {
          const { spec, management } = desired as Desired;
          await registry.create(type, { metadata: { name, labels: { [MANAGED_LABEL]: management } }, spec });
          break;
        }
        case 'update':
          await registry.update(type, '', name, (draft) => {
            draft.spec = { ...(desired as Desired).spec };
          });
          break;
        case 'delete':
          await registry.delete(type, '', name, { preconditions: { uid: current?.metadata.uid ?? '' } });
          break;
        case undefined:
          break;
      }
    } catch (error) {
      // Somebody else was faster: the event that tells of it comes here again.
      if (!isAlreadyExists(error) && !isNotFound(error) && !isConflict(error)) throw error;
    }
    isDone.add(name);
  };

  const all = (): Set<string> =>
    new Set([
      ...own.keys(),
      ...wasThere,
      ...objects.list<Definition>(apiextensionsv1.customResourceDefinitions).flatMap(namesOf),
    ]);
  const synced = Promise.all([...all()].map(reconcile)).then(() => undefined);

  const follow = async (): Promise<void> => {
    const queue = createWorkQueue({ clock });
    await using informers = createInformerFactory({ client: createClient(transport), clock, random, logger });
    const enqueue = (names: readonly string[]): void => names.forEach((name) => queue.add(name));
    const apiService = ({ metadata }: APIService): void => queue.add(metadata.name);
    const definition = (object: Definition): void => enqueue(namesOf(object));
    informers.of(type).addHandler({ updated: apiService, deleted: apiService });
    informers.of<Definition>(apiextensionsv1.customResourceDefinitions).addHandler({
      added: definition,
      updated: (object, previous) => enqueue([...namesOf(object), ...namesOf(previous)]),
      deleted: definition,
    });
    const stop = (): void => {
      queue.shutDown();
      void informers[Symbol.asyncDispose](); // at once: the watches end with the server
    };
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) return;
    informers.start();
    for (let name = await queue.get(); name !== undefined; name = await queue.get()) {
      try {
        await reconcile(name);
        queue.forget(name);
      } catch (error) {
        logger.warn('an APIService could not be registered', { name, error: errorMessage(error) });
        queue.addRateLimited(name);
      }
      queue.done(name);
    }
  };
  return { synced, done: synced.catch(() => undefined).then(follow) };
}

function namesOf({ spec }: Definition): string[] {
  return spec.versions.map(({ name }) => `${name}.${spec.group}`);
}
