import { corev1, type New } from '@k8ts/api';
import { realClock, silentLogger } from '@k8ts/base';
import { discoverResources } from '@k8ts/client';
import { createMemoryStore } from '@k8ts/store';
import { afterAll, describe, expect, it } from 'vitest';

import { until } from '../support/waiting.ts';
import { ANYTHING, define, definitionOf, undefine, versionsOf, type Definition } from './custom-resources.ts';
import { refusal, useSuite } from './support.ts';

interface ResourceList {
  readonly groupVersion: string;
  readonly resources: readonly { readonly name: string }[];
}
interface GroupList {
  readonly groups: readonly {
    readonly name: string;
    readonly versions: readonly { readonly groupVersion: string; readonly version: string }[];
    readonly preferredVersion: { readonly groupVersion: string; readonly version: string };
  }[];
}
interface AggregatedDiscovery {
  readonly kind: string;
  readonly apiVersion: string;
  readonly items: readonly {
    readonly metadata: { readonly name?: string };
    readonly versions: readonly {
      readonly version: string;
      readonly freshness: string;
      readonly resources: readonly {
        readonly resource: string;
        readonly scope: string;
        readonly verbs: readonly string[];
        readonly responseKind: { readonly kind: string };
      }[];
    }[];
  }[];
}

const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
const AGGREGATED_BETA = 'application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList';

