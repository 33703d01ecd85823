/** Whatever clients send, it is answered with a Status and changes nothing it should not; see docs/adr/0041 and 0044. */
import { describe, expect, test } from 'vitest';
import { schemaOf } from '@k8ts/api';
import type { Schema } from '@k8ts/api';
import { seededRandom } from '@k8ts/base';
import type { Random } from '@k8ts/base';
import { decodeObject } from './codec/decode-object.ts';
import { DecodeError, normalizeObject } from './codec/normalize.ts';
import { jsonEqual } from './json.ts';
import type { JsonObject } from './json.ts';
import { applyPatch } from './managed-fields/apply.ts';
import { forEachPath, parseFieldSet } from './managed-fields/field-set.ts';
import { entriesOf, updateManagedFields } from './managed-fields/update.ts';
import { applyJsonMergePatch } from './patch/json-merge-patch.ts';
import { applyJsonPatch } from './patch/json-patch.ts';
import { applyStrategicMergePatch } from './patch/strategic-merge-patch.ts';
import { applyDefaults } from './schema/default.ts';
import { StatusError } from './status-error.ts';
import { randomValue, tampered } from './testing/random-object.ts';

const KINDS = [
  ['', 'v1', 'Pod'],
  ['apps', 'v1', 'Deployment'],
  ['', 'v1', 'Service'],
  ['', 'v1', 'Node'],
  ['', 'v1', 'Secret'],
  ['rbac.authorization.k8s.io', 'v1', 'ClusterRole'],
  ['apiextensions.k8s.io', 'v1', 'CustomResourceDefinition'],
  ['discovery.k8s.io', 'v1', 'EndpointSlice'],
] as const;
const ROUNDS = 25;

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}

function randomObject(schema: Schema, random: Random, apiVersion: string, kind: string): JsonObject {
  const object = randomValue(schema, random, 8) as JsonObject;
  const { managedFields: _managedFields, ...metadata } = (object['metadata'] ?? {}) as JsonObject;
  return { ...object, apiVersion, kind, metadata: { ...metadata, name: 'x', uid: 'u' } };
}

/** The result, or undefined where a Status said no. */
function orRefused<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (error instanceof StatusError && error.code < 500) return undefined;
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

describe.each(KINDS)('%s/%s %s', (group, version, kind) => {
  const schema = schemaOf(group, version, kind) as Schema;
  const apiVersion = group === '' ? version : `${group}/${version}`;
  const seed = kind.length * 1000 + kind.charCodeAt(0);
  const managers = { manager: 'm', apiVersion, schema, now: 0 };

  test('valid objects decode without complaint, once and for all', () => {
    const random = seededRandom(seed);
    for (let i = 0; i < ROUNDS; i++) {
      const object = randomObject(schema, random, apiVersion, kind);
      const decoded = decodeObject(JSON.stringify(object), {
        schema,
        kind: { group, version, kind },
        fieldValidation: 'Strict',
      }).object;
      deepFreeze(decoded);
      expect(normalizeObject(decoded, schema).object).toBe(decoded);
      const defaulted = deepFreeze(applyDefaults(decoded, schema));
      expect(applyDefaults(defaulted, schema)).toBe(defaulted);
    }
  });

  test('tampered bodies are decoded or refused', () => {
    const random = seededRandom(seed + 1);
    for (let i = 0; i < ROUNDS * 3; i++) {
      const body = JSON.stringify(tampered(randomObject(schema, random, apiVersion, kind), random));
      for (const fieldValidation of ['Warn', 'Strict', 'Ignore'] as const) {
        const decoded = orRefused(() =>
          decodeObject(body, { schema, kind: { group, version, kind }, fieldValidation }),
        );
        if (decoded === undefined) continue;
        const { object } = normalizeObject(deepFreeze(decoded.object), schema);
        expect(object).toBe(decoded.object);
      }
    }
  });

  test('patches leave the original alone, and a patched object decodes or is refused', () => {
    const random = seededRandom(seed + 2);
    for (let i = 0; i < ROUNDS * 2; i++) {
      const live = deepFreeze(normalizeObject(randomObject(schema, random, apiVersion, kind), schema).object);
      const patch = deepFreeze(tampered(randomObject(schema, random, apiVersion, kind), random));
      for (const apply of [
        () => applyStrategicMergePatch(live, patch, schema),
        () => applyJsonMergePatch(live, patch),
        () =>
          applyJsonPatch(live, [
            { op: 'add', path: '/spec', value: patch },
            { op: 'copy', from: '/spec', path: '/spec/copy' },
            { op: 'test', path: '/metadata/name', value: 'x' },
          ]),
      ]) {
        const patched = orRefused(apply);
        if (patched === undefined) continue;
        const normal = orRefused(() => normalizeObject(deepFreeze(patched), schema, { live }));
        if (normal !== undefined) expect(normalizeObject(normal.object, schema).object).toBe(normal.object);
      }
    }
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  test('a patch of the object itself changes nothing', () => {
    const random = seededRandom(seed + 3);
    for (let i = 0; i < ROUNDS; i++) {
      const live = deepFreeze(normalizeObject(randomObject(schema, random, apiVersion, kind), schema).object);
      // Null is a value inside of free-form JSON, but a merge patch cannot say so.
      if (JSON.stringify(live).includes('null')) continue;
      expect(jsonEqual(applyJsonMergePatch(live, live), live)).toBe(true);
    }
  });

  test('managed fields: what an update changes is the manager’s own, and nothing is owned that is not there', () => {
    const random = seededRandom(seed + 4);
    let live: JsonObject | undefined;
    for (let i = 0; i < ROUNDS; i++) {
      const next = deepFreeze(normalizeObject(randomObject(schema, random, apiVersion, kind), schema).object);
      const written: JsonObject = deepFreeze(
        updateManagedFields({ ...managers, liveObject: live, newObject: next, manager: `m${i % 12}` }),
      );
      for (const entry of entriesOf(written) ?? []) {
        expect(parseFieldSet(entry.fieldsV1)).toEqual(entry.fieldsV1);
        forEachPath(entry.fieldsV1, (path) => expect(path).toMatch(/^[.[]/));
      }
      const again = updateManagedFields({ ...managers, liveObject: written, newObject: next });
      expect(entriesOf(again)).toBe(entriesOf(written));
      live = written;
    }
  });

  test('tampered configurations are applied or refused; applying twice is applying once', () => {
    const random = seededRandom(seed + 5);
    for (let i = 0; i < ROUNDS; i++) {
      const created = deepFreeze(
        normalizeObject(randomObject(schema, random, apiVersion, kind), schema).object,
      );
      const live = deepFreeze(
        updateManagedFields({ ...managers, liveObject: undefined, newObject: created }),
      );
      const patch = deepFreeze(tampered(randomObject(schema, random, apiVersion, kind), random, 0.01));
      const request = { ...managers, kind, patch, manager: 'applier', force: true };
      const first = orRefused(() => applyPatch({ ...request, liveObject: live }));
      if (first === undefined) continue;
      const second = applyPatch({ ...request, liveObject: deepFreeze(first.object) });
      expect(second.unchanged).toBe(true);
      expect(second.object).toEqual(first.object);
    }
  });
});
