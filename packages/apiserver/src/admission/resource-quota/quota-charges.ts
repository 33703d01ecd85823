import { corev1 } from '@k8ts/api';
import { amountsOf, isConflict, isNotFound, resourceListOf, type ReadonlyAmounts } from '@k8ts/apimachinery';
import type { ObjectReader } from '../../object-reader.ts';
import type { RegistryAccess } from '../../registry/special-subresources.ts';
import { chargedWith, type QuotaRequest } from './quota-request.ts';

interface Waiting {
  readonly request: QuotaRequest;
  readonly accept: () => void;
  readonly refuse: (error: unknown) => void;
}

export interface QuotaChargesOptions {
  readonly objects: ObjectReader;
  readonly registry: () => Promise<Pick<RegistryAccess, 'update'>>;
}

/**
 * Writes what requests use into the status of the quotas they concern, by compare-and-swap, so that no quota is exceeded
 * whoever else writes. Requests of one namespace that come while one is being written go together: a thousand pods at
 * once are a few writes, not a thousand that get into each other's way.
 */
export class QuotaCharges {
  readonly #options: QuotaChargesOptions;
  /** By namespace, the requests that wait for a write under way. */
  readonly #waiting = new Map<string, Waiting[]>();

  constructor(options: QuotaChargesOptions) {
    this.#options = options;
  }

  /** Rejects with 403 when the request does not fit. */
  charge(request: QuotaRequest): Promise<void> {
    return new Promise((accept, refuse) => {
      const { namespace } = request.attributes;
      const waiting = { request, accept, refuse };
      const queue = this.#waiting.get(namespace);
      if (queue === undefined) void this.#work(namespace, waiting);
      else queue.push(waiting);
    });
  }

  async #work(namespace: string, first: Waiting): Promise<void> {
    let batch = [first];
    while (batch.length > 0) {
      const next: Waiting[] = [];
      this.#waiting.set(namespace, next);
      try {
        await this.#settle(namespace, batch);
      } catch (error) {
        for (const { refuse } of batch) refuse(error);
      }
      batch = next;
    }
    this.#waiting.delete(namespace);
  }

  /** A request is refused before anything is written for it, unless somebody else is faster at one of several quotas. */
  async #settle(namespace: string, batch: readonly Waiting[]): Promise<void> {
    const accepted = new Set(batch);
    for (const quota of this.#concerned(namespace, accepted)) {
      const refused = await this.#write(quota, accepted);
      for (const [waiting, error] of refused) {
        accepted.delete(waiting);
        waiting.refuse(error);
      }
    }
    for (const { accept } of accepted) accept();
  }

  /** Takes out of `accepted` what does not fit one after another, and gives the quotas that the rest concerns. */
  #concerned(namespace: string, accepted: Set<Waiting>): readonly corev1.ResourceQuota[] {
    const quotas = this.#options.objects.list(corev1.resourceQuotas, namespace);
    const used = new Map<corev1.ResourceQuota, ReadonlyAmounts>(
      quotas.map((quota) => [quota, amountsOf(quota.status?.used)]),
    );
    const concerned = new Set<corev1.ResourceQuota>();
    for (const waiting of accepted) {
      try {
        const after = new Map<corev1.ResourceQuota, ReadonlyAmounts>();
        for (const [quota, before] of used) {
          const charged = chargedWith(quota, before, waiting.request);
          if (charged !== undefined) after.set(quota, charged);
        }
        for (const [quota, charged] of after) {
          used.set(quota, charged);
          concerned.add(quota);
        }
      } catch (error) {
        accepted.delete(waiting);
        waiting.refuse(error);
      }
    }
    return [...concerned];
  }

  /** What the quota as it is stored now refuses. */
  async #write(
    { metadata }: corev1.ResourceQuota,
    requests: ReadonlySet<Waiting>,
  ): Promise<ReadonlyMap<Waiting, unknown>> {
    const { namespace = '', name, uid } = metadata;
    let refused = new Map<Waiting, unknown>();
    const registry = await this.#options.registry();
    try {
      await registry.update(
        corev1.resourceQuotas,
        namespace,
        name,
        (draft, old) => {
          refused = new Map();
          let used: ReadonlyAmounts = amountsOf(old.status?.used);
          for (const waiting of requests) {
            try {
              used = chargedWith(old, used, waiting.request) ?? used;
            } catch (error) {
              refused.set(waiting, error);
            }
          }
          draft.status = { ...draft.status, used: resourceListOf(used) };
        },
        uid === undefined ? {} : { preconditions: { uid } },
      );
    } catch (error) {
      // A quota that is gone limits nothing, and the one in its place will be counted by its controller.
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
    return refused;
  }
}