describe('discovery', () => {
  const suite = useSuite({ nodes: 0 });

  it('[sig-api-machinery] Discovery should validate PreferredVersion for each APIGroup [Conformance]', async () => {
    const { groups } = await suite.client.raw<GroupList>('/apis');
    expect(groups.map(({ name }) => name)).toEqual(expect.arrayContaining(['apps', 'batch', 'policy']));
    for (const { name, versions, preferredVersion } of groups) {
      const group = await suite.client.raw<GroupList['groups'][number]>(`/apis/${name}`);
      expect(group.preferredVersion).toEqual(preferredVersion);
      expect(versions).toContainEqual(preferredVersion);
      expect(preferredVersion.groupVersion).toBe(`${name}/${preferredVersion.version}`);
    }
  });

  it('[sig-api-machinery] Discovery should locate the groupVersion and a resource within each APIGroup [Conformance]', async () => {
    const expected = [
      ['apiregistration.k8s.io/v1', 'apiservices'],
      ['apps/v1', 'deployments'],
      ['authentication.k8s.io/v1', 'tokenreviews'],
      ['authorization.k8s.io/v1', 'selfsubjectaccessreviews'],
      ['autoscaling/v1', 'horizontalpodautoscalers'],
      ['autoscaling/v2', 'horizontalpodautoscalers'],
      ['batch/v1', 'jobs'],
      ['certificates.k8s.io/v1', 'certificatesigningrequests'],
      ['networking.k8s.io/v1', 'ingresses'],
      ['policy/v1', 'poddisruptionbudgets'],
      ['rbac.authorization.k8s.io/v1', 'clusterroles'],
      ['storage.k8s.io/v1', 'storageclasses'],
      ['admissionregistration.k8s.io/v1', 'validatingwebhookconfigurations'],
      ['apiextensions.k8s.io/v1', 'customresourcedefinitions'],
      ['scheduling.k8s.io/v1', 'priorityclasses'],
      ['coordination.k8s.io/v1', 'leases'],
      ['node.k8s.io/v1', 'runtimeclasses'],
      ['discovery.k8s.io/v1', 'endpointslices'],
      ['flowcontrol.apiserver.k8s.io/v1', 'flowschemas'],
    ] as const;
    for (const [groupVersion, resource] of expected) {
      const list = await suite.client.raw<ResourceList>(`/apis/${groupVersion}`);
      expect(list.groupVersion).toBe(groupVersion);
      expect(list.resources.map(({ name }) => name)).toContain(resource);
    }
  });

  it('[sig-api-machinery] AggregatedDiscovery should support raw aggregated discovery endpoint Accept headers [Conformance]', async () => {
    for (const path of ['/api', '/apis']) {
      for (const [accept, apiVersion] of [
        [AGGREGATED, 'apidiscovery.k8s.io/v2'],
        [AGGREGATED_BETA, 'apidiscovery.k8s.io/v2beta1'],
        [`${AGGREGATED},${AGGREGATED_BETA},application/json`, 'apidiscovery.k8s.io/v2'],
      ] as const) {
        const answer = await suite.wire.send('GET', path, { accept });
        expect(answer.code).toBe(200);
        expect(answer.json()).toMatchObject({ kind: 'APIGroupDiscoveryList', apiVersion });
        expect(answer.headers['content-type']).toContain('as=APIGroupDiscoveryList');
      }
      const plain = await suite.wire.send('GET', path, { accept: 'application/json' });
      expect(plain.json()).toMatchObject({ kind: path === '/api' ? 'APIVersions' : 'APIGroupList' });
    }
  });

  it('[sig-api-machinery] AggregatedDiscovery should support aggregated discovery interface [Conformance]', async () => {
    const legacy = await suite.client.raw<GroupList>('/apis');
    const [core, groups] = await Promise.all(
      ['/api', '/apis'].map((path) =>
        suite.client.raw<AggregatedDiscovery>(path, {}, { accept: AGGREGATED }),
      ),
    );
    const pods = core?.items[0]?.versions
      .find(({ version }) => version === 'v1')
      ?.resources.find(({ resource }) => resource === 'pods');
    expect(pods).toMatchObject({ scope: 'Namespaced', responseKind: { kind: 'Pod' } });
    expect(groups?.items.map(({ metadata }) => metadata.name)).toEqual(legacy.groups.map(({ name }) => name));
    // Both forms name the same resources.
    for (const { metadata, versions } of groups?.items ?? []) {
      for (const { version, freshness, resources } of versions) {
        expect(freshness).toBe('Current');
        const list = await suite.client.raw<ResourceList>(`/apis/${metadata.name}/${version}`);
        const names = list.resources.map(({ name }) => name).filter((name) => !name.includes('/'));
        expect(resources.map(({ resource }) => resource)).toEqual(names);
      }
    }
  });

  /** With a group of its own; kinds in lower case are allowed. */
  const defineTestcrd = (group: string): Promise<Definition> =>
    define(
      suite.client,
      definitionOf({
        group,
        plural: 'testcrds',
        kind: 'testcrd',
        names: { singular: 'testcrd', listKind: 'testcrdList' },
        versions: versionsOf(ANYTHING, 'v1'),
      }),
    );

  it('[sig-api-machinery] AggregatedDiscovery should support raw aggregated discovery request for CRDs [Conformance]', async () => {
    const group = 'group1.example.com';
    const found = async (): Promise<unknown> => {
      const { items } = await suite.client.raw<AggregatedDiscovery>('/apis', {}, { accept: AGGREGATED });
      return items
        .find(({ metadata }) => metadata.name === group)
        ?.versions.find(({ version }) => version === 'v1')
        ?.resources.find(({ resource }) => resource === 'testcrds');
    };
    const definition = await defineTestcrd(group);
    await until(async () => (await found()) !== undefined);
    expect(await found()).toMatchObject({
      scope: 'Namespaced',
      singularResource: 'testcrd',
      responseKind: { group, version: 'v1', kind: 'testcrd' },
      verbs: ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch'],
    });
    await undefine(suite.client, definition);
    await until(async () => (await found()) === undefined);
  });

  it('[sig-api-machinery] AggregatedDiscovery should support aggregated discovery interface for CRDs [Conformance]', async () => {
    const group = 'group2.example.com';
    const found = async (): Promise<unknown> => {
      const { resources, failures } = await discoverResources(suite.client);
      expect([...failures]).toEqual([]);
      return resources.find((entry) => entry.group === group && entry.resource === 'testcrds');
    };
    const definition = await defineTestcrd(group);
    await until(async () => (await found()) !== undefined);
    expect(await found()).toMatchObject({
      version: 'v1',
      kind: 'testcrd',
      namespaced: true,
      preferred: true,
    });
    await undefine(suite.client, definition);
    await until(async () => (await found()) === undefined);
  });

  it('[sig-api-machinery] server version should find the server version [Conformance]', async () => {
    const version = await suite.client.raw<{ readonly major: string; readonly minor: string }>('/version');
    expect(version.major).toBe('1');
    expect(version.minor).toMatch(/^\d+\+?$/);
  });

  it('[sig-api-machinery] Servers with support for Table transformation should return a 406 for a backend which does not implement metadata [Conformance]', async () => {
    const answer = await suite.wire.send('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', {
      accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
      body: {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes: { verb: 'get', resource: 'pods', namespace: 'default' } },
      },
    });
    expect(answer.code).toBe(406);
    expect(answer.json()).toMatchObject({ kind: 'Status', reason: 'NotAcceptable', code: 406 });
  });
});

