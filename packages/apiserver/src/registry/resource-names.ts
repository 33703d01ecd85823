/** Which resource names (`cpu`, `requests.storage`, `nvidia.com/gpu`) may stand where (pkg/apis/core/helper). */
import {
  invalidValue,
  isExtendedResource,
  isHugePages,
  isNativeResource,
  isQualifiedName,
  quantityOf,
  quantitySign,
  scaledQuantity,
  type FieldError,
} from '@k8ts/apimachinery';
import { messages, NOT_INTEGER, NOT_NEGATIVE } from './field-rules.ts';

const COMPUTE = ['cpu', 'memory', 'ephemeral-storage'];
const OBJECT_COUNTS = [
  'pods',
  'resourcequotas',
  'services',
  'replicationcontrollers',
  'secrets',
  'configmaps',
  'persistentvolumeclaims',
  'services.nodeports',
  'services.loadbalancers',
];
const REQUESTS_AND_LIMITS = [
  'requests.cpu',
  'requests.memory',
  'requests.ephemeral-storage',
  'limits.cpu',
  'limits.memory',
  'limits.ephemeral-storage',
];

const INTEGER: ReadonlySet<string> = new Set(OBJECT_COUNTS);
const QUOTA: ReadonlySet<string> = new Set([
  ...COMPUTE,
  ...REQUESTS_AND_LIMITS,
  'requests.storage',
  ...OBJECT_COUNTS,
]);
const STANDARD: ReadonlySet<string> = new Set([...QUOTA, 'storage']);

const isQuotaHugePages = (name: string): boolean =>
  isHugePages(name) || name.startsWith('requests.hugepages-');
const isUnqualified = (name: string): boolean => !name.includes('/');

export const isOvercommitAllowed = (name: string): boolean => isNativeResource(name) && !isHugePages(name);
export const isStandardQuotaResource = (name: string): boolean => QUOTA.has(name) || isQuotaHugePages(name);

const isIntegerResource = (name: string): boolean => INTEGER.has(name) || isExtendedResource(name);

export function validateResourceName(name: string, path: string): FieldError[] {
  const errors = messages(isQualifiedName(name), name, path);
  if (errors.length > 0) return errors;
  if (isUnqualified(name) && !STANDARD.has(name) && !isQuotaHugePages(name))
    errors.push(invalidValue(path, name, 'must be a standard resource type or fully qualified'));
  return errors;
}

export function validateContainerResourceName(name: string, path: string): FieldError[] {
  const errors = validateResourceName(name, path);
  if (isUnqualified(name)) {
    if (!COMPUTE.includes(name) && !isHugePages(name))
      errors.push(invalidValue(path, name, 'must be a standard resource for containers'));
  } else if (!isNativeResource(name) && !isExtendedResource(name)) {
    errors.push(invalidValue(path, name, "doesn't follow extended resource name standard"));
  }
  return errors;
}

export function validateQuotaResourceName(name: string, path: string): FieldError[] {
  const errors = validateResourceName(name, path);
  if (isUnqualified(name) && !isStandardQuotaResource(name))
    errors.push(invalidValue(path, name, 'must be a standard resource for quota'));
  return errors;
}

export function validateNonnegativeQuantity(value: string, path: string): FieldError[] {
  return quantitySign(quantityOf(value)) < 0 ? [invalidValue(path, String(value), NOT_NEGATIVE)] : [];
}

/** Not negative, and whole where the resource is counted. */
export function validateResourceQuantity(name: string, value: string, path: string): FieldError[] {
  const errors = validateNonnegativeQuantity(value, path);
  if (isIntegerResource(name) && scaledQuantity(quantityOf(value), -3) % 1000n !== 0n)
    errors.push(invalidValue(path, String(value), NOT_INTEGER));
  return errors;
}
