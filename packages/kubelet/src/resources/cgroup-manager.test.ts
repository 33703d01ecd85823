import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { realClock, silentLogger } from '@k8ts/base';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { Pod } from '../pod/types.ts';
import { testContainer, testPod } from '../testing/pods.ts';
import { createCgroupManager } from './cgroup-manager.ts';

let mountpoint: string;
beforeEach(async () => {
  mountpoint = await mkdtemp(join(tmpdir(), 'k8ts-cgroups-'));
});
afterEach(() => rm(mountpoint, { recursive: true }));

const guaranteed = (cpu: string, memory: string): Pod =>
  testPod({ containers: [testContainer('app', { resources: { limits: { cpu, memory }, requests: { cpu, memory } } })] }); // prettier-ignore
const unlimited = (): Pod =>
  testPod({ containers: [testContainer('app', { resources: { requests: { cpu: '20m' } } })] });

describe.each([
  { version: 'v1', cpu: 'cpu/kubepods/poduid-web/cpu.cfs_quota_us', memory: 'memory/kubepods/poduid-web/memory.limit_in_bytes', quota: (us: number) => String(us) }, // prettier-ignore
  { version: 'v2', cpu: 'kubepods/poduid-web/cpu.max', memory: 'kubepods/poduid-web/memory.max', quota: (us: number) => `${us} 100000` }, // prettier-ignore
])('the cgroup of a pod, $version', ({ version, cpu, memory, quota }) => {
  beforeEach(async () => {
    if (version === 'v2') await writeFile(join(mountpoint, 'cgroup.controllers'), 'cpu memory');
    for (const controller of version === 'v1' ? ['cpu', 'memory'] : []) {
      await mkdir(join(mountpoint, controller));
      await writeFile(join(mountpoint, controller, 'tasks'), '');
    }
  });
  const read = (file: string): Promise<string> => readFile(join(mountpoint, file), 'utf8');

  it.each<[string, Pod, [number, number], [number, number]]>([
    ['more', guaranteed('40m', '40Mi'), [4000, 40], [4000, 40]],
    ['less', guaranteed('20m', '20Mi'), [3000, 30], [2000, 20]],
    ['more and less', guaranteed('40m', '20Mi'), [4000, 30], [4000, 20]],
  ])('of %s: grows before its containers, shrinks after them', async (_name, pod, during, after) => {
    const manager = await createCgroupManager({ clock: realClock, logger: silentLogger, mountpoint });
    const limits = async () => [await read(cpu), await read(memory)];
    const as = ([us, mebibytes]: readonly [number, number]) => [quota(us), String(mebibytes * 2 ** 20)];
    await manager.ensure(guaranteed('30m', '30Mi'));
    expect(await limits()).toEqual(as([3000, 30]));
    await manager.makeRoom(pod);
    expect(await limits()).toEqual(as(during));
    await manager.ensure(pod);
    expect(await limits()).toEqual(as(after));
  });
});

it('a pod without a limit needs no room', async () => {
  await writeFile(join(mountpoint, 'cgroup.controllers'), 'cpu memory');
  const manager = await createCgroupManager({ clock: realClock, logger: silentLogger, mountpoint });
  await manager.ensure(unlimited());
  await manager.makeRoom(unlimited());
  const file = join(mountpoint, 'kubepods/burstable/poduid-web/cpu.max');
  expect(await readFile(file, 'utf8')).toBe('max 100000');
});
