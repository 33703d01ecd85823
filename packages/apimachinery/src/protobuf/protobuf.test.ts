import { builtinPackages, createSchema, schemaOf, schemaOfType, type Schema } from '@k8ts/api';
import { sampleObject } from '@k8ts/api/testing';
import { describe, expect, test } from 'vitest';
import {
  decodeProtobuf,
  decodeProtobufMessage,
  encodeProtobuf,
  encodeProtobufMessage,
  encodeProtobufWatchFrame,
  hasProtobuf,
  ProtobufError,
  readProtobufEnvelope,
} from './index.ts';
import { Reader } from './reader.ts';
import { ReverseWriter } from './writer.ts';

function schema(group: string, version: string, kind: string): Schema {
  const found = schemaOf(group, version, kind);
  if (found === undefined) throw new Error(`no schema for ${kind}`);
  return found;
}

function type(namespace: string, name: string): Schema {
  const found = schemaOfType(namespace, name);
  if (found === undefined) throw new Error(`no schema for ${name}`);
  return found;
}

const bytes = (...values: readonly (number | readonly number[])[]): Uint8Array =>
  new Uint8Array(values.flat());
const pod = schema('', 'v1', 'Pod');

function roundTrip(of: Schema, value: object): unknown {
  return decodeProtobufMessage(of, encodeProtobufMessage(of, value));
}

describe('writer and reader', () => {
  test.each([0, 1, 127, 128, 300, 2 ** 31, 2 ** 32 - 1])('%i as varint', (value) => {
    const writer = new ReverseWriter(1);
    writer.uint32(value);
    expect(new Reader(writer.finish()).uint32()).toBe(value);
  });

  test.each([0, -1, 1, 2 ** 31, 2 ** 32, 2 ** 40 + 5, -(2 ** 31), 2 ** 53 - 1, -(2 ** 53) + 1])(
    '%i as int64',
    (value) => {
      const writer = new ReverseWriter(1);
      writer.int64(value);
      expect(new Reader(writer.finish()).int64()).toBe(value);
    },
  );

  test('the smallest and the largest int64', () => {
    const smallest = bytes([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]);
    const largest = bytes([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    expect(new Reader(smallest).int64()).toBe(-(2 ** 63));
    expect(new Reader(largest).int64()).toBe(2 ** 63);
  });

  test('growing at every write loses nothing', () => {
    const writer = new ReverseWriter(1);
    writer.string('ü€😀'.repeat(50));
    writer.double(1.5);
    writer.raw(bytes([1, 2, 3]));
    writer.int64(-5);
    const reader = new Reader(writer.finish());
    expect(reader.int64()).toBe(-5);
    expect([reader.uint32(), reader.uint32(), reader.uint32()]).toEqual([1, 2, 3]);
    expect(reader.double()).toBe(1.5);
    expect(reader.string()).toBe('ü€😀'.repeat(50));
    expect(reader.position).toBe(reader.end);
  });
});

describe('round trips', () => {
  const all = builtinPackages.flatMap(({ namespace, typeNames }) =>
    typeNames()
      .map((name) => [`${namespace}.${name}`, type(namespace, name)] as const)
      .filter(([, candidate]) => hasProtobuf(candidate)),
  );

  test('every type keeps every field', () => {
    expect(all.length).toBeGreaterThan(1000);
    for (const [name, candidate] of all) {
      const sample = stripNested(sampleObject(candidate), candidate) as object;
      expect(roundTrip(candidate, sample), name).toEqual(sample);
    }
  });

  test('custom resource definitions: all three forms of a schema', () => {
    const props = type('apiextensionsv1', 'JSONSchemaProps');
    const value = {
      type: 'object',
      properties: {
        a: { type: 'array', items: { type: 'string' } },
        b: { items: [{ type: 'string' }, { type: 'integer' }] },
        c: { additionalProperties: true, additionalItems: false },
        d: { additionalProperties: { type: 'string' }, default: { x: [1, null] } },
        __proto__x: { enum: ['a', 1, null] },
      },
      dependencies: { x: ['y', 'z'], w: { required: ['v'] } },
      maximum: 1.25,
      'x-kubernetes-preserve-unknown-fields': false,
    };
    expect(roundTrip(props, value)).toEqual(value);
  });

  test.each([
    [
      'numbers and names',
      'Service',
      {
        spec: {
          ports: [
            { port: 80, targetPort: 8080 },
            { port: 81, targetPort: 'web' },
          ],
        },
      },
    ],
    ['negative numbers', 'Pod', { spec: { containers: [], priority: -2147483648 } }],
    [
      'pointers to zero values',
      'Pod',
      { spec: { containers: [], terminationGracePeriodSeconds: 0, hostUsers: false } },
    ],
    ['empty and hostile keys', 'ConfigMap', { data: JSON.parse('{"": "a", "__proto__": "b"}') as object }],
    ['empty bytes', 'Secret', { data: { a: '', b: 'AA==' } }],
    ['text of all planes', 'ConfigMap', { data: { a: 'ü€😀\u0000' } }],
  ])('%s', (_, kind, value) => {
    const of = schema('', 'v1', kind);
    expect(roundTrip(of, { metadata: { name: 'n' }, ...value })).toMatchObject(value);
  });

  test('quantities become canonical, as Go writes them', () => {
    const value = { limits: { cpu: '0.5', memory: 1024 } };
    expect(roundTrip(type('corev1', 'ResourceRequirements'), value)).toEqual({
      limits: { cpu: '500m', memory: '1024' },
    });
  });
});

/** apiVersion and kind inside an object (a claim template, say) are not in protobuf. */
function stripNested(value: unknown, of: Schema): unknown {
  if (Array.isArray(value))
    return (value as unknown[]).map((item) => (of.items === undefined ? item : stripNested(item, of.items)));
  if (typeof value !== 'object' || value === null) return value;
  if (of.type === 'map') {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [
        key,
        of.items === undefined ? item : stripNested(item, of.items),
      ]),
    );
  }
  if (of.type.startsWith('schemaOr') && of.items !== undefined) return stripNested(value, of.items);
  if (of.type !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, item]) => {
      const field = of.fields.get(name);
      if (field === undefined || field.protoNumber === 0) return [];
      return [[name, stripNested(item, field.schema)]];
    }),
  );
}

