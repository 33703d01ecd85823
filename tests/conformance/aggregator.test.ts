import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { authorizationv1, corev1 } from '@k8ts/api';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { createKubectl, type Kubectl } from '../clients/kubectl/program.ts';
import { findKubectls } from '../clients/kubectl/versions.ts';
import { hurriedClock } from '../support/hurried-clock.ts';
import { startWardle, type Wardle } from '../support/wardle/api-server.ts';
import {
  accessOf,
  API_SERVICE,
  apiServiceOf,
  demandSampleApiServer,
  flunder,
  flundersIn,
  GROUP,
  servingCertificate,
  untilServed,
} from '../support/wardle/sample.ts';
import { until } from '../support/waiting.ts';
import { isGone, useSuite } from './support.ts';

// The sample API server beside the cluster, at the end of a Service that is another name for this machine.
// tests/conformance/containers/aggregator.isolated.ts has it in a pod.

const suite = useSuite({ clock: hurriedClock(20) });
const kubectlPath = findKubectls().at(-1)?.path;

let namespace: string;
let wardle: Wardle;
let serving: ReturnType<typeof servingCertificate>;

beforeEach(async () => {
  namespace = await suite.namespace();
  serving = servingCertificate(namespace);
  wardle = await start(0);
  for (const [path, body] of [
    ...accessOf(namespace).map((object) => [rbacPath(object), object] as const),
    [
      `/api/v1/namespaces/${namespace}/services`,
      { metadata: { name: 'sample-api' }, spec: { type: 'ExternalName', externalName: 'localhost' } },
    ],
    ['/apis/apiregistration.k8s.io/v1/apiservices', apiServiceOf(namespace, serving.authority, wardle.port)],
  ] as const) {
    const created = await suite.wire.send('POST', path, { body });
    expect(created.code, created.text).toBe(201);
  }
  await untilServed(suite.wire);
});
afterEach(async () => {
  await suite.wire.send('DELETE', `/apis/apiregistration.k8s.io/v1/apiservices/${API_SERVICE}`);
  await wardle.close();
  await until(async () => (await suite.wire.send('GET', flundersIn('default'))).code === 404);
});

