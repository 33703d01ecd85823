import { appsv1 } from '@k8ts/api';
import { jsonEqual, required, type FieldError } from '@k8ts/apimachinery';
import { controllerRevisionColumns } from '../../printing/columns/workloads.ts';
import type { Strategy } from '../contract.ts';
import { immutable, notNegative } from '../field-rules.ts';

type ControllerRevision = appsv1.ControllerRevision;

function validateData(data: unknown): FieldError[] {
  if (data === undefined || data === null) return [required('data', 'data is mandatory')];
  return typeof data === 'object' && !Array.isArray(data)
    ? []
    : [required('data', 'data must be a valid JSON object')];
}

export const controllerRevisionStrategy: Strategy<ControllerRevision> = {
  type: appsv1.controllerRevisions,
  validate: (revision) => [...notNegative(revision.revision, 'revision'), ...validateData(revision.data)],
  validateUpdate: (revision, old) => [
    ...notNegative(revision.revision, 'revision'),
    ...immutable(revision.data, jsonEqual(revision.data ?? null, old.data ?? null), 'data'),
  ],
  columns: controllerRevisionColumns,
};
