import { describe, expect, test } from 'vitest';
import { builtinPackages, builtinResources, schemaOf, schemaOfType, type Schema } from './index.ts';
import { sampleObject } from './testing/index.ts';

const allTypes: readonly (readonly [string, Schema])[] = builtinPackages.flatMap(({ namespace, typeNames }) =>
  typeNames().map((name) => {
    const schema = schemaOfType(namespace, name);
    if (schema === undefined) throw new Error(`${namespace}.${name} has no schema`);
    return [`${namespace}.${name}`, schema] as const;
  }),
);

/** Follows JSON names from a kind: `at('', 'v1', 'Pod', 'spec.containers.ports')`; lists and maps are looked through. */
function at(group: string, version: string, kind: string, path = ''): Schema | undefined {
  let schema = schemaOf(group, version, kind);
  for (const name of path.split('.').filter((part) => part !== '')) {
    while (schema?.type === 'array' || schema?.type === 'map') schema = schema.items;
    schema = schema?.fields.get(name)?.schema;
  }
  return schema;
}

describe('known kinds', () => {
  test.each([
    ['', 'v1', 'Pod', 'io.k8s.api.core.v1.Pod'],
    ['', 'v1', 'List', 'io.k8s.apimachinery.pkg.apis.meta.v1.List'],
    ['', 'v1', 'Status', 'io.k8s.apimachinery.pkg.apis.meta.v1.Status'],
    ['', 'v1', 'Config', 'io.k8s.client-go.tools.clientcmd.api.v1.Config'],
    ['apps', 'v1', 'Deployment', 'io.k8s.api.apps.v1.Deployment'],
    ['apps', 'v1', 'DeleteOptions', 'io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions'],
    ['meta.k8s.io', 'v1', 'Table', 'io.k8s.apimachinery.pkg.apis.meta.v1.Table'],
    ['policy', 'v1', 'Eviction', 'io.k8s.api.policy.v1.Eviction'],
    [
      'apiextensions.k8s.io',
      'v1',
      'CustomResourceDefinition',
      'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition',
    ],
    [
      'apiregistration.k8s.io',
      'v1',
      'APIService',
      'io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService',
    ],
    [
      'kubelet.config.k8s.io',
      'v1beta1',
      'KubeletConfiguration',
      'io.k8s.kubelet.config.v1beta1.KubeletConfiguration',
    ],
  ])('%s/%s %s is %s', (group, version, kind, name) => {
    expect(schemaOf(group, version, kind)?.name).toBe(name);
    expect(schemaOf(group, version, kind)).toBe(schemaOf(group, version, kind));
  });

  test.each([
    ['', 'v1', 'Nothing'],
    ['', 'v1', 'PodSpec'],
    ['', 'v2', 'Pod'],
    ['apps', 'v1', 'Status'],
    ['', 'v1', '__proto__'],
    ['', 'v1', 'constructor'],
  ])('%s/%s %s is none', (group, version, kind) => {
    expect(schemaOf(group, version, kind)).toBeUndefined();
  });

  test('every resource has a schema, every listed one a list', () => {
    for (const { group, version, kind, listKind, verbs, subresources } of builtinResources) {
      expect(schemaOf(group, version, kind)?.fields.has('metadata'), `${group}/${version} ${kind}`).toBe(
        true,
      );
      if (verbs.includes('list')) expect(schemaOf(group, version, listKind)?.fields.has('items')).toBe(true);
      for (const sub of subresources) {
        expect(schemaOf(sub.group, sub.version, sub.kind), `${kind} ${sub.name}`).toBeDefined();
      }
    }
  });
});

