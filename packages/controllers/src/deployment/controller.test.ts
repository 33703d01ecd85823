import { appsv1, corev1 } from '@k8ts/api';
import { forbidden } from '@k8ts/apimachinery';
import { describe, expect, it } from 'vitest';

import { replicaSetController } from '../replicaset/controller.ts';
import { ControllerHarness } from '../testing/controller-harness.ts';
import type { PodRunnerOptions } from '../testing/pod-runner.ts';
import { deploymentController } from './controller.ts';

async function start(options: PodRunnerOptions = {}): Promise<ControllerHarness> {
  const harness = await ControllerHarness.start([deploymentController, replicaSetController]);
  harness.runPods(options);
  return harness;
}

function deployment(
  replicas: number,
  image: string,
  extra: Partial<appsv1.DeploymentSpec> = {},
): appsv1.Deployment {
  return {
    metadata: { name: 'web', namespace: 'default' },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image }] } },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
      ...extra,
    },
  };
}

const api = (harness: ControllerHarness) => harness.api.client.resource(appsv1.deployments, 'default');
const peek = (harness: ControllerHarness) => harness.api.peek(appsv1.deployments, 'default/web');
const replicaSets = (harness: ControllerHarness) => harness.api.all(appsv1.replicaSets);
const images = (harness: ControllerHarness) =>
  harness.api.all(corev1.pods).map(({ spec }) => spec.containers[0]?.image);
const condition = (harness: ControllerHarness, type: string) => {
  const found = peek(harness)?.status?.conditions?.find((one) => one.type === type);
  return found && `${found.status} ${found.reason ?? ''}: ${found.message ?? ''}`;
};
const events = (harness: ControllerHarness) => harness.api.all(corev1.events).map(({ message }) => message);

async function change(
  harness: ControllerHarness,
  spec: Partial<appsv1.DeploymentSpec>,
  annotations: Record<string, string> = {},
): Promise<void> {
  const current = await api(harness).get('web');
  await api(harness).update({
    ...current,
    metadata: { ...current.metadata, annotations: { ...current.metadata.annotations, ...annotations } },
    spec: { ...current.spec, ...spec },
  });
}

const setImage = (harness: ControllerHarness, image: string) =>
  change(harness, { template: deployment(1, image).spec.template });

async function roll(harness: ControllerHarness, ...imageNames: string[]): Promise<void> {
  for (const image of imageNames) {
    await setImage(harness, image);
    await harness.clock.advance(60_000);
  }
}

