import { describe, expect, test } from 'vitest';
import { schemaOf } from '@k8ts/api';
import type { Schema } from '@k8ts/api';
import { seededRandom } from '@k8ts/base';
import type { JsonObject, JsonValue } from '../json.ts';
import { StatusError } from '../status-error.ts';
import { decodeObject, parseBody } from './decode-object.ts';
import type { FieldValidation } from './decode-object.ts';
import { countMembers, scanJson } from './json-scan.ts';
import { findDuplicateMembers } from './json-syntax.ts';
import { normalizeObject } from './normalize.ts';
import { formatYaml, parseYaml, parseYamlDocuments } from './yaml.ts';

const DEPLOYMENT = { group: 'apps', version: 'v1', kind: 'Deployment' };
const POD = { group: '', version: 'v1', kind: 'Pod' };
type Kind = typeof POD;

function schemaFor({ group, version, kind }: Kind): Schema {
  return schemaOf(group, version, kind) as Schema;
}

function decode(
  body: string | object,
  kind: Kind = POD,
  fieldValidation: FieldValidation = 'Strict',
  format: 'json' | 'yaml' = 'json',
): { object: JsonObject; warnings: readonly string[] } {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return decodeObject(text, { schema: schemaFor(kind), kind, fieldValidation, format });
}

function refusal(run: () => unknown): { code: number; message: string } {
  try {
    run();
  } catch (error) {
    if (error instanceof StatusError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('nothing was refused');
}

const pod = (spec: object): object => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec });
const inContainer = (fields: object): object => pod({ containers: [{ name: 'c', ...fields }] });
const containerOf = (object: JsonObject): JsonObject =>
  ((object['spec'] as JsonObject)['containers'] as JsonObject[])[0] as JsonObject;

describe('normal form', () => {
  test('has what Go always writes', () => {
    expect(decode({ metadata: { name: 'p' }, spec: { containers: [{ name: 'c' }] } }).object).toEqual({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p' },
      spec: { containers: [{ name: 'c', resources: {} }] },
      status: {},
    });
  });

  test('leaves out null and what is empty under omitempty, but not pointers to zero', () => {
    const { object } = decode(
      {
        metadata: { labels: {}, annotations: null, namespace: '' },
        spec: {
          replicas: 0,
          minReadySeconds: 0,
          paused: false,
          revisionHistoryLimit: null,
          template: { spec: { volumes: [], nodeSelector: {}, containers: [], hostNetwork: false } },
        },
      },
      DEPLOYMENT,
    );
    expect(object).toEqual({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: {},
      spec: { replicas: 0, strategy: {}, template: { metadata: {}, spec: { containers: [] } } },
      status: {},
    });
  });

  test('canonical quantities, times, base64', () => {
    const container = containerOf(
      decode(inContainer({ resources: { limits: { cpu: 0.5, memory: '1024Mi' } } })).object,
    );
    expect(container['resources']).toEqual({ limits: { cpu: '500m', memory: '1Gi' } });
    const meta = decode({
      metadata: { creationTimestamp: '2026-01-31T14:00:00.5+02:00', deletionTimestamp: null },
    }).object;
    expect(meta['metadata']).toEqual({ creationTimestamp: '2026-01-31T12:00:00Z' });
    const secret = decode({ data: { a: 'YR==', b: 'YW\nJj' } }, { group: '', version: 'v1', kind: 'Secret' });
    expect(secret.object['data']).toEqual({ a: 'YQ==', b: 'YWJj' });
  });

  test('null elements are zero values', () => {
    const container = containerOf(decode(inContainer({ args: ['a', null] })).object);
    expect(container['args']).toEqual(['a', '']);
  });

  test('null elements are objects of their own, which defaults can be put into', () => {
    const { object } = decode(inContainer({ ports: [null, null] }));
    const [first, second] = containerOf(object)['ports'] as [Record<string, unknown>, object];
    first['protocol'] = 'TCP';
    expect(second).not.toHaveProperty('protocol');
  });

  test('shared parts are neither changed nor looked at again', () => {
    const live = decode(inContainer({ image: 'a' })).object;
    const frozen = Object.freeze({
      ...live,
      spec: Object.freeze({ ...(live['spec'] as object), nodeName: '' }),
    });
    const { object } = normalizeObject(frozen, schemaFor(POD), { live });
    expect(object).toEqual(live);
    expect(object['metadata']).toBe(live['metadata']);
    expect((object['spec'] as JsonObject)['containers']).toBe((live['spec'] as JsonObject)['containers']);
  });

  test('is stable', () => {
    const once = decode(
      inContainer({ livenessProbe: { httpGet: { port: 'http' } }, env: [{ name: 'a' }] }),
    ).object;
    expect(normalizeObject(once, schemaFor(POD)).object).toBe(once);
  });
});

