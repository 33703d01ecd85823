/** What storage classes and volume attributes classes have in common. */
import { invalidValue, isQualifiedName, required, tooLong, type FieldError } from '@k8ts/apimachinery';
import { byteLength, messages } from '../field-rules.ts';

const MAX_PARAMETERS = 512;
const MAX_SIZE = 256 * 1024;

export function validateProvisioner(provisioner: string | undefined, path: string): FieldError[] {
  if (!provisioner) return [required(path, '')];
  const name = provisioner.toLowerCase();
  return messages(isQualifiedName(name), name, path);
}

export function sizeOf(map: Readonly<Record<string, string>>): number {
  return Object.entries(map).reduce((sum, [name, value]) => sum + byteLength(name) + byteLength(value), 0);
}

export function validateParameters(
  parameters: Readonly<Record<string, string>> | undefined,
  { allowEmpty }: { readonly allowEmpty: boolean },
): FieldError[] {
  const path = 'parameters';
  const names = Object.keys(parameters ?? {});
  if (names.length > MAX_PARAMETERS) return [tooLong(path, MAX_PARAMETERS)];
  return [
    ...(names.includes('') ? [invalidValue(path, '', 'field can not be empty.')] : []),
    ...(sizeOf(parameters ?? {}) > MAX_SIZE ? [tooLong(path, MAX_SIZE)] : []),
    ...(!allowEmpty && names.length === 0
      ? [required(path, 'must contain at least one key/value pair')]
      : []),
  ];
}
