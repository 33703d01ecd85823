import { describe, expect, test } from 'vitest';
import { createSchema, schemaOf } from '@k8ts/api';
import type { FieldSchema, Schema } from '@k8ts/api';
import type { JsonObject } from '../json.ts';
import { StatusError } from '../status-error.ts';
import { applyPatch } from './apply.ts';
import type { ApplyRequest, ApplyResult } from './apply.ts';
import { LAST_APPLIED_ANNOTATION } from './last-applied.ts';
import type { ManagedFieldsEntry } from './managers.ts';
import { entriesOf, updateManagedFields } from './update.ts';
import type { UpdateRequest } from './update.ts';

const DEPLOYMENT = schemaOf('apps', 'v1', 'Deployment') as Schema;
const CONFIG_MAP = schemaOf('', 'v1', 'ConfigMap') as Schema;
const SERVICE = schemaOf('', 'v1', 'Service') as Schema;
const NOW = Date.UTC(2026, 0, 31, 12);
const TIME = '2026-01-31T12:00:00Z';

function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(frozen);
  }
  return value;
}

function update(
  liveObject: object | undefined,
  newObject: object,
  options: Partial<UpdateRequest> = {},
): JsonObject {
  return frozen(
    updateManagedFields({
      liveObject: frozen(liveObject) as JsonObject | undefined,
      newObject: frozen(newObject) as JsonObject,
      schema: CONFIG_MAP,
      manager: 'tester',
      apiVersion: 'v1',
      now: NOW,
      ...options,
    }),
  );
}

function entries(object: JsonObject): readonly ManagedFieldsEntry[] {
  return entriesOf(object) ?? [];
}

/** The same change, as clients that know nothing of managed fields send it. */
function changed(object: JsonObject, change: object): JsonObject {
  const { managedFields: _managedFields, ...metadata } = object['metadata'] as JsonObject;
  return { ...object, metadata, ...change };
}

const configMap = (data: object, metadata: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'c', namespace: 'n', uid: 'u', resourceVersion: '1', ...metadata },
  data,
});

describe('create', () => {
  test('a config map', () => {
    const object = update(
      undefined,
      configMap({ b: '1', a: '2' }, { labels: { x: 'y' }, finalizers: ['f/g'] }),
    );
    expect(entries(object)).toEqual([
      {
        manager: 'tester',
        operation: 'Update',
        apiVersion: 'v1',
        time: TIME,
        fieldsType: 'FieldsV1',
        fieldsV1: {
          'f:data': { '.': {}, 'f:a': {}, 'f:b': {} },
          'f:metadata': {
            'f:finalizers': { '.': {}, 'v:"f/g"': {} },
            'f:labels': { '.': {}, 'f:x': {} },
          },
        },
      },
    ]);
    expect(Object.keys(entries(object)[0]?.fieldsV1['f:data'] as object)).toEqual(['.', 'f:a', 'f:b']);
  });

  // What kube-apiserver 1.36 records for `kubectl create deployment web --image=nginx --port=80`.
  test('a deployment', () => {
    const object = update(
      undefined,
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'web', namespace: 'default', labels: { app: 'web' } },
        spec: {
          progressDeadlineSeconds: 600,
          replicas: 1,
          revisionHistoryLimit: 10,
          selector: { matchLabels: { app: 'web' } },
          strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
          template: {
            metadata: { labels: { app: 'web' } },
            spec: {
              containers: [
                {
                  name: 'nginx',
                  image: 'nginx',
                  imagePullPolicy: 'Always',
                  ports: [{ containerPort: 80, protocol: 'TCP' }],
                  resources: {},
                  terminationMessagePath: '/dev/termination-log',
                },
              ],
              dnsPolicy: 'ClusterFirst',
              securityContext: {},
            },
          },
        },
        status: {},
      },
      {
        schema: DEPLOYMENT,
        manager: 'kubectl-create',
        apiVersion: 'apps/v1',
        resetFields: { 'f:status': {} },
      },
    );
    expect(entries(object)[0]?.fieldsV1).toEqual({
      'f:metadata': { 'f:labels': { '.': {}, 'f:app': {} } },
      'f:spec': {
        'f:progressDeadlineSeconds': {},
        'f:replicas': {},
        'f:revisionHistoryLimit': {},
        'f:selector': {},
        'f:strategy': {
          'f:rollingUpdate': { '.': {}, 'f:maxSurge': {}, 'f:maxUnavailable': {} },
          'f:type': {},
        },
        'f:template': {
          'f:metadata': { 'f:labels': { '.': {}, 'f:app': {} } },
          'f:spec': {
            'f:containers': {
              'k:{"name":"nginx"}': {
                '.': {},
                'f:image': {},
                'f:imagePullPolicy': {},
                'f:name': {},
                'f:ports': {
                  '.': {},
                  'k:{"containerPort":80,"protocol":"TCP"}': {
                    '.': {},
                    'f:containerPort': {},
                    'f:protocol': {},
                  },
                },
                'f:resources': {},
                'f:terminationMessagePath': {},
              },
            },
            'f:dnsPolicy': {},
            'f:securityContext': {},
          },
        },
      },
    });
  });
});

