import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await createTestServer({ stages: ['stable', 'legacy'] });
});
afterAll(() => server[Symbol.asyncDispose]());

/** Whatever may be in a document, as if it were. */
interface Document {
  readonly kind: string;
  readonly groups: readonly { readonly name: string; readonly preferredVersion: object }[];
  readonly resources: readonly { readonly name: string }[];
  readonly items: readonly {
    readonly metadata: { readonly name?: string };
    readonly versions: readonly {
      readonly version: string;
      readonly resources: readonly {
        readonly resource: string;
        readonly verbs: readonly string[];
        readonly responseKind: { readonly kind: string };
      }[];
    }[];
  }[];
  readonly paths: Readonly<Record<string, PathItem>>;
  readonly definitions: object;
  readonly components: {
    readonly schemas: Readonly<Record<string, { readonly properties: Readonly<Record<string, object>> }>>;
  };
}

interface PathItem {
  readonly serverRelativeURL: string;
  readonly patch: {
    readonly operationId: string;
    readonly parameters: readonly { readonly name: string }[];
  };
}

interface Got {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: Document;
}

async function get(path: string, headers: Record<string, string> = {}): Promise<Got> {
  const response = await fetch(server.url + path, { headers, redirect: 'manual' });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: (text.startsWith('{') ? JSON.parse(text) : {}) as Document,
  };
}

const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';

describe('discovery', () => {
  test('lists groups by priority and versions by theirs', async () => {
    const { body } = await get('/apis');
    const names = body.groups.map(({ name }) => name);
    expect(names.indexOf('apps')).toBeLessThan(names.indexOf('batch'));
    const policy = body.groups.find(({ name }) => name === 'policy');
    expect(policy?.preferredVersion).toEqual({ groupVersion: 'policy/v1', version: 'v1' });
    expect((await get('/apis/policy')).body).toEqual({ kind: 'APIGroup', apiVersion: 'v1', ...policy });
    expect((await get('/apis/nothing')).status).toBe(404);
  });

  test('describes resources and their subresources', async () => {
    const { body } = await get('/apis/apps/v1');
    const find = (name: string): object | undefined =>
      body.resources.find((resource) => resource.name === name);
    expect(find('deployments')).toMatchObject({
      kind: 'Deployment',
      namespaced: true,
      singularName: 'deployment',
      shortNames: ['deploy'],
      categories: ['all'],
      // As kube-apiserver has it.
      storageVersionHash: '8aSe+NMegvE=',
    });
    expect(find('deployments/scale')).toMatchObject({ group: 'autoscaling', version: 'v1', kind: 'Scale' });
  });

  test('in one answer agrees with the many', async () => {
    const { body, headers } = await get('/apis', { accept: `${AGGREGATED},application/json` });
    expect(headers.get('content-type')).toBe(AGGREGATED);
    expect(headers.get('vary')).toContain('Accept');
    for (const group of body.items)
      for (const { version, resources } of group.versions) {
        const legacy = (await get(`/apis/${group.metadata.name}/${version}`)).body;
        const plain = legacy.resources.filter(({ name }) => !name.includes('/'));
        expect(resources.map(({ resource }) => resource)).toEqual(plain.map(({ name }) => name));
      }
    const again = await get('/apis', { accept: AGGREGATED, 'if-none-match': headers.get('etag') as string });
    expect(again).toMatchObject({ status: 304, text: '' });
    expect((await get('/api', { accept: AGGREGATED })).body.items[0]?.versions[0]?.version).toBe('v1');
  });

  test('every served resource can be listed and watched', async () => {
    for (const { metadata, versions } of [
      ...(await get('/apis', { accept: AGGREGATED })).body.items,
      ...(await get('/api', { accept: AGGREGATED })).body.items,
    ])
      for (const { version, resources } of versions)
        for (const { resource, verbs, responseKind } of resources) {
          if (!verbs.includes('list')) continue;
          const root = metadata.name === undefined ? `/api/${version}` : `/apis/${metadata.name}/${version}`;
          const { status, body } = await get(`${root}/${resource}`);
          expect([`${root}/${resource}`, status, body.kind]).toEqual([
            `${root}/${resource}`,
            200,
            `${responseKind.kind}List`,
          ]);
        }
  });
});

