import { expect, test } from 'vitest';

import { InvalidRequestError, LeaseExistsError, LeaseNotFoundError } from '../contract.ts';
import { eventually, put, record } from './contract-steps.ts';
import type { ContractContext } from './contract-context.ts';

export function testLeases(context: ContractContext): void {
  test('revoking deletes the keys at one revision', async () => {
    const { store } = context;
    const prefix = context.prefix();
    const { id, ttl } = await store.grantLease(600);
    expect(ttl).toBe(600);
    expect(id).not.toBe(0n);
    await put(store, `${prefix}a`, '', id);
    await put(store, `${prefix}b`, '', id);
    const { revision } = await put(store, `${prefix}c`, '');
    expect((await store.get(`${prefix}a`))?.lease).toBe(id);
    expect(await store.get(`${prefix}c`)).not.toHaveProperty('lease');
    const status = (await store.leases()).find((lease) => lease.id === id);
    expect(status).toMatchObject({ ttl: 600, keys: [`${prefix}a`, `${prefix}b`] });
    expect(status?.remaining).toBeGreaterThan(590);

    const watch = record(store, prefix);
    await watch.handle.ready;
    await store.revokeLease(id);
    await watch.count(2);
    expect(watch.events.map(({ type, kv }) => [type, kv.key, kv.modRevision])).toEqual([
      ['delete', `${prefix}a`, revision + 1],
      ['delete', `${prefix}b`, revision + 1],
    ]);
    expect(await store.get(`${prefix}c`)).toBeDefined();
    expect((await store.leases()).some((lease) => lease.id === id)).toBe(false);
    watch.handle.close();
    await watch.ended();
  });

  test('a key leaves its lease when it is put without it, or with another', async () => {
    const { store } = context;
    const prefix = context.prefix();
    const one = await store.grantLease(600);
    const two = await store.grantLease(600);
    expect(two.id).not.toBe(one.id);
    for (const name of ['free', 'moved', 'kept']) await put(store, prefix + name, '', one.id);
    await put(store, `${prefix}free`, 'x');
    await put(store, `${prefix}moved`, 'x', two.id);
    await store.revokeLease(one.id);
    expect(await store.get(`${prefix}kept`)).toBeUndefined();
    expect(await store.get(`${prefix}free`)).toBeDefined();
    expect((await store.get(`${prefix}moved`))?.lease).toBe(two.id);
    await store.revokeLease(two.id);
    expect(await store.get(`${prefix}moved`)).toBeUndefined();
  });

  test('wanted ids, unknown ids, absurd times', async () => {
    const { store } = context;
    const id = 7_000_000_000_000_000_123n;
    expect(await store.grantLease(60, id)).toEqual({ id, ttl: 60 });
    await expect(store.grantLease(60, id)).rejects.toThrow(LeaseExistsError);
    await store.revokeLease(id);
    await expect(store.revokeLease(id)).rejects.toThrow(LeaseNotFoundError);
    await expect(store.keepLeaseAlive(id)).rejects.toThrow(LeaseNotFoundError);
    await expect(store.grantLease(1e12)).rejects.toThrow(InvalidRequestError);
    await expect(store.grantLease(Number.NaN)).rejects.toThrow(InvalidRequestError);
  });

  test('an expired lease takes its keys along; one kept alive does not expire', async () => {
    const { store } = context;
    const prefix = context.prefix();
    const short = await store.grantLease(3);
    const kept = await store.grantLease(3);
    await put(store, `${prefix}short`, '', short.id);
    await put(store, `${prefix}kept`, '', kept.id);
    for (let i = 0; i < 5; i++) {
      await context.advance(1000);
      expect(await store.keepLeaseAlive(kept.id)).toEqual(kept);
    }
    await eventually(async () => expect(await store.get(`${prefix}short`)).toBeUndefined());
    await expect(store.keepLeaseAlive(short.id)).rejects.toThrow(LeaseNotFoundError);
    expect(await store.get(`${prefix}kept`)).toBeDefined();
    await store.revokeLease(kept.id);
  }, 30_000);
}
