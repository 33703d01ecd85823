/** Calls a strategy in the order of the generic registry, without a server. For table tests of rules and defaults. */
import type { Draft, KubeObject, ResourceType } from '@k8ts/api';
import { schemaOf } from '@k8ts/api';
import { applyDefaults, fieldErrorText, normalizeObject, type JsonObject } from '@k8ts/apimachinery';
import { seededRandom, VirtualClock } from '@k8ts/base';
import type { Strategy, StrategyContext } from '../contract.ts';

export interface Called<T extends KubeObject> {
  readonly object: T;
  /** `spec.replicas: Invalid value: -1: must be greater than or equal to 0` */
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

export type Json = Readonly<Record<string, unknown>>;

const NOW: number = Date.UTC(2026, 0, 2, 3, 4, 5);

export function strategyContext(
  objects: readonly KubeObject[] = [],
  more: Partial<StrategyContext> = {},
): StrategyContext {
  const all = <R extends KubeObject>(type: ResourceType<R>, namespace?: string): readonly R[] =>
    objects.filter(
      ({ kind, metadata }) =>
        kind === type.kind && (namespace === undefined || (metadata.namespace ?? '') === namespace),
    ) as readonly KubeObject[] as readonly R[];
  return {
    clock: new VirtualClock(NOW),
    random: seededRandom(1),
    user: { name: 'tester', uid: '', groups: [], extra: {} },
    dryRun: false,
    lookUp: (type, namespace, name) => all(type, namespace).find(({ metadata }) => metadata.name === name),
    lookUpAll: all,
    ...more,
  };
}

/** Decodes as a client's object is decoded: with zero fields, and defaulted. */
function decode<T extends KubeObject>(strategy: Strategy<T>, object: Json): Draft<T> {
  const { group, version, kind } = strategy.type;
  const schema = schemaOf(group, version, kind);
  if (schema === undefined) throw new Error(`no schema for ${kind}`);
  const apiVersion = group === '' ? version : `${group}/${version}`;
  const named = { apiVersion, kind, ...object } as JsonObject;
  const normal = normalizeObject(structuredClone(named), schema, { owned: true }).object;
  const draft = applyDefaults(normal, schema) as unknown as Draft<T>;
  Object.assign(draft, { apiVersion, kind });
  strategy.setDefaults?.(draft);
  return draft;
}

export async function create<T extends KubeObject>(
  strategy: Strategy<T>,
  object: Json,
  context: StrategyContext = strategyContext(),
): Promise<Called<T>> {
  const draft = decode(strategy, object);
  (draft as Draft<KubeObject>).metadata.uid ??= 'uid-1';
  const allocation = await strategy.allocate?.(draft, undefined, context);
  strategy.prepareForCreate?.(draft, context);
  const errors = (strategy.validate?.(draft as T, context) ?? []).map(fieldErrorText);
  const warnings = strategy.warnings?.(draft as T, undefined) ?? [];
  await (errors.length === 0 ? allocation?.commit() : allocation?.rollback());
  return { object: draft as T, errors, warnings };
}

/** `change` works on a copy of what was stored. */
export async function update<T extends KubeObject>(
  strategy: Strategy<T>,
  old: T,
  change: (draft: Draft<T>) => void,
  subresource = '',
  context: StrategyContext = strategyContext(),
): Promise<Called<T>> {
  const draft = structuredClone(old) as Draft<T>;
  change(draft);
  strategy.setDefaults?.(draft);
  if (subresource === '') {
    const allocation = await strategy.allocate?.(draft, old, context);
    strategy.prepareForUpdate?.(draft, old, context);
    const errors = (strategy.validateUpdate?.(draft as T, old, context) ?? []).map(fieldErrorText);
    const warnings = strategy.warnings?.(draft as T, old) ?? [];
    await (errors.length === 0 ? allocation?.commit() : allocation?.rollback());
    return { object: draft as T, errors, warnings };
  }
  const rules = strategy.subresources?.[subresource];
  if (rules === undefined) throw new Error(`${strategy.type.kind} has no ${subresource}`);
  rules.prepareForUpdate(draft, old, context);
  const errors = (rules.validateUpdate?.(draft as T, old, context) ?? []).map(fieldErrorText);
  return { object: draft as T, errors, warnings: rules.warnings?.(draft as T, old) ?? [] };
}