describe('Deployment controller', () => {
  it('makes a ReplicaSet and reports progress and availability', async () => {
    await using harness = await start();
    await api(harness).create(deployment(3, 'v1'));
    await harness.clock.settle();
    const [set] = replicaSets(harness);
    const hash = set?.metadata.labels?.['pod-template-hash'] ?? '';
    expect(set).toMatchObject({
      metadata: {
        name: `web-${hash}`,
        labels: { app: 'web', 'pod-template-hash': hash },
        annotations: {
          'deployment.kubernetes.io/revision': '1',
          'deployment.kubernetes.io/desired-replicas': '3',
          'deployment.kubernetes.io/max-replicas': '4',
        },
        ownerReferences: [{ kind: 'Deployment', name: 'web', controller: true, blockOwnerDeletion: true }],
      },
      spec: {
        replicas: 3,
        selector: { matchLabels: { app: 'web', 'pod-template-hash': hash } },
        template: { metadata: { labels: { app: 'web', 'pod-template-hash': hash } } },
      },
    });
    expect(condition(harness, 'Available')).toBe(
      'False MinimumReplicasUnavailable: Deployment does not have minimum availability.',
    );
    expect(events(harness)).toContain(`Scaled up replica set web-${hash} from 0 to 3`);
    await harness.clock.advance(5000);
    expect(peek(harness)).toMatchObject({
      metadata: { annotations: { 'deployment.kubernetes.io/revision': '1' } },
      status: {
        observedGeneration: 1,
        replicas: 3,
        updatedReplicas: 3,
        readyReplicas: 3,
        availableReplicas: 3,
      },
    });
    expect(condition(harness, 'Available')).toBe(
      'True MinimumReplicasAvailable: Deployment has minimum availability.',
    );
    expect(condition(harness, 'Progressing')).toBe(
      `True NewReplicaSetAvailable: ReplicaSet "web-${hash}" has successfully progressed.`,
    );
  });

  it('rolls to a new version within its limits', async () => {
    await using harness = await start();
    await api(harness).create(deployment(10, 'v1'));
    await harness.clock.advance(10_000);
    await setImage(harness, 'v2');
    let least = 10;
    let most = 10;
    for (let step = 0; step < 100 && images(harness).includes('v1'); step++) {
      await harness.clock.advance(100);
      const active = harness.api
        .all(corev1.pods)
        .filter(({ metadata }) => metadata.deletionTimestamp === undefined);
      const ready = active.filter(({ status }) => status?.conditions?.[0]?.status === 'True');
      least = Math.min(least, ready.length);
      most = Math.max(most, active.length);
    }
    expect(new Set(images(harness))).toEqual(new Set(['v2']));
    expect(least).toBeGreaterThanOrEqual(8);
    expect(most).toBeLessThanOrEqual(13);
    await harness.clock.advance(5000);
    expect(peek(harness)?.metadata.annotations).toMatchObject({ 'deployment.kubernetes.io/revision': '2' });
    expect(
      replicaSets(harness)
        .map(({ spec }) => spec.replicas)
        .sort(),
    ).toEqual([0, 10]);
    expect(condition(harness, 'Progressing')).toContain('has successfully progressed');
  });

  it('stops at a version that does not work, and says so after the deadline', async () => {
    await using harness = await start({ broken: ({ spec }) => spec.containers[0]?.image === 'bad' });
    await api(harness).create(deployment(4, 'v1'));
    await harness.clock.advance(10_000);
    await setImage(harness, 'bad');
    await harness.clock.advance(500_000);
    expect(condition(harness, 'Progressing')).toContain('is progressing');
    await harness.clock.advance(120_000);
    expect(condition(harness, 'Progressing')).toMatch(
      /^False ProgressDeadlineExceeded: ReplicaSet "web-\w+" has timed out progressing\.$/,
    );
    expect(images(harness).filter((image) => image === 'v1')).toHaveLength(3);
    expect(condition(harness, 'Available')).toContain('True');
    // Undo: the template of the first ReplicaSet again.
    await roll(harness, 'v1');
    expect(images(harness)).toEqual(['v1', 'v1', 'v1', 'v1']);
    expect(condition(harness, 'Progressing')).toContain('has successfully progressed');
    const first = replicaSets(harness).find(({ spec }) => spec.replicas === 4);
    expect(first?.metadata.annotations).toMatchObject({
      'deployment.kubernetes.io/revision': '3',
      'deployment.kubernetes.io/revision-history': '1',
    });
  });

  it('scales without rolling, and in proportion while it rolls', async () => {
    await using harness = await start({ broken: ({ spec }) => spec.containers[0]?.image === 'bad' });
    await api(harness).create(
      deployment(10, 'v1', {
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 2, maxUnavailable: 2 } },
      }),
    );
    await harness.clock.advance(10_000);
    await change(harness, { replicas: 12 });
    await harness.clock.advance(10_000);
    expect(replicaSets(harness)).toHaveLength(1);
    expect(images(harness)).toHaveLength(12);
    await setImage(harness, 'bad');
    await harness.clock.advance(10_000);
    const before = replicaSets(harness).map(({ spec }) => spec.replicas);
    expect(before.sort((a = 0, b = 0) => a - b)).toEqual([4, 10]);
    await change(harness, { replicas: 26 });
    await harness.clock.advance(10_000);
    const after = replicaSets(harness).map(({ spec }) => spec.replicas ?? 0);
    expect(after.reduce((sum, replicas) => sum + replicas)).toBe(28);
    expect(Math.min(...after)).toBe(8);
  });

  it('does nothing while it is paused but scale, and goes on when resumed', async () => {
    await using harness = await start();
    await api(harness).create(deployment(2, 'v1'));
    await harness.clock.advance(10_000);
    await change(harness, { paused: true, template: deployment(1, 'v2').spec.template });
    await harness.clock.advance(10_000);
    expect(images(harness)).toEqual(['v1', 'v1']);
    expect(condition(harness, 'Progressing')).toBe('Unknown DeploymentPaused: Deployment is paused');
    await change(harness, { replicas: 4 });
    await harness.clock.advance(10_000);
    expect(images(harness)).toEqual(['v1', 'v1', 'v1', 'v1']);
    await change(harness, { paused: false });
    await harness.clock.advance(30_000);
    expect(images(harness)).toEqual(['v2', 'v2', 'v2', 'v2']);
    expect(condition(harness, 'Progressing')).toContain('NewReplicaSetAvailable');
  });

  it('recreates: no new pod before the last old one is gone', async () => {
    await using harness = await start({ stopAfter: 20_000 });
    await api(harness).create(deployment(3, 'v1', { strategy: { type: 'Recreate' } }));
    await harness.clock.advance(10_000);
    await setImage(harness, 'v2');
    for (let step = 0; step < 60; step++) {
      await harness.clock.advance(1000);
      expect(new Set(images(harness)).size).toBeLessThanOrEqual(1);
    }
    expect(images(harness)).toEqual(['v2', 'v2', 'v2']);
    expect(condition(harness, 'Progressing')).toContain('NewReplicaSetAvailable');
  });

  it('keeps as many old ReplicaSets as the history limit says', async () => {
    await using harness = await start();
    await api(harness).create(deployment(1, 'v1', { revisionHistoryLimit: 2 }));
    await harness.clock.advance(60_000);
    await roll(harness, 'v2', 'v3', 'v4', 'v5');
    const kept = replicaSets(harness).map(({ spec }) => spec.template?.spec.containers[0]?.image);
    expect(kept.sort()).toEqual(['v3', 'v4', 'v5']);
    expect(peek(harness)?.metadata.annotations).toMatchObject({ 'deployment.kubernetes.io/revision': '5' });
  });

  it('passes its annotations on, such as the cause of a change', async () => {
    await using harness = await start();
    await api(harness).create(deployment(1, 'v1'));
    await harness.clock.advance(5000);
    await change(harness, {}, { 'kubernetes.io/change-cause': 'because' });
    await harness.clock.advance(5000);
    expect(replicaSets(harness)[0]?.metadata.annotations).toMatchObject({
      'kubernetes.io/change-cause': 'because',
    });
  });

  it('avoids a name that something else has', async () => {
    await using harness = await start();
    await api(harness).create(deployment(1, 'v1'));
    await harness.clock.settle();
    const { name } = (replicaSets(harness)[0] as appsv1.ReplicaSet).metadata;
    await api(harness).delete('web');
    await harness.api.client.resource(appsv1.replicaSets, 'default').delete(name);
    harness.api.seed(appsv1.replicaSets, {
      metadata: { name, namespace: 'default' },
      spec: { replicas: 0, selector: { matchLabels: { x: 'y' } } },
    });
    await api(harness).create(deployment(1, 'v1'));
    await harness.clock.advance(10_000);
    expect(peek(harness)?.status?.collisionCount).toBe(1);
    expect(replicaSets(harness)).toHaveLength(2);
    expect(peek(harness)?.status?.availableReplicas).toBe(1);
  });

  it('reports that it may not make ReplicaSets, and tries again', async () => {
    await using harness = await start();
    const refuse = harness.api.intercept(({ method, path }) => {
      if (method === 'POST' && path.endsWith('/replicasets'))
        throw forbidden({ group: 'apps', resource: 'replicasets' }, 'web-x', 'quota');
      return undefined;
    });
    await api(harness).create(deployment(1, 'v1'));
    await harness.clock.advance(1000);
    expect(condition(harness, 'Progressing')).toMatch(
      /^False ReplicaSetCreateError: Failed to create new replica set "web-\w+": /,
    );
    refuse[Symbol.dispose]();
    await harness.clock.advance(60_000);
    expect(peek(harness)?.status?.availableReplicas).toBe(1);
  });

  it('promotes the failure of its pods', async () => {
    await using harness = await start();
    harness.api.intercept(({ method, path }) => {
      if (method === 'POST' && path.endsWith('/pods'))
        throw forbidden({ group: '', resource: 'pods' }, 'web-x', 'exceeded quota');
      return undefined;
    });
    await api(harness).create(deployment(1, 'v1'));
    await harness.clock.advance(1000);
    expect(condition(harness, 'ReplicaFailure')).toBe(
      'True FailedCreate: pods "web-x" is forbidden: exceeded quota',
    );
  });

  it('adopts ReplicaSets that match', async () => {
    await using harness = await start();
    const { selector, template } = deployment(2, 'v1').spec;
    await harness.api.client.resource(appsv1.replicaSets, 'default').create({
      metadata: { name: 'orphan', labels: { app: 'web' } },
      spec: { replicas: 2, selector, template },
    });
    await harness.clock.advance(5000);
    await api(harness).create(deployment(2, 'v1'));
    await harness.clock.advance(10_000);
    expect(replicaSets(harness)).toHaveLength(1);
    expect(replicaSets(harness)[0]?.metadata.ownerReferences?.[0]?.kind).toBe('Deployment');
    expect(peek(harness)?.status?.updatedReplicas).toBe(2);
  });

  it('refuses to select everything', async () => {
    await using harness = await start();
    await api(harness).create(deployment(1, 'v1', { selector: {} }));
    await harness.clock.advance(1000);
    expect(replicaSets(harness)).toEqual([]);
    expect(events(harness)).toEqual([
      'This deployment is selecting all pods. A non-empty selector is required.',
    ]);
    expect(peek(harness)?.status?.observedGeneration).toBe(1);
  });

  it('comes to rest: nothing is written once all is as wanted', async () => {
    await using harness = await start();
    await api(harness).create(deployment(3, 'v1'));
    await harness.clock.advance(60_000);
    const writes = () => harness.api.requests.filter((request) => !/^(GET|WATCH)/.test(request)).length;
    const before = writes();
    await harness.clock.advance(3_600_000);
    expect(writes()).toBe(before);
  });
});
