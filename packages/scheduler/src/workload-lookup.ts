import { appsv1, corev1 } from '@k8ts/api';
import { labelSelectorFromObject, matchesLabels, selectorFromLabels } from '@k8ts/apimachinery';
import type { LabelSelector } from '@k8ts/apimachinery';
import { controllerOf } from '@k8ts/client';
import type { InformerFactory } from '@k8ts/client';
import type { WorkloadLookup } from './cluster-state/workloads.ts';

export interface ObservableWorkloads extends WorkloadLookup {
  /** Calls back when an answer may have changed. */
  subscribe(onChange: () => void): void;
}

/**
 * What pods belong to, from informers (upstream's helper.DefaultSelector): a pod is spread by the selectors of all Services
 * that select it, and that of its controller, joined.
 */
export function createWorkloadLookup(informers: InformerFactory): ObservableWorkloads {
  const services = informers.of(corev1.services);
  const controllers = {
    ReplicationController: informers.of(corev1.replicationControllers),
    ReplicaSet: informers.of(appsv1.replicaSets),
    StatefulSet: informers.of(appsv1.statefulSets),
  };
  const namespaces = informers.of(corev1.namespaces);
  // Selectors are immutable, and asked for with every pod.
  const parsed = new WeakMap<object, LabelSelector>();
  const parse = (kind: string, selector: LabelsOrSelector): LabelSelector => {
    let known = parsed.get(selector);
    if (known === undefined) parsed.set(selector, (known = parseSelector(kind, selector)));
    return known;
  };
  return {
    selectorOf(pod) {
      const namespace = pod.metadata.namespace ?? '';
      const parts: LabelSelector[] = [];
      for (const service of services.lister.list(namespace)) {
        const selector = service.spec?.selector;
        if (selector === undefined || Object.keys(selector).length === 0) continue;
        const ofService = parse('Service', selector);
        if (matchesLabels(ofService, pod.metadata.labels)) parts.push(ofService);
      }
      const owner = controllerOf(pod);
      if (owner !== undefined && owner.kind in controllers) {
        const object = controllers[owner.kind as keyof typeof controllers].lister.get(namespace, owner.name);
        if (object?.kind === undefined || object.metadata.uid === owner.uid) {
          const selector = object?.spec?.selector as LabelsOrSelector | undefined;
          if (selector !== undefined) parts.push(parse(owner.kind, selector));
        }
      }
      if (parts.length === 0) return undefined;
      return { requirements: parts.flatMap(({ requirements }) => requirements), nothing: false };
    },

    namespacesMatching(selector) {
      const names = namespaces.lister
        .list()
        .filter(({ metadata }) => matchesLabels(selector, metadata.labels))
        .map(({ metadata }) => metadata.name);
      return new Set(names);
    },

    subscribe(onChange) {
      // Only what selectors and labels say matters, not the status that changes all the time.
      services.addHandler({
        added: onChange,
        updated: (now, before) => {
          if (JSON.stringify(now.spec?.selector) !== JSON.stringify(before.spec?.selector)) onChange();
        },
        deleted: onChange,
      });
      namespaces.addHandler({
        added: onChange,
        updated: (now, before) => {
          if (JSON.stringify(now.metadata.labels) !== JSON.stringify(before.metadata.labels)) onChange();
        },
        deleted: onChange,
      });
    },
  };
}

type LabelsOrSelector = NonNullable<
  Parameters<typeof selectorFromLabels>[0] | Parameters<typeof labelSelectorFromObject>[0]
>;

/** Selectors of Services and ReplicationControllers are plain labels. */
function parseSelector(kind: string, selector: LabelsOrSelector): LabelSelector {
  return kind === 'Service' || kind === 'ReplicationController'
    ? selectorFromLabels(selector as Parameters<typeof selectorFromLabels>[0])
    : labelSelectorFromObject(selector);
}
