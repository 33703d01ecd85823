import {
  schemaOf,
  type Draft,
  type KubeObject,
  type ResourceInfo,
  type ResourceType,
  type Schema,
} from '@k8ts/api';
import { applyDefaults, type GroupResource, type Normalized } from '@k8ts/apimachinery';
import type { CustomResourceVersion } from '../custom-resources/custom-resource.ts';
import { createObjectEncoding, encodeServed, type ObjectEncoding } from '../storage/object-encoding.ts';
import type { ObjectRecord } from '../storage/object-record.ts';
import { apiVersionOf, type ResourceStorage } from '../storage/resource-storage.ts';
import type { Conversion, Strategy } from './contract.ts';

/** A resource in one of the versions that it is served in. All versions share one storage. */
export interface ServedResource {
  readonly info: ResourceInfo;
  readonly apiVersion: string;
  /** `info` as a handle, for admission. */
  readonly type: ResourceType<KubeObject>;
  readonly groupResource: GroupResource;
  readonly encoding: ObjectEncoding;
  readonly storage: ResourceStorage;
  readonly strategy: Strategy<KubeObject> | undefined;
  /** Where the shape differs from that of the storage version. */
  readonly conversion: Conversion<KubeObject> | undefined;
  /** Of this version. Throws for a kind that the tables do not have. */
  readonly schema: () => Schema;
  readonly storageSchema: () => Schema;
  /** The same objects in all groups and versions that serve them, this one among them. */
  readonly equivalents: readonly ServedResource[];
  /** How a value becomes an object of this version. Absent: from the tables, as built-in kinds. */
  readonly normalize: ((value: unknown) => Normalized) | undefined;
  /**
   * An object of this version in one of its equivalents, where that takes asking a webhook; `storage` is of this version
   * alone then, and `conversion` undefined. Rejects with a StatusError.
   */
  readonly convert: ((object: KubeObject, to: ServedResource) => Promise<KubeObject>) | undefined;
}

/** Is added to `equivalents`. */
export function createServedResource(
  info: ResourceInfo,
  storage: ResourceStorage,
  equivalents: ServedResource[],
): ServedResource {
  const { strategy } = storage;
  const apiVersion = apiVersionOf(info);
  const isStorageVersion = info.group === storage.info.group && info.version === storage.info.version;
  const conversion = isStorageVersion
    ? undefined
    : (strategy?.conversions?.[apiVersion] ?? strategy?.conversions?.[info.version]);
  const served: ServedResource = {
    info,
    apiVersion,
    type: info,
    groupResource: { group: info.group, resource: info.resource },
    encoding: isStorageVersion ? storage.encoding : createObjectEncoding(apiVersion, info.kind),
    storage,
    strategy,
    conversion,
    schema: () => schemaFor(info),
    storageSchema: () => schemaFor(storage.info),
    equivalents,
    normalize: undefined,
    convert: undefined,
  };
  equivalents.push(served);
  return served;
}

/** A version of a custom resource: its rules and its shape are its own. */
export function createCustomServedResource(
  version: CustomResourceVersion,
  storage: ResourceStorage,
  storageSchema: Schema,
  equivalents: ServedResource[],
): ServedResource {
  const { info, strategy, schema, normalize, conversion, webhook } = version;
  const apiVersion = apiVersionOf(info);
  const isStorageVersion = info.version === storage.info.version;
  const served: ServedResource = {
    info,
    apiVersion,
    type: info,
    groupResource: { group: info.group, resource: info.resource },
    encoding: isStorageVersion ? storage.encoding : createObjectEncoding(apiVersion, info.kind),
    storage,
    strategy,
    conversion: isStorageVersion ? undefined : conversion,
    schema: () => schema,
    storageSchema: () => storageSchema,
    equivalents,
    normalize,
    convert:
      webhook === undefined ? undefined : (object, to) => webhook.convert(object, apiVersionOf(to.info)),
  };
  equivalents.push(served);
  return served;
}

function schemaFor(info: ResourceInfo): Schema {
  const schema = schemaOf(info.group, info.version, info.kind);
  if (schema === undefined) throw new Error(`no schema for ${apiVersionOf(info)} ${info.kind}`);
  return schema;
}

/** What the tables declare (`+default`), filled in before the strategy's own defaults and before conversion, as upstream. */
export function withSchemaDefaults(served: ServedResource, draft: Draft<KubeObject>): Draft<KubeObject> {
  return applyDefaults(draft, served.schema()) as unknown as Draft<KubeObject>;
}

/** From normal form in the served version to a draft of the storage version, with all defaults. */
export function fromServed(served: ServedResource, draft: Draft<KubeObject>): Draft<KubeObject> {
  const { storage, strategy, conversion } = served;
  let stored = withSchemaDefaults(served, draft);
  if (served.encoding !== storage.encoding) {
    stored = conversion === undefined ? stored : conversion.toStorage(stored);
    stored.apiVersion = storage.encoding.apiVersion;
    stored.kind = storage.info.kind;
  }
  strategy?.setDefaults?.(stored);
  return stored;
}

/** The object of a record in the served version: shared, never to be changed. */
export function objectOf(served: ServedResource, record: ObjectRecord): KubeObject {
  return toServed(served, record.object);
}

/** An object of the storage version in the served version. */
export function toServed(served: ServedResource, object: KubeObject): KubeObject {
  if (served.encoding === served.storage.encoding) return object;
  const converted = served.conversion === undefined ? object : served.conversion.fromStorage(object);
  return { ...converted, apiVersion: served.apiVersion, kind: served.info.kind };
}

/** Whether a definition says what it is. */
export function isCustom(served: ServedResource): boolean {
  return served.normalize !== undefined;
}

/** The bytes of a record in the served version, ending in a newline. */
export function bytesOf(served: ServedResource, record: ObjectRecord): Buffer {
  if (served.conversion === undefined) return record.bytesAs(served.encoding);
  return encodeServed(served.encoding, toServed(served, record.object));
}