describe('decoding as Go would', () => {
  test('zero values that JSON leaves out are left out, pointers to them are not', () => {
    // restartPolicy = 3 "", hostNetwork = 11 false, terminationGracePeriodSeconds = 4 → 0 (pointer)
    const spec = bytes([0x1a, 0], [0x58, 0], [0x20, 0]);
    const decoded = decodeProtobufMessage(type('corev1', 'PodSpec'), spec);
    expect(decoded).toEqual({ terminationGracePeriodSeconds: 0, containers: [] });
  });

  test('a required field that a proto3 writer left out is there', () => {
    expect(decodeProtobufMessage(type('corev1', 'ContainerStatus'), bytes())).toMatchObject({
      name: '',
      ready: false,
      restartCount: 0,
    });
  });

  test('the last of several values counts, messages are merged', () => {
    const meta = bytes([0x0a, 1, 0x61], [0x0a, 1, 0x62]); // name a, name b
    const twice = bytes([0x0a, 3, 0x12, 1, 0x67], [0x0a, meta.length], [...meta]); // metadata: generateName g; then names
    expect(decodeProtobufMessage(pod, twice)['metadata']).toEqual({ generateName: 'g', name: 'b' });
  });

  test('packed numbers', () => {
    // supplementalGroups = 4 of PodSecurityContext, packed and plain
    const packed = bytes([0x22, 3, 1, 0xac, 0x02], [0x20, 5]);
    expect(decodeProtobufMessage(type('corev1', 'PodSecurityContext'), packed)).toEqual({
      supplementalGroups: [1, 300, 5],
    });
  });

  test('unknown fields are passed over, in every wire type', () => {
    const unknown = bytes(
      [0xf8, 0x7f, 1], // varint
      [0xf9, 0x7f, 1, 2, 3, 4, 5, 6, 7, 8], // fixed64
      [0xfa, 0x7f, 2, 1, 2], // bytes
      [0xfb, 0x7f, 0xf8, 0x7f, 1, 0xfc, 0x7f], // group
      [0xfd, 0x7f, 1, 2, 3, 4], // fixed32
      [0x0a, 1, 0x61],
    );
    expect(decodeProtobufMessage(type('metav1', 'ObjectMeta'), unknown)).toEqual({ name: 'a' });
  });

  test('a zero time in a map is null', () => {
    const status = bytes([0x12, 5, 0x0a, 1, 0x70, 0x12, 0]); // disruptedPods: { p: {} }
    expect(
      decodeProtobufMessage(type('policyv1', 'PodDisruptionBudgetStatus'), status)['disruptedPods'],
    ).toEqual({
      p: null,
    });
  });
});

