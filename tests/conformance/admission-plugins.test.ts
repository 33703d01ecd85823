import { appsv1, corev1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { until } from '../support/waiting.ts';
import { changing, deploymentOf, isGone, podOf, refusal, useSuite } from './support.ts';

const LABEL = 'pod-security.kubernetes.io';

/** What the strictest standard asks for. */
const HARDENED: Partial<corev1.PodSpec> = {
  securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
  containers: [
    {
      name: 'main',
      image: 'image',
      securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
    },
  ],
};

describe('admission plugins that are on by default', () => {
  const suite = useSuite();

  it('PodSecurity: pods are refused, workloads warned of, existing pods named', async () => {
    const name = await suite.namespace();
    const pods = suite.client.resource(corev1.pods, name);
    await pods.create(podOf('before', { spec: { hostPID: true } }));
    const label = (labels: Readonly<Record<string, string>>) =>
      suite.wire.send('PATCH', `/api/v1/namespaces/${name}`, {
        body: { metadata: { labels } },
        contentType: 'application/merge-patch+json',
      });
    const wrong = await label({ [`${LABEL}/enforce`]: 'strict' });
    expect(wrong.code).toBe(422);
    const restricted = await label({
      [`${LABEL}/enforce`]: 'restricted',
      [`${LABEL}/enforce-version`]: 'v1.30',
    });
    expect(restricted.code).toBe(200);
    const warnings = String(restricted.headers['warning']);
    expect(warnings).toContain(
      `existing pods in namespace \\"${name}\\" violate the new PodSecurity enforce level \\"restricted:v1.30\\"`,
    );
    expect(warnings).toContain('before: host namespaces, allowPrivilegeEscalation != false');

    expect(await refusal(pods.create(podOf('plain')))).toMatchObject({
      code: 403,
      reason: 'Forbidden',
      message: expect.stringMatching(
        /^pods "plain" is forbidden: violates PodSecurity "restricted:v1.30": allowPrivilegeEscalation != false \(/,
      ) as string,
    });
    await pods.create(podOf('hardened', { spec: HARDENED }));
    await until(async () => (await pods.get('hardened')).status?.phase === 'Running');
    // What was there before goes on, and may be changed in what does not matter.
    await pods.patch('before', { metadata: { labels: { a: 'b' } } }, { type: 'merge' });

    const warned = await suite.wire.send('POST', `/apis/apps/v1/namespaces/${name}/deployments`, {
      body: { apiVersion: 'apps/v1', kind: 'Deployment', ...deploymentOf('web', 1) },
    });
    expect(warned.code).toBe(201);
    expect(String(warned.headers['warning'])).toContain('would violate PodSecurity \\"restricted:v1.30\\"');
    const sets = suite.client.resource(appsv1.replicaSets, name);
    await until(async () =>
      (await sets.list()).items.some(({ status }) =>
        status?.conditions?.some(
          ({ type, message }) => type === 'ReplicaFailure' && message?.includes('violates PodSecurity'),
        ),
      ),
    );
  });

  it('StorageObjectInUseProtection: a claim stays until its pod is gone', async () => {
    const name = await suite.namespace();
    const pods = suite.client.resource(corev1.pods, name);
    const claims = suite.client.resource(corev1.persistentVolumeClaims, name);
    const [node] = (await suite.client.resource(corev1.nodes).list()).items;
    const claim = await claims.create({
      metadata: { name: 'data' },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    });
    expect(claim.metadata.finalizers).toEqual(['kubernetes.io/pvc-protection']);
    await pods.create(
      podOf('user', {
        spec: {
          nodeName: node?.metadata.name ?? '',
          volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }],
        },
      }),
    );
    await claims.delete('data');
    expect((await claims.get('data')).metadata.deletionTimestamp).toBeDefined();
    await pods.delete('user', { gracePeriodSeconds: 0 });
    await until(() => isGone(claims.get('data')));
  });

  it('TaintNodesByCondition: the taint of a new node goes when the node is ready', async () => {
    const nodes = suite.client.resource(corev1.nodes);
    const ready = (status: 'True' | 'False'): corev1.NodeStatus => ({
      conditions: [{ type: 'Ready', status }],
    });
    const { spec } = await nodes.create({ metadata: { name: 'tainted' }, spec: {}, status: ready('False') });
    const taint = { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' };
    expect(spec.taints).toEqual([taint]);
    await changing(nodes, 'tainted', (node) => ({ ...node, status: ready('True') }), 'updateStatus');
    await until(async () => ((await nodes.get('tainted')).spec.taints ?? []).length === 0);
    await nodes.delete('tainted');
  });

  it('PodTopologyLabels: a pod carries the zone of its node', async () => {
    const name = await suite.namespace();
    const zone = { 'topology.kubernetes.io/zone': 'z', 'topology.kubernetes.io/region': 'r' };
    const nodes = suite.client.resource(corev1.nodes);
    for (const { metadata } of (await nodes.list()).items)
      await nodes.patch(metadata.name, { metadata: { labels: zone } }, { type: 'merge' });
    const pods = suite.client.resource(corev1.pods, name);
    await pods.create(podOf('placed'));
    await until(async () => (await pods.get('placed')).status?.phase === 'Running');
    expect((await pods.get('placed')).metadata.labels).toMatchObject(zone);
  });
});