describe('field validation', () => {
  const body = `{"apiVersion":"apps/v1","kind":"Deployment","spec":{"foo":1,"replicas":1,"replicas":2,
    "template":{"spec":{"containers":[{"name":"c","nope":{"name":1}}]}}},"metadata":{"labels":{"a":"1","a":"2"}}}`;

  test('strict: all faults in one error', () => {
    expect(refusal(() => decode(body, DEPLOYMENT))).toEqual({
      code: 400,
      message:
        'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field "spec.foo", unknown field "spec.template.spec.containers[0].nope", duplicate field "spec.replicas", duplicate field "metadata.labels.a"',
    });
  });

  test('warn: the same as warnings; the last of repeated fields wins', () => {
    const { object, warnings } = decode(body, DEPLOYMENT, 'Warn');
    expect(warnings).toEqual([
      'unknown field "spec.foo"',
      'unknown field "spec.template.spec.containers[0].nope"',
      'duplicate field "spec.replicas"',
      'duplicate field "metadata.labels.a"',
    ]);
    expect((object['spec'] as JsonObject)['replicas']).toBe(2);
    expect(object['spec']).not.toHaveProperty('foo');
  });

  test('ignore', () => {
    expect(decode(body, DEPLOYMENT, 'Ignore').warnings).toEqual([]);
  });

  test('names are case sensitive, and those of Object.prototype are unknown', () => {
    expect(decode('{"Spec":{},"constructor":1,"__proto__":{"x":1}}', POD, 'Warn').warnings).toEqual([
      'unknown field "Spec"',
      'unknown field "constructor"',
      'unknown field "__proto__"',
    ]);
  });

  test('duplicates inside of free-form JSON', () => {
    const kind = { group: 'apps', version: 'v1', kind: 'ControllerRevision' };
    expect(decode('{"data":{"a":1,"a":2},"revision":1}', kind, 'Warn').warnings).toEqual([
      'duplicate field "data.a"',
    ]);
  });

  test('patches are looked at too', () => {
    expect(parseBody('{"a":{"b":1,"b":2}}', 'json', true)).toEqual({
      value: { a: { b: 2 } },
      strictErrors: ['duplicate field "a.b"'],
    });
    expect(parseBody('{"a":{"b":1,"b":2}}', 'json', false).strictErrors).toEqual([]);
  });

  test('at most 100', () => {
    const fields = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`f${i}`, 1]));
    expect(decode(fields, POD, 'Warn').warnings).toHaveLength(100);
  });
});

describe('type errors', () => {
  test.each<[Kind, object, string]>([
    [
      DEPLOYMENT,
      { spec: { replicas: '3' } },
      'json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32',
    ],
    [
      DEPLOYMENT,
      { spec: { replicas: 1.5 } },
      'json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32',
    ],
    [
      DEPLOYMENT,
      { spec: { replicas: 3000000000 } },
      'json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32',
    ],
    [
      DEPLOYMENT,
      { spec: [] },
      'json: cannot unmarshal array into Go struct field Deployment.spec of type v1.DeploymentSpec',
    ],
    [
      POD,
      { metadata: { labels: { a: 1 } } },
      'json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string',
    ],
    [
      POD,
      { spec: { containers: {} } },
      'json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container',
    ],
    [
      POD,
      { spec: { containers: [{ image: true }] } },
      'json: cannot unmarshal bool into Go struct field Container.spec.containers.image of type string',
    ],
    [
      POD,
      { spec: { nodeSelector: 'x' } },
      'json: cannot unmarshal string into Go struct field PodSpec.spec.nodeSelector of type map[string]string',
    ],
    [
      POD,
      { spec: { hostNetwork: 'x' } },
      'json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool',
    ],
    [
      POD,
      inContainer({ resources: { limits: { cpu: 'lots' } } }),
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ],
    [POD, inContainer({ resources: { limits: { cpu: '1mm' } } }), "unable to parse quantity's suffix"],
    [
      POD,
      { metadata: { creationTimestamp: 'now' } },
      'parsing time "now" as "2006-01-02T15:04:05Z07:00": cannot parse "now" as "2006"',
    ],
    [
      POD,
      { metadata: { creationTimestamp: 5 } },
      'json: cannot unmarshal number into Go value of type string',
    ],
    [
      POD,
      inContainer({ livenessProbe: { httpGet: { port: 1.5 } } }),
      'json: cannot unmarshal number 1.5 into Go value of type int32',
    ],
    [
      { group: '', version: 'v1', kind: 'Secret' },
      { data: { a: 'a*bc' } },
      'illegal base64 data at input byte 1',
    ],
    [
      POD,
      { spec: { activeDeadlineSeconds: 2 ** 60 } },
      'json: cannot unmarshal number 1152921504606846976 into Go struct field PodSpec.spec.activeDeadlineSeconds of type int64',
    ],
  ])('%j: %j', (kind, body, message) => {
    expect(refusal(() => decode(body, kind))).toEqual({
      code: 400,
      message: `${kind.kind} in version "v1" cannot be handled as a ${kind.kind}: ${message}`,
    });
  });
});

