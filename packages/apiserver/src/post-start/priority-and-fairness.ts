import { flowcontrolv1, type Draft, type KubeObject, type ResourceType } from '@k8ts/api';
import { formatTime, isNotFound, jsonEqual } from '@k8ts/apimachinery';
import { errorMessage, every } from '@k8ts/base';
import { createClient, createInformerFactory, createWorkQueue, type Client } from '@k8ts/client';
import {
  AUTO_UPDATE,
  MANDATORY_FLOW_SCHEMAS,
  MANDATORY_PRIORITY_LEVELS,
  SUGGESTED_FLOW_SCHEMAS,
  SUGGESTED_PRIORITY_LEVELS,
} from '../flowcontrol/default-configuration.ts';
import { isUsable } from '../flowcontrol/priority-level.ts';
import type { RegistryAccess } from '../registry/special-subresources.ts';
import type { PostStartContext, PostStartHook } from './contract.ts';
import { createMissing } from './system-objects.ts';

type FlowSchema = flowcontrolv1.FlowSchema;
type Configured = KubeObject & { readonly spec?: object };

/** Milliseconds between looks whether the default configuration is as it should be. */
const ENSURE_PERIOD = 60_000;
const FIELD_MANAGER = 'api-priority-and-fairness-config-consumer-v1';
/** A schema's status is written at most so often in a minute: two servers may disagree about it. */
const MAX_UPDATES = 6;
const MINUTE = 60_000;

/** Keeps the default flow schemas and priority levels (pkg/registry/flowcontrol/ensurer). */
export const flowConfigurationProducerHook: PostStartHook = {
  name: 'priority-and-fairness-config-producer',
  async run(context) {
    const { registry, clock, signal, logger } = context;
    await ensureConfiguration(registry);
    context.background(
      every(clock, ENSURE_PERIOD, signal, () =>
        ensureConfiguration(registry).catch((error: unknown) => {
          if (!signal.aborted)
            logger.warn('the default flow control configuration could not be ensured', {
              error: errorMessage(error),
            });
        }),
      ),
    );
  },
};

async function ensureConfiguration(registry: RegistryAccess): Promise<void> {
  const { flowSchemas, priorityLevelConfigurations } = flowcontrolv1;
  const ensure = <T extends Configured>(
    type: ResourceType<T>,
    suggested: readonly T[],
    mandatory: readonly T[],
  ): Promise<unknown> =>
    Promise.all([
      ...suggested.map((object) => ensureObject(registry, type, object, false)),
      ...mandatory.map((object) => ensureObject(registry, type, object, true)),
      removeFormer(
        registry,
        type,
        new Set([...suggested, ...mandatory].map(({ metadata }) => metadata.name)),
      ),
    ]);
  await Promise.all([
    ensure(priorityLevelConfigurations, SUGGESTED_PRIORITY_LEVELS, MANDATORY_PRIORITY_LEVELS),
    ensure(flowSchemas, SUGGESTED_FLOW_SCHEMAS, MANDATORY_FLOW_SCHEMAS),
  ]);
}

/** What an administrator has changed stays, unless it is mandatory or the annotation says that the server may have it. */
async function ensureObject<T extends Configured>(
  registry: RegistryAccess,
  type: ResourceType<T>,
  wanted: T,
  isMandatory: boolean,
): Promise<void> {
  const { name } = wanted.metadata;
  const current = await registry.find(type, '', name);
  if (current === undefined) return createMissing(registry, type, '', wanted);
  const annotated = parseBoolean(current.metadata.annotations?.[AUTO_UPDATE]);
  const mayUpdate = isMandatory || (annotated ?? current.metadata.generation === 1);
  const spec = mayUpdate ? specWanted(current, wanted) : current.spec;
  if (annotated === mayUpdate && jsonEqual(spec, current.spec)) return;
  await registry.update(type, '', name, (draft) => {
    const changed = draft as unknown as Draft<Configured>;
    changed.metadata.annotations = { ...changed.metadata.annotations, [AUTO_UPDATE]: String(mayUpdate) };
    changed.spec = structuredClone(spec ?? {});
  });
}

/** The shares of the level `exempt` are the administrator's, although the rest of it is mandatory. */
function specWanted(current: Configured, wanted: Configured): object | undefined {
  const exempt = (current.spec as flowcontrolv1.PriorityLevelConfigurationSpec | undefined)?.exempt;
  return exempt !== undefined && 'exempt' in (wanted.spec ?? {}) ? { ...wanted.spec, exempt } : wanted.spec;
}