describe('the envelope', () => {
  const object = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' }, spec: { containers: [] } };

  test('says what the object is', () => {
    const encoded = encodeProtobuf(pod, object);
    expect(readProtobufEnvelope(encoded)).toMatchObject({
      apiVersion: 'v1',
      kind: 'Pod',
      contentType: '',
      contentEncoding: '',
    });
    expect(decodeProtobuf(pod, encoded)).toMatchObject(object);
  });

  test.each([
    ['', 'empty data'],
    ['6b3873', 'provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]'],
    [
      '7b7d7b7d7b7d',
      'provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]',
    ],
    ['6b387300', 'empty body'],
    ['6b3873000a', 'unexpected EOF'],
    ['6b38730008', 'proto: wrong wireType = 0 for field 1'],
    ['6b3873000aff01', 'unexpected EOF'],
  ])('%s is refused: %s', (hex, message) => {
    expect(() => readProtobufEnvelope(Buffer.from(hex, 'hex'))).toThrow(new ProtobufError(message));
  });

  test('a watch frame: length, type, object with its envelope', () => {
    const encoded = encodeProtobuf(pod, object);
    const frame = encodeProtobufWatchFrame('ADDED', encoded);
    const length = new DataView(frame.buffer, frame.byteOffset).getUint32(0);
    expect(length).toBe(frame.length - 4);
    const reader = new Reader(frame.subarray(4));
    expect([reader.uint32(), reader.string()]).toEqual([0x0a, 'ADDED']);
    expect(reader.uint32()).toBe(0x12);
    reader.limit();
    expect(reader.uint32()).toBe(0x0a);
    expect(Buffer.from(reader.bytes()).equals(encoded)).toBe(true);
  });

  test('kinds without protobuf are known', () => {
    expect(hasProtobuf(pod)).toBe(true);
    expect(hasProtobuf(schema('meta.k8s.io', 'v1', 'PartialObjectMetadata'))).toBe(true);
    expect(hasProtobuf(schema('meta.k8s.io', 'v1', 'Table'))).toBe(false);
    expect(hasProtobuf(schema('kubelet.config.k8s.io', 'v1beta1', 'KubeletConfiguration'))).toBe(false);
    expect(hasProtobuf(createSchema({ type: 'object' }))).toBe(false);
    expect(hasProtobuf(createSchema({ type: 'json' }))).toBe(false);
  });
});

