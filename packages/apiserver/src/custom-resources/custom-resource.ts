/** A CustomResourceDefinition, compiled: what the registry needs to serve its resource in all its versions. */
import type { apiextensionsv1, Draft, KubeObject, ResourceInfo, Schema } from '@k8ts/api';
import {
  applyDefaults,
  compileStructuralSchema,
  internalError,
  normalizeCustomObject,
  pruneObject,
  withEnvelope,
  type JsonObject,
  type Normalized,
} from '@k8ts/apimachinery';
import type { Conversion, Strategy } from '../registry/contract.ts';
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
  /** An object as it was stored, in today's storage version: pruned and defaulted by today's schema. */
  upgrade(object: KubeObject): KubeObject;
}

export function compileCustomResource(definition: Definition): CustomResource {
  const { spec, metadata } = definition;
  const stored = storageVersionOf(definition);
  const storageSchema = schemaOf(stored);
  let terminating = definition.metadata.deletionTimestamp !== undefined;
  const isTerminating = (): boolean => terminating;
  const versions = new Map(
    spec.versions.map((version) => [
      version.name,
      compileVersion(definition, version, stored, storageSchema, isTerminating),
    ]),
  );
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
    upgrade(object) {
      const { info } = storage;
      const version = (object.apiVersion ?? '').slice((object.apiVersion ?? '').indexOf('/') + 1);
      const from = versions.get(version) ?? storage;
      const current = applyDefaults(from.normalize(object).object, from.schema);
      const shaped = from === storage ? current : pruneObject(current, storage.schema).object;
      return {
        ...shaped,
        apiVersion: `${info.group}/${info.version}`,
        kind: info.kind,
      } as unknown as KubeObject;
    },
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
): CustomResourceVersion {
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
      definition.spec.conversion?.strategy === 'Webhook' && version !== stored
        ? refusing(info)
        : sameShape
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

/** Webhooks are not called: only the storage version can be read and written. */
function refusing({ group, version, kind }: ResourceInfo): Conversion<KubeObject> {
  const refuse = (): never => {
    throw internalError(
      new Error(
        `conversion webhook for ${group}/${version}, Kind=${kind} failed: conversion webhooks are not supported`,
      ),
    );
  };
  return { toStorage: refuse, fromStorage: refuse };
}
