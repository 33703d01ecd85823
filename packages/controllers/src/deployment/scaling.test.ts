import type { appsv1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { newestAnnotations } from './revisions.ts';
import { fenceposts, newestSize, planNewest, planOld, planScaling } from './scaling.ts';
import { equalTemplates, templateHash } from './template.ts';

type Size = readonly [replicas: number, available?: number];

function deployment(
  replicas: number,
  maxSurge: number | string = '25%',
  maxUnavailable: number | string = '25%',
): appsv1.Deployment {
  return {
    metadata: { name: 'web', uid: 'd' },
    spec: {
      replicas,
      selector: {},
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } },
      template: { spec: { containers: [] } },
    },
  };
}

let created = 0;
function replicaSet(
  name: string,
  [replicas, available = replicas]: Size,
  maxReplicas?: number,
): appsv1.ReplicaSet {
  return {
    metadata: {
      name,
      uid: name,
      creationTimestamp: new Date(Date.UTC(2026, 0, 1) + created++ * 1000).toISOString(),
      ...(maxReplicas === undefined
        ? {}
        : { annotations: { 'deployment.kubernetes.io/max-replicas': String(maxReplicas) } }),
    },
    spec: { replicas, selector: {} },
    status: { replicas, availableReplicas: available },
  };
}

const sizes = (scales: readonly { replicaSet: appsv1.ReplicaSet; replicas: number }[]) =>
  Object.fromEntries(scales.map(({ replicaSet: { metadata }, replicas }) => [metadata.name, replicas]));

describe('fenceposts', () => {
  it.each<
    [replicas: number, surge: number | string, unavailable: number | string, expected: [number, number]]
  >([
    [10, '25%', '25%', [3, 2]], // surge is rounded up, unavailable down
    [1, '25%', '25%', [1, 0]],
    [10, 0, 0, [0, 1]],
    [3, '0%', '10%', [0, 1]],
    [10, 2, 5, [2, 5]],
    [4, '100%', 0, [4, 0]],
  ])('of %i with %s and %s', (replicas, surge, unavailable, [expectedSurge, expectedUnavailable]) => {
    expect(fenceposts(deployment(replicas, surge, unavailable))).toEqual({
      surge: expectedSurge,
      unavailable: expectedUnavailable,
    });
  });
});

describe('the newest ReplicaSet', () => {
  it.each<
    [string, replicas: number, surge: number, newest: number, old: number, expected: number | undefined]
  >([
    ['grows by the surge', 10, 2, 0, 10, 2],
    ['grows by what the old gave up', 10, 2, 2, 7, 5],
    ['does not grow beyond what is wanted', 10, 5, 8, 2, 10],
    ['waits when there is no room', 10, 2, 2, 10, undefined],
    ['shrinks when it is too large', 3, 1, 5, 0, 3],
    ['stays when it is complete', 10, 2, 10, 3, undefined],
  ])('%s', (_, replicas, surge, newestReplicas, oldReplicas, expected) => {
    const newest = replicaSet('new', [newestReplicas]);
    const plan = planNewest(
      deployment(replicas, surge, 1),
      [replicaSet('old', [oldReplicas]), newest],
      newest,
    );
    expect(plan?.replicas).toBe(expected);
  });

  it('is made as large as the surge allows', () => {
    expect(newestSize(deployment(10), [replicaSet('old', [10])], 0)).toBe(3);
    expect(newestSize(deployment(10), [], 0)).toBe(10);
  });
});

describe('the old ReplicaSets', () => {
  it.each<[string, number, number | string, number | string, Size, Size[], Record<string, number>]>([
    ['give up what may be missing', 10, 0, 2, [0], [[10]], { old0: 8 }],
    ['give up what the new one replaced', 10, 2, 0, [2, 2], [[10]], { old0: 8 }],
    ['wait for the new one to become available', 10, 2, 0, [2, 0], [[10]], {}],
    ['lose unavailable pods first', 10, 2, 2, [4, 2], [[8, 3], [0]], { old0: 6 }],
    ['the oldest first', 10, 0, 3, [0], [[2], [8]], { old0: 0, old1: 7 }],
    ['all go at the end', 4, 1, 0, [4, 4], [[1]], { old0: 0 }],
    ['stay when the new one is stuck', 3, 1, 1, [2, 0], [[2]], {}],
  ])('%s', (_, replicas, surge, unavailable, newest, old, expected) => {
    const sets = old.map((size, index) => replicaSet(`old${index}`, size));
    expect(sizes(planOld(deployment(replicas, surge, unavailable), sets, replicaSet('new', newest)))).toEqual(
      expected,
    );
  });

  it('never go below what must be available, whatever the sizes', () => {
    for (let replicas = 1; replicas <= 12; replicas++)
      for (let old = 0; old <= 14; old++)
        for (let available = 0; available <= old; available++)
          for (const newest of [
            [0, 0],
            [2, 0],
            [2, 1],
            [3, 3],
          ] as Size[]) {
            const wanted = deployment(replicas, 2, 1);
            const set = replicaSet('old', [old, available]);
            const [scale] = planOld(wanted, [set], replicaSet('new', newest));
            if (scale === undefined) continue;
            // Unavailable pods go first, so this many of the available ones are left at least.
            const left = Math.min(available, scale.replicas) + (newest[1] ?? 0);
            const before = available + (newest[1] ?? 0);
            expect(left).toBeGreaterThanOrEqual(Math.min(before, replicas - 1));
          }
  });
});