describe('bodies that are no such object', () => {
  const recognized = 'the object provided is unrecognized (must be of type Pod): ';
  const parseError = `${recognized}couldn't get version/kind; json parse error: `;
  test.each([
    ['', `${parseError}unexpected end of JSON input (<empty>)`],
    ['hello', `${parseError}invalid character 'h' looking for beginning of value (68656c6c6f)`],
    ['{"a"', `${parseError}unexpected end of JSON input ({"a")`],
    ['{"a":1,}', `${parseError}invalid character '}' looking for beginning of object key string ({"a":1,})`],
    ['{"a" 1}', `${parseError}invalid character '1' after object key ({"a" 1})`],
    ['{"a":1 "b":2}', `${parseError}invalid character '"' after object key:value pair ({"a":1 "b":2})`],
    ['[1 2]', `${parseError}invalid character '2' after array element (5b3120325d)`],
    ['{}x', `${parseError}invalid character 'x' after top-level value ({}x)`],
    ['{"a":"\n"}', `${parseError}invalid character '\\n' in string literal ({"a":"\n"})`],
    ['{"a":tru}', `${parseError}invalid character '}' in literal true (expecting 'e') ({"a":tru})`],
    ['{"a":01}', `${parseError}invalid character '1' after object key:value pair ({"a":01})`],
    [
      '{"kind":5}',
      `${parseError}json: cannot unmarshal number into Go struct field .kind of type string ({"kind":5})`,
    ],
    ['{"apiVersion":"a/b/c"}', `${recognized}unexpected GroupVersion string: a/b/c ({"apiVersion":"a/b/c"})`],
    [
      '{"kind":"Foo","apiVersion":"v1"}',
      'Foo in version "v1" cannot be handled as a Pod: no kind "Foo" is registered for version "v1" in scheme "pkg/api/legacyscheme/scheme.go:30"',
    ],
    [
      '{"kind":"Deployment","apiVersion":"apps/v1"}',
      'Deployment in version "v1" cannot be handled as a Pod: converting (v1.Deployment) to (core.Pod): unknown conversion',
    ],
  ])('%j', (body, message) => {
    expect(refusal(() => decode(body))).toEqual({ code: 400, message });
  });

  test('lists', () => {
    expect(refusal(() => decode('[]')).message).toContain(
      'cannot unmarshal array into Go value of type struct',
    );
  });

  test('another version of the kind', () => {
    const kind = { group: 'autoscaling', version: 'v2', kind: 'HorizontalPodAutoscaler' };
    const body = { apiVersion: 'autoscaling/v1', kind: 'HorizontalPodAutoscaler' };
    expect(refusal(() => decode(body, kind)).message).toBe(
      'the API version in the data (autoscaling/v1) does not match the expected API version (autoscaling/v2)',
    );
  });

  test.each([
    ['deep lists', '['.repeat(1e6)],
    ['deep objects', '{"a":'.repeat(1e6)],
    ['deep, and valid', `{"spec":${'['.repeat(1e5)}${']'.repeat(1e5)}}`],
    ['deep unknown field', `{"x":${'{"a":'.repeat(2000)}1${'}'.repeat(2000)}}`],
  ])('%s', (_name, body) => {
    expect(refusal(() => decode(body))).toMatchObject({ code: 400 });
    expect(refusal(() => decode(body, POD, 'Strict', 'yaml'))).toMatchObject({ code: 400 });
  });

  test('bytes that are no UTF-8 do not crash', () => {
    const body = Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]);
    const { warnings } = decodeObject(body, { schema: schemaFor(POD), kind: POD, fieldValidation: 'Warn' });
    expect(warnings).toEqual(['unknown field "\ufffd"']);
  });
});

