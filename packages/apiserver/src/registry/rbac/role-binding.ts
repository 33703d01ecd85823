import { isDeepStrictEqual } from 'node:util';
import { rbacv1 } from '@k8ts/api';
import type { Draft } from '@k8ts/api';
import {
  child,
  index,
  invalidValue,
  isDNS1123Subdomain,
  isPathSegmentName,
  notSupported,
  required,
  type FieldError,
} from '@k8ts/apimachinery';
import { roleBindingColumns } from '../../printing/columns/other.ts';
import type { Strategy } from '../contract.ts';

const GROUP = 'rbac.authorization.k8s.io';

type Binding = rbacv1.RoleBinding | rbacv1.ClusterRoleBinding;

function setDefaults(binding: Draft<Binding>): void {
  const roleRef = binding.roleRef as Draft<rbacv1.RoleRef> | undefined;
  if (roleRef?.apiGroup === '') roleRef.apiGroup = GROUP;
  for (const subject of binding.subjects ?? [])
    if (!subject.apiGroup && (subject.kind === 'User' || subject.kind === 'Group')) subject.apiGroup = GROUP;
}

function validate(binding: Binding, isNamespaced: boolean): FieldError[] {
  const { apiGroup, kind, name } = binding.roleRef;
  const kinds = isNamespaced ? ['Role', 'ClusterRole'] : ['ClusterRole'];
  const errors: FieldError[] = [];
  if (apiGroup !== GROUP) errors.push(notSupported('roleRef.apiGroup', apiGroup, [GROUP]));
  if (!kinds.includes(kind)) errors.push(notSupported('roleRef.kind', kind, kinds));
  if (name === '') errors.push(required('roleRef.name', ''));
  else
    for (const message of isPathSegmentName(name)) errors.push(invalidValue('roleRef.name', name, message));
  for (const [i, subject] of (binding.subjects ?? []).entries())
    errors.push(...subjectErrors(subject, index('subjects', i), isNamespaced));
  return errors;
}

function subjectErrors(subject: rbacv1.Subject, path: string, isNamespaced: boolean): FieldError[] {
  const errors: FieldError[] = [];
  if (subject.name === '') errors.push(required(child(path, 'name'), ''));
  const apiGroup = subject.apiGroup ?? '';
  switch (subject.kind) {
    case 'ServiceAccount':
      if (subject.name !== '')
        for (const message of isDNS1123Subdomain(subject.name))
          errors.push(invalidValue(child(path, 'name'), subject.name, message));
      if (apiGroup !== '') errors.push(notSupported(child(path, 'apiGroup'), apiGroup, ['']));
      if (!isNamespaced && !subject.namespace) errors.push(required(child(path, 'namespace'), ''));
      break;
    case 'User':
    case 'Group':
      if (apiGroup !== GROUP) errors.push(notSupported(child(path, 'apiGroup'), apiGroup, [GROUP]));
      break;
    default:
      errors.push(notSupported(child(path, 'kind'), subject.kind, ['ServiceAccount', 'User', 'Group']));
  }
  return errors;
}

function validateUpdate(binding: Binding, old: Binding, isNamespaced: boolean): FieldError[] {
  const errors = validate(binding, isNamespaced);
  if (!isDeepStrictEqual(binding.roleRef, old.roleRef))
    errors.push(invalidValue('roleRef', binding.roleRef, 'cannot change roleRef'));
  return errors;
}

export const roleBindingStrategy: Strategy<rbacv1.RoleBinding> = {
  type: rbacv1.roleBindings,
  allowCreateOnUpdate: true,
  validateName: isPathSegmentName,
  setDefaults,
  validate: (binding) => validate(binding, true),
  validateUpdate: (binding, old) => validateUpdate(binding, old, true),
  columns: roleBindingColumns,
};

export const clusterRoleBindingStrategy: Strategy<rbacv1.ClusterRoleBinding> = {
  type: rbacv1.clusterRoleBindings,
  allowCreateOnUpdate: true,
  validateName: isPathSegmentName,
  setDefaults,
  validate: (binding) => validate(binding, false),
  validateUpdate: (binding, old) => validateUpdate(binding, old, false),
  columns: roleBindingColumns,
};
