import { coordinationv1 } from '@k8ts/api';
import { formatMicroTime, isAlreadyExists, isConflict, isNotFound } from '@k8ts/apimachinery';
import type { Clock } from '@k8ts/base';
import type { Client } from '@k8ts/client';

import type { Node } from '../pod/types.ts';

const LEASE_NAMESPACE = 'kube-node-lease';
/** Seconds, upstream's nodeLeaseDurationSeconds; renewed four times as often. */
const LEASE_DURATION = 40;
export const LEASE_RENEWAL: number = (LEASE_DURATION * 1000) / 4;

/** A node's sign of life, far cheaper than its status (KEP-589). */
export class NodeLease {
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #nodeName: string;
  readonly #node: () => Node | undefined;
  #latest: coordinationv1.Lease | undefined;

  constructor(client: Client, clock: Clock, nodeName: string, node: () => Node | undefined) {
    this.#client = client;
    this.#clock = clock;
    this.#nodeName = nodeName;
    this.#node = node;
  }

  /** Creates or renews it; one attempt to recover from a lost race. Throws what else goes wrong. */
  async renew(signal?: AbortSignal): Promise<void> {
    const leases = this.#client.resource(coordinationv1.leases, LEASE_NAMESPACE);
    const options = signal === undefined ? {} : { signal };
    for (let attempt = 0; ; attempt++) {
      try {
        if (this.#latest === undefined) this.#latest = await this.#read(options);
        this.#latest =
          this.#latest === undefined
            ? await leases.create(this.#lease(undefined), options)
            : await leases.update(this.#lease(this.#latest), options);
        return;
      } catch (error) {
        this.#latest = undefined;
        const raced = isConflict(error) || isNotFound(error) || isAlreadyExists(error);
        if (!raced || attempt > 0) throw error;
      }
    }
  }

  async #read(options: { signal?: AbortSignal }): Promise<coordinationv1.Lease | undefined> {
    try {
      return await this.#client.resource(coordinationv1.leases, LEASE_NAMESPACE).get(this.#nodeName, options);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  #lease(base: coordinationv1.Lease | undefined): coordinationv1.Lease {
    const node = this.#node();
    const owners = base?.metadata.ownerReferences;
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        ...base?.metadata,
        name: this.#nodeName,
        namespace: LEASE_NAMESPACE,
        ...(owners !== undefined && owners.length > 0
          ? { ownerReferences: owners }
          : node?.metadata.uid === undefined
            ? {}
            : {
                ownerReferences: [
                  { apiVersion: 'v1', kind: 'Node', name: this.#nodeName, uid: node.metadata.uid },
                ],
              }),
      },
      spec: {
        ...base?.spec,
        holderIdentity: this.#nodeName,
        leaseDurationSeconds: LEASE_DURATION,
        renewTime: formatMicroTime(this.#clock.now()),
      },
    };
  }
}
