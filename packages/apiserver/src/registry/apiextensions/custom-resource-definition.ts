import { apiextensionsv1, type Draft } from '@k8ts/api';
import { compileSchemaRules, compileValidationRules, formatTime, RuleBudget } from '@k8ts/apimachinery';
import { CLEANUP_FINALIZER } from '../../custom-resources/definition-controller.ts';
import { setCondition, state } from '../../custom-resources/definition-status.ts';
import type { Strategy } from '../contract.ts';
import { generationRules, statusStrategy } from '../strategy-parts.ts';
import {
  customResourceDefinitionWarnings,
  validateCustomResourceDefinition,
  validateCustomResourceDefinitionStatus,
  type DefinitionValidationOptions,
} from './validation/definition.ts';

type Definition = apiextensionsv1.CustomResourceDefinition;

const DEFAULT_WEBHOOK_PORT = 443;

/** SetDefaults_CustomResourceDefinitionSpec and SetDefaults_ServiceReference. */
function setDefaults({ spec }: Draft<Definition>): void {
  const { names } = spec;
  if (!names.singular) names.singular = names.kind.toLowerCase();
  if (!names.listKind && names.kind !== '') names.listKind = `${names.kind}List`;
  spec.conversion ??= { strategy: 'None' };
  const service = spec.conversion.webhook?.clientConfig?.service;
  if (service !== undefined) service.port ??= DEFAULT_WEBHOOK_PORT;
}

/** Objects may be kept in every version that ever was the storage version. */
function rememberStorageVersion(definition: Draft<Definition>): void {
  const version = definition.spec.versions.find(({ storage }) => storage)?.name;
  if (version === undefined) return;
  definition.status ??= {};
  const stored = (definition.status.storedVersions ??= []);
  if (!stored.includes(version)) stored.push(version);
}

const RULES: DefinitionValidationOptions = {
  compileRules: ({ schema, isResource }) => compileSchemaRules(schema, isResource),
  checkDefault: (schema, value, path, isResource) =>
    compileValidationRules(schema, { isRoot: isResource }).validate(value, undefined, path, new RuleBudget()),
};

const generation = generationRules(apiextensionsv1.customResourceDefinitions);

export const customResourceDefinitionStrategy: Strategy<Definition> = {
  type: apiextensionsv1.customResourceDefinitions,
  allowUnconditionalUpdate: false,
  setDefaults,
  prepareForCreate(definition, context) {
    generation.prepareForCreate(definition, context);
    rememberStorageVersion(definition);
  },
  prepareForUpdate(definition, old, context) {
    generation.prepareForUpdate(definition, old, context);
    if (definition.status !== undefined) definition.status = structuredClone(definition.status);
    rememberStorageVersion(definition);
  },
  validate: (definition) => validateCustomResourceDefinition(definition, RULES),
  validateUpdate: (definition, old) => validateCustomResourceDefinition(definition, { ...RULES, old }),
  warnings: customResourceDefinitionWarnings,
  subresources: { status: statusStrategy({ validateUpdate: validateCustomResourceDefinitionStatus }) },
  // The first deletion only marks it: its objects go first.
  mayBeRemoved: ({ metadata }) => metadata.deletionTimestamp !== undefined,
  prepareForDelete(definition, { clock }) {
    const finalizers = definition.metadata.finalizers ?? [];
    if (!finalizers.includes(CLEANUP_FINALIZER))
      definition.metadata.finalizers = [...finalizers, CLEANUP_FINALIZER];
    definition.status = structuredClone(definition.status ?? {});
    setCondition(
      definition,
      state(
        'Terminating',
        true,
        'InstanceDeletionPending',
        'CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon',
      ),
      formatTime(clock.now()),
    );
  },
};