describe('update', () => {
  const live = update(undefined, configMap({ a: '1', b: '2' }));

  test('nothing changed: nothing is written', () => {
    const object = update(live, changed(live, {}), { manager: 'other', now: NOW + 60_000 });
    expect(entriesOf(object)).toBe(entriesOf(live));
  });

  test('the writer takes what it changes', () => {
    const object = update(live, changed(live, { data: { a: '1', b: '3', c: '4' } }), {
      manager: 'other',
      now: NOW + 60_000,
    });
    expect(entries(object).map(({ manager, time, fieldsV1 }) => [manager, time, fieldsV1])).toEqual([
      ['tester', TIME, { 'f:data': { '.': {}, 'f:a': {} } }],
      ['other', '2026-01-31T12:01:00Z', { 'f:data': { 'f:b': {}, 'f:c': {} } }],
    ]);
  });

  test('what is removed belongs to nobody', () => {
    const object = update(live, changed(live, { data: { a: '1' } }), { manager: 'other' });
    expect(entries(object).map(({ manager, fieldsV1 }) => [manager, fieldsV1])).toEqual([
      ['tester', { 'f:data': { '.': {}, 'f:a': {} } }],
    ]);
    const { data: _data, ...rest } = changed(live, {});
    expect(entriesOf(update(live, rest))).toBeUndefined();
  });

  test('a subresource is a manager of its own, and cannot set the entries', () => {
    const object = update(
      live,
      { ...changed(live, { data: { a: '9', b: '2' } }) },
      { subresource: 'status' },
    );
    expect(entries(object).map(({ manager, subresource }) => [manager, subresource])).toEqual([
      ['tester', undefined],
      ['tester', 'status'],
    ]);
    const forged = { ...live, metadata: { ...(live['metadata'] as object), managedFields: [] } };
    expect(entriesOf(update(live, forged, { subresource: 'status' }))).toEqual(entriesOf(live));
  });

  test('clients may reset and edit the entries', () => {
    for (const managedFields of [[], [{}]]) {
      const object = { ...live, metadata: { ...(live['metadata'] as object), managedFields } };
      expect(entriesOf(update(live, object))).toBeUndefined();
    }
    const renamed = entries(live).map((entry) => ({ ...entry, manager: 'renamed' }));
    const edited = { ...live, metadata: { ...(live['metadata'] as object), managedFields: renamed } };
    expect(entries(update(live, edited)).map(({ manager }) => manager)).toEqual(['renamed']);
  });

  test.each([
    [{ manager: 'x', operation: 'Create', apiVersion: 'v1', fieldsType: 'FieldsV1' }],
    [{ manager: 'x', operation: 'Update', apiVersion: '', fieldsType: 'FieldsV1' }],
    [{ manager: 'x', operation: 'Update', apiVersion: 'v1', fieldsType: 'FieldsV2' }],
    [{ manager: 'x', operation: 'Update', apiVersion: 'v1', fieldsType: 'FieldsV1', fieldsV1: { x: {} } }],
    [
      {
        manager: 'x',
        operation: 'Update',
        apiVersion: 'v1',
        fieldsType: 'FieldsV1',
        fieldsV1: { 'k:{': {} },
      },
    ],
    [{ manager: 'x', operation: 'Update', apiVersion: 'v1', fieldsType: 'FieldsV1', fieldsV1: { 'f:x': 1 } }],
  ])('entries that cannot be understood do not replace the live ones: %j', (entry) => {
    const object = { ...live, metadata: { ...(live['metadata'] as object), managedFields: [entry] } };
    expect(entriesOf(update(live, object))).toEqual(entriesOf(live));
  });

  test('keys from outside become canonical', () => {
    const entry = {
      manager: 'x',
      operation: 'Update',
      apiVersion: 'v1',
      fieldsType: 'FieldsV1',
      fieldsV1: { 'f:l': { 'k:{ "b": "x<y", "a": 1 }': { 'f:b': {} }, '.': {} }, 'z:future': {}, 'f:a': {} },
    };
    const object = { ...live, metadata: { ...(live['metadata'] as object), managedFields: [entry] } };
    expect(JSON.stringify(entries(update(live, object))[0]?.fieldsV1)).toBe(
      '{"f:a":{},"f:l":{".":{},"k:{\\"a\\":1,\\"b\\":\\"x\\\\u003cy\\"}":{"f:b":{}}}}',
    );
  });

  test('objects without entries stay so', () => {
    const untracked = configMap({ a: '1' });
    expect(entriesOf(update(untracked, configMap({ a: '2' })))).toBeUndefined();
  });

  test('the oldest of too many updaters are merged', () => {
    let object = update(undefined, configMap({}));
    for (let i = 0; i < 14; i++) {
      const data = { ...(object['data'] as object), [`k${i}`]: 'x' };
      object = update(object, changed(object, { data }), { manager: `m${i}`, now: NOW + i * 1000 });
    }
    const managers = entries(object).map(({ manager }) => manager);
    expect(managers).toHaveLength(10);
    expect(managers[0]).toBe('ancient-changes');
    expect(managers.at(-1)).toBe('m13');
    expect(entries(object)[0]?.fieldsV1).toHaveProperty('f:data');
  });

  test('repeated items of a keyed list are owned as one', () => {
    const service = (...ports: object[]): object => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 's', uid: 'u' },
      spec: { ports },
    });
    const options = { schema: SERVICE };
    const one = update(undefined, service({ port: 80, protocol: 'TCP', name: 'a' }), options);
    const two = update(
      one,
      service({ port: 80, protocol: 'TCP', name: 'a' }, { port: 80, name: 'b' }),
      options,
    );
    expect(entries(two)[0]?.fieldsV1).toEqual({
      'f:spec': { 'f:ports': { '.': {}, 'k:{"port":80,"protocol":"TCP"}': {} } },
    });
  });
});

