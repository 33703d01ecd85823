import { coordinationv1 } from '@k8ts/api';
import { StatusError, formatMicroTime, isNotFound } from '@k8ts/apimachinery';
import { errorMessage, sleep } from '@k8ts/base';
import type { Clock, Logger, Random } from '@k8ts/base';

import type { Client, EventRecorder } from './contract.ts';

export interface LeaderElectionOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** The Lease that candidates compete for: `kube-system`, `kube-controller-manager`. */
  readonly namespace: string;
  readonly name: string;
  /** Unique among the candidates: host name and a UUID. */
  readonly identity: string;
  /** Milliseconds after which others may take the lease from a leader that is silent. Default 15 s. */
  readonly leaseDuration?: number;
  /** Milliseconds a leader tries to renew before it gives up. Default 10 s. */
  readonly renewDeadline?: number;
  /** Milliseconds between attempts. Default 2 s. */
  readonly retryPeriod?: number;
  /** Give the lease up when stopped, so that another takes over at once. `lead` must have ended all it did by then. */
  readonly releaseOnCancel?: boolean;
  /** Does the work of a leader until the signal aborts, which it does when leadership is lost or the caller stops. */
  readonly lead: (signal: AbortSignal) => Promise<void>;
  readonly onNewLeader?: (identity: string) => void;
  /** For `LeaderElection` events about the Lease. */
  readonly recorder?: EventRecorder;
}

const JITTER = 1.2;

type LeaseSpec = NonNullable<coordinationv1.Lease['spec']>;

/**
 * Waits for leadership, leads, and returns when leadership was lost, `lead` ended or the signal aborted. A leader that
 * cannot renew stops before another may start: `renewDeadline` is shorter than `leaseDuration`. Clocks of different
 * machines are not compared: a lease counts as held for its duration after this process last saw it change.
 */
