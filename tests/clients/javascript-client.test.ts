import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';

import {
  ApiException,
  AppsV1Api,
  CoreV1Api,
  Exec,
  KubeConfig,
  KubernetesObjectApi,
  Log,
  makeInformer,
  PatchStrategy,
  setHeaderOptions,
  VersionApi,
  Watch,
  type V1ConfigMap,
  type V1Deployment,
  type V1Pod,
  type V1Status,
} from '@kubernetes/client-node';
import { Cluster } from '@k8ts/cluster';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { deferred, until } from '../support/waiting.ts';

/** The official JavaScript client (`@kubernetes/client-node`) over HTTPS, with the cluster's own kubeconfig. */
describe('the official JavaScript client', () => {
  const namespace = 'default';
  let cluster: Cluster;
  const config = new KubeConfig();
  let core: CoreV1Api;
  let apps: AppsV1Api;

  beforeAll(async () => {
    cluster = await Cluster.start({ nodes: 1 });
    config.loadFromString(cluster.kubeconfig);
    core = config.makeApiClient(CoreV1Api);
    apps = config.makeApiClient(AppsV1Api);
    await until(async () => (await core.listNamespacedServiceAccount({ namespace })).items.length > 0);
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  it('asks for the version', async () => {
    expect(await config.makeApiClient(VersionApi).getCode()).toMatchObject({ major: '1', minor: '36' });
  });

  it('creates, reads, lists, replaces, deletes', async () => {
    const created = await core.createNamespacedConfigMap({
      namespace,
      body: { metadata: { name: 'crud', labels: { of: 'crud' } }, data: { a: '1' } },
    });
    expect(created.metadata?.uid).toMatch(/^[0-9a-f-]{36}$/);
    expect(created.metadata?.creationTimestamp).toBeInstanceOf(Date);
    const read = await core.readNamespacedConfigMap({ name: 'crud', namespace });
    expect(read).toEqual(created);
    const listed = await core.listNamespacedConfigMap({ namespace, labelSelector: 'of=crud' });
    expect(listed.items.map(({ data }) => data)).toEqual([{ a: '1' }]);

    const body: V1ConfigMap = { ...read, data: { a: '2' } };
    const replaced = await core.replaceNamespacedConfigMap({ name: 'crud', namespace, body });
    expect(replaced.data).toEqual({ a: '2' });
    expect(replaced.metadata?.resourceVersion).not.toBe(read.metadata?.resourceVersion);
    await expect(
      refused(core.replaceNamespacedConfigMap({ name: 'crud', namespace, body })),
    ).resolves.toMatchObject({
      code: 409,
      reason: 'Conflict',
      message:
        'Operation cannot be fulfilled on configmaps "crud": the object has been modified; please apply your changes to the latest version and try again',
    });

    await core.deleteNamespacedConfigMap({ name: 'crud', namespace });
    await expect(refused(core.readNamespacedConfigMap({ name: 'crud', namespace }))).resolves.toMatchObject({
      code: 404,
      reason: 'NotFound',
      details: { name: 'crud', kind: 'configmaps' },
    });
  });

  it('pages through a list', async () => {
    const names = ['page-a', 'page-b', 'page-c'];
    for (const name of names)
      await core.createNamespacedConfigMap({
        namespace,
        body: { metadata: { name, labels: { of: 'pages' } } },
      });
    const seen: (string | undefined)[] = [];
    let _continue: string | undefined;
    do {
      const page = await core.listNamespacedConfigMap({
        namespace,
        labelSelector: 'of=pages',
        limit: 2,
        ...(_continue === undefined ? {} : { _continue }),
      });
      expect(page.items.length).toBeLessThanOrEqual(2);
      seen.push(...page.items.map(({ metadata }) => metadata?.name));
      _continue = page.metadata?._continue;
    } while (_continue);
    expect(seen).toEqual(names);
  });

  it.each([
    [PatchStrategy.MergePatch, { data: { b: '2', a: null } }],
    [PatchStrategy.StrategicMergePatch, { data: { b: '2', a: null } }],
    [
      PatchStrategy.JsonPatch,
      [
        { op: 'remove', path: '/data/a' },
        { op: 'add', path: '/data/b', value: '2' },
      ],
    ],
  ])('patches with %s', async (strategy, body) => {
    const name = 'patched';
    await core.createNamespacedConfigMap({ namespace, body: { metadata: { name }, data: { a: '1' } } });
    const patched = await core.patchNamespacedConfigMap(
      { name, namespace, body },
      setHeaderOptions('Content-Type', strategy),
    );
    expect(patched.data).toEqual({ b: '2' });
    await core.deleteNamespacedConfigMap({ name, namespace });
  });

  it('applies objects of any kind', async () => {
    const objects = KubernetesObjectApi.makeApiClient(config);
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'applied', namespace },
      spec: { ports: [{ port: 80 }] },
    };
    const apply = (spec: object): Promise<object> =>
      objects.patch(
        { ...service, spec },
        undefined,
        undefined,
        'tester',
        true,
        PatchStrategy.ServerSideApply,
      );
    expect(await apply(service.spec)).toMatchObject({ spec: { type: 'ClusterIP', ports: [{ port: 80 }] } });
    expect(await apply({ ports: [{ port: 81 }] })).toMatchObject({ spec: { ports: [{ port: 81 }] } });
    const read = await objects.read(service);
    expect(read.metadata?.managedFields).toMatchObject([{ manager: 'tester', operation: 'Apply' }]);
    await objects.delete(service);
  });

  it('watches', async () => {
    const { metadata } = await core.listNamespacedConfigMap({ namespace });
    const seen: string[] = [];
    const done = deferred<void>();
    const controller = await new Watch(config).watch(
      `/api/v1/namespaces/${namespace}/configmaps`,
      { resourceVersion: metadata?.resourceVersion, fieldSelector: 'metadata.name=watched' },
      (type, object: V1ConfigMap) => {
        seen.push(`${type} ${object.metadata?.name} ${object.data?.['a']}`);
        if (type === 'DELETED') done.resolve();
      },
      (error) => done.reject(error),
    );
    const body: V1ConfigMap = { metadata: { name: 'watched' }, data: { a: '1' } };
    await core.createNamespacedConfigMap({ namespace, body });
    await core.replaceNamespacedConfigMap({
      name: 'watched',
      namespace,
      body: { ...body, data: { a: '2' } },
    });
    await core.deleteNamespacedConfigMap({ name: 'watched', namespace });
    await done.promise;
    controller.abort();
    expect(seen).toEqual(['ADDED watched 1', 'MODIFIED watched 2', 'DELETED watched 2']);
  });

  it('keeps an informer', async () => {
    const labelSelector = 'of=informer';
    const informer = makeInformer(
      config,
      `/api/v1/namespaces/${namespace}/configmaps`,
      () => core.listNamespacedConfigMap({ namespace, labelSelector }),
      labelSelector,
    );
    const seen: string[] = [];
    const gone = deferred<void>();
    informer.on('add', (object) => seen.push(`add ${object.metadata?.name}`));
    informer.on('update', (object) => seen.push(`update ${object.metadata?.name}`));
    informer.on('delete', (object) => {
      seen.push(`delete ${object.metadata?.name}`);
      gone.resolve();
    });
    const body = (name: string, a: string): V1ConfigMap => ({
      metadata: { name, labels: { of: 'informer' } },
      data: { a },
    });
    await core.createNamespacedConfigMap({ namespace, body: body('before', '1') });
    await informer.start();
    try {
      await core.createNamespacedConfigMap({ namespace, body: body('after', '1') });
      await core.replaceNamespacedConfigMap({ name: 'before', namespace, body: body('before', '2') });
      await core.deleteNamespacedConfigMap({ name: 'before', namespace });
      await gone.promise;
      expect(seen).toEqual(['add before', 'add after', 'update before', 'delete before']);
      expect(informer.list().map(({ metadata }) => metadata?.name)).toEqual(['after']);
    } finally {
      await informer.stop();
    }
  });

  it('runs a deployment and scales it', async () => {
    const body: V1Deployment = {
      metadata: { name: 'web' },
      spec: {
        replicas: 1,
        selector: { matchLabels: { app: 'web' } },
        template: {
          metadata: { labels: { app: 'web' } },
          spec: { containers: [{ name: 'c', image: 'nginx' }] },
        },
      },
    };
    await apps.createNamespacedDeployment({ namespace, body });
    const available = async (): Promise<number | undefined> =>
      (await apps.readNamespacedDeploymentStatus({ name: 'web', namespace })).status?.availableReplicas;
    await until(async () => (await available()) === 1);
    const scale = await apps.readNamespacedDeploymentScale({ name: 'web', namespace });
    await apps.replaceNamespacedDeploymentScale({
      name: 'web',
      namespace,
      body: { ...scale, spec: { replicas: 3 } },
    });
    await until(async () => (await available()) === 3);
    await apps.deleteNamespacedDeployment({ name: 'web', namespace, propagationPolicy: 'Foreground' });
    await until(
      async () => (await core.listNamespacedPod({ namespace, labelSelector: 'app=web' })).items.length === 0,
    );
  });

  describe('with a running pod', () => {
    beforeAll(async () => {
      const body: V1Pod = {
        metadata: { name: 'pod', annotations: { 'k8ts.io/simulate': '{"log":["one","two"]}' } },
        spec: { containers: [{ name: 'c', image: 'busybox' }] },
      };
      await core.createNamespacedPod({ namespace, body });
      await until(
        async () =>
          (await core.readNamespacedPodStatus({ name: 'pod', namespace })).status?.phase === 'Running',
      );
    });

    it('reads its log', async () => {
      expect(await core.readNamespacedPodLog({ name: 'pod', namespace, container: 'c' })).toBe('one\ntwo\n');
      const stream = new PassThrough();
      await new Log(config).log(namespace, 'pod', 'c', stream, { tailLines: 1 });
      expect(await text(stream)).toBe('two\n');
    });

    it('executes commands', async () => {
      const execute = async (
        command: string[],
        input?: string,
      ): Promise<{ output: string; status: V1Status }> => {
        const [stdout, stderr, stdin] = [new PassThrough(), new PassThrough(), new PassThrough()];
        const status = deferred<V1Status>();
        await new Exec(config).exec(
          namespace,
          'pod',
          'c',
          command,
          stdout,
          stderr,
          input === undefined ? null : stdin,
          false,
          (outcome) => status.resolve(outcome),
        );
        if (input !== undefined) stdin.end(input);
        const outcome = await status.promise;
        stdout.end();
        return { output: await text(stdout), status: outcome };
      };
      expect(await execute(['echo', 'hello'])).toMatchObject({
        output: 'hello\n',
        status: { status: 'Success' },
      });
      expect(await execute(['cat'], 'in and out')).toMatchObject({ output: 'in and out' });
      expect(await execute(['sh', '-c', 'exit 7'])).toMatchObject({
        status: {
          status: 'Failure',
          reason: 'NonZeroExitCode',
          details: { causes: [{ reason: 'ExitCode', message: '7' }] },
        },
      });
    });
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
