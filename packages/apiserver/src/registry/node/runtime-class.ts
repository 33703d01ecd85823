import { nodev1 } from '@k8ts/api';
import { duplicate, isDNS1123Label, required, validateLabels, type FieldError } from '@k8ts/apimachinery';
import { runtimeClassColumns } from '../../printing/columns/other.ts';
import type { Strategy } from '../contract.ts';
import { validateContainerResources } from '../core/pod-template/resources.ts';
import { validateTolerations } from '../core/pod-template/scheduling.ts';
import { each, immutable, messages } from '../field-rules.ts';
import { nodeLabelWarning } from '../node-label-warnings.ts';
import { roundUpToMilli } from '../quantities.ts';

type RuntimeClass = nodev1.RuntimeClass;

function validateScheduling({ nodeSelector = {}, tolerations }: nodev1.Scheduling): FieldError[] {
  const path = 'scheduling.tolerations';
  const seen = new Set<string>();
  return [
    ...validateLabels(nodeSelector, 'scheduling.nodeSelector'),
    ...validateTolerations(tolerations ?? [], path),
    ...each(tolerations, path, (toleration, at) => {
      const { key = '', operator = '', value = '', effect = '' } = toleration;
      const id = JSON.stringify([key, operator, value, effect]);
      if (seen.has(id)) return [duplicate(at, toleration)];
      seen.add(id);
      return [];
    }),
  ];
}

function validate({ handler, overhead, scheduling }: RuntimeClass): FieldError[] {
  return [
    ...(handler ? messages(isDNS1123Label(handler), handler, 'handler') : [required('handler', '')]),
    ...(overhead === undefined
      ? []
      : validateContainerResources({ limits: overhead.podFixed ?? {} }, new Set(), 'overhead')),
    ...(scheduling === undefined ? [] : validateScheduling(scheduling)),
  ];
}

export const runtimeClassStrategy: Strategy<RuntimeClass> = {
  type: nodev1.runtimeClasses,
  setDefaults: ({ overhead }) => roundUpToMilli(overhead?.podFixed),
  validate,
  validateUpdate: (runtimeClass, old) => [
    ...validate(runtimeClass),
    ...immutable(runtimeClass.handler, runtimeClass.handler === old.handler, 'handler'),
  ],
  warnings: ({ scheduling }) =>
    Object.keys(scheduling?.nodeSelector ?? {}).flatMap((label) => {
      const message = nodeLabelWarning(label);
      return message === undefined ? [] : [`scheduling.nodeSelector: ${message}`];
    }),
  allowUnconditionalUpdate: false,
  columns: runtimeClassColumns,
};
