/** Resource lists (`{cpu: '100m'}`) as exact amounts: sums, comparisons, and what a pod needs altogether. */
import type { corev1 } from '@k8ts/api';

import {
  addQuantities,
  compareQuantities,
  formatQuantity,
  parseQuantity,
  quantitySign,
  type ParsedQuantity,
} from './quantity.ts';

export type ResourceList = Readonly<Record<string, string>>;
export type Amounts = Map<string, ParsedQuantity>;
export type ReadonlyAmounts = ReadonlyMap<string, ParsedQuantity>;

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

export function amountsOf(list: ResourceList | undefined): Amounts {
  const amounts: Amounts = new Map();
  for (const name in list ?? {}) amounts.set(name, quantityOf((list as ResourceList)[name]));
  return amounts;
}

export function resourceListOf(amounts: ReadonlyAmounts): Record<string, string> {
  const list: Record<string, string> = {};
  for (const [name, amount] of amounts) list[name] = formatQuantity(amount);
  return list;
}

export function addAmounts(sum: Amounts, other: ReadonlyAmounts): void {
  for (const [name, amount] of other) {
    const known = sum.get(name);
    sum.set(name, known === undefined ? amount : addQuantities(known, amount));
  }
}

/** The greater of both, name by name. */
export function maxAmounts(sum: Amounts, other: ReadonlyAmounts): void {
  for (const [name, amount] of other) {
    const known = sum.get(name);
    if (known === undefined || compareQuantities(amount, known) > 0) sum.set(name, amount);
  }
}

/** The same names with the same amounts, however they are written. */
export function sameAmounts(left: ReadonlyAmounts, right: ReadonlyAmounts): boolean {
  if (left.size !== right.size) return false;
  for (const [name, amount] of left) {
    const other = right.get(name);
    if (other === undefined || compareQuantities(amount, other) !== 0) return false;
  }
  return true;
}

type Kind = 'requests' | 'limits';

export interface ContainerResources {
  readonly name?: string;
  readonly restartPolicy?: string;
  readonly resources?: { readonly requests?: ResourceList; readonly limits?: ResourceList };
}

export interface PodContainers<T extends ContainerResources> {
  readonly containers?: readonly T[];
  readonly initContainers?: readonly T[];
}

/**
 * What all containers of a pod need at once: the sum of the containers and sidecars, or an init container with the
 * sidecars started before it, whichever is more (KEP-753). `amounts` says what one container needs, where that is not
 * what its spec says.
 */
export function aggregateContainerResources<T extends ContainerResources>(
  spec: PodContainers<T>,
  kind: Kind,
  amounts: (container: T) => Amounts = ({ resources }) => amountsOf(resources?.[kind]),
): Amounts {
  const total: Amounts = new Map();
  for (const container of spec.containers ?? []) addAmounts(total, amounts(container));
  const sidecars: Amounts = new Map();
  const initial: Amounts = new Map();
  for (const container of spec.initContainers ?? []) {
    if (container.restartPolicy === 'Always') {
      const own = amounts(container);
      addAmounts(total, own);
      addAmounts(sidecars, own);
      maxAmounts(initial, sidecars);
    } else {
      const own = amountsOf(container.resources?.[kind]);
      addAmounts(own, sidecars);
      maxAmounts(initial, own);
    }
  }
  maxAmounts(total, initial);
  return total;
}

/** What may be said of a pod as a whole, in place of its containers (KEP-2837). */
export function isPodLevelResource(name: string): boolean {
  return name === 'cpu' || name === 'memory' || name.startsWith('hugepages-');
}

/** Amounts given for the pod as a whole count instead of its containers'. */
export function usePodLevelResources(total: Amounts, list: ResourceList | undefined): void {
  for (const name in list ?? {})
    if (isPodLevelResource(name)) total.set(name, quantityOf((list as ResourceList)[name]));
}

/**
 * What a pod takes of what there is (k8s.io/component-helpers/resource: PodRequests, PodLimits). While containers are
 * being resized that is the most of what is wanted, granted and in force.
 */
export function podAmounts(
  { spec, status }: { readonly spec: corev1.PodSpec; readonly status?: corev1.PodStatus },
  kind: Kind,
): Amounts {
  const infeasible =
    status?.conditions?.find(({ type }) => type === 'PodResizePending')?.reason === 'Infeasible';
  const inForce = (container: corev1.Container): Amounts => {
    const found = statusOf(status, container.name);
    if (found?.resources === undefined) return amountsOf(container.resources?.[kind]);
    const amounts = amountsOf(infeasible ? undefined : container.resources?.[kind]);
    maxAmounts(amounts, amountsOf(found.resources[kind]));
    if (kind === 'requests') maxAmounts(amounts, amountsOf(found.allocatedResources));
    return amounts;
  };
  const total = aggregateContainerResources(spec, kind, status === undefined ? undefined : inForce);
  usePodLevelResources(total, spec.resources?.[kind]);
  for (const [name, amount] of amountsOf(spec.overhead)) {
    const known = total.get(name);
    // What has no limit has none with the overhead either.
    if (kind === 'limits' && (known === undefined || quantitySign(known) === 0)) continue;
    total.set(name, known === undefined ? amount : addQuantities(known, amount));
  }
  return total;
}

function statusOf(status: corev1.PodStatus | undefined, name: string): corev1.ContainerStatus | undefined {
  const named = ({ name: other }: corev1.ContainerStatus): boolean => other === name;
  return status?.containerStatuses?.find(named) ?? status?.initContainerStatuses?.find(named);
}