function apply(
  liveObject: JsonObject | undefined,
  patch: object,
  options: Partial<ApplyRequest> = {},
): ApplyResult {
  return frozen(
    applyPatch({
      liveObject,
      patch: frozen(patch),
      schema: DEPLOYMENT,
      manager: 'applier',
      force: false,
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      now: NOW,
      ...options,
    }),
  );
}

const deployment = (spec: object, metadata: object = {}): object => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web', namespace: 'default', ...metadata },
  spec,
});

/** As if it had been stored: with what the server adds. */
function stored({ object }: ApplyResult): JsonObject {
  const metadata = object['metadata'] as JsonObject;
  return frozen({ ...object, metadata: { ...metadata, uid: 'u', resourceVersion: '1' } });
}

const container = (name: string, fields: object = {}): object => ({ name, image: `${name}:1`, ...fields });
const template = (...containers: object[]): object => ({ template: { spec: { containers } } });

function message(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof StatusError) return error.message;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('apply', () => {
  test('creates, and owns what it names', () => {
    const { object, unchanged } = apply(
      undefined,
      deployment(
        {
          replicas: 3,
          ...template(container('a', { ports: [{ containerPort: 80 }], command: ['x'] })),
        },
        { labels: { app: 'web' } },
      ),
    );
    expect(unchanged).toBe(false);
    expect(entries(object)).toEqual([
      {
        manager: 'applier',
        operation: 'Apply',
        apiVersion: 'apps/v1',
        time: TIME,
        fieldsType: 'FieldsV1',
        fieldsV1: {
          'f:metadata': { 'f:labels': { 'f:app': {} } },
          'f:spec': {
            'f:replicas': {},
            'f:template': {
              'f:spec': {
                'f:containers': {
                  'k:{"name":"a"}': {
                    '.': {},
                    'f:command': {},
                    'f:image': {},
                    'f:name': {},
                    'f:ports': {
                      'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {} },
                    },
                  },
                },
              },
            },
          },
        },
      },
    ]);
  });

  test('the same again changes nothing, not even the time', () => {
    const patch = deployment({ replicas: 3 });
    const live = stored(apply(undefined, patch));
    const again = apply(live, patch, { now: NOW + 60_000 });
    expect(again.unchanged).toBe(true);
    expect(entriesOf(again.object)).toEqual(entriesOf(live));
  });

  test('what is no longer applied goes', () => {
    const live = stored(
      apply(
        undefined,
        deployment(
          { replicas: 3, paused: true, ...template(container('a'), container('b')) },
          {
            labels: { x: '1', y: '2' },
          },
        ),
      ),
    );
    const { object } = apply(
      live,
      deployment({ replicas: 3, ...template(container('b')) }, { labels: { y: '2' } }),
    );
    expect(object['spec']).toEqual({ replicas: 3, ...template(container('b')) });
    expect((object['metadata'] as JsonObject)['labels']).toEqual({ y: '2' });
  });

  test('what somebody else owns stays', () => {
    const live = stored(apply(undefined, deployment({ replicas: 3, ...template(container('a')) })));
    const shared = stored(apply(live, deployment({ replicas: 3 }), { manager: 'second' }));
    const { object } = apply(shared, deployment({ ...template(container('a')) }));
    expect((object['spec'] as JsonObject)['replicas']).toBe(3);
    expect(
      entries(object).map(({ manager, fieldsV1 }) => [
        manager,
        JSON.stringify(fieldsV1).includes('f:replicas'),
      ]),
    ).toEqual([
      ['second', true], // changed nothing when it came, hence has no time and is first
      ['applier', false],
    ]);
  });

  test('an item goes with what updaters added inside, and stays when another applier has it', () => {
    const live = stored(apply(undefined, deployment(template(container('a'), container('b')))));
    const updated = update(
      live,
      changed(live, { spec: template(container('a', { tty: true }), container('b')) }),
      { schema: DEPLOYMENT, apiVersion: 'apps/v1' },
    );
    const patch = deployment(template(container('b')));
    expect(apply(updated, patch).object['spec']).toEqual(template(container('b')));

    const shared = apply(live, deployment(template({ name: 'a', tty: true })), { manager: 'second' });
    expect(apply(stored(shared), patch).object['spec']).toEqual(
      template({ name: 'a', tty: true }, container('b')),
    );
  });

  test('conflicts', () => {
    const live = stored(apply(undefined, deployment({ replicas: 3, ...template(container('a')) })));
    const one = (): unknown => apply(live, deployment({ replicas: 4 }), { manager: 'second' });
    expect(message(one)).toBe('Apply failed with 1 conflict: conflict with "applier": .spec.replicas');

    const scaled = update(live, changed(live, { spec: { ...(live['spec'] as object), replicas: 5 } }), {
      schema: DEPLOYMENT,
      apiVersion: 'apps/v1',
      manager: 'hpa',
      subresource: 'scale',
    });
    const two = (): unknown =>
      apply(scaled, deployment({ replicas: 4, ...template(container('a', { image: 'z' })) }), {
        manager: 'second',
      });
    expect(message(two)).toBe(
      [
        'Apply failed with 2 conflicts: conflicts with "applier":',
        '- .spec.template.spec.containers[name="a"].image',
        'conflicts with "hpa" with subresource "scale" using apps/v1:',
        '- .spec.replicas',
      ].join('\n'),
    );
    try {
      two();
    } catch (error) {
      expect((error as StatusError).status).toMatchObject({
        code: 409,
        reason: 'Conflict',
        details: {
          causes: [
            {
              reason: 'FieldManagerConflict',
              message: 'conflict with "applier"',
              field: '.spec.template.spec.containers[name="a"].image',
            },
            { field: '.spec.replicas' },
          ],
        },
      });
    }
  });

  test('force takes over', () => {
    const live = stored(apply(undefined, deployment({ replicas: 3, paused: true })));
    const { object } = apply(live, deployment({ replicas: 4 }), { manager: 'second', force: true });
    expect(object['spec']).toEqual({ replicas: 4, paused: true });
    expect(entries(object).map(({ manager, fieldsV1 }) => [manager, fieldsV1])).toEqual([
      ['applier', { 'f:spec': { 'f:paused': {} } }],
      ['second', { 'f:spec': { 'f:replicas': {} } }],
    ]);
  });

  test('objects nobody tracked belong to before-first-apply', () => {
    const live = frozen(deployment({ replicas: 3 }, { uid: 'u' })) as JsonObject;
    expect(message(() => apply(live, deployment({ replicas: 4 })))).toBe(
      'Apply failed with 1 conflict: conflict with "before-first-apply" using apps/v1: .spec.replicas',
    );
    const { object } = apply(live, deployment({ paused: true }));
    expect(entries(object).map(({ manager, operation }) => [manager, operation])).toEqual([
      ['applier', 'Apply'],
      ['before-first-apply', 'Update'],
    ]);
  });

  test('lists keep the live order around applied items', () => {
    const live = stored(
      apply(undefined, deployment(template(...['a', 'b', 'c', 'd'].map((name) => container(name))))),
    );
    const { object } = apply(live, deployment(template(container('d'), container('b'))), {
      manager: 'second',
    });
    const containers = (
      (object['spec'] as JsonObject)['template'] as { spec: { containers: { name: string }[] } }
    ).spec.containers;
    expect(containers.map(({ name }) => name)).toEqual(['a', 'c', 'd', 'b']);
  });

  test('kubectl takes over what client-side apply wrote', () => {
    const last = deployment({ replicas: 3 });
    const annotations = { [LAST_APPLIED_ANNOTATION]: JSON.stringify(last) };
    const live = update(
      undefined,
      { ...deployment({ replicas: 3, paused: true }, { annotations, uid: 'u' }) },
      {
        schema: DEPLOYMENT,
        apiVersion: 'apps/v1',
        manager: 'kubectl-client-side-apply',
      },
    );
    const { object } = apply(live, deployment({ replicas: 4 }), { manager: 'kubectl' });
    expect((object['spec'] as JsonObject)['replicas']).toBe(4);
    expect(
      JSON.parse(
        ((object['metadata'] as JsonObject)['annotations'] as Record<string, string>)[
          LAST_APPLIED_ANNOTATION
        ] as string,
      ),
    ).toEqual(deployment({ replicas: 4 }));
    expect(message(() => apply(live, deployment({ paused: false }), { manager: 'kubectl' }))).toBe(
      'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: .spec.paused',
    );
  });

  test.each<[string, object, string]>([
    ['another kind', { apiVersion: 'v1', kind: 'Pod' }, 'invalid object type: /v1, Kind=Pod'],
    ['managed fields', deployment({}, { managedFields: [] }), 'metadata.managedFields must be nil'],
    [
      'an unknown field',
      deployment({ replicaz: 1 }),
      'failed to create typed patch object (default/web; apps/v1, Kind=Deployment): .spec.replicaz: field not declared in schema',
    ],
    [
      'wrong types',
      deployment({
        replicas: '3',
        paused: 'x',
        minReadySeconds: 1,
        ...template(container('a', { image: 5 })),
      }),
      [
        'failed to create typed patch object (default/web; apps/v1, Kind=Deployment): errors:',
        '  .spec.replicas: expected numeric (int or float), got string',
        '  .spec.paused: expected boolean, got &{x}',
        '  .spec.template.spec.containers[name="a"].image: expected string, got &value.valueUnstructured{Value:5}',
      ].join('\n'),
    ],
    [
      'repeated items',
      deployment(template(container('a'), container('a'))),
      'failed to create typed patch object (default/web; apps/v1, Kind=Deployment): .spec.template.spec.containers: duplicate entries for key [name="a"]',
    ],
    [
      'items without a key',
      deployment(template({ image: 'x' })),
      'failed to create typed patch object (default/web; apps/v1, Kind=Deployment): .spec.template.spec.containers: element 0: associative list with keys has an element that omits all key fields ["name"] (and doesn\'t have default values for any key fields)',
    ],
  ])('refuses %s', (_name, patch, text) => {
    expect(message(() => apply(undefined, patch))).toBe(text);
  });

  test('deep configurations are refused, not crashed upon', () => {
    let deep: object = {};
    for (let i = 0; i < 100_000; i++) deep = { x: deep };
    const patch = { ...deployment({}), deep };
    expect(
      message(() =>
        applyPatch({
          liveObject: undefined,
          patch,
          schema: DEPLOYMENT,
          manager: 'm',
          force: false,
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          now: NOW,
        }),
      ),
    ).toContain('exceeded max depth');
  });
});