function rbacPath(object: object): string {
  const { kind, metadata } = object as { kind: string; metadata: { namespace?: string } };
  const place = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`;
  return `/apis/rbac.authorization.k8s.io/v1${place}/${kind.toLowerCase()}s`;
}

/** Trusts whom the cluster says, and asks it about users, as the service account of its namespace. */
async function start(port: number): Promise<Wardle> {
  const account = suite.cluster.clientFor(`system:serviceaccount:${namespace}:default`, [
    'system:serviceaccounts',
  ]);
  const trust = await suite.client
    .resource(corev1.configMaps, 'kube-system')
    .get('extension-apiserver-authentication');
  return startWardle({
    ...serving,
    port,
    host: '127.0.0.1',
    frontProxyCa: trust.data?.['requestheader-client-ca-file'] ?? '',
    allowedNames: JSON.parse(trust.data?.['requestheader-allowed-names'] ?? '[]') as string[],
    isAllowed: async (spec) =>
      (await account.resource(authorizationv1.subjectAccessReviews).create({ metadata: {}, spec })).status
        ?.allowed === true,
  });
}

/** Why a namespace is still there. */
async function failures(name: string): Promise<readonly string[]> {
  const { status } = await suite.client.resource(corev1.namespaces).get(name);
  return (status?.conditions ?? [])
    .filter((each) => each.status === 'True' && /(Content|Discovery)Failure$/.test(each.type))
    .map(({ type }) => type);
}

describe('an aggregated API', () => {
  it('does what upstream demands of the sample API server', () =>
    demandSampleApiServer({ wire: suite.wire, client: suite.client, namespace }));

  it('loses what is in a namespace with that', async () => {
    const other = await suite.namespace();
    expect((await suite.wire.send('POST', flundersIn(other), { body: flunder('doomed') })).code).toBe(201);
    await suite.client.resource(corev1.namespaces).delete(other);
    await until(() => isGone(suite.client.resource(corev1.namespaces).get(other)), 60_000);
    expect((await suite.wire.send('GET', flundersIn(other))).json<{ items: object[] }>().items).toEqual([]);
  });

  it('keeps the namespace of its own Service until it is registered no more, as upstream', async () => {
    const namespaces = suite.client.resource(corev1.namespaces);
    await namespaces.delete(namespace);
    await until(async () => (await failures(namespace)).length > 0, 30_000);
    await suite.wire.send('DELETE', `/apis/apiregistration.k8s.io/v1/apiservices/${API_SERVICE}`);
    await until(() => isGone(namespaces.get(namespace)), 60_000);
  });

  it('whose server is down keeps a namespace until it is back', async () => {
    const other = await suite.namespace();
    const namespaces = suite.client.resource(corev1.namespaces);
    expect((await suite.wire.send('POST', flundersIn(other), { body: flunder('kept') })).code).toBe(201);
    const { port } = wardle;
    await wardle.close();
    await namespaces.delete(other);
    await until(async () => (await failures(other)).length > 0, 30_000);
    wardle = await start(port);
    await until(() => isGone(namespaces.get(other)), 60_000);
    await untilServed(suite.wire);
    expect((await suite.wire.send('GET', flundersIn(other))).json<{ items: object[] }>().items).toEqual([]);
  });

  it('whose server is down does not keep others from being collected', async () => {
    const other = await suite.namespace();
    const maps = suite.client.resource(corev1.configMaps, other);
    const owner = await maps.create({ metadata: { name: 'owner' } });
    await wardle.close();
    const owned = (name: string, of: object): object => ({ metadata: { name, ownerReferences: [of] } });
    const { uid = '' } = owner.metadata;
    await maps.create(owned('owned', { apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid }) as never);
    await maps.delete('owner');
    await until(() => isGone(maps.get('owned')), 60_000);
    wardle = await start(0);
  });

  it('owns what goes when its objects go', async () => {
    const other = await suite.namespace();
    const maps = suite.client.resource(corev1.configMaps, other);
    const created = await suite.wire.send('POST', flundersIn(other), { body: flunder('owner') });
    const { uid } = created.json<{ metadata: { uid: string } }>().metadata;
    const owner = { apiVersion: `${GROUP}/v1alpha1`, kind: 'Flunder', name: 'owner', uid };
    await maps.create({ metadata: { name: 'owned', ownerReferences: [owner] } });
    // It is there as long as its owner is.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    expect(await isGone(maps.get('owned'))).toBe(false);
    await suite.wire.send('DELETE', `${flundersIn(other)}/owner`);
    await until(() => isGone(maps.get('owned')), 60_000);
  });
});

describe.skipIf(kubectlPath === undefined)(
  `an aggregated API with kubectl${kubectlPath === undefined ? ' [there is no kubectl here]' : ''}`,
  () => {
    let directory: string;
    let kubectl: Kubectl;
    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'k8ts-aggregator-'));
    });
    afterAll(() => rm(directory, { recursive: true, force: true }));
    beforeEach(async () => {
      const kubeconfig = join(directory, 'kubeconfig');
      await writeFile(kubeconfig, suite.cluster.kubeconfig, { mode: 0o600 });
      const home = await mkdtemp(join(directory, 'home-'));
      kubectl = createKubectl({ path: kubectlPath ?? '', kubeconfig, home, namespace });
    });

    it('is used as any other', async () => {
      await until(async () =>
        (await kubectl.run(['api-resources', `--api-group=${GROUP}`])).stdout.includes('flunders'),
      );
      expect(await kubectl.ok('get', 'apiservice', API_SERVICE)).toMatch(
        new RegExp(`^NAME +SERVICE +AVAILABLE +AGE\n${API_SERVICE} +${namespace}/sample-api +True `),
      );
      await kubectl.feed(flunder('one'), 'create', '-f', '-');
      expect(await kubectl.ok('get', 'fl', '-o', 'name')).toBe(`flunder.${GROUP}/one\n`);
      const watch = kubectl.start('get', 'flunders', '--watch', '-o', 'name');
      await watch.until(/one/);
      await kubectl.feed(flunder('two'), 'create', '-f', '-');
      await watch.until(/two/);
      await watch[Symbol.asyncDispose]();
      await kubectl.ok('label', 'flunder', 'two', 'sample-label=changed', '--overwrite');
      expect(await kubectl.ok('get', 'fl', 'two', '-o', 'jsonpath={.metadata.labels}')).toContain('changed');
      expect(await kubectl.fails('get', 'flunder', 'three')).toContain('"three" not found');
      await until(async () => (await kubectl.run(['explain', 'flunder'])).stdout.includes('wardle keeps'));
      await kubectl.ok('delete', 'flunders', '--all');
      expect(await kubectl.ok('get', 'flunders', '-o', 'name')).toBe('');
    });

    it('says who asks: who may do nothing may do nothing there', async () => {
      expect(await kubectl.fails('get', 'flunders', '--as=nobody')).toContain('Forbidden');
      await kubectl.ok(
        'create',
        'clusterrole',
        `reader-${namespace}`,
        '--verb=list',
        `--resource=flunders.${GROUP}`,
      );
      await kubectl.ok(
        'create',
        'clusterrolebinding',
        `reader-${namespace}`,
        `--clusterrole=reader-${namespace}`,
        '--user=nobody',
      );
      await until(async () => (await kubectl.run(['get', 'flunders', '--as=nobody'])).code === 0);
    });

    it('whose server is down is said to be unavailable', async () => {
      await wardle.close();
      await until(async () =>
        (await kubectl.run(['get', 'apiservice', API_SERVICE])).stdout.includes(
          'False (FailedDiscoveryCheck)',
        ),
      );
      expect(await kubectl.fails('get', '--raw', flundersIn(namespace))).toContain(
        'the server is currently unable to handle the request',
      );
      wardle = await start(0);
    });
  },
);
