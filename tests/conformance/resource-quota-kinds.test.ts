import { corev1, schedulingv1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { throughout, until } from '../support/waiting.ts';
import { ANYTHING, define, definitionOf, resourceOf, versionsOf } from './custom-resources.ts';
import { podOf, refusal, useSuite } from './support.ts';

/** What upstream's tests ask of quotas beyond what it demands of every cluster. */
describe('resource quotas in a whole cluster', () => {
  const suite = useSuite({ controllers: { discoveryPeriod: 500 } });

  async function limit(spec: corev1.ResourceQuotaSpec) {
    const namespace = await suite.namespace();
    const quotas = suite.client.resource(corev1.resourceQuotas, namespace);
    await quotas.create({ metadata: { name: 'q' }, spec });
    const used = async (): Promise<Readonly<Record<string, string>>> =>
      (await quotas.get('q')).status?.used ?? {};
    await until(async () => Object.keys(await used()).length === Object.keys(spec.hard ?? {}).length);
    return { namespace, quotas, used };
  }

  it('counts custom resources, whatever version they are written in', async () => {
    const definition = definitionOf({
      group: 'resourcequota.example.com',
      plural: 'e2equotas',
      kind: 'E2eQuota',
      versions: versionsOf(ANYTHING, 'v1', 'v2'),
    });
    await define(suite.client, definition);
    const name = 'count/e2equotas.resourcequota.example.com';
    const { namespace, used } = await limit({ hard: { [name]: '1' } });
    expect(await used()).toEqual({ [name]: '0' });
    const [first, second] = ['v1', 'v2'].map((version) =>
      suite.client.resource(resourceOf(definition, version), namespace),
    );
    await first?.create({ metadata: { name: 'one' } });
    expect(await used()).toEqual({ [name]: '1' });
    expect((await refusal(second?.create({ metadata: { name: 'two' } }) ?? Promise.resolve())).message).toBe(
      `e2equotas.resourcequota.example.com "two" is forbidden: exceeded quota: q, requested: ${name}=1, used: ${name}=1, limited: ${name}=1`,
    );
    await second?.delete('one');
    await until(async () => (await used())[name] === '0');
  });

  it('counts claims and their storage, by storage class too', async () => {
    const gold = 'gold.storageclass.storage.k8s.io';
    const hard = {
      persistentvolumeclaims: '2',
      'requests.storage': '5Gi',
      [`${gold}/persistentvolumeclaims`]: '1',
      [`${gold}/requests.storage`]: '3Gi',
    };
    const { namespace, used } = await limit({ hard });
    const claims = suite.client.resource(corev1.persistentVolumeClaims, namespace);
    const claim = (name: string, storage: string, storageClassName: string) =>
      claims.create({
        metadata: { name },
        spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage } }, storageClassName },
      });
    await claim('c', '1Gi', 'gold');
    expect(await used()).toEqual({
      persistentvolumeclaims: '1',
      'requests.storage': '1Gi',
      [`${gold}/persistentvolumeclaims`]: '1',
      [`${gold}/requests.storage`]: '1Gi',
    });
    expect((await refusal(claim('c2', '1Gi', 'gold'))).message).toContain(
      `exceeded quota: q, requested: ${gold}/persistentvolumeclaims=1, used: ${gold}/persistentvolumeclaims=1, limited: ${gold}/persistentvolumeclaims=1`,
    );
    await claim('c3', '4Gi', 'silver');
    expect(await used()).toMatchObject({ persistentvolumeclaims: '2', 'requests.storage': '5Gi' });
  });

  it('counts pods of a priority class', async () => {
    for (const name of ['pclass3', 'pclass4'])
      await suite.client.resource(schedulingv1.priorityClasses).create({ metadata: { name }, value: 1000 });
    const { namespace, used } = await limit({
      hard: { pods: '1' },
      scopeSelector: {
        matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In', values: ['pclass4'] }],
      },
    });
    const pods = suite.client.resource(corev1.pods, namespace);
    await pods.create(podOf('other', { spec: { priorityClassName: 'pclass3' } }));
    expect(await used()).toEqual({ pods: '0' });
    await pods.create(podOf('first', { spec: { priorityClassName: 'pclass4' } }));
    expect(await used()).toEqual({ pods: '1' });
    const status = await refusal(pods.create(podOf('second', { spec: { priorityClassName: 'pclass4' } })));
    expect(status.message).toContain('exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1');
  });

  it('counts pods whose affinity looks into other namespaces', async () => {
    const { namespace, used } = await limit({
      hard: { pods: '1' },
      scopeSelector: { matchExpressions: [{ scopeName: 'CrossNamespacePodAffinity', operator: 'Exists' }] },
    });
    const pods = suite.client.resource(corev1.pods, namespace);
    const near = (name: string, namespaces: readonly string[]) => {
      const labelSelector = { matchLabels: { a: 'b' } };
      const term = { topologyKey: 'zone', labelSelector, namespaces };
      const podAntiAffinity = { requiredDuringSchedulingIgnoredDuringExecution: [term] };
      return podOf(name, { spec: { affinity: { podAntiAffinity } } });
    };
    await pods.create(near('no-cross-namespace-affinity', []));
    expect(await used()).toEqual({ pods: '0' });
    await pods.create(near('with-namespaces', ['ns1']));
    expect(await used()).toEqual({ pods: '1' });
    expect((await refusal(pods.create(near('third', ['ns1'])))).message).toContain('exceeded quota');
    await pods.delete('with-namespaces', { gracePeriodSeconds: 0 });
    await until(async () => (await used())['pods'] === '0');
  });

  it('are never exceeded while objects come and go, and count exactly once they rest', async () => {
    const { namespace, used } = await limit({ hard: { secrets: '12' } });
    const secrets = suite.client.resource(corev1.secrets, namespace);
    let isOver = false;
    let made = 0;
    const comeAndGo = async (worker: number): Promise<void> => {
      const own: string[] = [];
      for (let i = 0; !isOver; i++) {
        const name = `s-${worker}-${i}`;
        const creation = secrets.create({ metadata: { name } }).then(
          () => {
            made++;
            own.push(name);
          },
          (error: unknown) => expect(String(error)).toContain('exceeded quota'),
        );
        const oldest = own.length > 1 ? own.shift() : undefined;
        await Promise.all([creation, oldest === undefined ? undefined : secrets.delete(oldest)]);
        if (own.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const workers = Array.from({ length: 8 }, (_, worker) => comeAndGo(worker));
    await throughout(5000, async () => {
      expect((await secrets.list()).items.length).toBeLessThanOrEqual(12);
    });
    isOver = true;
    await Promise.all(workers);
    expect(made).toBeGreaterThan(12);
    const { length } = (await secrets.list()).items;
    await until(async () => (await used())['secrets'] === String(length));
    await secrets.deleteCollection();
    await until(async () => (await used())['secrets'] === '0');
  });
});
