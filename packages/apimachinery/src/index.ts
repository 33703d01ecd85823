export * from './status-error.ts';
export { goQuote, isPrintable } from './go-quote.ts';
export * from './validation/field-errors.ts';
export * from './validation/names.ts';
export * from './validation/object-meta.ts';
export * from './validation/label-selector.ts';
export * from './validation/conditions.ts';
export * from './group-version.ts';
export * from './labels.ts';
export * from './fields.ts';
export { matchesNode, matchesNodeSelectorTerm, requiredNodeMatcher } from './node-selector.ts';
export { toleratesTaint } from './tolerations.ts';
export * from './quantity.ts';
export * from './persistent-volumes.ts';
export {
  addAmounts,
  aggregateContainerResources,
  amountsOf,
  maxAmounts,
  quantityOf,
  resourceListOf,
  sameAmounts,
  usePodLevelResources,
} from './resource-amounts.ts';
export type { Amounts, ReadonlyAmounts, ResourceList } from './resource-amounts.ts';
export { isExtendedResource, isHugePages, isNativeResource } from './resource-names.ts';
export type { QuotaEvaluator, QuotaOperation } from './quota/contract.ts';
export { quotaEvaluatorOf } from './quota/evaluators.ts';
export { isInScope } from './quota/matching.ts';
export * from './int-or-string.ts';
export * from './time.ts';
export { isTimeZone, zoneOffset } from './time-zone.ts';
export { cronScheduleProblem, parseCronSchedule } from './cron-schedule.ts';
export type { CronSchedule } from './cron-schedule.ts';
export * from './cel/index.ts';
export * from './json-path.ts';
export * from './json.ts';
export { applyJsonPatch, jsonPatchUnknownFields, MAX_JSON_PATCH_OPERATIONS } from './patch/json-patch.ts';
export { applyJsonMergePatch } from './patch/json-merge-patch.ts';
export { applyStrategicMergePatch } from './patch/strategic-merge-patch.ts';
export * from './protobuf/index.ts';
export { zeroFieldsOf, zeroObjectOf } from './schema/zero-value.ts';
export { updateManagedFields } from './managed-fields/update.ts';
export type { ConvertedObject, ManagedObject, UpdateRequest } from './managed-fields/update.ts';
export { applyPatch } from './managed-fields/apply.ts';
export { mergeConfiguration } from './managed-fields/merge-configuration.ts';
export type { ApplyRequest, ApplyResult } from './managed-fields/apply.ts';
export { FieldSetError, parseFieldSet } from './managed-fields/field-set.ts';
export type { FieldSet } from './managed-fields/field-set.ts';
export type { ManagedFieldsEntry, ManagerOperation } from './managed-fields/managers.ts';
export { LAST_APPLIED_ANNOTATION } from './managed-fields/last-applied.ts';
export { DecodeError, normalizeObject } from './codec/normalize.ts';
export type { Normalized, NormalizeOptions } from './codec/normalize.ts';
export { normalizeCustomObject, withEnvelope } from './codec/normalize-custom.ts';
export {
  BodyError,
  cannotBeHandled,
  decodeObject,
  duplicateFieldErrors,
  parseBody,
  strictDecodingError,
} from './codec/decode-object.ts';
export type { DecodedObject, DecodeOptions, FieldValidation, ParsedBody } from './codec/decode-object.ts';
export { formatYaml, parseYaml, parseYamlDocuments, YamlError } from './codec/yaml.ts';
export { applyDefaults } from './schema/default.ts';
export { dropNulls } from './schema/nulls.ts';
export { pruneObject, prunePart } from './schema/prune.ts';
export type { Pruned } from './schema/prune.ts';
export { compileRe2, Re2Error } from './re2.ts';
export type { Re2 } from './re2.ts';
export { compileStructuralSchema } from './structural/compile-schema.ts';
export { coerceEmbeddedObjects, validateEmbeddedObjects } from './structural/embedded-objects.ts';
export type { Coerced } from './structural/embedded-objects.ts';
export { validateListTypes } from './structural/list-types.ts';
export { compileSchemaValidator } from './structural/validate-value.ts';
export type { ValueValidationOptions, ValueValidator } from './structural/validate-value.ts';
export { unrecognizedFormat } from './structural/value-schema.ts';
export { compileValueValidator } from './structural/value-validator.ts';
