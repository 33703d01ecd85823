import { corev1, type Draft } from '@k8ts/api';
import { invalidValue, required, type FieldError } from '@k8ts/apimachinery';
import { replicationControllerColumns } from '../../printing/columns/core.ts';
import { validateReplicaStatus } from '../apps/replica-set.ts';
import type { Strategy } from '../contract.ts';
import { notNegative } from '../field-rules.ts';
import { generationRules, statusStrategy } from '../strategy-parts.ts';
import { selectorText, workloadWarnings } from '../workload-rules.ts';
import { setPodTemplateDefaults } from './pod-template/defaults.ts';
import { validatePodTemplateSpec, validateRunsForGood } from './pod-template/validation.ts';

type Controller = corev1.ReplicationController;
type Labels = Readonly<Record<string, string>>;

const isEmpty = (labels: Labels | undefined): boolean =>
  labels === undefined || Object.keys(labels).length === 0;

function setDefaults(controller: Draft<Controller>): void {
  const spec = (controller.spec ??= {});
  spec.replicas ??= 1;
  setPodTemplateDefaults(spec.template);
  const labels = spec.template?.metadata?.labels;
  if (labels === undefined) return;
  if (isEmpty(spec.selector)) spec.selector = { ...labels };
  if (isEmpty(controller.metadata.labels)) controller.metadata.labels = { ...labels };
}

function validateTemplate(template: corev1.PodTemplateSpec | undefined, selector: Labels): FieldError[] {
  const path = 'spec.template';
  if (template === undefined) return [required(path, '')];
  const labels = template.metadata?.labels;
  return [
    ...(Object.entries(selector).every(([name, value]) => labels?.[name] === value)
      ? []
      : [
          invalidValue(
            `${path}.metadata.labels`,
            labels ?? null,
            '`selector` does not match template `labels`',
          ),
        ]),
    ...validatePodTemplateSpec(template, path),
    ...validateRunsForGood(template, 'ReplicationController', path),
  ];
}

function validate({ spec = {} }: Controller): FieldError[] {
  return [
    ...notNegative(spec.minReadySeconds, 'spec.minReadySeconds'),
    ...(isEmpty(spec.selector) ? [required('spec.selector', '')] : []),
    ...(spec.replicas === undefined
      ? [required('spec.replicas', '')]
      : notNegative(spec.replicas, 'spec.replicas')),
    ...validateTemplate(spec.template, spec.selector ?? {}),
  ];
}

export const replicationControllerStrategy: Strategy<Controller> = {
  type: corev1.replicationControllers,
  setDefaults,
  ...generationRules(corev1.replicationControllers),
  validate,
  validateUpdate: validate,
  warnings: (controller, old) => workloadWarnings(controller, old, { namesHosts: true }),
  subresources: {
    status: statusStrategy({ validateUpdate: ({ status }) => validateReplicaStatus(status) }),
  },
  scale: {
    replicas: ({ spec }) => spec?.replicas ?? 0,
    statusReplicas: ({ status }) => status?.replicas ?? 0,
    selector: ({ spec }) => selectorText({ matchLabels: spec?.selector ?? {} }),
    setReplicas(controller, replicas) {
      (controller.spec ??= {}).replicas = replicas;
    },
  },
  selectableFields: ({ status }) => ({ 'status.replicas': String(status?.replicas ?? 0) }),
  defaultPropagation: 'Orphan',
  columns: replicationControllerColumns,
};
