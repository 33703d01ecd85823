import { isQualifiedName } from './validation/names.ts';

export const isHugePages = (name: string): boolean => name.startsWith('hugepages-');

/** In the `*kubernetes.io/` namespace, where names without a namespace are too. */
export const isNativeResource = (name: string): boolean =>
  !name.includes('/') || name.includes('kubernetes.io/');

/** `nvidia.com/gpu`: what nodes have besides what Kubernetes knows, and quotas may count as `requests.nvidia.com/gpu`. */
export function isExtendedResource(name: string): boolean {
  if (isNativeResource(name) || name.startsWith('requests.')) return false;
  return isQualifiedName(`requests.${name}`).length === 0;
}