describe('the scan of JSON text', () => {
  test.each([
    ['{}', 0, 1],
    ['{"a":{"b":[1,{"c":"x:{\\"y\\":1}"}]}}', 3, 4],
    ['["\\\\",":"]', 0, 1],
    ['{"a\\"b":"\\\\\\""}', 1, 1],
  ])('%s', (text, members, depth) => {
    expect(scanJson(text)).toEqual({ members, depth });
  });

  test('agrees with JSON.parse on random values', () => {
    const random = seededRandom(3);
    const strings = ['', 'a', '"', '\\', ':', '{', '\\"', 'ü', '\u2028', '}]'];
    const pick = (): string => strings[Math.floor(random() * strings.length)] as string;
    const randomValue = (depth: number): JsonValue => {
      const kind = random();
      if (depth === 0 || kind < 0.3) return kind < 0.1 ? null : kind < 0.2 ? 5 : pick();
      if (kind < 0.6) return Array.from({ length: Math.floor(random() * 4) }, () => randomValue(depth - 1));
      return Object.fromEntries(
        Array.from({ length: Math.floor(random() * 4) }, (_, i) => [pick() + i, randomValue(depth - 1)]),
      );
    };
    for (let i = 0; i < 500; i++) {
      const value = randomValue(5);
      const text = JSON.stringify(value, undefined, i % 3);
      expect(scanJson(text).members).toBe(countMembers(value));
      expect(findDuplicateMembers(text)).toEqual([]);
    }
  });

  test('repeated members are found wherever they are', () => {
    expect(findDuplicateMembers('{"a":1,"\\u0061":2,"l":[{"x":1},{"y":{"z":1,"z":2,"z":3}}]}')).toEqual([
      'a',
      'l[1].y.z',
    ]);
  });
});

describe('YAML', () => {
  test('is read as Kubernetes does', () => {
    expect(
      parseYaml('a: yes\nb: 0o10\nc: 010\nd: 80:80\ne: 2001-01-01\nf: ~\n1: x\ng: "no"\nh: 1e3\n').value,
    ).toEqual({ a: true, b: '0o10', c: 8, d: '80:80', e: '2001-01-01', f: null, '1': 'x', g: 'no', h: 1000 });
  });

  test('bodies', () => {
    const { object, warnings } = decode(
      'spec:\n  replicas: 1\n  replicas: 2\n  foo: 1\n',
      DEPLOYMENT,
      'Warn',
      'yaml',
    );
    expect((object['spec'] as JsonObject)['replicas']).toBe(2);
    expect(warnings).toEqual([
      'error converting YAML to JSON: yaml: unmarshal errors:\n  line 3: key "replicas" already set in map',
      'unknown field "spec.foo"',
    ]);
    expect(decode('{"metadata":{"name":"x"}}', POD, 'Strict', 'yaml').object['metadata']).toEqual({
      name: 'x',
    });
  });

  test('several documents', () => {
    expect(parseYamlDocuments('a: 1\n---\n---\nb: 2\n')).toEqual([{ a: 1 }, { b: 2 }]);
  });

  test.each([
    ['a: b: c', /^error converting YAML to JSON: yaml: line 1: /],
    ['a: [', /^error converting YAML to JSON: yaml: line \d+: /],
    [
      `a0: &a0 [x,x]\n${Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i},*a${i},*a${i},*a${i}]`).join('\n')}`,
      /excessive aliasing/,
    ],
    ['[\n'.repeat(20_000), /^(exceeded max depth|error converting YAML to JSON: .*)/],
    ['- '.repeat(20_000), /^(exceeded max depth|error converting YAML to JSON: .*)/],
  ])('%# is refused', (text, message) => {
    expect(() => parseYaml(text)).toThrow(message);
  });

  test('as deep as allowed, and not deeper', () => {
    const flow = (depth: number): string => `a: ${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}`;
    const block = (depth: number): string =>
      Array.from({ length: depth }, (_, i) => `${' '.repeat(i)}a:`).join('\n');
    for (const text of [flow(200), block(200), '- '.repeat(200)]) {
      const { value } = parseYaml(text);
      expect(parseYaml(formatYaml(value)).value).toEqual(value);
    }
    for (const text of [flow(203), block(203), '- '.repeat(203)])
      expect(() => parseYaml(text)).toThrow('exceeded max depth');
    expect(() => formatYaml(JSON.parse(`${'['.repeat(300)}${']'.repeat(300)}`))).toThrow(
      'exceeded max depth',
    );
  });

  test('__proto__ is a name like others', () => {
    const { value } = parseYaml('__proto__:\n  polluted: 1\n');
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  });

  test('is written with sorted keys, ambiguous strings quoted', () => {
    const shared = { x: 1 };
    expect(
      formatYaml({ b: [shared, shared], a: 'yes', c: '0777', d: 'multi\nline\n', e: null, f: '80:80' }),
    ).toBe('a: "yes"\nb:\n- x: 1\n- x: 1\nc: "0777"\nd: |\n  multi\n  line\ne: null\nf: 80:80\n');
  });
});
