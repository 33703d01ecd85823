import type { corev1 } from '@k8ts/api';
import { parseQuantity, quantityMilliValue, quantityValue } from '@k8ts/apimachinery';

/** Amounts as numbers: CPU in thousandths of a core, everything else in its own unit (bytes, pieces). */
export interface ResourceAmounts {
  readonly cpu: number;
  readonly memory: number;
  readonly ephemeralStorage: number;
  /** Extended resources and huge pages; undefined when there are none. */
  readonly others: ReadonlyMap<string, number> | undefined;
}

const NOTHING: ResourceAmounts = { cpu: 0, memory: 0, ephemeralStorage: 0, others: undefined };

/** What a container without a request counts as when nodes are compared (upstream's non-zero requests). */
const UNREQUESTED_CPU = 100;
const UNREQUESTED_MEMORY = 200 * 1024 * 1024;

type Quantities = Readonly<Record<string, string>> | undefined;

export function amountsOf(quantities: Quantities): ResourceAmounts {
  if (quantities === undefined) return NOTHING;
  let [cpu, memory, ephemeralStorage] = [0, 0, 0];
  let others: Map<string, number> | undefined;
  for (const [name, quantity] of Object.entries(quantities)) {
    if (name === 'cpu') cpu = milliValue(quantity);
    else if (name === 'memory') memory = wholeValue(quantity);
    else if (name === 'ephemeral-storage') ephemeralStorage = wholeValue(quantity);
    else if (name !== 'pods') (others ??= new Map()).set(name, wholeValue(quantity));
  }
  return { cpu, memory, ephemeralStorage, others };
}

/**
 * What a pod asks of its node (k8s.io/component-helpers/resource, PodRequests): the containers and sidecars together, or
 * the largest init container with the sidecars started before it, whichever is more; then the overhead. Amounts given for
 * the pod as a whole (spec.resources) count instead of its containers'.
 */
export function podRequests(spec: corev1.PodSpec, nonZero = false): ResourceAmounts {
  const requestsOf = (container: corev1.Container): ResourceAmounts => {
    const amounts = amountsOf(container.resources?.requests);
    if (!nonZero) return amounts;
    const requests = container.resources?.requests;
    return {
      ...amounts,
      cpu: requests?.['cpu'] === undefined ? UNREQUESTED_CPU : amounts.cpu,
      memory: requests?.['memory'] === undefined ? UNREQUESTED_MEMORY : amounts.memory,
    };
  };
  let running = NOTHING;
  for (const container of spec.containers) running = combine(running, requestsOf(container), add);
  let sidecars = NOTHING;
  let starting = NOTHING;
  for (const container of spec.initContainers ?? []) {
    const requests = requestsOf(container);
    if (container.restartPolicy === 'Always') {
      running = combine(running, requests, add);
      sidecars = combine(sidecars, requests, add);
      starting = combine(starting, sidecars, Math.max);
    } else {
      starting = combine(starting, combine(requests, sidecars, add), Math.max);
    }
  }
  let total = combine(running, starting, Math.max);
  const whole = spec.resources?.requests;
  if (whole !== undefined) {
    const amounts = amountsOf(whole);
    total = {
      cpu: whole['cpu'] === undefined ? total.cpu : amounts.cpu,
      memory: whole['memory'] === undefined ? total.memory : amounts.memory,
      ephemeralStorage: total.ephemeralStorage,
      others:
        amounts.others === undefined ? total.others : new Map([...(total.others ?? []), ...amounts.others]),
    };
  }
  return spec.overhead === undefined ? total : combine(total, amountsOf(spec.overhead), add);
}

function add(a: number, b: number): number {
  return a + b;
}

function combine(
  a: ResourceAmounts,
  b: ResourceAmounts,
  operation: (a: number, b: number) => number,
): ResourceAmounts {
  let others = a.others ?? b.others;
  if (a.others !== undefined && b.others !== undefined) {
    const merged = new Map(a.others);
    for (const [name, amount] of b.others) merged.set(name, operation(merged.get(name) ?? 0, amount));
    others = merged;
  }
  return {
    cpu: operation(a.cpu, b.cpu),
    memory: operation(a.memory, b.memory),
    ephemeralStorage: operation(a.ephemeralStorage, b.ephemeralStorage),
    others,
  };
}

// Quantities repeat: a cluster has few different ones, and parsing is exact and so not cheap.
const MEMO_SIZE = 10_000;
const milliValues = new Map<string, number>();
const wholeValues = new Map<string, number>();

function milliValue(quantity: string): number {
  return memoized(milliValues, quantity, (text) => quantityMilliValue(parseQuantity(text)));
}

function wholeValue(quantity: string): number {
  return memoized(wholeValues, quantity, (text) => quantityValue(parseQuantity(text)));
}

function memoized(memo: Map<string, number>, quantity: string, parse: (text: string) => number): number {
  let value = memo.get(quantity);
  if (value === undefined) {
    if (memo.size >= MEMO_SIZE) memo.clear();
    memo.set(quantity, (value = parse(quantity)));
  }
  return value;
}
