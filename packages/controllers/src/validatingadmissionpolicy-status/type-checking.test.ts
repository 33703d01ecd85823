import { resourceInfo, schemaOf, type admissionregistrationv1 } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import { checkTypes, type Kinds } from './type-checking.ts';

const RULE = { operations: ['*'], apiGroups: ['apps'], apiVersions: ['v1'], resources: ['deployments'] };

const WIDGET = {
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      properties: { size: { type: 'integer' }, names: { type: 'array', items: { type: 'string' } } },
    },
  },
};

const KINDS: Kinds = {
  kindOf: (group, version, resource) =>
    Promise.resolve(resource === 'widgets' ? 'Widget' : resourceInfo(group, version, resource)?.kind),
  schemaOf({ group, version, kind }) {
    if (kind === 'Widget') return Promise.resolve({ published: WIDGET });
    const table = schemaOf(group, version, kind);
    return Promise.resolve(table === undefined ? undefined : { table });
  },
};

async function warnings(spec: object, rule: object = {}): Promise<readonly (readonly [string, string])[]> {
  const policy = {
    metadata: { name: 'p' },
    spec: { matchConstraints: { resourceRules: [{ ...RULE, ...rule }] }, ...spec },
  } as unknown as admissionregistrationv1.ValidatingAdmissionPolicy;
  const found = await checkTypes(policy, KINDS);
  return found.map(({ fieldRef, warning }) => [fieldRef, warning] as const);
}

const expressions = (...all: readonly string[]): object => ({
  validations: all.map((expression) => ({ expression })),
});

describe('type checking', () => {
  test('finds nothing', async () => {
    expect(
      await warnings(
        expressions(
          'object.spec.replicas > 1',
          "object.metadata.namespace == 'x' && object.metadata.labels['a'] == 'b'",
          'object.spec.template.spec.containers.all(c, has(c.image) && c.resources.limits.size() > 0)',
          'oldObject == null || object.metadata.creationTimestamp == oldObject.metadata.creationTimestamp',
          'object.kind == request.kind.kind',
        ),
      ),
    ).toEqual([]);
  });

  test('finds confused types', async () => {
    const confused = {
      validations: [
        {
          expression: "object.spec.replicas > '1'",
          messageExpression: "'wants replicas > 1, got ' + object.spec.replicas",
        },
      ],
    };
    expect(await warnings(confused)).toEqual([
      [
        'spec.validations[0].expression',
        "apps/v1, Kind=Deployment: compilation failed: ERROR: <input>:1:22: found no matching overload for '_>_' applied to '(int, string)'\n | object.spec.replicas > '1'\n | .....................^\n",
      ],
      [
        'spec.validations[0].messageExpression',
        "apps/v1, Kind=Deployment: compilation failed: ERROR: <input>:1:28: found no matching overload for '_+_' applied to '(string, int)'\n | 'wants replicas > 1, got ' + object.spec.replicas\n | ...........................^\n",
      ],
    ]);
  });

  test.each<[string, object, object, readonly string[]]>([
    ['unknown fields', expressions('object.spec.foo == 1'), {}, ["undefined field 'foo'"]],
    [
      'parameters',
      { ...expressions('params.data.a == 1'), paramKind: { apiVersion: 'v1', kind: 'ConfigMap' } },
      {},
      ["'_==_' applied to '(string, int)'"],
    ],
    [
      'variables',
      {
        ...expressions("variables.r == 'x'"),
        variables: [{ name: 'r', expression: 'object.spec.replicas' }],
      },
      {},
      ["'_==_' applied to '(int, string)'"],
    ],
    [
      'all kinds',
      expressions('object.spec.foo == 1'),
      { resources: ['deployments', 'daemonsets', 'deployments/scale'] },
      ['Kind=DaemonSet', 'Kind=Deployment'],
    ],
    ['no kinds behind wildcards', expressions('object.spec.foo == 1'), { apiGroups: ['*'] }, []],
    ['no kinds that are not known', expressions('object.spec.foo == 1'), { apiGroups: ['example.com'] }, []],
    [
      'custom kinds',
      expressions("object.spec.size == 'x'"),
      { apiGroups: ['example.com'], resources: ['widgets'] },
      ['example.com/v1, Kind=Widget: compilation failed', "'_==_' applied to '(int, string)'"],
    ],
    [
      'no fault of custom kinds, with their metadata',
      expressions(
        "object.metadata.labels['a'] == 'b' && object.spec.names.all(n, n != '') && has(object.kind)",
      ),
      { apiGroups: ['example.com'], resources: ['widgets'] },
      [],
    ],
  ])('%s', async (_name, spec, rule, parts) => {
    const found = await warnings(spec, rule);
    expect(found).toHaveLength(parts.length === 0 ? 0 : 1);
    for (const part of parts) expect(found[0]?.[1]).toContain(part);
  });
});
