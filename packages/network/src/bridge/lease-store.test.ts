import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { LeaseStore } from './lease-store.ts';
import type { Lease } from './lease-store.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'k8ts-leases-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const lease = (sandboxId: string, sequence: number): Lease => ({
  version: 1,
  sandboxId,
  pod: `default/${sandboxId}`,
  ips: ['10.244.0.2'],
  interfaceName: 'veth0',
  portMappings: [{ protocol: 'TCP', containerPort: 80, hostPort: 8080, hostIp: '' }],
  sequence,
});

describe('LeaseStore', () => {
  it('keeps leases in the order in which they were made', async () => {
    const store = new LeaseStore(join(directory, 'made', 'when', 'needed'));
    await store.load(() => undefined);
    await Promise.all([store.save(lease('b', 1)), store.save(lease('a', 2))]);
    await store.save({ ...lease('b', 3) });
    expect(await store.load(() => undefined)).toEqual([lease('a', 2), lease('b', 3)]);
    await store.remove('b');
    await store.remove('b');
    expect(await store.load(() => undefined)).toEqual([lease('a', 2)]);
  });

  it.each([
    ['cut', '{"version":1,"sand'],
    ['empty', ''],
    ['of another version', JSON.stringify({ ...lease('x', 1), version: 2 })],
    ['of another name', JSON.stringify(lease('y', 1))],
    ['without addresses', JSON.stringify({ ...lease('x', 1), ips: undefined })],
    ['null', 'null'],
  ])('removes a file that is %s, and says so', async (_what, content) => {
    const store = new LeaseStore(directory);
    await writeFile(join(directory, 'x.json'), content);
    await writeFile(join(directory, 'x.json.new'), 'half');
    const damaged: string[] = [];
    expect(await store.load((file) => damaged.push(file))).toEqual([]);
    expect(damaged).toEqual([join(directory, 'x.json')]);
    expect(await readdir(directory)).toEqual([]);
  });

  it.each(['', '..', '../x', 'a/b', '.hidden', 'a'.repeat(200)])('refuses the name %j', async (id) => {
    const store = new LeaseStore(directory);
    await expect(store.save(lease(id, 1))).rejects.toThrow('invalid sandbox id');
    await expect(store.remove(id)).rejects.toThrow('invalid sandbox id');
  });
});
