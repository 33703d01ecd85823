import type { policyv1 } from '@k8ts/api';
import { labelSelectorFromObject, matchesLabels } from '@k8ts/apimachinery';
import type { LabelSelector } from '@k8ts/apimachinery';
import type { Informer } from '@k8ts/client';
import type { PodInfo } from '../cluster-state/pod-info.ts';

export interface DisruptionBudgets {
  /** Another number whenever `split` may answer otherwise than before. */
  readonly generation: number;
  /** Which of the pods, taken away in this order, go beyond what their budgets allow. */
  split(pods: readonly PodInfo[]): {
    readonly violating: readonly PodInfo[];
    readonly others: readonly PodInfo[];
  };
}

interface Budget {
  readonly selector: LabelSelector;
  readonly disruptionsAllowed: number;
  readonly disruptedPods: Readonly<Record<string, unknown>>;
}

/** The PodDisruptionBudgets that an informer knows (default_preemption.go, filterPodsWithPDBViolation). */
export function observeDisruptionBudgets(
  informer: Informer<policyv1.PodDisruptionBudget>,
): DisruptionBudgets & Disposable {
  let generation = 0;
  let byNamespace: ReadonlyMap<string, readonly Budget[]> | undefined;
  const changed = (): void => {
    generation++;
    byNamespace = undefined;
  };
  const handler = informer.addHandler({
    added: changed,
    updated(now, before) {
      if (keyOf(now) !== keyOf(before)) changed();
    },
    deleted: changed,
  });
  return {
    get generation() {
      return generation;
    },
    split(pods) {
      byNamespace ??= groupByNamespace(informer.lister.list());
      return splitByBudgets(pods, byNamespace);
    },
    [Symbol.dispose]: () => handler[Symbol.dispose](),
  };
}

function keyOf({ spec, status }: policyv1.PodDisruptionBudget): string {
  return JSON.stringify([spec.selector, status?.disruptionsAllowed, status?.disruptedPods]);
}

export function groupByNamespace(
  budgets: readonly policyv1.PodDisruptionBudget[],
): ReadonlyMap<string, readonly Budget[]> {
  const groups = new Map<string, Budget[]>();
  for (const { metadata, spec, status } of budgets) {
    const selector = parseSelector(spec.selector);
    // Here, unlike for evictions, an empty selector selects nothing.
    if (selector === undefined || selector.nothing || selector.requirements.length === 0) continue;
    const group = groups.get(metadata.namespace ?? '') ?? [];
    groups.set(metadata.namespace ?? '', group);
    group.push({
      selector,
      disruptionsAllowed: status?.disruptionsAllowed ?? 0,
      disruptedPods: status?.disruptedPods ?? {},
    });
  }
  return groups;
}

/** One that cannot be read selects nothing; upstream goes on without it as well. */
function parseSelector(selector: policyv1.PodDisruptionBudgetSpec['selector']): LabelSelector | undefined {
  try {
    return labelSelectorFromObject(selector);
  } catch {
    return undefined;
  }
}

export function splitByBudgets(
  pods: readonly PodInfo[],
  budgets: ReadonlyMap<string, readonly Budget[]>,
): ReturnType<DisruptionBudgets['split']> {
  const left = new Map<Budget, number>();
  const violating: PodInfo[] = [];
  const others: PodInfo[] = [];
  for (const info of pods) {
    const { name } = info.pod.metadata;
    let violates = false;
    if (info.labels !== undefined && Object.keys(info.labels).length > 0)
      for (const budget of budgets.get(info.namespace) ?? []) {
        // Whom the API server let go already is counted already.
        if (!matchesLabels(budget.selector, info.labels) || Object.hasOwn(budget.disruptedPods, name))
          continue;
        const allowed = (left.get(budget) ?? budget.disruptionsAllowed) - 1;
        left.set(budget, allowed);
        if (allowed < 0) violates = true;
      }
    (violates ? violating : others).push(info);
  }
  return { violating, others };
}
