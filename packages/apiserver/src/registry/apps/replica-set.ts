import { appsv1 } from '@k8ts/api';
import type { FieldError } from '@k8ts/apimachinery';
import { replicaSetColumns } from '../../printing/columns/workloads.ts';
import type { Strategy } from '../contract.ts';
import { validateControllerTemplate } from '../core/pod-template/validation.ts';
import { immutable, notNegative } from '../field-rules.ts';
import { fieldComparison } from '../semantic-equal.ts';
import { generationRules, statusStrategy } from '../strategy-parts.ts';
import {
  isReadable,
  selectorText,
  validateAtMost,
  validateCounts,
  validateRequiredSelector,
  workloadWarnings,
} from '../workload-rules.ts';
import { setReplicaSetDefaults } from './defaults.ts';

type ReplicaSet = appsv1.ReplicaSet;

const sameSelector = fieldComparison(appsv1.replicaSets, 'spec', 'selector');

function validate({ spec }: ReplicaSet): FieldError[] {
  const { selector } = spec;
  return [
    ...notNegative(spec.replicas, 'spec.replicas'),
    ...notNegative(spec.minReadySeconds, 'spec.minReadySeconds'),
    // Upstream's message says deployment here too.
    ...validateRequiredSelector(selector, 'spec.selector', 'deployment'),
    ...(selector === undefined || isReadable(selector)
      ? validateControllerTemplate(spec.template, selector, 'ReplicaSet', 'spec.template')
      : []),
  ];
}

/** Of replica sets and replication controllers. */
export function validateReplicaStatus(status: appsv1.ReplicaSetStatus = { replicas: 0 }): FieldError[] {
  return [
    ...validateCounts(status, [
      'replicas',
      'fullyLabeledReplicas',
      'readyReplicas',
      'availableReplicas',
      'observedGeneration',
      'terminatingReplicas',
    ]),
    ...validateAtMost(
      status,
      ['fullyLabeledReplicas', 'readyReplicas', 'availableReplicas'],
      'replicas',
      'status.replicas',
    ),
    ...validateAtMost(status, ['availableReplicas'], 'readyReplicas'),
  ];
}

export const replicaSetStrategy: Strategy<ReplicaSet> = {
  type: appsv1.replicaSets,
  setDefaults: setReplicaSetDefaults,
  ...generationRules(appsv1.replicaSets),
  validate,
  validateUpdate: (replicaSet, old) => [
    ...validate(replicaSet),
    ...immutable(
      replicaSet.spec.selector,
      sameSelector(replicaSet.spec.selector, old.spec.selector),
      'spec.selector',
    ),
  ],
  warnings: (replicaSet, old) => workloadWarnings(replicaSet, old, { namesHosts: true }),
  subresources: {
    status: statusStrategy({ validateUpdate: ({ status }) => validateReplicaStatus(status) }),
  },
  scale: {
    replicas: ({ spec }) => spec.replicas ?? 0,
    statusReplicas: ({ status }) => status?.replicas ?? 0,
    selector: ({ spec }) => selectorText(spec.selector),
    setReplicas(replicaSet, replicas) {
      replicaSet.spec.replicas = replicas;
    },
  },
  selectableFields: ({ status }) => ({ 'status.replicas': String(status?.replicas ?? 0) }),
  columns: replicaSetColumns,
};