describe('scaling in the middle of a roll-out', () => {
  it.each<[string, number, number, Size, Size[], number, Record<string, number>]>([
    ['up, in proportion', 20, 2, [8, 6], [[4, 4]], 12, { new: 15, old0: 7 }],
    ['down, in proportion', 6, 0, [5, 4], [[5, 5]], 10, { old0: 3, new: 3 }],
    ['to nothing', 0, 2, [5, 4], [[5, 5]], 12, { old0: 0, new: 0 }],
  ])('%s', (_, replicas, surge, newest, old, before, expected) => {
    const sets = old.map((size, index) => replicaSet(`old${index}`, size, before));
    const plan = planScaling(deployment(replicas, surge, 0), replicaSet('new', newest, before), sets);
    expect(sizes(plan)).toEqual(expected);
    const allowed = replicas === 0 ? 0 : replicas + surge;
    expect(plan.reduce((sum, scale) => sum + scale.replicas, 0)).toBe(allowed);
  });

  it('gives all to the only active one', () => {
    expect(sizes(planScaling(deployment(7), replicaSet('new', [3]), [replicaSet('old', [0])]))).toEqual({
      new: 7,
    });
    expect(
      sizes(planScaling(deployment(7), undefined, [replicaSet('a', [0]), replicaSet('b', [0])])),
    ).toEqual({ b: 7 });
  });
});

describe('templates', () => {
  const template = {
    metadata: { labels: { a: '1', b: '2' } },
    spec: { containers: [{ name: 'c', image: 'i' }] },
  };
  it('are equal whatever their hash label and the order of their keys', () => {
    const other = {
      spec: { containers: [{ image: 'i', name: 'c' }] },
      metadata: { annotations: {}, labels: { b: '2', 'pod-template-hash': 'x', a: '1' } },
    };
    expect(equalTemplates(template, other)).toBe(true);
    expect(equalTemplates(template, { ...other, spec: { containers: [] } })).toBe(false);
  });

  it('hash to the same letters, and to others after a collision', () => {
    const reordered = { spec: template.spec, metadata: { labels: { b: '2', a: '1' } } };
    expect(templateHash(template, undefined)).toBe(templateHash(reordered, undefined));
    expect(templateHash(template, undefined)).toMatch(/^[bcdfghjklmnpqrstvwxz2456789]{1,10}$/);
    expect(templateHash(template, 1)).not.toBe(templateHash(template, undefined));
    expect(templateHash(template, 2)).not.toBe(templateHash(template, 1));
  });
});

describe('revisions', () => {
  const annotated = (annotations: Record<string, string>) => ({
    ...deployment(1),
    metadata: { name: 'web', annotations },
  });
  it('copies annotations but those that describe the Deployment itself', () => {
    expect(
      newestAnnotations(
        annotated({
          'kubernetes.io/change-cause': 'x',
          'deployment.kubernetes.io/revision': '9',
          'kubectl.kubernetes.io/last-applied-configuration': '{}',
        }),
        {},
        2n,
      ),
    ).toEqual({ 'kubernetes.io/change-cause': 'x', 'deployment.kubernetes.io/revision': '2' });
  });

  it('keeps the history of a ReplicaSet that comes back', () => {
    const first = newestAnnotations(annotated({}), { 'deployment.kubernetes.io/revision': '1' }, 3n);
    expect(first).toEqual({
      'deployment.kubernetes.io/revision': '3',
      'deployment.kubernetes.io/revision-history': '1',
    });
    expect(newestAnnotations(annotated({}), first, 12n)['deployment.kubernetes.io/revision-history']).toBe(
      '1,3',
    );
    expect(newestAnnotations(annotated({}), first, 2n)).toBe(first); // never back
  });

  it('compares revisions as numbers', () => {
    const current = { 'deployment.kubernetes.io/revision': '9' };
    expect(newestAnnotations(annotated({}), current, 10n)['deployment.kubernetes.io/revision']).toBe('10');
  });
});
