/** What a cluster needs for the sample API server, wherever that runs, and what upstream's test then demands. */
import type { apiregistrationv1, rbacv1 } from '@k8ts/api';
import { testAuthority, testCertificate } from '@k8ts/apiserver/testing';
import { discoverResources, type Client } from '@k8ts/client';
import { expect } from 'vitest';

import { until } from '../waiting.ts';
import type { Answer, Wire } from '../wire.ts';

export const GROUP = 'wardle.example.com';
export const ROOT: string = `/apis/${GROUP}/v1alpha1`;
export const API_SERVICE: string = `v1alpha1.${GROUP}`;
export const PORT = 7443;
const API_SERVICES = '/apis/apiregistration.k8s.io/v1/apiservices';
const STATUS = `${API_SERVICES}/${API_SERVICE}/status`;

type APIService = apiregistrationv1.APIService;
type Condition = apiregistrationv1.APIServiceCondition;

/** The serving certificate and the authority that it is under, for `sample-api.<namespace>.svc`. */
export function servingCertificate(namespace: string): { cert: string; key: string; authority: string } {
  const authority = testAuthority('e2e-server-cert-ca');
  const host = `sample-api.${namespace}.svc`;
  return { ...testCertificate(authority, `/CN=${host}`, [host]), authority: authority.cert };
}

