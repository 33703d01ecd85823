import type { Clock } from '@k8ts/base';
import type { Store } from '@k8ts/store';

/** How much longer than asked for an object may live, so that many share one lease: at least this, in seconds. */
const REUSE_SECONDS = 60;
const REUSE_SHARE = 0.05;
const MAX_OBJECTS = 1_000;

interface Bucket {
  readonly id: Promise<bigint>;
  /** Milliseconds on the clock. */
  readonly expires: number;
  objects: number;
}

/**
 * Leases for objects with a time to live (Events). One lease serves all objects of the next minute, for a lease each would
 * cost more than the object (k8s.io/apiserver/pkg/storage/etcd3/lease_manager.go).
 */
export class LeaseBuckets {
  readonly #store: Store;
  readonly #clock: Clock;
  #buckets = new Map<number, Bucket>();

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** A lease that lives at least `seconds` from now. */
  leaseFor(seconds: number): Promise<bigint> {
    const now = this.#clock.now();
    const reuse = Math.max(REUSE_SECONDS, Math.ceil(seconds * REUSE_SHARE));
    const known = this.#buckets.get(seconds);
    if (known !== undefined && known.expires >= now + seconds * 1_000 && known.objects < MAX_OBJECTS) {
      known.objects++;
      return known.id;
    }
    const ttl = seconds + reuse;
    const bucket: Bucket = {
      id: this.#store.grantLease(ttl).then((lease) => lease.id),
      expires: now + ttl * 1_000,
      objects: 1,
    };
    this.#buckets.set(seconds, bucket);
    bucket.id.catch(() => {
      if (this.#buckets.get(seconds) === bucket) this.#buckets.delete(seconds);
    });
    return bucket.id;
  }

  /** A lease turned out to be gone. */
  forget(): void {
    this.#buckets = new Map();
  }
}