describe('OpenAPI', () => {
  test('v3 documents are complete: every reference leads somewhere', async () => {
    const { body } = await get('/openapi/v3');
    expect(Object.keys(body.paths)).toContain('apis/apps/v1');
    for (const { serverRelativeURL } of Object.values(body.paths)) {
      const { status, body: document, headers } = await get(serverRelativeURL);
      expect(status).toBe(200);
      expect(headers.get('cache-control')).toBe('public, immutable');
      const schemas = new Set(Object.keys(document.components.schemas));
      for (const [, name] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]+)"/g))
        expect(schemas).toContain(name);
    }
  });

  test('a stale hash leads to the right one', async () => {
    const { status, headers } = await get('/openapi/v3/apis/apps/v1?hash=OLD');
    expect(status).toBe(301);
    expect((await get(headers.get('location') as string)).status).toBe(200);
    expect((await get('/openapi/v3/apis/nothing/v1')).status).toBe(404);
  });

  test('says which operations validate fields, and how lists merge', async () => {
    const { body } = await get('/openapi/v3/apis/apps/v1');
    const { patch } = body.paths['/apis/apps/v1/namespaces/{namespace}/deployments/{name}'] as PathItem;
    expect(patch).toHaveProperty('x-kubernetes-group-version-kind', {
      group: 'apps',
      kind: 'Deployment',
      version: 'v1',
    });
    expect(patch.parameters.map(({ name }) => name)).toContain('fieldValidation');
    expect(patch.operationId).toBe('patchAppsV1NamespacedDeployment');
    expect(body.components.schemas['io.k8s.api.core.v1.Container']?.properties['ports']).toMatchObject({
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['containerPort', 'protocol'],
      'x-kubernetes-patch-merge-key': 'containerPort',
      'x-kubernetes-patch-strategy': 'merge',
    });
  });

  test('v2 is served as JSON and as protobuf', async () => {
    const { body } = await get('/openapi/v2');
    const definitions = new Set(Object.keys(body.definitions));
    for (const [, name] of JSON.stringify(body).matchAll(/"#\/definitions\/([^"]+)"/g))
      expect(definitions).toContain(name);
    const response = await fetch(`${server.url}/openapi/v2`, {
      headers: { accept: 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf' },
    });
    expect(response.headers.get('content-type')).toBe(
      'application/com.github.proto-openapi.spec.v2.v1.0+protobuf',
    );
    const bytes = Buffer.from(await response.arrayBuffer());
    // Document.swagger = "2.0"
    expect(bytes.subarray(0, 5).toString('latin1')).toBe('\n\u00032.0');
    expect(bytes.includes('io.k8s.api.apps.v1.Deployment')).toBe(true);
  });
});

describe('other paths', () => {
  test.each<[string, number, string]>([
    ['/livez', 200, 'ok'],
    ['/readyz/ping', 200, 'ok'],
    ['/readyz/nothing', 404, '404 page not found'],
    [
      '/readyz?verbose',
      200,
      '[+]ping ok\n[+]log ok\n[+]etcd ok\n[+]informer-sync ok\n[+]shutdown ok\nreadyz check passed\n',
    ],
    ['/livez?verbose&exclude=etcd', 200, '[+]ping ok\n[+]log ok\n[+]etcd excluded: ok\nlivez check passed\n'],
    ['/livez?verbose&exclude=x', 200, 'warn: some health checks cannot be excluded: no matches for "x"'],
    ['/metrics', 200, 'apiserver_request_total{'],
    ['/nothing', 404, ''],
  ])('%s', async (path, status, text) => {
    await get('/version');
    const response = await fetch(server.url + path);
    expect(response.status).toBe(status);
    expect(await response.text()).toContain(text);
  });

  test('/version', async () => {
    expect((await get('/version')).body).toMatchObject({
      major: '1',
      minor: '36',
      gitVersion: 'v1.36.0+k8ts',
    });
  });
});
