/** Resource lists (`{cpu: '100m'}`) as strategies need them: rounding and comparisons. */
import {
  compareQuantities,
  formatQuantity,
  quantityFromMilli,
  quantityOf,
  scaledQuantity,
} from '@k8ts/apimachinery';

export function compareAmounts(left: string | undefined, right: string | undefined): number {
  return left === right ? 0 : compareQuantities(quantityOf(left), quantityOf(right));
}

/** Amounts finer than thousandths round up to them (SetDefaults_ResourceList). Only unusual spellings are looked at. */
export function roundUpToMilli(list: Record<string, string> | undefined): void {
  if (list === undefined) return;
  for (const name in list) {
    const text = list[name] as string;
    if (!/[nue.]|m.|^-/.test(text)) continue;
    const quantity = quantityOf(text);
    if (quantity.scale >= -3) continue;
    list[name] = formatQuantity(quantityFromMilli(scaledQuantity(quantity, -3), quantity.format));
  }
}
