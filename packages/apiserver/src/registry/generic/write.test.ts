import { corev1, type KubeObject } from '@k8ts/api';
import type { Strategy } from '../contract.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { apiCallers, type ApiCaller } from '../../testing/api-callers.ts';
import { createTestServer, type TestServer } from '../../testing/test-server.ts';

/** Like pods, but nothing else of theirs: thirty seconds unless asked otherwise. */
const graceful: Strategy<KubeObject> = {
  type: corev1.podTemplates,
  gracePeriod: (_object, requested) => requested ?? 30,
};

let server: TestServer;
beforeAll(async () => {
  server = await createTestServer({ strategies: [graceful] });
});
afterAll(() => server[Symbol.asyncDispose]());

describe.each(apiCallers(() => server).map((caller) => [caller.name, caller] as const))(
  '%s',
  (transport, api: ApiCaller) => {
    const ns = transport.replace(' ', '-').toLowerCase();
    const maps = `/api/v1/namespaces/${ns}/configmaps`;
    const deployments = `/apis/apps/v1/namespaces/${ns}/deployments`;
    const templates = `/api/v1/namespaces/${ns}/podtemplates`;
    const create = async (path: string, name: string, more: object = {}, metadata: object = {}) => {
      const made = await api.call('POST', path, { body: { metadata: { name, ...metadata }, ...more } });
      expect(made.body.message ?? '').toBe('');
      return made.body;
    };

    describe('create', () => {
      test('fills in what the system owns, whatever the client says', async () => {
        const made = await create(
          maps,
          'system',
          {},
          {
            uid: 'mine',
            creationTimestamp: '2001-01-01T00:00:00Z',
            deletionTimestamp: '2001-01-01T00:00:00Z',
            selfLink: '/x',
            generation: 0,
          },
        );
        expect(made.metadata).toMatchObject({ name: 'system', namespace: ns });
        expect(made.metadata.uid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4/);
        expect(made.metadata.creationTimestamp).not.toContain('2001');
        expect(made.metadata.deletionTimestamp).toBeUndefined();
        expect(made).not.toHaveProperty('metadata.selfLink');
      });

      test.each<[string, object, number, string]>([
        ['a name that is taken', { metadata: { name: 'system' } }, 409, 'configmaps "system" already exists'],
        ['no name', { metadata: {} }, 422, 'metadata.name: Required value: name or generateName is required'],
        ['a bad name', { metadata: { name: 'A_b' } }, 422, 'metadata.name: Invalid value: "A_b"'],
        [
          'another namespace',
          { metadata: { name: 'x', namespace: 'other' } },
          400,
          'the namespace of the provided object does not match the namespace sent on the request',
        ],
        [
          'a resource version',
          { metadata: { name: 'x', resourceVersion: '1' } },
          500,
          'resourceVersion should not be set on objects to be created',
        ],
        ['another version', { apiVersion: 'v2', metadata: { name: 'x' } }, 400, ''],
        [
          'another kind',
          { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'x' } },
          400,
          'cannot be handled as a ConfigMap',
        ],
        [
          'bad labels',
          { metadata: { name: 'x', labels: { 'a b': 'c' } } },
          422,
          'metadata.labels: Invalid value: "a b"',
        ],
        ['no object', [], 400, ''],
        [
          'data of the wrong type',
          { metadata: { name: 'x' }, data: { a: 1 } },
          400,
          'cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string',
        ],
      ])('refuses %s', async (_name, body, code, message) => {
        const answer = await api.call('POST', maps, { body });
        expect(answer.code).toBe(code);
        expect(answer.body).toMatchObject({ kind: 'Status', status: 'Failure', code });
        expect(answer.body.message).toContain(message);
      });

      test('generates names', async () => {
        const made = await Promise.all(
          Array.from({ length: 20 }, () =>
            api.call('POST', maps, { body: { metadata: { generateName: 'made-' } } }),
          ),
        );
        const names = made.map(({ body }) => body.metadata.name);
        expect(new Set(names).size).toBe(20);
        for (const name of names) expect(name).toMatch(/^made-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
      });

      test('a dry run checks everything and stores nothing', async () => {
        const query = { dryRun: 'All' };
        const made = await api.call('POST', maps, { query, body: { metadata: { name: 'dry' } } });
        expect(made.body.metadata.uid).toBeDefined();
        expect(made.body.metadata.resourceVersion).toBeUndefined();
        expect((await api.call('GET', `${maps}/dry`)).code).toBe(404);
        expect((await api.call('POST', maps, { query, body: { metadata: { name: 'system' } } })).code).toBe(
          409,
        );
        expect((await api.call('POST', maps, { query: { dryRun: 'Some' }, body: {} })).body.message).toBe(
          'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: supported values: "All"',
        );
      });
    });

    describe('update', () => {
      test('of two writers that saw the same version exactly one wins', async () => {
        const seen = await create(maps, 'race');
        const answers = await Promise.all(
          ['1', '2'].map((value) => api.call('PUT', `${maps}/race`, { body: { ...seen, data: { value } } })),
        );
        expect(answers.map(({ code }) => code).sort()).toEqual([200, 409]);
        expect(answers.find(({ code }) => code === 409)?.body).toMatchObject({
          reason: 'Conflict',
          message:
            'Operation cannot be fulfilled on configmaps "race": the object has been modified; please apply your changes to the latest version and try again',
          details: { name: 'race', kind: 'configmaps' },
        });
      });

      test('without a version overwrites; nothing is written when nothing changes', async () => {
        await create(maps, 'plain', { data: { a: '1', b: '2' } });
        const body = { metadata: { name: 'plain' }, data: { b: '2', a: '9' } };
        const first = await api.call('PUT', `${maps}/plain`, { body });
        const second = await api.call('PUT', `${maps}/plain`, { body });
        expect(first.body.data).toEqual({ a: '9', b: '2' });
        expect(second.body.metadata.resourceVersion).toBe(first.body.metadata.resourceVersion);
      });

      test.each<[string, object, number, string]>([
        [
          'another name',
          { metadata: { name: 'other' } },
          400,
          'the name of the object (other) does not match the name on the URL (plain)',
        ],
        [
          'no name',
          { metadata: {} },
          400,
          'the name of the object (plain based on URL) was undeterminable: name must be provided',
        ],
        [
          'another uid',
          { metadata: { name: 'plain', uid: 'x' } },
          409,
          'Precondition failed: UID in precondition: x, UID in object meta:',
        ],
        [
          'an old version',
          { metadata: { name: 'plain', resourceVersion: '1' } },
          409,
          'the object has been modified',
        ],
      ])('refuses %s', async (_name, body, code, message) => {
        const answer = await api.call('PUT', `${maps}/plain`, { body });
        expect(answer.code).toBe(code);
        expect(answer.body.message).toContain(message);
      });

      test('of what is not there is 404', async () => {
        expect(
          (await api.call('PUT', `${maps}/nothing`, { body: { metadata: { name: 'nothing' } } })).body,
        ).toMatchObject({
          code: 404,
          message: 'configmaps "nothing" not found',
        });
      });

      test('spec and status go separate ways', async () => {
        const spec = {
          selector: { matchLabels: { a: 'b' } },
          template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
        };
        const made = await create(deployments, 'parts', { spec, status: { replicas: 7 } });
        expect(made).not.toHaveProperty('status.replicas');
        expect(made.metadata.generation).toBe(1);
        const { resourceVersion: _, ...metadata } = made.metadata;
        const changed = { ...made, metadata, spec: { ...made.spec, paused: true }, status: { replicas: 3 } };
        const main = (await api.call('PUT', `${deployments}/parts`, { body: changed })).body;
        expect(main).toMatchObject({ metadata: { generation: 2 }, spec: { paused: true } });
        expect(main).not.toHaveProperty('status.replicas');
        const again = { ...changed, spec: { ...made.spec, paused: false } };
        const status = (await api.call('PUT', `${deployments}/parts/status`, { body: again })).body;
        expect(status).toMatchObject({
          metadata: { generation: 2 },
          spec: { paused: true },
          status: { replicas: 3 },
        });
      });
    });

    describe('patch', () => {
      const patch = async (name: string, type: string, body: unknown, query: Record<string, string> = {}) =>
        api.call('PATCH', `${maps}/${name}`, { body, contentType: `application/${type}`, query });

      test.each<[string, unknown, object]>([
        ['json-patch+json', [{ op: 'add', path: '/data/b', value: '2' }], { a: '1', b: '2' }],
        ['merge-patch+json', { data: { a: null, c: '3' } }, { c: '3' }],
        ['strategic-merge-patch+json', { data: { d: '4' } }, { a: '1', d: '4' }],
      ])('%s', async (type, body, data) => {
        const name = `patched-${type.slice(0, 5).toLowerCase().replace('-', '')}`;
        await create(maps, name, { data: { a: '1' } });
        expect((await patch(name, type, body)).body.data).toEqual(data);
      });

      test('many at once lose nothing', async () => {
        await create(maps, 'busy');
        await Promise.all(
          Array.from({ length: 25 }, (_, at) =>
            patch('busy', 'merge-patch+json', { data: { [`k${at}`]: 'v' } }),
          ),
        );
        expect(Object.keys((await api.call('GET', `${maps}/busy`)).body.data)).toHaveLength(25);
      });

      test('that names a version is held to it', async () => {
        const { code } = await patch('busy', 'merge-patch+json', {
          metadata: { resourceVersion: '1' },
          data: { x: 'y' },
        });
        expect(code).toBe(409);
      });

      test.each<[string, unknown, number, string]>([
        [
          'json-patch+json',
          [{ op: 'replace', path: '/data/none/x', value: 1 }],
          422,
          'the server rejected our request due to an error in our request',
        ],
        ['json-patch+json', { op: 'add' }, 400, ''],
        [
          'json-patch+json',
          [{ op: 'replace', path: '/metadata/name', value: 'other' }],
          400,
          'does not match the name on the URL',
        ],
        ['merge-patch+json', { data: { a: 5 } }, 422, 'is invalid: patch: Invalid value:'],
        ['merge-patch+json', [], 400, 'Invalid JSON Patch'],
        ['strategic-merge-patch+json', [], 400, ''],
        ['x-patch+json', {}, 415, 'accepted media types include: application/json-patch+json'],
      ])('%s %j is refused', async (type, body, code, message) => {
        const answer = await patch('busy', type, body);
        expect(answer.code).toBe(code);
        expect(answer.body.message).toContain(message);
      });

      test('of what is not there is 404, unless it is an apply', async () => {
        expect((await patch('none', 'merge-patch+json', {})).code).toBe(404);
        const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'none' }, data: { a: 'b' } };
        expect((await patch('none', 'apply-patch+yaml', body)).body.message).toContain(
          'fieldManager: Required value: is required for apply patch',
        );
        const made = await patch('none', 'apply-patch+yaml', body, { fieldManager: 'me' });
        expect(made.body.metadata.managedFields).toMatchObject([{ manager: 'me', operation: 'Apply' }]);
        const conflict = await patch(
          'none',
          'apply-patch+yaml',
          { ...body, data: { a: 'c' } },
          { fieldManager: 'you' },
        );
        expect(conflict).toMatchObject({
          code: 409,
          body: { message: 'Apply failed with 1 conflict: conflict with "me": .data.a' },
        });
      });
    });

    describe('delete', () => {
      test('at once, with a Status that says what', async () => {
        const { metadata } = await create(maps, 'gone');
        expect((await api.call('DELETE', `${maps}/gone`)).body).toMatchObject({
          kind: 'Status',
          status: 'Success',
          details: { name: 'gone', kind: 'configmaps', uid: metadata.uid },
        });
        expect((await api.call('DELETE', `${maps}/gone`)).body.message).toBe('configmaps "gone" not found');
      });

      test('waits for finalizers', async () => {
        await create(maps, 'held', {}, { finalizers: ['example.com/hold'] });
        const waiting = (await api.call('DELETE', `${maps}/held`)).body;
        expect(waiting.metadata).toMatchObject({
          deletionGracePeriodSeconds: 0,
          finalizers: ['example.com/hold'],
        });
        const refused = await api.call('PATCH', `${maps}/held`, {
          body: { metadata: { finalizers: ['example.com/hold', 'example.com/more'] } },
          contentType: 'application/merge-patch+json',
        });
        expect(refused.body.message).toContain(
          'no new finalizers can be added if the object is being deleted',
        );
        const taken = await api.call('POST', maps, { body: { metadata: { name: 'held' } } });
        expect(taken.body.message).toBe('object is being deleted: configmaps "held" already exists');
        await api.call('PATCH', `${maps}/held`, {
          body: { metadata: { finalizers: null } },
          contentType: 'application/merge-patch+json',
        });
        expect((await api.call('GET', `${maps}/held`)).code).toBe(404);
      });

      test.each<[string, string[] | undefined]>([
        ['Foreground', ['foregroundDeletion']],
        ['Orphan', ['orphan']],
        ['Background', undefined],
      ])('%s', async (propagationPolicy, finalizers) => {
        const name = `policy-${propagationPolicy.toLowerCase()}`;
        await create(maps, name);
        await api.call('DELETE', `${maps}/${name}`, { body: { propagationPolicy } });
        expect((await api.call('GET', `${maps}/${name}`)).body.metadata?.finalizers).toEqual(finalizers);
      });

      test.each<[string, object, number, string]>([
        [
          'an unknown policy',
          { propagationPolicy: 'Never' },
          422,
          'Unsupported value: "Never": supported values: "Foreground", "Background", "Orphan", "nil"',
        ],
        [
          'two policies',
          { propagationPolicy: 'Orphan', orphanDependents: true },
          422,
          'orphanDependents and deletionPropagation cannot be both set',
        ],
        [
          'another uid',
          { preconditions: { uid: 'x' } },
          409,
          'the UID in the precondition (x) does not match the UID in record (',
        ],
        [
          'another version',
          { preconditions: { resourceVersion: '1' } },
          409,
          'the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (',
        ],
        ['another kind', { kind: 'Pod', apiVersion: 'v1' }, 400, 'DeleteOptions'],
        ['a grace period in words', { gracePeriodSeconds: 'long' }, 400, 'gracePeriodSeconds'],
      ])('refuses %s', async (_name, body, code, message) => {
        await api.call('POST', maps, { body: { metadata: { name: 'stays' } } });
        const answer = await api.call('DELETE', `${maps}/stays`, { body });
        expect(answer.code).toBe(code);
        expect(answer.body.message).toContain(message);
        expect((await api.call('GET', `${maps}/stays`)).code).toBe(200);
      });

      test('gracefully: may be shortened, never lengthened, and ends with zero', async () => {
        await create(templates, 'slow');
        const first = (await api.call('DELETE', `${templates}/slow`)).body.metadata;
        expect(first).toMatchObject({ deletionGracePeriodSeconds: 30 });
        const longer = (await api.call('DELETE', `${templates}/slow`, { body: { gracePeriodSeconds: 90 } }))
          .body.metadata;
        expect(longer).toMatchObject({
          deletionGracePeriodSeconds: 30,
          deletionTimestamp: first.deletionTimestamp,
        });
        const shorter = (await api.call('DELETE', `${templates}/slow`, { body: { gracePeriodSeconds: 5 } }))
          .body.metadata;
        expect(shorter.deletionGracePeriodSeconds).toBe(5);
        expect(Date.parse(first.deletionTimestamp) - Date.parse(shorter.deletionTimestamp)).toBe(25_000);
        await api.call('DELETE', `${templates}/slow`, { body: { gracePeriodSeconds: 0 } });
        expect((await api.call('GET', `${templates}/slow`)).code).toBe(404);
      });

      test('a dry run deletes nothing', async () => {
        await create(maps, 'kept');
        const { body } = await api.call('DELETE', `${maps}/kept`, { query: { dryRun: 'All' } });
        expect(body).toMatchObject({ status: 'Success' });
        expect((await api.call('GET', `${maps}/kept`)).code).toBe(200);
      });

      test('a collection, by label', async () => {
        await Promise.all(
          Array.from({ length: 40 }, (_, at) =>
            create(maps, `many-${at}`, {}, { labels: { many: at % 2 === 0 ? 'a' : 'b' } }),
          ),
        );
        const deleted = await api.call('DELETE', maps, { query: { labelSelector: 'many=a' } });
        expect(deleted.body.items).toHaveLength(20);
        const left = await api.call('GET', maps, { query: { labelSelector: 'many' } });
        expect(left.body.items).toHaveLength(20);
      });
    });
  },
);