describe('markers', () => {
  test.each([
    ['', 'Service', 'spec.ports', 'map', ['port', 'protocol'], ['merge'], 'port'],
    ['', 'Pod', 'spec.containers', 'map', ['name'], ['merge'], 'name'],
    ['', 'Pod', 'spec.containers.ports', 'map', ['containerPort', 'protocol'], ['merge'], 'containerPort'],
    ['', 'Pod', 'spec.containers.command', 'atomic', [], [], undefined],
    ['', 'Pod', 'spec.volumes', 'map', ['name'], ['merge', 'retainKeys'], 'name'],
    [
      '',
      'Pod',
      'spec.topologySpreadConstraints',
      'map',
      ['topologyKey', 'whenUnsatisfiable'],
      ['merge'],
      'topologyKey',
    ],
    ['', 'Pod', 'metadata.finalizers', 'set', [], ['merge'], undefined],
    ['', 'Pod', 'metadata.ownerReferences', 'map', ['uid'], ['merge'], 'uid'],
    ['', 'Pod', 'metadata.managedFields', 'atomic', [], [], undefined],
    ['', 'Node', 'spec.taints', 'atomic', [], [], undefined],
    ['', 'ServiceAccount', 'secrets', 'map', ['name'], ['merge'], 'name'],
  ] as const)('%s%s %s', (group, kind, path, listType, keys, strategy, mergeKey) => {
    const schema = at(group, 'v1', kind, path);
    expect(schema).toMatchObject({ type: 'array', listType, listMapKeys: keys, patchStrategy: strategy });
    expect(schema?.patchMergeKey).toBe(mergeKey);
  });

  test('a strategy without a key, on an object', () => {
    expect(at('apps', 'v1', 'Deployment', 'spec.strategy')?.patchStrategy).toEqual(['retainKeys']);
  });

  test('atomic and granular objects', () => {
    expect(at('apps', 'v1', 'Deployment', 'spec.selector')?.mapType).toBe('atomic');
    expect(at('', 'v1', 'Service', 'spec.selector')?.mapType).toBe('atomic');
    expect(at('', 'v1', 'PersistentVolume', 'spec.claimRef')?.mapType).toBe('granular');
    expect(at('', 'v1', 'Pod', 'spec.nodeSelector')?.mapType).toBe('atomic');
    expect(at('', 'v1', 'Pod', 'metadata.labels')?.mapType).toBeUndefined();
  });

  test('defaults', () => {
    expect(at('', 'v1', 'Service', 'spec.ports.protocol')?.default).toBe('TCP');
    expect(at('', 'v1', 'Pod', 'spec.volumes.azureDisk.cachingMode')?.default).toBe('ReadWrite');
    expect(at('', 'v1', 'Pod', 'spec.volumes.azureDisk.kind')?.default).toBe('Shared');
    expect(at('', 'v1', 'Pod', 'spec.volumes.azureDisk.readOnly')?.default).toBe(false);
    expect(at('', 'v1', 'Pod', 'spec.nodeName')?.default).toBeUndefined();
  });

  test('closed enumerations', () => {
    expect(at('', 'v1', 'Service', 'spec.ports.protocol')?.enum).toEqual(['TCP', 'UDP', 'SCTP']);
    // No +enum on the type: other values are legal.
    expect(at('', 'v1', 'Node', 'status.conditions.type')?.enum).toEqual([]);
  });

  test('fields: required, omitempty, pointer', () => {
    const container = schemaOfType('corev1', 'Container');
    expect(container?.fields.get('name')).toMatchObject({ required: true, omitEmpty: false, pointer: false });
    expect(container?.fields.get('image')).toMatchObject({
      required: false,
      omitEmpty: true,
      pointer: false,
    });
    expect(container?.fields.get('livenessProbe')).toMatchObject({ required: false, pointer: true });
    // +required wins over omitempty.
    expect(schemaOf('batch', 'v1', 'CronJob')?.fields.get('spec')).toMatchObject({
      required: true,
      omitEmpty: true,
    });
  });
});

