import type { corev1 } from '@k8ts/api';
import { goQuote, quantityOf, scaledQuantity } from '@k8ts/apimachinery';

/** Bytes come whole. */
export function fractionalStorageWarnings(
  spec: corev1.PersistentVolumeClaimSpec | undefined,
  path: string,
): string[] {
  return (['requests', 'limits'] as const).flatMap((list) => {
    const value = spec?.resources?.[list]?.['storage'];
    return value !== undefined && scaledQuantity(quantityOf(value), -3) % 1000n !== 0n
      ? [
          `${path}.resources.${list}[storage]: fractional byte value ${goQuote(value)} is invalid, must be an integer`,
        ]
      : [];
  });
}