/** Those that an earlier version of the server had, and that nobody has made his own. */
async function removeFormer<T extends Configured>(
  registry: RegistryAccess,
  type: ResourceType<T>,
  names: ReadonlySet<string>,
): Promise<void> {
  for (const { metadata } of await registry.list(type))
    if (!names.has(metadata.name) && parseBoolean(metadata.annotations?.[AUTO_UPDATE]) === true)
      await registry.delete(type, '', metadata.name, {}).catch(ignoreNotFound);
}

/** Says in each flow schema whether its priority level is there. */
export const flowConfigurationConsumerHook: PostStartHook = {
  name: 'priority-and-fairness-config-consumer',
  run(context) {
    context.background(writeConditions(context));
    return Promise.resolve();
  },
};

async function writeConditions({
  transport,
  clock,
  random,
  logger,
  signal,
}: PostStartContext): Promise<void> {
  const client = createClient(transport);
  const informers = createInformerFactory({ client, clock, random, logger });
  const levels = informers.of(flowcontrolv1.priorityLevelConfigurations);
  const schemas = informers.of(flowcontrolv1.flowSchemas);
  const queue = createWorkQueue({ clock });
  const enqueue = ({ metadata }: FlowSchema): void => queue.add(metadata.name);
  schemas.addHandler({ added: enqueue, updated: enqueue });
  const enqueueReferring = (level: flowcontrolv1.PriorityLevelConfiguration): void => {
    for (const schema of schemas.lister.list())
      if (schema.spec.priorityLevelConfiguration.name === level.metadata.name) enqueue(schema);
  };
  levels.addHandler({ added: enqueueReferring, updated: enqueueReferring, deleted: enqueueReferring });
  const stopped = new Promise<void>((resolve) => {
    const stop = (): void => {
      queue.shutDown();
      resolve(informers[Symbol.asyncDispose]());
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  informers.start();
  await informers.waitForSync(signal).catch(() => undefined);
  const updates = new Map<string, number[]>();
  for (let name = await queue.get(); name !== undefined; name = await queue.get()) {
    const schema = schemas.lister.get('', name);
    const level = levels.lister.get('', schema?.spec.priorityLevelConfiguration.name ?? '');
    const found = level !== undefined && isUsable(level);
    if (schema !== undefined && !isTold(schema, found)) {
      const recent = (updates.get(name) ?? []).filter((time) => clock.monotonic() - time < MINUTE);
      if (recent.length >= MAX_UPDATES) queue.addAfter(name, MINUTE / 2 + random() * MINUTE * 0.75);
      else {
        updates.set(name, [...recent, clock.monotonic()]);
        await tell(client, schema, found, formatTime(clock.now())).catch((error: unknown) => {
          if (signal.aborted) return;
          logger.warn('the status of a flow schema could not be written', {
            name,
            error: errorMessage(error),
          });
          queue.addRateLimited(name);
        });
      }
    }
    queue.done(name);
  }
  await stopped;
}

function dangling(schema: FlowSchema, found: boolean): { status: string; reason: string; message: string } {
  const { name } = schema.spec.priorityLevelConfiguration;
  const reference = `This FlowSchema references the PriorityLevelConfiguration object named "${name}"`;
  return found
    ? { status: 'False', reason: 'Found', message: `${reference} and it exists` }
    : { status: 'True', reason: 'NotFound', message: `${reference} but there is no such object` };
}

function isTold(schema: FlowSchema, found: boolean): boolean {
  const wanted = dangling(schema, found);
  const told = schema.status?.conditions?.find(({ type }) => type === 'Dangling');
  return told?.status === wanted.status && told.reason === wanted.reason && told.message === wanted.message;
}

/** As server-side apply, so that other conditions stay. */
async function tell(client: Client, schema: FlowSchema, found: boolean, now: string): Promise<void> {
  const condition = { type: 'Dangling', ...dangling(schema, found), lastTransitionTime: now };
  const { name } = schema.metadata;
  const { group, version, kind } = flowcontrolv1.flowSchemas;
  const applied = {
    apiVersion: `${group}/${version}`,
    kind,
    metadata: { name },
    status: { conditions: [condition] },
  };
  const options = { fieldManager: FIELD_MANAGER, force: true, subresource: 'status' };
  await client.resource(flowcontrolv1.flowSchemas).apply(name, applied, options).catch(ignoreNotFound);
}

function ignoreNotFound(error: unknown): void {
  if (!isNotFound(error)) throw error;
}

/** As Go's strconv.ParseBool; undefined for what is none. */
function parseBoolean(text: string | undefined): boolean | undefined {
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text ?? '')) return true;
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text ?? '')) return false;
  return undefined;
}
