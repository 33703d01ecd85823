/** The few things that most strategies do with `metadata`, `spec` and `status`. */
import { schemaOf, type Draft, type KubeObject, type ResourceType } from '@k8ts/api';
import { zeroObjectOf } from '@k8ts/apimachinery';
import type { StrategyContext, SubresourceStrategy } from './contract.ts';
import { copyJson } from './generic/copy-json.ts';
import { fieldComparison } from './semantic-equal.ts';

type Fields = Record<string, unknown>;

/** Sets a field to what the stored object has there, and removes it where that has none. */
export function keepField(object: Draft<KubeObject>, old: KubeObject, field: string): void {
  const value = (old as unknown as Fields)[field];
  if (value === undefined) delete (object as unknown as Fields)[field];
  else (object as unknown as Fields)[field] = value;
}

/** What clients may not say when they create an object. What is left are the fields that are always there. */
export function dropStatus(object: Draft<KubeObject>): void {
  const { apiVersion = '', kind = '' } = object;
  const slash = apiVersion.indexOf('/');
  const schema = schemaOf(
    slash < 0 ? '' : apiVersion.slice(0, slash),
    apiVersion.slice(slash + 1),
    kind,
  )?.fields.get('status')?.schema;
  if (schema === undefined) delete (object as unknown as Fields)['status'];
  // Not structuredClone, which keeps lists that are one empty list being one.
  else (object as unknown as Fields)['status'] = copyJson(zeroObjectOf(schema));
}

export function firstGeneration(object: Draft<KubeObject>): void {
  object.metadata.generation = 1;
}

/** One more than the stored object's generation. */
export function nextGeneration(object: Draft<KubeObject>, old: KubeObject): void {
  object.metadata.generation = (old.metadata.generation ?? 0) + 1;
}

/** `prepareForCreate` and `prepareForUpdate` of kinds with a status and a generation that counts changes of `fields`. */
export function generationRules<T extends KubeObject>(
  type: ResourceType<T>,
  {
    fields = ['spec'],
    status = true,
  }: { readonly fields?: readonly string[]; readonly status?: boolean } = {},
): {
  prepareForCreate(object: Draft<T>, context: StrategyContext): void;
  prepareForUpdate(object: Draft<T>, old: T, context: StrategyContext): void;
} {
  const comparisons = fields.map((field) => [field, fieldComparison(type, ...field.split('.'))] as const);
  return {
    prepareForCreate(object) {
      if (status) dropStatus(object as Draft<KubeObject>);
      firstGeneration(object as Draft<KubeObject>);
    },
    prepareForUpdate(object, old) {
      if (status) keepField(object as Draft<KubeObject>, old, 'status');
      for (const [field, equal] of comparisons) {
        const path = field.split('.');
        if (!equal(valueAt(object, path), valueAt(old, path)))
          return nextGeneration(object as Draft<KubeObject>, old);
      }
    },
  };
}

function valueAt(object: unknown, path: readonly string[]): unknown {
  let value = object;
  for (const name of path) value = (value as Fields | undefined)?.[name];
  return value;
}

/** The status subresource of most kinds: everything but the status and the metadata stays. */
export function statusStrategy<T extends KubeObject>(
  options: {
    /** Keeps labels, annotations, finalizers and owner references too (metav1.ResetObjectMetaForStatus). */
    readonly keepMetadata?: boolean;
    readonly keep?: readonly string[];
    readonly validateUpdate?: SubresourceStrategy<T>['validateUpdate'];
    readonly prepare?: (object: Draft<T>, old: T, context: StrategyContext) => void;
  } = {},
): SubresourceStrategy<T> {
  const { keepMetadata = false, keep = ['spec'], validateUpdate, prepare } = options;
  return {
    prepareForUpdate(object, old, context) {
      for (const field of keep) keepField(object as Draft<KubeObject>, old, field);
      if (keepMetadata) resetMetadataForStatus(object as Draft<KubeObject>, old);
      prepare?.(object, old, context);
    },
    ...(validateUpdate === undefined ? {} : { validateUpdate }),
  };
}

const KEPT_METADATA = [
  'deletionTimestamp',
  'generation',
  'selfLink',
  'labels',
  'annotations',
  'finalizers',
  'ownerReferences',
] as const;

/** metav1.ResetObjectMetaForStatus; managedFields stay those of the request. */
export function resetMetadataForStatus(object: Draft<KubeObject>, old: KubeObject): void {
  const metadata = object.metadata as unknown as Fields;
  for (const field of KEPT_METADATA) {
    const value = old.metadata[field];
    if (value === undefined) delete metadata[field];
    else metadata[field] = value;
  }
}

/** The message of a name that is no DNS label although hostnames are made of it; Go prints the list with `%v`. */
export function hostnameWarning(subject: string, messages: readonly string[]): string {
  return `metadata.name: this is used in ${subject}, which can result in surprising behavior; a DNS label is recommended: [${messages.join(' ')}]`;
}
