import { coordinationv1 } from '@k8ts/api';
import { VirtualClock, seededRandom, silentLogger } from '@k8ts/base';
import { beforeEach, describe, expect, it } from 'vitest';

import { runLeaderElection } from './leader-election.ts';
import type { LeaderElectionOptions } from './leader-election.ts';
import { FakeApi } from './testing/fake-api.ts';

let clock: VirtualClock;
let api: FakeApi;
let log: string[];

beforeEach(() => {
  clock = new VirtualClock();
  api = new FakeApi({ clock });
  log = [];
});

function candidate(
  identity: string,
  signal: AbortSignal,
  extra: Partial<LeaderElectionOptions> = {},
): Promise<void> {
  return runLeaderElection(
    {
      client: api.client,
      clock,
      random: seededRandom(identity.length),
      logger: silentLogger,
      namespace: 'kube-system',
      name: 'test',
      identity,
      lead: async (leading) => {
        log.push(`${identity} leads`);
        await new Promise((resolve) => leading.addEventListener('abort', resolve));
        log.push(`${identity} stops`);
      },
      ...extra,
    },
    signal,
  );
}

const lease = () => api.peek(coordinationv1.leases, 'kube-system/test')?.spec;

describe('leader election', () => {
  it('has one leader, and the next one when it dies without a word', async () => {
    const first = new AbortController();
    const second = new AbortController();
    const a = candidate('a', first.signal);
    await clock.settle();
    const b = candidate('b', second.signal);
    await clock.advance(60_000);
    expect(log).toEqual(['a leads']);
    expect(lease()).toMatchObject({ holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 0 });
    first.abort();
    await a;
    await clock.advance(10_000);
    expect(log).toEqual(['a leads', 'a stops']); // the lease is still valid
    await clock.advance(15_000);
    expect(log).toEqual(['a leads', 'a stops', 'b leads']);
    expect(lease()).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
    second.abort();
    await b;
  });

  it('hands over at once when the leader releases the lease', async () => {
    const first = new AbortController();
    const second = new AbortController();
    const a = candidate('a', first.signal, { releaseOnCancel: true });
    await clock.settle();
    const b = candidate('b', second.signal);
    await clock.advance(10_000);
    first.abort();
    await a;
    expect(lease()).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1 });
    await clock.advance(5000);
    expect(log).toEqual(['a leads', 'a stops', 'b leads']);
    second.abort();
    await b;
  });

  it('stops leading before anyone else may start when it cannot renew', async () => {
    const a = candidate('a', new AbortController().signal);
    await clock.advance(5000);
    const lost = clock.monotonic();
    let stoppedAt = 0;
    void a.then(() => (stoppedAt = clock.monotonic()));
    api.intercept(() => {
      throw new Error('network is unreachable');
    });
    await clock.advance(60_000);
    await a;
    expect(log).toEqual(['a leads', 'a stops']);
    expect(stoppedAt - lost).toBeLessThanOrEqual(12_000);
    expect(stoppedAt - lost).toBeGreaterThan(6000);
  });

  it('stops when a request hangs for ever', async () => {
    const a = candidate('a', new AbortController().signal);
    await clock.advance(5000);
    api.intercept(
      ({ signal }) =>
        new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error))),
    );
    await clock.advance(20_000);
    await a;
    expect(log).toEqual(['a leads', 'a stops']);
  });

  it('refuses times that would let two lead', async () => {
    const { signal } = new AbortController();
    await expect(candidate('a', signal, { leaseDuration: 10_000 })).rejects.toThrow('leaseDuration');
    await expect(candidate('a', signal, { renewDeadline: 2000 })).rejects.toThrow('renewDeadline');
  });

  it('hands on the error of the work that it led', async () => {
    const failing = candidate('a', new AbortController().signal, {
      lead: () => Promise.reject(new Error('broken')),
    });
    await expect(failing).rejects.toThrow('broken');
  });
});
