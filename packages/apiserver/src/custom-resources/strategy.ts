/** The rules of custom resources (apiextensions-apiserver/pkg/registry/customresource). */
import type { Draft, KubeObject, ResourceInfo } from '@k8ts/api';
import {
  compileSchemaValidator,
  compileStructuralSchema,
  compileValidationRules,
  compileValueValidator,
  jsonEqual,
  methodNotSupported,
  RuleBudget,
  StatusError,
  validateListTypes,
  type FieldError,
  type JsonValue,
} from '@k8ts/apimachinery';
import type { ScaleAccess, Strategy } from '../registry/contract.ts';
import {
  finalizerWarnings,
  validateScaleSpec,
  validateScaleStatus,
} from '../registry/apiextensions/validation/custom-objects.ts';
import { columnsOf } from './columns.ts';
import { fieldNames, setValueAt, valueAt } from './field-path.ts';
import type { DefinitionVersion } from './rows.ts';
import { selectableFieldsOf } from './selectable-fields.ts';

type Fields = Record<string, unknown>;

/** What is no part of the resource's own content. */
const ENVELOPE: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata']);

export function customStrategy(
  info: ResourceInfo,
  version: DefinitionVersion,
  isTerminating: () => boolean,
): Strategy<KubeObject> {
  const hasStatus = version.subresources?.status !== undefined;
  const validators = validatorsOf(version);
  const scale = version.subresources?.scale;
  const selectableFields = selectableFieldsOf(version);
  return {
    type: info,
    allowUnconditionalUpdate: false,
    prepareForCreate(object) {
      if (isTerminating()) throw terminating(info);
      if (hasStatus) delete (object as unknown as Fields)['status'];
      object.metadata.generation = 1;
    },
    prepareForUpdate(object, old) {
      if (hasStatus) keep(object, old, 'status');
      if (!sameContent(object, old, hasStatus))
        object.metadata.generation = (old.metadata.generation ?? 0) + 1;
    },
    validate: (object) => validators.whole(object, undefined),
    validateUpdate: (object, old) => validators.whole(object, old),
    warnings: finalizerWarnings,
    subresources: hasStatus
      ? {
          status: {
            prepareForUpdate: keepAllButStatus,
            validateUpdate: (object, old) => validators.status(object, old),
          },
        }
      : {},
    columns: columnsOf(version.additionalPrinterColumns),
    ...(scale === undefined ? {} : { scale: scaleAccess(scale) }),
    ...(selectableFields === undefined ? {} : { selectableFields }),
  };
}

/** While its definition goes, nothing new comes; what is there may still be changed, for its finalizers' sake. */
function terminating({ group, resource }: ResourceInfo): StatusError {
  const { status } = methodNotSupported({ group, resource }, 'create');
  return new StatusError({
    ...status,
    message: 'create not allowed while custom resource definition is terminating',
  });
}

interface Validators {
  whole(object: KubeObject, old: KubeObject | undefined): readonly FieldError[];
  status(object: KubeObject, old: KubeObject): readonly FieldError[];
}

