import { appsv1, type Draft } from '@k8ts/api';
import {
  invalidValue,
  notSupported,
  required,
  validateLabelSelector,
  type FieldError,
} from '@k8ts/apimachinery';
import { daemonSetColumns } from '../../printing/columns/workloads.ts';
import type { Strategy } from '../contract.ts';
import {
  validatePodTemplateSpec,
  validateRunsForGood,
  validateTemplateLabels,
} from '../core/pod-template/validation.ts';
import { immutable, notNegative } from '../field-rules.ts';
import { amountOf, isNotMoreThan100Percent, validateIntOrPercent } from '../int-or-percent.ts';
import { fieldComparison } from '../semantic-equal.ts';
import { generationRules, statusStrategy } from '../strategy-parts.ts';
import { isEmptySelector, templateWarnings, validateCollisions, validateCounts } from '../workload-rules.ts';
import { setDaemonSetDefaults } from './defaults.ts';

type DaemonSet = appsv1.DaemonSet;

/** apps/v1 has no field for it, so it travels as an annotation; the controller puts it on the pods. */
const TEMPLATE_GENERATION = 'deprecated.daemonset.template.generation';

const sameSelector = fieldComparison(appsv1.daemonSets, 'spec', 'selector');
const sameTemplate = fieldComparison(appsv1.daemonSets, 'spec', 'template');

function templateGeneration({ metadata }: DaemonSet | Draft<DaemonSet>): number {
  const text = metadata.annotations?.[TEMPLATE_GENERATION] ?? '';
  return /^[+-]?[0-9]{1,15}$/.test(text) ? Number(text) : 0;
}

function setTemplateGeneration({ metadata }: Draft<DaemonSet>, generation: number): void {
  metadata.annotations = { ...metadata.annotations, [TEMPLATE_GENERATION]: String(generation) };
}

function validateRollingUpdate(
  { maxUnavailable = 0, maxSurge = 0 }: appsv1.RollingUpdateDaemonSet,
  path: string,
): FieldError[] {
  const [unavailablePath, surgePath] = [`${path}.maxUnavailable`, `${path}.maxSurge`];
  const errors = [
    ...validateIntOrPercent(maxUnavailable, unavailablePath),
    ...validateIntOrPercent(maxSurge, surgePath),
    ...isNotMoreThan100Percent(maxUnavailable, unavailablePath),
    ...isNotMoreThan100Percent(maxSurge, surgePath),
  ];
  const hasUnavailable = amountOf(maxUnavailable) !== 0;
  const hasSurge = amountOf(maxSurge) !== 0;
  if (hasUnavailable && hasSurge)
    errors.push(invalidValue(surgePath, maxSurge, 'may not be set when maxUnavailable is non-zero'));
  else if (!hasUnavailable && !hasSurge)
    errors.push(required(unavailablePath, 'cannot be 0 when maxSurge is 0'));
  return errors;
}

function validateUpdateStrategy({ type, rollingUpdate }: appsv1.DaemonSetUpdateStrategy): FieldError[] {
  const path = 'spec.updateStrategy';
  if (type === 'OnDelete') return [];
  if (type === 'RollingUpdate')
    return rollingUpdate === undefined
      ? [required(`${path}.rollingUpdate`, '')]
      : validateRollingUpdate(rollingUpdate, `${path}.rollingUpdate`);
  const { maxUnavailable = 0, maxSurge = 0 } = rollingUpdate ?? {};
  const value = {
    Type: type ?? '',
    RollingUpdate:
      rollingUpdate === undefined ? null : { MaxUnavailable: maxUnavailable, MaxSurge: maxSurge },
  };
  return [notSupported(path, value, ['RollingUpdate', 'OnDelete'])];
}

function validate({ spec }: DaemonSet): FieldError[] {
  const { selector, template } = spec;
  const errors = [
    ...validateLabelSelector(selector, 'spec.selector'),
    ...validateTemplateLabels(template, selector, 'spec.template'),
  ];
  // The type says that it is there; a client may have left it out.
  if ((selector as typeof selector | undefined) !== undefined && isEmptySelector(selector))
    errors.push(invalidValue('spec.selector', selector, 'empty selector is invalid for daemonset'));
  return [
    ...errors,
    ...validatePodTemplateSpec(template, 'spec.template'),
    ...validateRunsForGood(template, 'DaemonSet', 'spec.template'),
    ...notNegative(spec.minReadySeconds, 'spec.minReadySeconds'),
    ...validateUpdateStrategy(spec.updateStrategy ?? {}),
    ...notNegative(spec.revisionHistoryLimit, 'spec.revisionHistoryLimit'),
  ];
}

function validateStatus({ status }: DaemonSet, old: DaemonSet): FieldError[] {
  return [
    ...validateCounts(status ?? {}, [
      'currentNumberScheduled',
      'numberMisscheduled',
      'desiredNumberScheduled',
      'numberReady',
      'observedGeneration',
      'updatedNumberScheduled',
      'numberAvailable',
      'numberUnavailable',
      'collisionCount',
    ]),
    ...validateCollisions(status, old.status),
  ];
}

const generations = generationRules(appsv1.daemonSets);

export const daemonSetStrategy: Strategy<DaemonSet> = {
  type: appsv1.daemonSets,
  setDefaults: setDaemonSetDefaults,
  prepareForCreate(daemonSet, context) {
    generations.prepareForCreate(daemonSet, context);
    setTemplateGeneration(daemonSet, Math.max(1, templateGeneration(daemonSet)));
  },
  prepareForUpdate(daemonSet, old, context) {
    generations.prepareForUpdate(daemonSet, old, context);
    const changed = sameTemplate(daemonSet.spec.template, old.spec.template) ? 0 : 1;
    setTemplateGeneration(daemonSet, templateGeneration(old) + changed);
  },
  validate,
  validateUpdate: (daemonSet, old) => [
    ...immutable(
      daemonSet.spec.selector,
      sameSelector(daemonSet.spec.selector, old.spec.selector),
      'spec.selector',
    ),
    ...validate(daemonSet),
  ],
  warnings: (daemonSet, old) =>
    old === undefined || templateGeneration(daemonSet) !== templateGeneration(old)
      ? templateWarnings(daemonSet.spec.template)
      : [],
  subresources: {
    status: statusStrategy({
      prepare: (daemonSet, old) => setTemplateGeneration(daemonSet, templateGeneration(old)),
      validateUpdate: validateStatus,
    }),
  },
  columns: daemonSetColumns,
};
