import type { corev1 } from '@k8ts/api';
import { compareQuantities, parseQuantity, storageRequest } from '@k8ts/apimachinery';

/** Whether a bound claim asks for more than it has got. */
export function wantsMore(claim: corev1.PersistentVolumeClaim): boolean {
  const has = claim.status?.capacity?.['storage'];
  return (
    claim.status?.phase === 'Bound' &&
    has !== undefined &&
    compareQuantities(storageRequest(claim), parseQuantity(has)) > 0
  );
}
