import {
  ApiException,
  ApiextensionsV1Api,
  CustomObjectsApi,
  KubeConfig,
  KubernetesObjectApi,
  makeInformer,
  PatchStrategy,
  setHeaderOptions,
  type KubernetesListObject,
  type KubernetesObject,
  type V1CustomResourceDefinition,
  type V1Status,
} from '@kubernetes/client-node';
import { Cluster } from '@k8ts/cluster';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { deferred, until } from '../support/waiting.ts';

interface CronTab extends KubernetesObject {
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
}

const GROUP = 'stable.example.com';

function definition(plural: string, kind: string, scope: string): V1CustomResourceDefinition {
  const openAPIV3Schema = {
    type: 'object',
    properties: {
      spec: {
        type: 'object',
        required: ['cronSpec'],
        properties: {
          cronSpec: { type: 'string' },
          replicas: { type: 'integer', _default: 1 },
        },
      },
      status: { type: 'object', x_kubernetes_preserve_unknown_fields: true },
    },
  };
  return {
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope,
      names: { plural, kind },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema },
          subresources: {
            status: {},
            scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' },
          },
        },
      ],
    },
  };
}

/** The official JavaScript client's CustomObjectsApi over HTTPS. */
describe('custom objects of the official JavaScript client', () => {
  const config = new KubeConfig();
  let cluster: Cluster;
  let definitions: ApiextensionsV1Api;
  let api: CustomObjectsApi;
  const clusterWide = { group: GROUP, version: 'v1', plural: 'sites' };
  const namespaced = { group: GROUP, version: 'v1', namespace: 'default', plural: 'crontabs' };
  const crontab = (name: string, spec: object): CronTab => ({
    apiVersion: `${GROUP}/v1`,
    kind: 'CronTab',
    metadata: { name },
    spec: { ...spec },
  });
  const merge = setHeaderOptions('Content-Type', PatchStrategy.MergePatch);

  beforeAll(async () => {
    cluster = await Cluster.start({ nodes: 0 });
    config.loadFromString(cluster.kubeconfig);
    definitions = config.makeApiClient(ApiextensionsV1Api);
    api = config.makeApiClient(CustomObjectsApi);
    for (const body of [
      definition('crontabs', 'CronTab', 'Namespaced'),
      definition('sites', 'Site', 'Cluster'),
    ]) {
      const name = (await definitions.createCustomResourceDefinition({ body })).metadata?.name ?? '';
      await until(async () => {
        const { status } = await definitions.readCustomResourceDefinition({ name });
        return status?.conditions?.some((c) => c.type === 'Established' && c.status === 'True') === true;
      });
    }
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  it('asks what there is', async () => {
    const { resources } = await api.getAPIResources({ group: GROUP, version: 'v1' });
    expect(resources.map(({ name, namespaced: isNamespaced }) => [name, isNamespaced])).toEqual([
      ['crontabs', true],
      ['crontabs/status', true],
      ['crontabs/scale', true],
      ['sites', false],
      ['sites/status', false],
      ['sites/scale', false],
    ]);
  });

  it('creates, reads, lists, replaces, deletes', async () => {
    const body = crontab('crud', { cronSpec: '* * * * *' });
    const created = (await api.createNamespacedCustomObject({ ...namespaced, body })) as CronTab;
    expect(created).toMatchObject({
      metadata: { generation: 1 },
      spec: { cronSpec: '* * * * *', replicas: 1 },
    });
    const one = { ...namespaced, name: 'crud' };
    expect(await api.getNamespacedCustomObject(one)).toEqual(created);
    for (const list of [
      await api.listNamespacedCustomObject(namespaced),
      await api.listCustomObjectForAllNamespaces({ group: GROUP, version: 'v1', plural: 'crontabs' }),
    ])
      expect(list).toMatchObject({ kind: 'CronTabList', items: [{ metadata: { name: 'crud' } }] });

    const changed = { ...created, spec: { cronSpec: '1 * * * *', replicas: 2 } };
    expect(await api.replaceNamespacedCustomObject({ ...one, body: changed })).toMatchObject({
      metadata: { generation: 2 },
      spec: { replicas: 2 },
    });
    expect(await refused(api.replaceNamespacedCustomObject({ ...one, body: changed }))).toMatchObject({
      code: 409,
      reason: 'Conflict',
    });
    expect(
      await refused(api.createNamespacedCustomObject({ ...namespaced, body: crontab('bad', {}) })),
    ).toMatchObject({
      code: 422,
      message: 'CronTab.stable.example.com "bad" is invalid: spec.cronSpec: Required value',
    });
    await api.deleteNamespacedCustomObject(one);
    expect(await refused(api.getNamespacedCustomObject(one))).toMatchObject({
      code: 404,
      details: { name: 'crud', group: GROUP, kind: 'crontabs' },
    });
  });

  it('patches, scales, writes the status', async () => {
    const one = { ...namespaced, name: 'patched' };
    await api.createNamespacedCustomObject({
      ...namespaced,
      body: crontab('patched', { cronSpec: '* * * * *' }),
    });
    expect(
      await api.patchNamespacedCustomObject({ ...one, body: { spec: { replicas: 2 } } }, merge),
    ).toMatchObject({ spec: { replicas: 2 } });
    expect(
      await api.patchNamespacedCustomObject(
        { ...one, body: [{ op: 'replace', path: '/spec/replicas', value: 3 }] },
        setHeaderOptions('Content-Type', PatchStrategy.JsonPatch),
      ),
    ).toMatchObject({ spec: { replicas: 3 } });
    expect(
      await api.patchNamespacedCustomObjectStatus(
        { ...one, body: { status: { replicas: 3 }, spec: null } },
        merge,
      ),
    ).toMatchObject({ spec: { replicas: 3 }, status: { replicas: 3 } });
    expect(await api.getNamespacedCustomObjectScale(one)).toMatchObject({
      kind: 'Scale',
      spec: { replicas: 3 },
      status: { replicas: 3 },
    });
    await api.patchNamespacedCustomObjectScale({ ...one, body: { spec: { replicas: 4 } } }, merge);
    expect(await api.getNamespacedCustomObjectStatus(one)).toMatchObject({ spec: { replicas: 4 } });
    await api.deleteCollectionNamespacedCustomObject(namespaced);
    expect(await api.listNamespacedCustomObject(namespaced)).toMatchObject({ items: [] });
  });

  it('does the same with what is in no namespace', async () => {
    const body = { ...crontab('earth', { cronSpec: '* * * * *' }), kind: 'Site' };
    await api.createClusterCustomObject({ ...clusterWide, body });
    const one = { ...clusterWide, name: 'earth' };
    await api.patchClusterCustomObject({ ...one, body: { spec: { replicas: 7 } } }, merge);
    expect(await api.getClusterCustomObject(one)).toMatchObject({ spec: { replicas: 7 } });
    await api.deleteClusterCustomObject(one);
    expect(await api.listClusterCustomObject(clusterWide)).toMatchObject({ kind: 'SiteList', items: [] });
  });

  it('applies on the server', async () => {
    const objects = KubernetesObjectApi.makeApiClient(config);
    const object = {
      ...crontab('applied', { cronSpec: '* * * * *' }),
      metadata: { name: 'applied', namespace: 'default' },
    };
    await objects.patch(object, undefined, undefined, 'tester', true, PatchStrategy.ServerSideApply);
    const read = await objects.read({ ...object, metadata: object.metadata });
    expect(read.metadata?.managedFields).toMatchObject([{ manager: 'tester', operation: 'Apply' }]);
    await objects.delete(object);
  });

  it('keeps an informer', async () => {
    const list = (): Promise<KubernetesListObject<CronTab>> =>
      api.listNamespacedCustomObject(namespaced) as Promise<KubernetesListObject<CronTab>>;
    const informer = makeInformer(config, `/apis/${GROUP}/v1/namespaces/default/crontabs`, list);
    const seen: string[] = [];
    const gone = deferred<void>();
    informer.on('add', ({ metadata }) => seen.push(`add ${metadata?.name}`));
    informer.on('update', ({ metadata, spec }) =>
      seen.push(`update ${metadata?.name} ${String(spec?.['replicas'])}`),
    );
    informer.on('delete', ({ metadata }) => {
      seen.push(`delete ${metadata?.name}`);
      gone.resolve();
    });
    await informer.start();
    try {
      const one = { ...namespaced, name: 'watched' };
      await api.createNamespacedCustomObject({ ...namespaced, body: crontab('watched', { cronSpec: 'x' }) });
      await api.patchNamespacedCustomObject({ ...one, body: { spec: { replicas: 2 } } }, merge);
      await api.deleteNamespacedCustomObject(one);
      await gone.promise;
      expect(seen).toEqual(['add watched', 'update watched 2', 'delete watched']);
    } finally {
      await informer.stop();
    }
  });

  it('deletes definitions', async () => {
    const name = `crontabs.${GROUP}`;
    await api.createNamespacedCustomObject({ ...namespaced, body: crontab('left', { cronSpec: 'x' }) });
    await definitions.deleteCustomResourceDefinition({ name });
    await until(() =>
      definitions.readCustomResourceDefinition({ name }).then(
        () => false,
        (error: unknown) => error instanceof ApiException && error.code === 404,
      ),
    );
    await expect(api.listNamespacedCustomObject(namespaced)).rejects.toMatchObject({ code: 404 });
  });
});

/** The Status that a call is refused with. */
async function refused(call: Promise<unknown>): Promise<V1Status> {
  const error: unknown = await call.then(
    () => new Error('it was not refused'),
    (reason: unknown) => reason,
  );
  if (error instanceof ApiException) return JSON.parse(error.body as string) as V1Status;
  throw error;
}
