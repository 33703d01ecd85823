import { corev1, type New } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { until } from '../support/waiting.ts';
import { isGone, podOf, refusal, useSuite, watch } from './support.ts';

describe.concurrent('namespaces', () => {
  const suite = useSuite();
  /** Deletion waits: seconds after the namespace was marked, and again for each pod that is still there. */
  const gone = (name: string): Promise<void> =>
    until(() => isGone(suite.client.resource(corev1.namespaces).get(name)), 60_000);

  it('[sig-api-machinery] Namespaces [Serial] should patch a Namespace [Conformance]', async () => {
    const name = await suite.namespace();
    const namespaces = suite.client.resource(corev1.namespaces);
    await namespaces.patch(name, { metadata: { labels: { testLabel: 'testValue' } } }, { type: 'strategic' });
    expect((await namespaces.get(name)).metadata.labels).toEqual({
      testLabel: 'testValue',
      'kubernetes.io/metadata.name': name,
    });
  });

  it('[sig-api-machinery] Namespaces [Serial] should apply an update to a Namespace [Conformance]', async () => {
    const name = await suite.namespace();
    const namespaces = suite.client.resource(corev1.namespaces);
    const read = await namespaces.get(name);
    const labels = { ...read.metadata.labels, updated: 'yes' };
    await namespaces.update({ ...read, metadata: { ...read.metadata, labels } });
    expect((await namespaces.get(name)).metadata.labels?.['updated']).toBe('yes');
  });

  it('[sig-api-machinery] Namespaces [Serial] should apply changes to a namespace status [Conformance]', async () => {
    const name = await suite.namespace();
    const namespaces = suite.client.resource(corev1.namespaces);
    const condition = (type: string): object => ({
      type,
      status: 'True',
      reason: 'E2E',
      message: 'Set by a test',
    });
    const patched = await namespaces.patch(
      name,
      {
        metadata: { annotations: { 'patched-status': 'true' } },
        status: { conditions: [condition('StatusPatch')] },
      },
      { type: 'merge', subresource: 'status' },
    );
    expect(patched.metadata.annotations).toMatchObject({ 'patched-status': 'true' });
    expect(patched.status?.conditions).toMatchObject([{ type: 'StatusPatch' }]);
    const updated = await namespaces.updateStatus({
      ...patched,
      status: { ...patched.status, conditions: [condition('StatusUpdate')] },
    } as corev1.Namespace);
    expect(updated.status?.conditions).toMatchObject([{ type: 'StatusUpdate' }]);
    expect((await namespaces.get(name)).status?.phase).toBe('Active');
  });

  it('[sig-api-machinery] Namespaces [Serial] should apply a finalizer to a Namespace [Conformance]', async () => {
    const name = await suite.namespace();
    const namespaces = suite.client.resource(corev1.namespaces);
    const read = await namespaces.get(name);
    expect(read.spec?.finalizers).toEqual(['kubernetes']);
    const extended = await namespaces.updateSubresource<corev1.Namespace>(name, 'finalize', {
      ...read,
      spec: { finalizers: ['kubernetes', 'e2e.example.com/fakeFinalizer'] },
    });
    expect(extended.spec?.finalizers).toEqual(['kubernetes', 'e2e.example.com/fakeFinalizer']);
    await namespaces.updateSubresource(name, 'finalize', {
      ...extended,
      spec: { finalizers: ['kubernetes'] },
    });
    expect((await namespaces.get(name)).spec?.finalizers).toEqual(['kubernetes']);
  });

  it('[sig-api-machinery] Namespaces [Serial] should ensure that all pods are removed when a namespace is deleted [Conformance]', async () => {
    const name = await suite.namespace();
    const pods = suite.client.resource(corev1.pods, name);
    await pods.create(podOf('test-pod'));
    await until(async () => (await pods.get('test-pod')).status?.phase === 'Running');
    await suite.client.resource(corev1.namespaces).delete(name);
    expect(await refusal(pods.create(podOf('late')))).toMatchObject({
      code: 403,
      details: { causes: [{ reason: 'NamespaceTerminating' }] },
    });
    await gone(name);
    await suite.client.resource(corev1.namespaces).create({ metadata: { name }, spec: {}, status: {} });
    expect((await pods.list()).items).toEqual([]);
  });

  it('[sig-api-machinery] Namespaces [Serial] should ensure that all services are removed when a namespace is deleted [Conformance]', async () => {
    const name = await suite.namespace();
    const services = suite.client.resource(corev1.services, name);
    await services.create({
      metadata: { name: 'test-service' },
      spec: { selector: { foo: 'bar' }, ports: [{ port: 80, targetPort: 80 }] },
      status: {},
    });
    await suite.client.resource(corev1.namespaces).delete(name);
    await gone(name);
    await suite.client.resource(corev1.namespaces).create({ metadata: { name }, spec: {}, status: {} });
    expect((await services.list()).items).toEqual([]);
  });

  it('[sig-api-machinery] OrderedNamespaceDeletion namespace deletion should delete pod first [Conformance]', async () => {
    const name = await suite.namespace();
    const pods = suite.client.resource(corev1.pods, name);
    const configMaps = suite.client.resource(corev1.configMaps, name);
    const finalizers = ['e2e.example.com/finalizer'];
    const { metadata, spec, status } = podOf('pod');
    await pods.create({ metadata: { ...metadata, finalizers }, spec, status } as New<corev1.Pod>);
    await configMaps.create({ metadata: { name: 'config', finalizers } });
    await using watcher = await watch(configMaps, { fieldSelector: 'metadata.name=config' });
    await watcher.until('ADDED');
    await suite.client.resource(corev1.namespaces).delete(name);
    await until(async () => (await pods.get('pod')).metadata.deletionTimestamp !== undefined);
    // As long as a pod is left nothing else is touched, and the namespace says so.
    await until(async () => {
      const { status: state } = await suite.client.resource(corev1.namespaces).get(name);
      return (state?.conditions ?? []).some(
        ({ type, status: value }) => type === 'NamespaceFinalizersRemaining' && value === 'True',
      );
    });
    expect((await configMaps.get('config')).metadata.deletionTimestamp).toBeUndefined();
    await pods.patch('pod', { metadata: { finalizers: null } }, { type: 'merge' });
    // The namespace controller looks again after a while: half of fifteen seconds and one.
    const marked = await watcher.until(
      'MODIFIED',
      (object) => object.metadata.deletionTimestamp !== undefined,
    );
    expect(await isGone(pods.get('pod'))).toBe(true);
    expect(marked.metadata.finalizers).toEqual(finalizers);
    await configMaps.patch('config', { metadata: { finalizers: null } }, { type: 'merge' });
    await watcher.until('DELETED');
  });
});
