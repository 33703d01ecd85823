import { appsv1 } from '@k8ts/api';
import { forbiddenField, invalidValue, notSupported, required, type FieldError } from '@k8ts/apimachinery';
import { deploymentColumns } from '../../printing/columns/workloads.ts';
import type { Strategy } from '../contract.ts';
import { validateControllerTemplate } from '../core/pod-template/validation.ts';
import { immutable, notNegative } from '../field-rules.ts';
import { amountOf, isNotMoreThan100Percent, validateIntOrPercent } from '../int-or-percent.ts';
import { fieldComparison } from '../semantic-equal.ts';
import { generationRules, statusStrategy } from '../strategy-parts.ts';
import {
  isReadable,
  selectorText,
  validateAtMost,
  validateCollisions,
  validateCounts,
  validateRequiredSelector,
  workloadWarnings,
} from '../workload-rules.ts';
import { setDeploymentDefaults } from './defaults.ts';

type Deployment = appsv1.Deployment;

const sameSelector = fieldComparison(appsv1.deployments, 'spec', 'selector');

function validateRollingUpdate(
  { maxUnavailable = 0, maxSurge = 0 }: appsv1.RollingUpdateDeployment,
  path: string,
): FieldError[] {
  const unavailablePath = `${path}.maxUnavailable`;
  const errors = [
    ...validateIntOrPercent(maxUnavailable, unavailablePath),
    ...validateIntOrPercent(maxSurge, `${path}.maxSurge`),
  ];
  if (amountOf(maxUnavailable) === 0 && amountOf(maxSurge) === 0)
    errors.push(invalidValue(unavailablePath, maxUnavailable, 'may not be 0 when `maxSurge` is 0'));
  return [...errors, ...isNotMoreThan100Percent(maxUnavailable, unavailablePath)];
}

function validateStrategy({ type, rollingUpdate }: appsv1.DeploymentStrategy, path: string): FieldError[] {
  switch (type) {
    case 'Recreate':
      return rollingUpdate === undefined
        ? []
        : [
            forbiddenField(
              `${path}.rollingUpdate`,
              "may not be specified when strategy `type` is 'Recreate'",
            ),
          ];
    case 'RollingUpdate':
      return rollingUpdate === undefined
        ? [required(`${path}.rollingUpdate`, 'this should be defaulted and never be nil')]
        : validateRollingUpdate(rollingUpdate, `${path}.rollingUpdate`);
    default:
      return [notSupported(path, strategyValue({ type, rollingUpdate }), ['Recreate', 'RollingUpdate'])];
  }
}

/** Upstream's internal type has Go's names. */
function strategyValue({
  type,
  rollingUpdate,
}: {
  readonly type: string | undefined;
  readonly rollingUpdate: appsv1.RollingUpdateDeployment | undefined;
}): unknown {
  const { maxUnavailable = 0, maxSurge = 0 } = rollingUpdate ?? {};
  return {
    Type: type ?? '',
    RollingUpdate:
      rollingUpdate === undefined ? null : { MaxUnavailable: maxUnavailable, MaxSurge: maxSurge },
  };
}

function validate({ spec }: Deployment): FieldError[] {
  const { selector, template, progressDeadlineSeconds } = spec;
  const errors = [
    ...notNegative(spec.replicas, 'spec.replicas'),
    ...validateRequiredSelector(selector, 'spec.selector', 'deployment'),
  ];
  if (selector === undefined || isReadable(selector))
    errors.push(...validateControllerTemplate(template, selector, 'ReplicaSet', 'spec.template'));
  errors.push(
    ...validateStrategy(spec.strategy ?? {}, 'spec.strategy'),
    ...notNegative(spec.minReadySeconds, 'spec.minReadySeconds'),
    ...notNegative(spec.revisionHistoryLimit, 'spec.revisionHistoryLimit'),
  );
  if (progressDeadlineSeconds !== undefined) {
    const path = 'spec.progressDeadlineSeconds';
    errors.push(...notNegative(progressDeadlineSeconds, path));
    if (progressDeadlineSeconds <= (spec.minReadySeconds ?? 0))
      errors.push(invalidValue(path, progressDeadlineSeconds, 'must be greater than minReadySeconds'));
  }
  return errors;
}

function validateStatus({ status = {} }: Deployment, old: Deployment): FieldError[] {
  return [
    ...validateCounts(status, [
      'observedGeneration',
      'replicas',
      'updatedReplicas',
      'readyReplicas',
      'availableReplicas',
      'unavailableReplicas',
      'terminatingReplicas',
      'collisionCount',
    ]),
    ...validateAtMost(
      status,
      ['updatedReplicas', 'readyReplicas', 'availableReplicas'],
      'replicas',
      'status.replicas',
    ),
    ...validateAtMost(status, ['availableReplicas'], 'readyReplicas'),
    ...validateCollisions(status, old.status),
  ];
}

export const deploymentStrategy: Strategy<Deployment> = {
  type: appsv1.deployments,
  setDefaults: setDeploymentDefaults,
  ...generationRules(appsv1.deployments, { fields: ['spec', 'metadata.annotations'] }),
  validate,
  validateUpdate: (deployment, old) => [
    ...validate(deployment),
    ...immutable(
      deployment.spec.selector,
      sameSelector(deployment.spec.selector, old.spec.selector),
      'spec.selector',
    ),
  ],
  warnings: (deployment, old) => workloadWarnings(deployment, old, { namesHosts: true }),
  subresources: {
    status: statusStrategy({
      prepare(deployment, old) {
        const { labels } = old.metadata;
        if (labels === undefined) delete deployment.metadata.labels;
        else deployment.metadata.labels = labels;
      },
      validateUpdate: validateStatus,
    }),
  },
  scale: {
    replicas: ({ spec }) => spec.replicas ?? 0,
    statusReplicas: ({ status }) => status?.replicas ?? 0,
    selector: ({ spec }) => selectorText(spec.selector),
    setReplicas(deployment, replicas) {
      deployment.spec.replicas = replicas;
    },
  },
  columns: deploymentColumns,
};
