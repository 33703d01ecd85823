import { appsv1, corev1 } from '@k8ts/api';
import type { KubeObject, ResourceType, autoscalingv1, metav1 } from '@k8ts/api';
import { formatGroupVersion, goQuote, isNotFound, parseGroupVersion } from '@k8ts/apimachinery';
import { controllerOf, discoverResources } from '@k8ts/client';
import type { DiscoveredResource, Lister } from '@k8ts/client';

import type { ControllerContext } from '../contract.ts';

/** What the server offers is learnt anew after this long, and at once when a kind is not known. */
const DISCOVERY_PERIOD = 30_000;

interface ScaledController {
  readonly uid: string;
  readonly replicas: number;
}

export interface ExpectedScale {
  /** What all controllers of the pods want together. */
  readonly replicas: number;
  /** Pods that nobody controls. */
  readonly unmanaged: readonly corev1.Pod[];
}

type Scalable = KubeObject & { readonly spec: { readonly replicas?: number } };

/**
 * Finds how many pods the controllers of pods want: the usual workloads in their listers, anything else by its scale
 * subresource. A ReplicaSet of a Deployment counts as the Deployment.
 */
export class ScaleFinder {
  readonly #context: ControllerContext;
  readonly #replicationControllers: Lister<corev1.ReplicationController>;
  readonly #replicaSets: Lister<appsv1.ReplicaSet>;
  readonly #deployments: Lister<appsv1.Deployment>;
  readonly #statefulSets: Lister<appsv1.StatefulSet>;
  #resources: readonly DiscoveredResource[] = [];
  #discovered = -Infinity;

  constructor(context: ControllerContext) {
    this.#context = context;
    const { informers } = context;
    this.#replicationControllers = informers.of(corev1.replicationControllers).lister;
    this.#replicaSets = informers.of(appsv1.replicaSets).lister;
    this.#deployments = informers.of(appsv1.deployments).lister;
    this.#statefulSets = informers.of(appsv1.statefulSets).lister;
  }

  /** Throws Error when the controller of one of the pods cannot be found, or has no scale. */
  async scaleOf(pods: readonly corev1.Pod[]): Promise<ExpectedScale> {
    const unmanaged: corev1.Pod[] = [];
    const replicas = new Map<string, number>();
    const seen = new Set<string>();
    for (const pod of pods) {
      const reference = controllerOf(pod);
      if (reference === undefined) {
        unmanaged.push(pod);
        continue;
      }
      if (seen.has(reference.uid)) continue;
      seen.add(reference.uid);
      const namespace = pod.metadata.namespace ?? '';
      const found = this.#known(reference, namespace) ?? (await this.#byScale(reference, namespace));
      if (found === undefined) throw new Error(`found no controllers for pod ${goQuote(pod.metadata.name)}`);
      replicas.set(found.uid, found.replicas);
    }
    return { replicas: [...replicas.values()].reduce((sum, count) => sum + count, 0), unmanaged };
  }

  #known(reference: metav1.OwnerReference, namespace: string): ScaledController | undefined {
    if (isKind(reference, 'ReplicationController', ['']))
      return scaled(this.#replicationControllers, namespace, reference);
    if (isKind(reference, 'StatefulSet', ['apps'])) return scaled(this.#statefulSets, namespace, reference);
    if (!isKind(reference, 'ReplicaSet', ['apps', 'extensions'])) return undefined;
    const set = this.#replicaSets.get(namespace, reference.name);
    if (set === undefined || set.metadata.uid !== reference.uid) return undefined;
    const parent = controllerOf(set);
    if (parent?.kind !== 'Deployment') return scaled(this.#replicaSets, namespace, reference);
    return isKind(parent, 'Deployment', ['apps', 'extensions'])
      ? scaled(this.#deployments, namespace, parent)
      : undefined;
  }

  async #byScale(reference: metav1.OwnerReference, namespace: string): Promise<ScaledController | undefined> {
    const type = await this.#typeOf(reference);
    try {
      const { metadata, spec } = await this.#context.client
        .resource(type, namespace)
        .getSubresource<autoscalingv1.Scale>(reference.name, 'scale');
      return metadata.uid === reference.uid
        ? { uid: reference.uid, replicas: spec?.replicas ?? 0 }
        : undefined;
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    // Either the owner is gone, or its kind cannot be scaled.
    if (await this.#hasScale(type)) return undefined;
    const resource = type.group === '' ? type.resource : `${type.resource}.${type.group}`;
    throw new Error(`${resource} does not implement the scale subresource`);
  }

  async #typeOf({ apiVersion, kind }: metav1.OwnerReference): Promise<DiscoveredResource> {
    const { group, version } = parseGroupVersion(apiVersion) ?? { group: '', version: apiVersion };
    const find = (): DiscoveredResource | undefined => {
      const versions = this.#resources.filter((type) => type.group === group && type.kind === kind);
      return versions.find((type) => type.version === version);
    };
    const { client, clock } = this.#context;
    const isOld = clock.monotonic() - this.#discovered > DISCOVERY_PERIOD;
    const known = isOld ? undefined : find();
    if (known !== undefined) return known;
    this.#resources = (await discoverResources(client)).resources;
    this.#discovered = clock.monotonic();
    const found = find();
    if (found === undefined)
      throw new Error(`no matches for kind ${goQuote(kind)} in version ${goQuote(apiVersion)}`);
    return found;
  }

  async #hasScale(type: ResourceType<KubeObject>): Promise<boolean> {
    const groupVersion = formatGroupVersion(type);
    const path = type.group === '' ? `/api/${groupVersion}` : `/apis/${groupVersion}`;
    const { resources } = await this.#context.client.raw<metav1.APIResourceList>(path);
    return resources.some(({ name, kind }) => name === `${type.resource}/scale` && kind === 'Scale');
  }
}

function isKind(reference: metav1.OwnerReference, kind: string, groups: readonly string[]): boolean {
  const group = parseGroupVersion(reference.apiVersion)?.group;
  return reference.kind === kind && group !== undefined && groups.includes(group);
}

function scaled(
  lister: Lister<Scalable>,
  namespace: string,
  { name, uid }: metav1.OwnerReference,
): ScaledController | undefined {
  const owner = lister.get(namespace, name);
  return owner?.metadata.uid === uid ? { uid, replicas: owner.spec.replicas ?? 1 } : undefined;
}
