import { corev1, type Draft } from '@k8ts/api';
import { invalidValue, isQualifiedName, nameIsDNSLabel, type FieldError } from '@k8ts/apimachinery';
import { namespaceColumns } from '../../printing/columns/core.ts';
import type { Strategy } from '../contract.ts';
import { each, messages } from '../field-rules.ts';
import { keepField, statusStrategy } from '../strategy-parts.ts';

type Namespace = corev1.Namespace;

const NAME_LABEL = 'kubernetes.io/metadata.name';
const FINALIZER = 'kubernetes';
const STANDARD_FINALIZERS = [FINALIZER, 'orphan', 'foregroundDeletion'];

function validateFinalizer(name: string, path: string): FieldError[] {
  const errors = messages(isQualifiedName(name), name, path);
  if (!name.includes('/') && !STANDARD_FINALIZERS.includes(name))
    errors.push(
      invalidValue(path, name, 'name is neither a standard finalizer name nor is it fully qualified'),
    );
  return errors;
}

function validateStatus({ metadata, status }: Namespace): FieldError[] {
  const phase = status?.phase ?? '';
  if (metadata.deletionTimestamp === undefined)
    return phase === 'Active'
      ? []
      : [invalidValue('status.Phase', phase, "may only be 'Active' if `deletionTimestamp` is empty")];
  return phase === 'Terminating'
    ? []
    : [invalidValue('status.Phase', phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")];
}

export const namespaceStrategy: Strategy<Namespace> = {
  type: corev1.namespaces,
  validateName: nameIsDNSLabel,

  setDefaults(namespace) {
    if (namespace.metadata.name) (namespace.metadata.labels ??= {})[NAME_LABEL] = namespace.metadata.name;
    namespace.status ??= {};
    if (!namespace.status.phase) namespace.status.phase = 'Active';
  },

  prepareForCreate(namespace) {
    (namespace.metadata.labels ??= {})[NAME_LABEL] = namespace.metadata.name;
    namespace.status = { phase: 'Active' };
    const spec = (namespace.spec ??= {} as Draft<corev1.NamespaceSpec>);
    const finalizers = (spec.finalizers ??= []);
    if (!finalizers.includes(FINALIZER)) finalizers.push(FINALIZER);
  },

  prepareForUpdate(namespace, old) {
    const spec = (namespace.spec ??= {} as Draft<corev1.NamespaceSpec>);
    if (old.spec?.finalizers === undefined) delete spec.finalizers;
    else spec.finalizers = [...old.spec.finalizers];
    keepField(namespace, old, 'status');
  },

  validate: (namespace) =>
    (namespace.spec?.finalizers ?? []).flatMap((name) => validateFinalizer(name, 'spec.finalizers')),

  subresources: {
    status: statusStrategy<Namespace>({ validateUpdate: validateStatus }),
    finalize: {
      prepareForUpdate: (namespace, old) => keepField(namespace, old, 'status'),
      validateUpdate: (namespace) => each(namespace.spec?.finalizers, 'spec.finalizers', validateFinalizer),
    },
  },

  // A namespace goes once its content has gone: the namespace controller empties spec.finalizers.
  prepareForDelete(namespace) {
    namespace.status = { ...namespace.status, phase: 'Terminating' };
  },
  mayBeRemoved: (namespace) => (namespace.spec?.finalizers ?? []).length === 0,

  selectableFields: ({ metadata, status }) => ({ 'status.phase': status?.phase ?? '', name: metadata.name }),
  columns: namespaceColumns,
};
