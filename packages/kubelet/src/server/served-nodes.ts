import type { IncomingMessage } from 'node:http';

import type { ContainerStatus } from '@k8ts/cri';

import { podUid } from '../pod/pod-spec.ts';
import { isRunning } from '../pod/runtime-state.ts';
import type { Pod } from '../pod/types.ts';
import { runningContainer, ServerError } from './find-container.ts';
import type { ContainerTarget, PodTarget } from './routes.ts';
import type { ServedNode } from './served-node.ts';

export interface FoundPod {
  readonly node: ServedNode;
  readonly pod: Pod;
}

/** Finds the nodes and pods that requests speak of. Throws ServerError for what is not there. */
export class ServedNodes {
  readonly #nodes: () => readonly ServedNode[];

  /** `nodes` is asked anew for each request: nodes may come and go. */
  constructor(nodes: () => readonly ServedNode[]) {
    this.#nodes = nodes;
  }

  /** The node that the request's host names, or all when it names none. */
  named(request: IncomingMessage): readonly ServedNode[] {
    const nodes = this.#nodes();
    const host = (request.headers.host ?? '').replace(/:\d+$/, '');
    const named = nodes.find(({ nodeName }) => nodeName === host);
    return named === undefined ? nodes : [named];
  }

  /** For answers that are about one node. */
  one(request: IncomingMessage): ServedNode {
    const nodes = this.named(request);
    const first = nodes[0];
    if (first === undefined) throw new ServerError(503, 'there is no node here');
    if (nodes.length > 1) throw new ServerError(400, 'several nodes are served here: name one as the host');
    return first;
  }

  pod({ namespace, pod: name, uid }: PodTarget): FoundPod {
    for (const node of this.#nodes()) {
      const pod = node.findPod(namespace, name);
      if (pod !== undefined && (uid === '' || podUid(pod) === uid)) return { node, pod };
    }
    throw new ServerError(404, 'pod does not exist');
  }

  async container(target: ContainerTarget): Promise<FoundPod & { readonly status: ContainerStatus }> {
    const { node, pod } = this.pod(target);
    return { node, pod, status: runningContainer(await node.state(podUid(pod)), target.container) };
  }
}

export async function runningPods(nodes: readonly ServedNode[]): Promise<Pod[]> {
  const pods: Pod[] = [];
  for (const node of nodes)
    for (const pod of node.pods())
      if ((await node.state(podUid(pod))).containers.some(isRunning)) pods.push(pod);
  return pods;
}
