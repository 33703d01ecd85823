import { isDeepStrictEqual } from 'node:util';

import { corev1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { useCluster } from '../../support/cluster.ts';
import { PAUSE, script } from '../../support/manifests.ts';
import { until } from '../../support/waiting.ts';
import { usePods } from './support.ts';

// Upstream's test/e2e/common/node/pod_resize.go, with its amounts.

/** Milli-cores and mebibytes; what is absent is not set. */
interface Size {
  readonly cpu?: number;
  readonly cpuLimit?: number;
  readonly memory?: number;
  readonly memoryLimit?: number;
}

const ORIGINAL = { cpu: 20, memory: 35 };
const INCREASED = { cpu: 25, cpuLimit: 35, memory: 40, memoryLimit: 50 };
const REDUCED = { cpu: 15, memory: 30 };

const cluster = useCluster();
const pods = usePods(cluster);
const resource = () => cluster.client.resource(corev1.pods, 'default');

function resources({ cpu, cpuLimit, memory, memoryLimit }: Size): corev1.ResourceRequirements {
  const list = (milliCores?: number, mebibytes?: number) => ({
    ...(milliCores === undefined ? {} : { cpu: `${milliCores}m` }),
    ...(mebibytes === undefined ? {} : { memory: `${mebibytes}Mi` }),
  });
  const requests = list(cpu, memory);
  const limits = list(cpuLimit, memoryLimit);
  return {
    ...(Object.keys(limits).length === 0 ? {} : { limits }),
    ...(Object.keys(requests).length === 0 ? {} : { requests }),
  };
}

const containersOf = (sizes: readonly Size[]) =>
  sizes.map((size, index) => ({ name: `c${index + 1}`, resources: resources(size) }));

const podOf = (sizes: readonly Size[]): string =>
  pods.pod({
    os: { name: 'linux' },
    restartPolicy: 'OnFailure',
    containers: containersOf(sizes).map((more) => script(PAUSE, more)),
  });

interface Cgroup {
  readonly weight: number;
  readonly quota: string;
  readonly memory: string;
  readonly unified: boolean;
}

/** As the container sees it itself. */
async function cgroupOf(pod: string, container: string): Promise<Cgroup> {
  const files = `cd /sys/fs/cgroup; if test -e cgroup.controllers; then cat cpu.weight cpu.max memory.max
    else cat cpu/cpu.shares cpu/cpu.cfs_quota_us memory/memory.limit_in_bytes; echo v1; fi`;
  const output = await cluster.kubectl.ok('exec', pod, '-c', container, '--', 'sh', '-c', files);
  const [weight = '', quota = '', memory = '', v1] = output.trim().split('\n');
  return { weight: Number(weight), quota, memory, unified: v1 === undefined };
}

/** Programs of cgroups v2 turn shares into a weight by the formula of KEP-2254, newer ones by a curve through the defaults. */
function weightsOf(shares: number): readonly number[] {
  const exponent = (Math.log2(shares) ** 2 + 125 * Math.log2(shares)) / 612 - 7 / 34;
  return [Math.floor(1 + ((shares - 2) * 9999) / 262_142), Math.ceil(10 ** exponent)];
}

function expectCgroup(found: Cgroup, { cpu, cpuLimit, memoryLimit }: Size): void {
  const shares = Math.max(2, Math.floor(((cpu ?? cpuLimit ?? 0) * 1024) / 1000));
  expect(found.unified ? weightsOf(shares) : [shares]).toContain(found.weight);
  const quota = cpuLimit === undefined ? undefined : Math.max(1000, cpuLimit * 100);
  expect(found.quota).toBe(found.unified ? `${quota ?? 'max'} 100000` : String(quota ?? -1));
  if (memoryLimit !== undefined) expect(found.memory).toBe(String(memoryLimit * 2 ** 20));
  // v1 has no word for it, but a number larger than any memory.
  else
    expect(found.unified ? found.memory : Number(found.memory) > 2 ** 60).toBe(found.unified ? 'max' : true);
}

const hasResizeCondition = ({ status }: corev1.Pod): boolean =>
  status?.conditions?.some(({ type }) => /^PodResize(Pending|InProgress)$/.test(type)) ?? false;
const isReady = ({ status }: corev1.Pod): boolean =>
  status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;
const statusResources = ({ status }: corev1.Pod): readonly unknown[] | undefined =>
  status?.containerStatuses?.map((container) => container.resources);
const ids = ({ status }: corev1.Pod): readonly unknown[] | undefined =>
  status?.containerStatuses?.map(({ containerID, restartCount }) => [containerID, restartCount]);

/** Its spec, its status and its cgroups say so; gives the weights. */
async function expectSizes(pod: corev1.Pod, sizes: readonly Size[]): Promise<readonly number[]> {
  const wanted = containersOf(sizes);
  expect(pod.spec.containers.map(({ name, resources: of }) => ({ name, resources: of }))).toEqual(wanted);
  expect(pod.spec.containers.every(({ resizePolicy }) => resizePolicy === undefined)).toBe(true);
  expect(statusResources(pod)).toEqual(wanted.map(({ resources: of }) => of));
  expect(hasResizeCondition(pod)).toBe(false);
  const cgroups = await Promise.all(wanted.map(({ name }) => cgroupOf(pod.metadata.name, name)));
  for (const [index, cgroup] of cgroups.entries()) expectCgroup(cgroup, sizes[index] as Size);
  return cgroups.map(({ weight }) => weight);
}

/** Resolves to the pod once the kubelet has given its containers what they are to have; none is started anew. */
async function actuated(before: corev1.Pod, sizes: readonly Size[]): Promise<corev1.Pod> {
  const wanted = sizes.map(resources);
  const pod = await cluster.untilPod(
    before.metadata.name,
    (now) => isDeepStrictEqual(statusResources(now), wanted) && !hasResizeCondition(now) && isReady(now),
  );
  expect(ids(pod)).toEqual(ids(before));
  return pod;
}

async function resize(before: corev1.Pod, sizes: readonly Size[]): Promise<corev1.Pod> {
  const patch = { spec: { containers: containersOf(sizes) } };
  const patched = await resource().patch(before.metadata.name, patch, {
    type: 'strategic',
    subresource: 'resize',
  });
  expect(patched.spec.containers.map(({ resources: of }) => of)).toEqual(sizes.map(resources));
  expect(patched.metadata.generation).toBe((before.metadata.generation ?? 0) + 1);
  return actuated(before, sizes);
}

/** A test: from the one to the other and, unless it is one way, back. */
function resizes(original: readonly Size[], desired: readonly Size[], back = true): () => Promise<void> {
  const name = podOf(original);
  return async () => {
    const started = await cluster.untilReady(name);
    const weights = await expectSizes(started, original);
    const resized = await resize(started, desired);
    const changed = await expectSizes(resized, desired);
    for (const [index, weight] of changed.entries()) {
      const [from, to] = [original[index]?.cpu ?? 0, desired[index]?.cpu ?? 0];
      if (to !== from)
        expect(Math.sign(weight - (weights[index] as number)) * Math.sign(to - from)).not.toBe(-1);
    }
    if (back) expect(await expectSizes(await resize(resized, original), original)).toEqual(weights);
  };
}

describe.concurrent('Pod InPlace Resize Container', () => {
  /** Guaranteed containers, each a little larger than the one before. */
  const guaranteed = (...sizes: readonly { readonly cpu: number; readonly memory: number }[]) =>
    sizes.map(({ cpu, memory }, index) => {
      const [cpuLimit, memoryLimit] = [cpu + 2 * index, memory + 2 * index];
      return { cpu: cpuLimit, cpuLimit, memory: memoryLimit, memoryLimit };
    });
  const three = guaranteed(ORIGINAL, ORIGINAL, ORIGINAL);

  it(
    '[sig-node] Pod InPlace Resize Container guaranteed pods with multiple containers 3 containers - increase cpu & mem on c1, c2, decrease cpu & mem on c3 - net increase [MinimumKubeletVersion:1.34] [Conformance]',
    resizes(three, guaranteed(INCREASED, INCREASED, REDUCED)),
  );
  it(
    '[sig-node] Pod InPlace Resize Container guaranteed pods with multiple containers 3 containers - increase cpu & mem on c1, decrease cpu & mem on c2, c3 - net decrease [MinimumKubeletVersion:1.34] [Conformance]',
    resizes(three, guaranteed(INCREASED, REDUCED, REDUCED)),
  );
  it(
    '[sig-node] Pod InPlace Resize Container guaranteed pods with multiple containers 3 containers - increase: CPU (c1,c3), memory (c2, c3) ; decrease: CPU (c2) [MinimumKubeletVersion:1.34] [Conformance]',
    resizes(
      three,
      guaranteed(
        { ...ORIGINAL, cpu: INCREASED.cpu },
        { cpu: REDUCED.cpu, memory: INCREASED.memory },
        INCREASED,
      ),
    ),
  );
  it(
    '[sig-node] Pod InPlace Resize Container burstable pods - extended 6 containers - various operations performed (including adding limits and requests) [MinimumKubeletVersion:1.34] [Conformance]',
    // The five that upstream's six are. Limits and requests that were added cannot be taken away again.
    resizes(
      [
        { cpu: ORIGINAL.cpu },
        { memory: ORIGINAL.memory },
        ORIGINAL,
        { cpu: ORIGINAL.cpu },
        { memory: ORIGINAL.memory },
      ],
      [
        { cpu: INCREASED.cpu, cpuLimit: INCREASED.cpuLimit },
        { memory: REDUCED.memory, memoryLimit: INCREASED.memoryLimit },
        { ...ORIGINAL, memory: REDUCED.memory },
        { ...ORIGINAL, cpu: REDUCED.cpu },
        { ...ORIGINAL, memory: INCREASED.memory },
      ],
      false,
    ),
  );
  it(
    '[sig-node] Pod InPlace Resize Container burstable pods - extended resize with equivalents [MinimumKubeletVersion:1.34] [Conformance]',
    // The kernel's smallest weight and quota stand for both.
    resizes([{ cpu: 2, cpuLimit: 10 }], [{ cpu: 1, cpuLimit: 5 }]),
  );

  const replaced = podOf([ORIGINAL]);
  it('[sig-node] Pod InPlace Resize Container resize pod via the replace endpoint [MinimumKubeletVersion:1.34] [Conformance]', async () => {
    const started = await cluster.untilReady(replaced);
    await expectSizes(started, [ORIGINAL]);
    expect(started.metadata.generation).toBe(1);
    const desired = [{ cpu: INCREASED.cpu, memory: INCREASED.memory }];
    const [container] = started.spec.containers;
    await resource().updateSubresource(replaced, 'resize', {
      ...started,
      metadata: { ...started.metadata, resourceVersion: undefined },
      spec: { ...started.spec, containers: [{ ...container, ...containersOf(desired)[0] }] },
    });
    const updated = await resource().get(replaced);
    expect(updated.spec.containers.map(({ resources: of }) => of)).toEqual(desired.map(resources));
    expect(updated.metadata.generation).toBe(2);
    await expectSizes(await actuated(started, desired), desired);
    await until(async () => {
      const pod = await resource().get(replaced);
      return isDeepStrictEqual(await resource().getSubresource(replaced, 'resize'), pod);
    });
  });
});