describe('managers of other versions', () => {
  // A kind whose v2 calls `replicas` `size`.
  const schemaWith = (name: string): Schema => {
    const field = (fieldName: string, schema: Schema): [string, FieldSchema] => [
      fieldName,
      {
        name: fieldName,
        schema,
        required: false,
        omitEmpty: false,
        pointer: true,
        protoNumber: 0,
        protoEmbed: -1,
      },
    ];
    const spec = createSchema({
      type: 'object',
      fields: new Map([
        field(name, createSchema({ type: 'int64' })),
        field('paused', createSchema({ type: 'boolean' })),
      ]),
    });
    const metadata = DEPLOYMENT.fields.get('metadata')?.schema as Schema;
    const text = createSchema({ type: 'string' });
    return createSchema({
      type: 'object',
      fields: new Map([
        field('apiVersion', text),
        field('kind', text),
        field('metadata', metadata),
        field('spec', spec),
      ]),
    });
  };
  const V1 = schemaWith('replicas');
  const V2 = schemaWith('size');
  const toV2 = (object: JsonObject): JsonObject => {
    const { replicas, size, ...spec } = object['spec'] as JsonObject;
    return { ...object, apiVersion: 'x/v2', spec: { ...spec, size: replicas ?? size } };
  };
  const convert = (
    object: JsonObject,
    apiVersion: string,
  ): { object: JsonObject; schema: Schema } | undefined =>
    apiVersion === 'x/v2' ? { object: toV2(object), schema: V2 } : undefined;
  const thing = (spec: object, metadata: object = {}): JsonObject =>
    ({
      apiVersion: 'x/v1',
      kind: 'Thing',
      metadata: { name: 't', uid: 'u', ...metadata },
      spec,
    }) as JsonObject;
  const entry = (manager: string, apiVersion: string, fields: object): object => ({
    manager,
    operation: 'Apply',
    apiVersion,
    fieldsType: 'FieldsV1',
    fieldsV1: { 'f:spec': fields },
  });
  const live = frozen(
    thing(
      { replicas: 1, paused: true },
      {
        managedFields: [
          entry('two', 'x/v2', { 'f:size': {}, 'f:paused': {} }),
          entry('gone', 'x/v0', { 'f:count': {} }),
        ],
      },
    ),
  );

  test('lose fields under their own names, and go with their version', () => {
    const object = update(live, changed(live, { spec: { replicas: 2, paused: true } }), {
      schema: V1,
      apiVersion: 'x/v1',
      convert,
    });
    expect(entries(object).map(({ manager, fieldsV1 }) => [manager, fieldsV1])).toEqual([
      ['two', { 'f:spec': { 'f:paused': {} } }],
      ['tester', { 'f:spec': { 'f:replicas': {} } }],
    ]);
  });

  test('conflict under their own names', () => {
    const request = { schema: V1, apiVersion: 'x/v1', kind: 'Thing', convert };
    expect(message(() => apply(live, thing({ replicas: 3 }), request))).toBe(
      'Apply failed with 1 conflict: conflict with "two": .spec.size',
    );
  });

  test('keep what they own when an applier lets go of it', () => {
    const request = { schema: V1, apiVersion: 'x/v1', kind: 'Thing', convert };
    const shared = stored(apply(live, thing({ replicas: 1, paused: true }), request));
    const { object } = apply(shared, thing({}), request);
    expect(object['spec']).toEqual({ replicas: 1, paused: true });
  });
});

test('what no schema describes: objects by field, lists whole', () => {
  const schema = createSchema({
    type: 'object',
    fields: new Map(
      (['apiVersion', 'kind', 'metadata'] as const).map((name) => [
        name,
        DEPLOYMENT.fields.get(name) as FieldSchema,
      ]),
    ),
    preserveUnknownFields: true,
  });
  const request = { schema, apiVersion: 'x/v1', kind: 'Thing' };
  const thing = (spec: object): object => ({
    apiVersion: 'x/v1',
    kind: 'Thing',
    metadata: { name: 't' },
    spec,
  });
  const live = stored(apply(undefined, thing({ a: { b: 1, c: [{ d: 1 }] }, e: {} }), request));
  expect(entries(live)[0]?.fieldsV1).toEqual({
    'f:spec': { '.': {}, 'f:a': { '.': {}, 'f:b': {}, 'f:c': {} }, 'f:e': {} },
  });
  const { object } = apply(live, thing({ a: { b: 1, c: [{ x: 1 }], z: 1 } }), request);
  expect(object['spec']).toEqual({ a: { b: 1, c: [{ x: 1 }], z: 1 } });
});
