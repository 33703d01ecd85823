/** A CustomResourceDefinition, compiled: what the registry needs to serve its resource in all its versions. */
import type { apiextensionsv1, Draft, KubeObject, ResourceInfo, Schema } from '@k8ts/api';
import {
  applyDefaults,
  compileStructuralSchema,
  DecodeError,
  normalizeCustomObject,
  pruneObject,
  withEnvelope,
  type JsonObject,
  type Normalized,
} from '@k8ts/apimachinery';
import type { Conversion, Strategy } from '../registry/contract.ts';
import { createObjectEncoding } from '../storage/object-encoding.ts';
import type { StoredConversion } from '../storage/record-reader.ts';
import { apiVersionOf } from '../storage/resource-storage.ts';
import { conversionError, type Convert } from './conversion/webhook-converter.ts';
import { rowOf, storageVersionOf, type Definition, type DefinitionVersion } from './rows.ts';
import { customStrategy } from './strategy.ts';

export interface CustomResourceVersion {
  readonly info: ResourceInfo;
  /** The rules of this version. They see objects of the storage version's apiVersion in this version's shape. */
  readonly strategy: Strategy<KubeObject>;
  readonly schema: Schema;
  /** What OpenAPI shows. */
  readonly openApiSchema: apiextensionsv1.JSONSchemaProps | undefined;
  /** Where the selectable fields are: `spec.color` */
  readonly selectablePaths: readonly string[];
  readonly normalize: (value: unknown) => Normalized;
  /** To and from the storage version, where its schema differs. */
  readonly conversion: Conversion<KubeObject> | undefined;
  /** With strategy `Webhook`: to and from the store. Nothing else knows other versions then. */
  readonly webhook: WebhookConversion | undefined;
}

interface WebhookConversion extends StoredConversion {
  /** An object of this version in another one. Rejects with a StatusError. */
  convert(object: KubeObject, apiVersion: string): Promise<KubeObject>;
}

export interface CustomResource {
  /** The definition's. */
  readonly name: string;
  /** Kept in this one, which need not be served. */
  readonly storage: CustomResourceVersion;
  /** The preferred one first. */
  readonly served: readonly CustomResourceVersion[];
  /** Those of all versions. */
  readonly selectableFields: (object: KubeObject) => Readonly<Record<string, string>>;
  /** From now on nothing new is created. Watches go on: they are to see what is deleted. */
  terminate(): void;
  /**
   * An object as it was stored, as a version shows it today: pruned and defaulted by today's schema. With a webhook, objects
   * of that very version only.
   */
  upgrade(object: KubeObject, to: CustomResourceVersion): KubeObject;
}

/** `convert`: asks the webhook, where the definition has one. */
export function compileCustomResource(definition: Definition, convert?: Convert): CustomResource {
  const { spec, metadata } = definition;
  const stored = storageVersionOf(definition);
  const storageSchema = schemaOf(stored);
  let terminating = definition.metadata.deletionTimestamp !== undefined;
  const isTerminating = (): boolean => terminating;
  const versions = new Map<string, CustomResourceVersion>();
  for (const version of spec.versions) {
    const compiled = compileVersion(definition, version, stored, storageSchema, isTerminating);
    versions.set(version.name, {
      ...compiled,
      webhook:
        convert === undefined ? undefined : webhookConversion(compiled.info, versions, stored.name, convert),
    });
  }
  const storage = versions.get(stored.name) as CustomResourceVersion;
  return {
    name: metadata.name,
    storage,
    served: spec.versions
      .filter(({ served }) => served)
      .map(({ name }) => versions.get(name) as CustomResourceVersion),
    selectableFields(object) {
      const fields: Record<string, string> = {};
      for (const { strategy } of versions.values())
        Object.assign(fields, strategy.selectableFields?.(object));
      return fields;
    },
    terminate() {
      terminating = true;
    },
    upgrade(object, to) {
      const { info } = to;
      const from = versions.get(versionOf(object)) ?? to;
      const current = decoded(object, from);
      const shaped = from === to ? current : pruneObject(current, to.schema).object;
      return { ...shaped, apiVersion: apiVersionOf(info), kind: info.kind } as unknown as KubeObject;
    },
  };
}

function versionOf({ apiVersion = '' }: KubeObject): string {
  return apiVersion.slice(apiVersion.indexOf('/') + 1);
}

