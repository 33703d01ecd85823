import { corev1 } from '@k8ts/api';
import { podTemplateColumns } from '../../../printing/columns/core.ts';
import type { Strategy } from '../../contract.ts';
import { generationRules } from '../../strategy-parts.ts';
import { templateWarnings } from '../../workload-rules.ts';
import { setPodTemplateDefaults } from './defaults.ts';
import { validatePodTemplateSpec } from './validation.ts';

type PodTemplate = corev1.PodTemplate;

const EMPTY = {} as corev1.PodTemplateSpec;

export const podTemplateStrategy: Strategy<PodTemplate> = {
  type: corev1.podTemplates,
  setDefaults: ({ template }) => setPodTemplateDefaults(template),
  ...generationRules(corev1.podTemplates, { fields: ['template'], status: false }),
  validate: ({ template }) => validatePodTemplateSpec(template ?? EMPTY, 'template'),
  validateUpdate: ({ template }) => validatePodTemplateSpec(template ?? EMPTY, 'template'),
  warnings: ({ metadata, template }, old) =>
    old === undefined || metadata.generation !== old.metadata.generation
      ? templateWarnings(template, 'template')
      : [],
  columns: podTemplateColumns,
};
