/** Resource lists (`{cpu: '100m'}`) as strategies need them: rounding, sums, comparisons. */
import {
  addQuantities,
  compareQuantities,
  formatQuantity,
  parseQuantity,
  quantityFromMilli,
  scaledQuantity,
  type ParsedQuantity,
} from '@k8ts/apimachinery';

export type ResourceList = Readonly<Record<string, string>>;

const ZERO: ParsedQuantity = parseQuantity('0');

/** Reads a quantity that the decoder accepted; one that is none counts as zero (validation names it). */
export function quantityOf(text: string | number | undefined): ParsedQuantity {
  if (text === undefined) return ZERO;
  try {
    return parseQuantity(String(text));
  } catch {
    return ZERO;
  }
}

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

export type Amounts = Map<string, ParsedQuantity>;

export function addList(sum: Amounts, list: ResourceList | undefined): void {
  for (const name in list ?? {}) {
    const amount = quantityOf((list as ResourceList)[name]);
    const known = sum.get(name);
    sum.set(name, known === undefined ? amount : addQuantities(amount, known));
  }
}

function addAmounts(sum: Amounts, other: Amounts): void {
  for (const [name, amount] of other) {
    const known = sum.get(name);
    sum.set(name, known === undefined ? amount : addQuantities(known, amount));
  }
}

function maxAmounts(sum: Amounts, other: Amounts): void {
  for (const [name, amount] of other) {
    const known = sum.get(name);
    if (known === undefined || compareQuantities(amount, known) > 0) sum.set(name, amount);
  }
}

interface ContainerResources {
  readonly restartPolicy?: string;
  readonly resources?: { readonly requests?: ResourceList; readonly limits?: ResourceList };
}

/**
 * What all containers of a pod need at once: the sum of the containers and sidecars, or an init container with the
 * sidecars started before it, whichever is more (KEP-753).
 */
export function aggregateContainerResources(
  spec: {
    readonly containers?: readonly ContainerResources[];
    readonly initContainers?: readonly ContainerResources[];
  },
  kind: 'requests' | 'limits',
): Amounts {
  const total: Amounts = new Map();
  for (const container of spec.containers ?? []) addList(total, container.resources?.[kind]);
  const sidecars: Amounts = new Map();
  const initial: Amounts = new Map();
  for (const container of spec.initContainers ?? []) {
    const own: Amounts = new Map();
    addList(own, container.resources?.[kind]);
    if (container.restartPolicy === 'Always') {
      addAmounts(total, own);
      addAmounts(sidecars, own);
      maxAmounts(initial, sidecars);
    } else {
      addAmounts(own, sidecars);
      maxAmounts(initial, own);
    }
  }
  maxAmounts(total, initial);
  return total;
}
