import { storagev1, type corev1 } from '@k8ts/api';
import {
  duplicate,
  forbiddenField,
  notSupported,
  required,
  validateLabelName,
  type FieldError,
} from '@k8ts/apimachinery';
import { storageClassColumns, volumeAttributesClassColumns } from '../../printing/columns/other.ts';
import type { Strategy } from '../contract.ts';
import { each, immutable } from '../field-rules.ts';
import { nodeLabelWarning } from '../node-label-warnings.ts';
import { fieldComparison } from '../semantic-equal.ts';
import { validateParameters, validateProvisioner } from './class-parameters.ts';

type StorageClass = storagev1.StorageClass;
type AttributesClass = storagev1.VolumeAttributesClass;

const RECLAIM_POLICIES = ['Delete', 'Retain'];
const BINDING_MODES = ['Immediate', 'WaitForFirstConsumer'];

const sameParameters = fieldComparison(storagev1.storageClasses, 'parameters');
const sameAttributes = fieldComparison(storagev1.volumeAttributesClasses, 'parameters');

function validateTopology(term: corev1.TopologySelectorTerm, path: string): FieldError[] {
  const keys = new Set<string>();
  return each(
    term.matchLabelExpressions,
    `${path}.matchLabelExpressions`,
    ({ key = '', values = [] }, at) => {
      const errors: FieldError[] = values.length === 0 ? [required(`${at}.values`, '')] : [];
      errors.push(
        ...each(values, `${at}.values`, (value, valuePath, i) =>
          values.indexOf(value) < i ? [duplicate(valuePath, value)] : [],
        ),
        ...validateLabelName(key, `${at}.key`),
      );
      if (keys.has(key)) errors.push(duplicate(`${at}.key`, key));
      keys.add(key);
      return errors;
    },
  );
}

/** Two terms that say the same. */
function sayingOf(term: corev1.TopologySelectorTerm): string {
  return JSON.stringify(
    (term.matchLabelExpressions ?? [])
      .map(({ key, values = [] }) => [key, [...values].sort()] as const)
      .sort(([left], [right]) => (left < right ? -1 : 1)),
  );
}

function validateTopologies({ allowedTopologies }: StorageClass): FieldError[] {
  const seen = new Set<string>();
  return each(allowedTopologies, 'allowedTopologies', (term, at) => {
    const errors = validateTopology(term, at);
    const saying = sayingOf(term);
    if (seen.has(saying)) errors.push(duplicate(`${at}.matchLabelExpressions`, ''));
    seen.add(saying);
    return errors;
  });
}

function validate(storageClass: StorageClass): FieldError[] {
  const { reclaimPolicy, volumeBindingMode } = storageClass;
  return [
    ...validateProvisioner(storageClass.provisioner, 'provisioner'),
    ...validateParameters(storageClass.parameters, { allowEmpty: true }),
    ...(reclaimPolicy && !RECLAIM_POLICIES.includes(reclaimPolicy)
      ? [notSupported('reclaimPolicy', reclaimPolicy, RECLAIM_POLICIES)]
      : []),
    ...(volumeBindingMode === undefined
      ? [required('volumeBindingMode', '')]
      : BINDING_MODES.includes(volumeBindingMode)
        ? []
        : [notSupported('volumeBindingMode', volumeBindingMode, BINDING_MODES)]),
    ...validateTopologies(storageClass),
  ];
}

export const storageClassStrategy: Strategy<StorageClass> = {
  type: storagev1.storageClasses,
  setDefaults(storageClass) {
    storageClass.reclaimPolicy ??= 'Delete';
    storageClass.volumeBindingMode ??= 'Immediate';
  },
  validate,
  validateUpdate: (next, old) => [
    ...validate(next),
    ...immutable(next.parameters, sameParameters(next.parameters, old.parameters), 'parameters'),
    ...immutable(next.provisioner, next.provisioner === old.provisioner, 'provisioner'),
    ...immutable(next.reclaimPolicy, next.reclaimPolicy === old.reclaimPolicy, 'reclaimPolicy'),
    ...immutable(
      next.volumeBindingMode,
      next.volumeBindingMode === old.volumeBindingMode,
      'volumeBindingMode',
    ),
  ],
  warnings: ({ allowedTopologies = [] }) =>
    allowedTopologies.flatMap(({ matchLabelExpressions = [] }, i) =>
      matchLabelExpressions.flatMap(({ key }, j) => {
        const message = nodeLabelWarning(key);
        const path = `allowedTopologies[${i}].matchLabelExpressions[${j}].key`;
        return message === undefined ? [] : [`${path}: ${key} is ${message}`];
      }),
    ),
  columns: storageClassColumns,
};

function validateAttributes({ driverName, parameters }: AttributesClass): FieldError[] {
  return [
    ...validateProvisioner(driverName, 'driverName'),
    ...validateParameters(parameters, { allowEmpty: false }),
  ];
}

export const volumeAttributesClassStrategy: Strategy<AttributesClass> = {
  type: storagev1.volumeAttributesClasses,
  validate: validateAttributes,
  validateUpdate: (next, old) => [
    ...(next.driverName === old.driverName
      ? []
      : [forbiddenField('driverName', 'updates to driverName are forbidden.')]),
    ...(sameAttributes(next.parameters, old.parameters)
      ? []
      : [forbiddenField('parameters', 'updates to parameters are forbidden.')]),
    ...validateAttributes(next),
  ],
  columns: volumeAttributesClassColumns,
};
