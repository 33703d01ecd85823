export * from './generated/index.ts';
export type { Draft, KubeList, KubeObject, New } from './kube-object.ts';
export { docsOf, loadDocs, noDocs } from './docs.ts';
export type { ApiDocs, ApiDocsFile } from './docs.ts';
export { resourceType } from './resource-type.ts';
export type { ResourceType } from './resource-type.ts';
export type { ApiGroupVersion, ResourceInfo, Stage, SubresourceInfo } from './resource-info.ts';
export { builtinGroupVersions, builtinResources, resourceInfo, resourceInfoByKind } from './resources.ts';
export { createSchema } from './schema.ts';
export type { FieldSchema, ProtoEmbed, Schema, SchemaInit, SchemaType } from './schema.ts';
export { builtinPackages, schemaOf, schemaOfType } from './schema-tables.ts';
export type { BuiltinPackage } from './schema-tables.ts';
export type {
  Bytes,
  Duration,
  FieldsV1,
  IntOrString,
  Json,
  MicroTime,
  OpenEnum,
  Quantity,
  RawExtension,
  Time,
} from './wire.ts';