/** What was stored, by the schema of the version in which it was. */
function decoded(object: KubeObject, { normalize, schema }: CustomResourceVersion): JsonObject {
  return applyDefaults(normalize(object).object, schema);
}

/** `versions`: all, by name, once one is asked to convert. */
function webhookConversion(
  info: ResourceInfo,
  versions: ReadonlyMap<string, CustomResourceVersion>,
  stored: string,
  convert: Convert,
): WebhookConversion {
  const { group, kind } = info;
  const ask = async (
    objects: readonly KubeObject[],
    to: CustomResourceVersion,
  ): Promise<readonly KubeObject[]> =>
    (await convert(objects, apiVersionOf(to.info))).map((object) => {
      try {
        return to.normalize(object).object as unknown as KubeObject;
      } catch (error) {
        if (error instanceof DecodeError) throw conversionError(error.message);
        throw error;
      }
    });
  const known = (object: KubeObject, direction: 'from' | 'to'): CustomResourceVersion => {
    const version = versions.get(versionOf(object));
    if (version !== undefined && object.apiVersion === apiVersionOf(version.info)) return version;
    throw conversionError(
      `request to convert CR ${direction} an invalid group/version: ${object.apiVersion ?? ''}`,
    );
  };
  const convertOne = async (object: KubeObject, apiVersion: string): Promise<KubeObject> => {
    if (object.apiVersion === apiVersion) return object;
    // What is empty stays so (upstream: isEmptyUnstructuredObject); nobody need be asked.
    const isEmpty = Object.keys(object).every((name) => name === 'apiVersion' || name === 'kind');
    if (isEmpty) return { ...object, apiVersion, kind };
    const [converted] = await ask([object], known({ ...object, apiVersion }, 'to'));
    return converted as KubeObject;
  };
  return {
    storedEncoding: createObjectEncoding(`${group}/${stored}`, kind),
    async fromStored(objects) {
      const results = objects.map(
        (object) => decoded(object, known(object, 'from')) as unknown as KubeObject,
      );
      const target = apiVersionOf(info);
      for (const from of new Set(results.map(({ apiVersion }) => apiVersion))) {
        if (from === target) continue;
        const places = [...results.keys()].filter((at) => results[at]?.apiVersion === from);
        const own = versions.get(info.version) as CustomResourceVersion;
        const converted = await ask(
          places.map((at) => results[at] as KubeObject),
          own,
        );
        for (const [index, at] of places.entries()) results[at] = converted[index] as KubeObject;
      }
      return results;
    },
    toStored: (object) => convertOne(object, `${group}/${stored}`),
    convert: convertOne,
  };
}

function schemaOf(version: DefinitionVersion): Schema {
  return withEnvelope(
    compileStructuralSchema(
      version.schema?.openAPIV3Schema ?? { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    ),
  );
}

function compileVersion(
  definition: Definition,
  version: DefinitionVersion,
  stored: DefinitionVersion,
  storageSchema: Schema,
  isTerminating: () => boolean,
): Omit<CustomResourceVersion, 'webhook'> {
  const info = rowOf(definition, version);
  const schema = version === stored ? storageSchema : schemaOf(version);
  const sameShape = JSON.stringify(version.schema) === JSON.stringify(stored.schema);
  return {
    info,
    strategy: customStrategy(info, version, isTerminating),
    schema,
    openApiSchema: version.schema?.openAPIV3Schema,
    selectablePaths: (version.selectableFields ?? []).map(({ jsonPath }) => jsonPath.replace(/^\./, '')),
    normalize: (value) => normalizeCustomObject(value, schema),
    conversion:
      sameShape || definition.spec.conversion?.strategy === 'Webhook'
        ? undefined
        : pruning(schema, storageSchema),
  };
}

/** Conversion strategy `None`: only the apiVersion changes, and what the other version's schema does not describe goes. */
function pruning(schema: Schema, storageSchema: Schema): Conversion<KubeObject> {
  const shaped = (object: unknown, by: Schema): unknown => pruneObject(object as JsonObject, by).object;
  return {
    toStorage: (object) => shaped(object, storageSchema) as Draft<KubeObject>,
    fromStorage: (object) => shaped(object, schema) as KubeObject,
  };
}