describe('lists in chunks', () => {
  const store = createMemoryStore({ clock: realClock, logger: silentLogger });
  const suite = useSuite({ nodes: 0, store });
  afterAll(() => store[Symbol.asyncDispose]());
  const template = (index: number): New<corev1.PodTemplate> => ({
    metadata: { name: `template-${String(index).padStart(4, '0')}` },
    template: { spec: { containers: [{ name: 'test', image: 'test2' }] } },
  });
  const fill = async (namespace: string, count: number): Promise<void> => {
    const templates = suite.client.resource(corev1.podTemplates, namespace);
    await Promise.all(Array.from({ length: count }, (_, index) => templates.create(template(index))));
  };

  it('[sig-api-machinery] Servers with support for API chunking should return chunks of results for list calls [Conformance]', async () => {
    const total = 120;
    const namespace = await suite.namespace();
    await fill(namespace, total);
    const templates = suite.client.resource(corev1.podTemplates, namespace);
    for (const limit of [7, 40, 120, 500]) {
      const names: (string | undefined)[] = [];
      let token = '';
      let version: string | undefined;
      do {
        const page = await templates.list({ limit, ...(token === '' ? {} : { continue: token }) });
        version ??= page.metadata.resourceVersion;
        expect(page.metadata.resourceVersion).toBe(version);
        expect(page.items.length).toBeLessThanOrEqual(limit);
        names.push(...page.items.map(({ metadata }) => metadata.name));
        token = page.metadata.continue ?? '';
        const left = total - names.length;
        expect(token === '').toBe(left === 0);
        expect(page.metadata.remainingItemCount).toBe(left === 0 ? undefined : left);
      } while (token !== '');
      expect(names).toEqual(Array.from({ length: total }, (_, index) => template(index).metadata.name));
    }
    expect((await templates.list()).items).toHaveLength(total);
  });

  it('[sig-api-machinery] Servers with support for API chunking should support continue listing from the last key if the original version has been compacted away, though the list is inconsistent [Slow] [Conformance]', async () => {
    const namespace = await suite.namespace();
    await fill(namespace, 20);
    const templates = suite.client.resource(corev1.podTemplates, namespace);
    const first = await templates.list({ limit: 5 });
    await templates.create(template(9999));
    await store.compact(await store.revision());
    const status = await refusal(templates.list({ limit: 5, continue: first.metadata.continue ?? '' }));
    expect(status).toMatchObject({ code: 410, reason: 'Expired' });
    const inconsistent = (status.metadata as { readonly continue?: string }).continue ?? '';
    expect(inconsistent).not.toBe('');
    const second = await templates.list({ limit: 5, continue: inconsistent });
    expect(second.items.map(({ metadata }) => metadata.name)).toEqual(
      [5, 6, 7, 8, 9].map((index) => template(index).metadata.name),
    );
    expect(second.metadata.resourceVersion).not.toBe(first.metadata.resourceVersion);
    const rest = await templates.list({ continue: second.metadata.continue ?? '' });
    expect(rest.items).toHaveLength(11);
  });
});