describe('shapes', () => {
  test('embedded structs are flattened and remembered for protobuf', () => {
    const volume = schemaOfType('corev1', 'Volume');
    expect(volume?.fields.get('name')).toMatchObject({ protoNumber: 1, protoEmbed: -1 });
    expect(volume?.fields.get('emptyDir')).toMatchObject({ protoNumber: 2, protoEmbed: 0 });
    expect(volume?.protoEmbeds.map((embed) => [embed.protoNumber, embed.schema.goName])).toEqual([
      [2, 'VolumeSource'],
    ]);
    const pod = schemaOf('', 'v1', 'Pod');
    expect(pod?.fields.get('apiVersion')).toMatchObject({ protoNumber: 0, protoEmbed: -1 });
  });

  test('embedding twice keeps every field', () => {
    const named = schemaOfType('admissionregistrationv1', 'NamedRuleWithOperations');
    expect([...(named?.fields.keys() ?? [])]).toEqual([
      'resourceNames',
      'operations',
      'apiGroups',
      'apiVersions',
      'resources',
      'scope',
    ]);
  });

  test('recursive types refer to themselves', () => {
    const props = schemaOfType('apiextensionsv1', 'JSONSchemaProps');
    expect(props?.fields.get('not')?.schema).toBe(props);
    expect(props?.fields.get('properties')?.schema.items).toBe(props);
    expect(props?.fields.get('items')?.schema).toMatchObject({ type: 'schemaOrArray', items: props });
    expect(props?.fields.get('dependencies')?.schema.items?.type).toBe('schemaOrStringArray');
  });

  test('aliases are the type they stand for', () => {
    expect(schemaOfType('admissionregistrationv1beta1', 'Rule')).toBe(
      schemaOfType('admissionregistrationv1', 'Rule'),
    );
  });

  test('scalars', () => {
    expect(at('', 'v1', 'Pod', 'spec.containers.resources.limits')).toMatchObject({
      type: 'map',
      items: { type: 'quantity' },
    });
    expect(at('', 'v1', 'Secret', 'data')).toMatchObject({ type: 'map', items: { type: 'bytes' } });
    expect(at('', 'v1', 'Service', 'spec.ports.targetPort')?.type).toBe('intOrString');
    expect(at('', 'v1', 'Event', 'eventTime')?.type).toBe('microTime');
    expect(at('', 'v1', 'Pod', 'metadata.creationTimestamp')?.type).toBe('time');
    expect(at('apps', 'v1', 'ControllerRevision', 'data')?.type).toBe('rawExtension');
    expect(at('', 'v1', 'Pod', 'metadata.managedFields.fieldsV1')?.type).toBe('fieldsV1');
    expect(at('authorization.k8s.io', 'v1', 'SubjectAccessReview', 'spec.extra')?.items).toMatchObject({
      type: 'array',
      protoWrapped: true,
    });
  });
});

describe('all types', () => {
  const names = Object.keys(schemaOfType('corev1', 'Pod') ?? {});

  test('every node has every property, in the same order', () => {
    expect(allTypes.length).toBeGreaterThan(1500);
    for (const [name, schema] of allTypes) {
      for (const node of [schema, ...[...schema.fields.values()].map((field) => field.schema)]) {
        expect(Object.keys(node), name).toEqual(names);
      }
    }
  });

  test('protobuf numbers are unique within a message', () => {
    for (const [name, schema] of allTypes) {
      const own = [...schema.fields.values()].filter(
        (field) => field.protoEmbed < 0 && field.protoNumber > 0,
      );
      const numbers = [...own, ...schema.protoEmbeds].map((member) => member.protoNumber);
      expect(new Set(numbers).size, name).toBe(numbers.length);
    }
  });

  test('either all JSON fields but apiVersion and kind are in protobuf, or none', () => {
    // Configuration files, Tables and the like are never sent as protobuf.
    const mixed = allTypes.filter(([, schema]) => {
      const fields = [...schema.fields.values()].filter(
        ({ name }) => name !== 'apiVersion' && name !== 'kind',
      );
      return fields.some((field) => field.protoNumber > 0) && fields.some((field) => field.protoNumber === 0);
    });
    expect(mixed.map(([name]) => name)).toEqual([]);
  });

  test('the keys of listType map are fields of the element', () => {
    for (const [name, schema] of allTypes) {
      // Upstream's marker names a field that the element does not have; the file is never merged by key.
      if (name === 'kubeschedulerv1.ScoringStrategy') continue;
      for (const field of schema.fields.values()) {
        if (field.schema.listType !== 'map') continue;
        expect(field.schema.listMapKeys.length, `${name}.${field.name}`).toBeGreaterThan(0);
        for (const key of field.schema.listMapKeys) {
          expect(field.schema.items?.fields.has(key), `${name}.${field.name}: ${key}`).toBe(true);
        }
      }
    }
  });

  test('a sample of every type can be made', () => {
    for (const [name, schema] of allTypes) {
      expect(JSON.stringify(sampleObject(schema)), name).toBeDefined();
    }
  });
});
