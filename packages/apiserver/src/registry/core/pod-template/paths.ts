/** Rules for file paths and modes in volumes. */
import { invalidValue, type FieldError } from '@k8ts/apimachinery';

const MAX_MODE = 0o777;

export function pathWithoutBacksteps(target: string, path: string): FieldError[] {
  return target.split('/').includes('..') ? [invalidValue(path, target, "must not contain '..'")] : [];
}

export function localDescendingPath(target: string, path: string): FieldError[] {
  const errors = target.startsWith('/') ? [invalidValue(path, target, 'must be a relative path')] : [];
  return [...errors, ...pathWithoutBacksteps(target, path)];
}

/** Names that begin with two dots are the kubelet's own. */
export function localNonReservedPath(target: string, path: string): FieldError[] {
  const errors = localDescendingPath(target, path);
  if (target.startsWith('..') && !target.startsWith('../'))
    errors.push(invalidValue(path, target, "must not start with '..'"));
  return errors;
}

export function fileMode(mode: number | undefined, path: string): FieldError[] {
  return mode !== undefined && (mode > MAX_MODE || mode < 0)
    ? [invalidValue(path, mode, 'must be a number between 0 and 0777 (octal), both inclusive')]
    : [];
}