/** In upstream's order (pkg/registry/customresource: strategy.go, status_strategy.go, validator.go). */
function validatorsOf({ schema, subresources }: DefinitionVersion): Validators {
  const props = schema?.openAPIV3Schema;
  const scale = subresources?.scale;
  const scaleStatus = (object: KubeObject): readonly FieldError[] =>
    scale === undefined ? [] : validateScaleStatus(object, scale);
  const scaleAll = (object: KubeObject): readonly FieldError[] =>
    scale === undefined ? [] : [...validateScaleSpec(object, scale), ...validateScaleStatus(object, scale)];
  if (props === undefined) return { whole: scaleAll, status: scaleStatus };

  const validateValue = compileValueValidator(props);
  const structure = compileStructuralSchema(props);
  const rules = compileValidationRules(props, { isRoot: true });
  const statusProps = props.properties?.['status'];
  const validateStatus = statusProps === undefined ? undefined : compileSchemaValidator(statusProps);
  const withRules = (
    errors: readonly FieldError[],
    object: KubeObject,
    old: KubeObject | undefined,
  ): readonly FieldError[] => {
    if (rules.isEmpty) return errors;
    if (errors.some(({ type }) => BLOCKING.has(type))) return [...errors, RULES_NOT_CHECKED];
    const before = old === undefined ? undefined : json(old);
    return [...errors, ...rules.validate(json(object), before, '', new RuleBudget())];
  };
  return {
    whole(object, old) {
      const value = validateValue(json(object), old === undefined ? {} : { old: json(old) });
      return withRules([...value, ...scaleAll(object)], object, old);
    },
    status(object, old) {
      const [status, before] = [valueAt(object, ['status']), valueAt(old, ['status'])];
      const value =
        status === undefined || validateStatus === undefined
          ? []
          : validateStatus(status, { path: 'status', ...(before === undefined ? {} : { old: before }) });
      const lists = validateListTypes(json(object), structure);
      return withRules([...value, ...lists, ...scaleStatus(object)], object, old);
    },
  };
}

/** With these, rules would see what they do not expect. */
const BLOCKING: ReadonlySet<FieldError['type']> = new Set([
  'FieldValueNotSupported',
  'FieldValueRequired',
  'FieldValueTooLong',
  'FieldValueTooMany',
  'FieldValueTypeInvalid',
]);
const RULES_NOT_CHECKED: FieldError = {
  type: 'FieldValueInvalid',
  field: '<nil>',
  body: 'Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation',
};

function json(object: unknown): JsonValue {
  return object as JsonValue;
}

function keep(object: Draft<KubeObject>, old: KubeObject, field: string): void {
  const value = (old as unknown as Fields)[field];
  if (value === undefined) delete (object as unknown as Fields)[field];
  else (object as unknown as Fields)[field] = value;
}

function sameContent(a: object, b: object, exceptStatus: boolean): boolean {
  const content = (object: object): Fields =>
    Object.fromEntries(
      Object.entries(object).filter(([name]) => !ENVELOPE.has(name) && !(exceptStatus && name === 'status')),
    );
  return jsonEqual(content(a), content(b));
}

/** A request to the status changes the status, and who manages which field. */
function keepAllButStatus(object: Draft<KubeObject>, old: KubeObject): void {
  const fields = object as unknown as Fields;
  for (const name of Object.keys(fields)) if (name !== 'status' && !ENVELOPE.has(name)) delete fields[name];
  for (const [name, value] of Object.entries(old))
    if (name !== 'status' && !ENVELOPE.has(name)) fields[name] = value;
  const { managedFields, resourceVersion } = object.metadata;
  object.metadata = {
    ...(old.metadata as Draft<KubeObject>['metadata']),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
  if (managedFields === undefined) delete object.metadata.managedFields;
  else object.metadata.managedFields = managedFields;
}

type Scale = NonNullable<NonNullable<DefinitionVersion['subresources']>['scale']>;

function scaleAccess({
  specReplicasPath,
  statusReplicasPath,
  labelSelectorPath,
}: Scale): ScaleAccess<KubeObject> {
  const [spec, status] = [fieldNames(specReplicasPath), fieldNames(statusReplicasPath)];
  const selector = labelSelectorPath === undefined ? undefined : fieldNames(labelSelectorPath);
  const count = (object: KubeObject, names: readonly string[]): number | undefined => {
    const value = valueAt(object, names);
    return typeof value === 'number' ? value : undefined;
  };
  return {
    replicas: (object) => count(object, spec),
    replicasPath: specReplicasPath,
    statusReplicas: (object) => count(object, status) ?? 0,
    selector(object) {
      const value = selector === undefined ? undefined : valueAt(object, selector);
      return typeof value === 'string' ? value : '';
    },
    setReplicas: (object, replicas) => setValueAt(object, spec, replicas),
  };
}