describe('hostile bytes', () => {
  const meta = type('metav1', 'ObjectMeta');

  test.each([
    ['a length beyond the end', bytes([0x0a, 5, 0x61]), 'unexpected EOF'],
    [
      'a length beyond the message around it',
      bytes([0x6a, 2, 0x0a, 9], [0, 0, 0, 0, 0, 0, 0, 0, 0]),
      'unexpected EOF',
    ],
    [
      'a negative length',
      bytes([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
      'proto: negative length found during unmarshaling',
    ],
    ['an endless varint', bytes([0x38], new Array<number>(11).fill(0xff)), 'proto: integer overflow'],
    ['an endless tag', bytes(new Array<number>(11).fill(0xff)), 'proto: integer overflow'],
    ['half a varint', bytes([0x38, 0x80]), 'unexpected EOF'],
    ['field number 0', bytes([0x02, 0]), 'proto: illegal tag 0 (wire type 2)'],
    ['another wire type', bytes([0x08, 0]), 'proto: wrong wireType = 0 for field name'],
    ['a wire type that does not exist', bytes([0xff, 0x7f]), 'proto: illegal wireType 7'],
    ['a group that ends without having begun', bytes([0xfc, 0x7f]), 'proto: unexpected end of group'],
    ['groups in groups', bytes(new Array<number>(300).fill(0x7b)), 'proto: groups are nested too deeply'],
  ])('%s', (_, message, error) => {
    expect(() => decodeProtobufMessage(meta, message)).toThrow(new ProtobufError(error));
  });

  test('every prefix of a message is decoded or refused, never a crash', () => {
    const whole = encodeProtobufMessage(pod, sampleObject(pod));
    for (let length = 0; length < whole.length; length += 41) {
      try {
        decodeProtobufMessage(pod, whole.subarray(0, length));
      } catch (error) {
        expect(error).toBeInstanceOf(ProtobufError);
      }
    }
  });

  test('every flipped byte is decoded or refused, never a crash', () => {
    const whole = Buffer.from(encodeProtobufMessage(pod, sampleObject(pod)));
    for (let index = 0; index < whole.length; index += 17) {
      const broken = Buffer.from(whole);
      broken[index] = (broken[index] as number) ^ (1 << (index % 8));
      try {
        decodeProtobufMessage(pod, broken);
      } catch (error) {
        expect(error).toBeInstanceOf(ProtobufError);
      }
    }
  });

  test('nesting without end', () => {
    const props = type('apiextensionsv1', 'JSONSchemaProps');
    let message: Buffer = Buffer.alloc(0);
    for (let depth = 0; depth < 600; depth++) {
      const writer = new ReverseWriter(message.length + 16);
      writer.bytes(message);
      writer.tag(28, 2); // not
      message = writer.finish();
    }
    expect(() => decodeProtobufMessage(props, message)).toThrow('the message is nested too deeply');
    let value: object = {};
    for (let depth = 0; depth < 600; depth++) value = { not: value };
    expect(() => encodeProtobufMessage(props, value)).toThrow('the object is nested too deeply');
  });

  test('more values than allowed', () => {
    const list = schema('', 'v1', 'PodList');
    const message = Buffer.alloc(20_000);
    for (let index = 0; index < message.length; index += 2) message[index] = 0x12; // items: [{}, {}, …]
    expect(() => decodeProtobufMessage(list, message, { values: 1000 })).toThrow(
      'the message holds too many values',
    );
    const decoded = decodeProtobufMessage(list, message);
    expect((decoded['items'] as unknown[]).length).toBe(10_000);
  });

  test.each([
    [
      'a year that no time can have',
      'metav1',
      'ObjectMeta',
      [0x42, 7, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
      /year/,
    ],
    [
      'a number that is none',
      'apiextensionsv1',
      'JSONSchemaProps',
      [0x49, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f],
      /unsupported value: NaN/,
    ],
    ['raw bytes that are no JSON', 'appsv1', 'ControllerRevision', [0x12, 3, 0x0a, 1, 0x7b], /RawExtension/],
  ])('%s', (_, namespace, name, message, error) => {
    expect(() => decodeProtobufMessage(type(namespace, name), bytes(message))).toThrow(error);
  });
});

describe('objects that do not fit their schema', () => {
  test.each([
    [{ spec: { containers: {} } }, 'spec.containers: must be an array'],
    [{ spec: { containers: [{ name: 5 }] } }, 'spec.containers.name: must be a string'],
    [{ spec: { hostNetwork: 'yes' } }, 'spec.hostNetwork: must be a boolean'],
    [{ spec: { priority: 1.5 } }, 'spec.priority: must be an integer'],
    [{ spec: { priority: 2 ** 60 } }, 'spec.priority: must be an integer'],
    [{ metadata: { labels: [] } }, 'metadata.labels: must be an object'],
    [{ metadata: { creationTimestamp: 'yesterday' } }, /^metadata\.creationTimestamp: parsing time/],
    [{ spec: { overhead: { cpu: 'much' } } }, /^spec\.overhead: quantities must match/],
  ])('%j', (value, message) => {
    expect(() => encodeProtobufMessage(pod, value)).toThrow(message);
    expect(() => encodeProtobufMessage(pod, value)).toThrow(ProtobufError);
  });
});