export async function runLeaderElection(options: LeaderElectionOptions, signal: AbortSignal): Promise<void> {
  const { leaseDuration = 15_000, renewDeadline = 10_000, retryPeriod = 2_000 } = options;
  if (leaseDuration <= renewDeadline)
    throw new RangeError('leaseDuration must be greater than renewDeadline');
  if (renewDeadline <= JITTER * retryPeriod)
    throw new RangeError('renewDeadline must be greater than retryPeriod*JitterFactor');
  const elector = new Elector(options, leaseDuration);
  if (!(await elector.acquire(retryPeriod, signal))) return;

  const leading = new AbortController();
  const stop = (): void => leading.abort(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  let failure: unknown;
  const work = options
    .lead(leading.signal)
    .catch((error: unknown) => {
      if (!leading.signal.aborted) failure = error;
    })
    .finally(() => leading.abort(new Error('the work of the leader ended')));
  try {
    await elector.renew(retryPeriod, renewDeadline, leading.signal);
  } finally {
    leading.abort(new Error('leader election lost'));
    signal.removeEventListener('abort', stop);
    await work;
    if (options.releaseOnCancel === true) await elector.release(renewDeadline);
  }
  if (failure !== undefined) throw failure as Error;
}

class Elector {
  readonly #options: LeaderElectionOptions;
  readonly #leaseDuration: number;
  /** The lease as last seen or written, and when that was. */
  #observed: coordinationv1.Lease | undefined;
  #observedAt = -Infinity;
  #reportedLeader = '';

  constructor(options: LeaderElectionOptions, leaseDuration: number) {
    this.#options = options;
    this.#leaseDuration = leaseDuration;
  }

  async acquire(retryPeriod: number, signal: AbortSignal): Promise<boolean> {
    const { clock, random, logger, name } = this.#options;
    while (!signal.aborted) {
      const acquired = await this.#tryAcquireOrRenew(signal);
      this.#report();
      if (acquired) {
        this.#event('became leader');
        logger.info('acquired the leader lease', { lease: name });
        return true;
      }
      await sleep(clock, retryPeriod * (1 + JITTER * random()), signal).catch(() => undefined);
    }
    return false;
  }

  /** Returns when the lease could not be renewed within the deadline, or the signal aborts. */
  async renew(retryPeriod: number, deadline: number, signal: AbortSignal): Promise<void> {
    const { clock, logger, name } = this.#options;
    let renewedAt = clock.monotonic();
    for (;;) {
      try {
        await sleep(clock, retryPeriod, signal);
      } catch {
        return;
      }
      const attempt = new AbortController();
      const abort = (): void => attempt.abort(signal.reason);
      signal.addEventListener('abort', abort, { once: true });
      const cancel = clock.setTimeout(
        () => attempt.abort(new Error('the renew deadline has passed')),
        renewedAt + deadline - clock.monotonic(),
      );
      const renewed = await this.#tryAcquireOrRenew(attempt.signal);
      cancel();
      signal.removeEventListener('abort', abort);
      this.#report();
      if (signal.aborted) return;
      if (renewed) {
        renewedAt = clock.monotonic();
      } else if (clock.monotonic() - renewedAt >= deadline) {
        this.#event('stopped leading');
        logger.error('failed to renew the leader lease', { lease: name });
        return;
      }
    }
  }

  async release(timeout: number): Promise<void> {
    const { client, clock, logger, namespace, name } = this.#options;
    const limit = new AbortController();
    const cancel = clock.setTimeout(
      () => limit.abort(new Error('releasing the lease took too long')),
      timeout,
    );
    try {
      const leases = client.resource(coordinationv1.leases, namespace);
      const lease = await leases.get(name, { signal: limit.signal });
      if (lease.spec?.holderIdentity !== this.#options.identity) return;
      const now = formatMicroTime(clock.now());
      const spec: LeaseSpec = {
        ...lease.spec,
        holderIdentity: '',
        leaseDurationSeconds: 1,
        renewTime: now,
        acquireTime: now,
      };
      await leases.update({ ...lease, spec }, { signal: limit.signal });
    } catch (error) {
      logger.warn('the leader lease could not be released', { lease: name, error: errorMessage(error) });
    } finally {
      cancel();
    }
  }

  async #tryAcquireOrRenew(signal: AbortSignal): Promise<boolean> {
    const { client, logger, namespace, name, identity } = this.#options;
    const leases = client.resource(coordinationv1.leases, namespace);
    try {
      if (this.#isLeader() && this.#observed !== undefined && this.#isValid()) {
        // Nobody else should have written since: this saves the read.
        const lease = this.#observed;
        try {
          this.#observe(await leases.update({ ...lease, spec: this.#renewed(lease.spec) }, { signal }));
          return true;
        } catch (error) {
          if (!(error instanceof StatusError)) throw error;
        }
      }
      let lease: coordinationv1.Lease;
      try {
        lease = await leases.get(name, { signal });
      } catch (error) {
        if (!isNotFound(error)) throw error;
        const created = { metadata: { name, namespace }, spec: this.#renewed(undefined) };
        this.#observe(await leases.create(created, { signal }));
        return true;
      }
      if (lease.metadata.resourceVersion !== this.#observed?.metadata.resourceVersion) this.#observe(lease);
      const holder = lease.spec?.holderIdentity ?? '';
      if (holder !== '' && holder !== identity && this.#isValid()) return false;
      this.#observe(await leases.update({ ...lease, spec: this.#renewed(lease.spec) }, { signal }));
      return true;
    } catch (error) {
      if (!signal.aborted)
        logger.warn('the leader lease could not be acquired or renewed', {
          lease: name,
          error: errorMessage(error),
        });
      return false;
    }
  }

  #renewed(previous: LeaseSpec | undefined): LeaseSpec {
    const { clock, identity } = this.#options;
    const now = formatMicroTime(clock.now());
    const kept = previous?.holderIdentity === identity;
    return {
      ...previous,
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(this.#leaseDuration / 1000),
      renewTime: now,
      acquireTime: kept ? (previous.acquireTime ?? now) : now,
      leaseTransitions:
        previous === undefined
          ? 0
          : kept
            ? (previous.leaseTransitions ?? 0)
            : (previous.leaseTransitions ?? 0) + 1,
    };
  }

  #observe(lease: coordinationv1.Lease): void {
    this.#observed = lease;
    this.#observedAt = this.#options.clock.monotonic();
  }

  #isLeader(): boolean {
    return this.#observed?.spec?.holderIdentity === this.#options.identity;
  }

  #isValid(): boolean {
    const seconds = this.#observed?.spec?.leaseDurationSeconds ?? 0;
    return this.#options.clock.monotonic() < this.#observedAt + seconds * 1000;
  }

  #report(): void {
    const leader = this.#observed?.spec?.holderIdentity ?? '';
    if (leader === this.#reportedLeader) return;
    this.#reportedLeader = leader;
    this.#options.onNewLeader?.(leader);
  }

  #event(what: string): void {
    const { recorder, namespace, name, identity } = this.#options;
    recorder?.event(
      {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        namespace,
        name,
        ...(this.#observed?.metadata.uid === undefined ? {} : { uid: this.#observed.metadata.uid }),
      },
      'Normal',
      'LeaderElection',
      `${identity} ${what}`,
    );
  }
}