/** As upstream's SetUpSampleAPIServer: who may ask the cluster about users, and read whom to trust. */
export function accessOf(namespace: string): readonly object[] {
  const subjects: rbacv1.Subject[] = [{ kind: 'ServiceAccount', name: 'default', namespace }];
  const apiGroup = 'rbac.authorization.k8s.io';
  return [
    {
      apiVersion: `${apiGroup}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: { name: `wardler:${namespace}:auth-delegator` },
      roleRef: { apiGroup, kind: 'ClusterRole', name: 'system:auth-delegator' },
      subjects,
    },
    {
      apiVersion: `${apiGroup}/v1`,
      kind: 'RoleBinding',
      metadata: {
        name: `wardler-auth-reader-${namespace}`,
        namespace: 'kube-system',
        annotations: { 'rbac.authorization.kubernetes.io/autoupdate': 'true' },
      },
      roleRef: { apiGroup, kind: 'Role', name: 'extension-apiserver-authentication-reader' },
      subjects,
    },
  ];
}

export function apiServiceOf(namespace: string, authority: string, port: number = PORT): object {
  return {
    apiVersion: 'apiregistration.k8s.io/v1',
    kind: 'APIService',
    metadata: { name: API_SERVICE },
    spec: {
      service: { namespace, name: 'sample-api', port },
      group: GROUP,
      version: 'v1alpha1',
      caBundle: Buffer.from(authority).toString('base64'),
      groupPriorityMinimum: 2000,
      versionPriority: 200,
    },
  };
}

export const flunder = (name: string, more: object = {}): object => ({
  apiVersion: `${GROUP}/v1alpha1`,
  kind: 'Flunder',
  metadata: { name, labels: { 'sample-label': 'true' }, ...more },
});

export const flundersIn = (namespace: string): string => `${ROOT}/namespaces/${namespace}/flunders`;

export interface Surroundings {
  readonly wire: Wire;
  readonly client: Client;
  readonly namespace: string;
}

/** Every step of test/e2e/apimachinery/aggregator.go from where the APIService has been created. */
export async function demandSampleApiServer({ wire, client, namespace }: Surroundings): Promise<void> {
  const ok = async <T>(method: string, path: string, body?: object, contentType?: string): Promise<T> => {
    const options = { ...(body && { body }), ...(contentType && { contentType }) };
    const answer: Answer = await wire.send(method, path, options);
    expect(answer.code, `${method} ${path}: ${answer.text}`).toBeLessThan(300);
    return answer.json<T>();
  };
  const items = async (path: string): Promise<readonly { readonly metadata: { readonly name: string } }[]> =>
    (await ok<{ items: readonly { metadata: { name: string } }[] }>('GET', path)).items;
  const inDefault = flundersIn('default');
  await untilServed(wire);

  const created = await wire.send('POST', inDefault, { body: flunder('rest-flunder') });
  expect(created.code, created.text).toBe(201);
  expect(created.json()).toMatchObject(flunder('rest-flunder'));
  expect(await items(inDefault)).toHaveLength(1);
  await ok('DELETE', `${inDefault}/rest-flunder`);
  expect(await items(inDefault)).toHaveLength(0);

  await until(async () => {
    const { resources } = await discoverResources(client);
    return resources.some(
      (each) => each.group === GROUP && each.resource === 'flunders' && each.preferred && each.namespaced,
    );
  });
  const own = flundersIn(namespace);
  await ok('POST', own, flunder('dynamic-flunder'));
  expect(await items(own)).toHaveLength(1);

  const read = (): Promise<APIService> => ok<APIService>('GET', STATUS);
  const conditions = async (): Promise<readonly Condition[]> => (await read()).status?.conditions ?? [];
  expect((await conditions())[0]?.message).toBe('all checks passed');

  const patched = await ok<APIService>(
    'PATCH',
    `${API_SERVICES}/${API_SERVICE}`,
    { spec: { versionPriority: 400 } },
    'application/merge-patch+json',
  );
  expect(patched.spec.versionPriority).toBe(400);
  expect((await items(API_SERVICES)).map(({ metadata }) => metadata.name)).toContain(API_SERVICE);

  const labelled = await ok<APIService>(
    'PATCH',
    `${API_SERVICES}/${API_SERVICE}`,
    { metadata: { labels: { 'e2e-apiservice': 'patched' } } },
    'application/strategic-merge-patch+json',
  );
  expect(labelled.metadata.labels).toEqual({ 'e2e-apiservice': 'patched' });

  const further = (type: string): Condition => ({
    type,
    status: 'True',
    reason: 'E2E',
    message: 'Set by the test',
  });
  const replace = async (path: string, change: (current: APIService) => APIService): Promise<APIService> => {
    for (;;) {
      const answer = await wire.send('PUT', path, { body: change(await read()) });
      if (answer.code === 409) continue;
      expect(answer.code, answer.text).toBe(200);
      return answer.json<APIService>();
    }
  };
  await replace(STATUS, (current) => ({
    ...current,
    status: { conditions: [...(current.status?.conditions ?? []), further('StatusUpdated')] },
  }));
  expect(await conditions()).toContainEqual(expect.objectContaining(further('StatusUpdated')));
  const updated = await replace(`${API_SERVICES}/${API_SERVICE}`, (current) => ({
    ...current,
    metadata: { ...current.metadata, labels: { [API_SERVICE]: 'updated' } },
  }));
  expect(updated.metadata.labels).toEqual({ [API_SERVICE]: 'updated' });

  await ok('DELETE', `${own}/dynamic-flunder`);
  expect(await items(own)).toHaveLength(0);
  await ok('POST', own, flunder('dynamic-flunder'));
  expect(await items(own)).toHaveLength(1);

  await ok(
    'PATCH',
    STATUS,
    { status: { conditions: [...(await conditions()), further('StatusPatched')] } },
    'application/merge-patch+json',
  );
  expect(await conditions()).toContainEqual(expect.objectContaining(further('StatusPatched')));

  const selected = `${API_SERVICES}?labelSelector=${encodeURIComponent(`${API_SERVICE}=updated`)}`;
  await ok('DELETE', selected);
  await until(async () => (await items(selected)).length === 0);
  await until(async () => (await wire.send('GET', own)).code === 404);
}

/** The API is asked as soon as it is registered; it has a while to be there. */
export async function untilServed(wire: Wire): Promise<void> {
  await until(async () => {
    const { code, text } = await wire.send('GET', flundersIn('default'));
    if (code !== 403 && code !== 404 && code !== 503) expect(code, text).toBe(200);
    return code === 200;
  }, 60_000);
}
