import { podName, podNamespace, podUid } from '../pod/pod-spec.ts';
import type { Pod } from '../pod/types.ts';

/** The static pods of a node, as their manifests say. */
export class StaticPods {
  #pods: ReadonlyMap<string, Pod> = new Map();

  list(): readonly Pod[] {
    return [...this.#pods.values()];
  }

  find(namespace: string, name: string): Pod | undefined {
    return this.list().find((pod) => podNamespace(pod) === namespace && podName(pod) === name);
  }

  /** Takes over what the manifests say now. The pod of a changed manifest is another one: its uid comes from the content. */
  replace(pods: readonly Pod[]): { readonly added: readonly Pod[]; readonly removed: readonly Pod[] } {
    const before = this.#pods;
    const wanted = new Map(pods.map((pod) => [podUid(pod), before.get(podUid(pod)) ?? pod]));
    this.#pods = wanted;
    return {
      added: [...wanted.values()].filter((pod) => !before.has(podUid(pod))),
      removed: [...before.values()].filter((pod) => !wanted.has(podUid(pod))),
    };
  }
}
