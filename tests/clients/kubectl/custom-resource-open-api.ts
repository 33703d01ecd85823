import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { define, undefine, type Definition, type JsonSchema } from '../../conformance/custom-resources.ts';
import {
  FOO,
  PRESERVE_NESTED,
  PRESERVE_ROOT,
  publishedDefinition,
  untilNotShown,
  untilShown,
} from '../../conformance/published-schemas.ts';
import { createWire, type Wire } from '../../support/wire.ts';
import type { Kubectl } from './program.ts';
import type { Session } from './session.ts';

/** Upstream's conformance tests that see published OpenAPI through kubectl. */
export function testPublishedOpenApi(session: Session): void {
  describe('published OpenAPI of custom resources', () => {
    let wire: Wire;
    let kubectl: Kubectl;
    beforeAll(async () => {
      wire = await createWire(session.cluster);
      kubectl = await session.freshNamespace('crd-publish-openapi');
    });
    afterAll(() => wire?.[Symbol.dispose]());

    const setUp = async (
      suffix: string,
      schema: JsonSchema | undefined,
      shown: JsonSchema | undefined,
    ): Promise<Definition> => {
      const kind = `E2e-test-${suffix}-crd`;
      const definition = await define(
        session.cluster.client,
        publishedDefinition(kind, suffix, schema, 'v1'),
      );
      await untilShown(wire, definition, 'v1', shown);
      return definition;
    };
    const cleanUp = async (definition: Definition): Promise<void> => {
      await undefine(session.cluster.client, definition);
      await untilNotShown(wire, definition, 'v1');
    };
    const manifest = ({ spec }: Definition, name: string, fields: object): object => ({
      kind: spec.names.kind,
      apiVersion: `${spec.group}/v1`,
      metadata: { name },
      ...fields,
    });
    /** `create` and `apply` take it. */
    const accepts = async (definition: Definition, name: string, fields: object): Promise<void> => {
      for (const verb of ['create', 'apply']) {
        await kubectl.feed(manifest(definition, name, fields), verb, '-f', '-');
        await kubectl.ok('delete', definition.spec.names.plural, name);
      }
    };
    /** `create` and `apply` refuse it. */
    const refuses = async (definition: Definition, fields: object, message: string): Promise<void> => {
      const stdin = JSON.stringify(manifest(definition, 'test-foo', fields));
      for (const verb of ['create', 'apply']) {
        const { code, stderr } = await kubectl.run([verb, '-f', '-'], { stdin });
        expect(code).toBe(1);
        expect(stderr).toContain(message);
      }
    };

    it('[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] works for CRD with validation schema [Conformance]', async () => {
      const definition = await setUp('foo', FOO, FOO);
      const { plural } = definition.spec.names;
      await accepts(definition, 'test-foo', { spec: { bars: [{ name: 'test-bar' }] } });
      await refuses(
        definition,
        { spec: { bars: [{ name: 'test-bar', feeling: 'NonExistentValue' }] } },
        'Unsupported value: "NonExistentValue"',
      );
      await refuses(definition, { spec: { foo: true } }, 'unknown field "spec.foo"');
      await refuses(definition, { spec: { bars: [{ age: '10' }] } }, 'spec.bars[0].name: Required value');

      expect(await kubectl.ok('explain', plural)).toMatch(
        /DESCRIPTION:.*Foo CRD for Testing.*FIELDS:.*apiVersion.*<string>.*APIVersion defines.*spec.*<Object>.*Specification of Foo/s,
      );
      expect(await kubectl.ok('explain', `${plural}.metadata`)).toMatch(
        /DESCRIPTION:.*Standard object's metadata.*FIELDS:.*creationTimestamp.*<string>.*CreationTimestamp is a timestamp/s,
      );
      expect(await kubectl.ok('explain', `${plural}.spec`)).toMatch(
        /DESCRIPTION:.*Specification of Foo.*FIELDS:.*bars.*<\[\]Object>.*List of Bars and their specs/s,
      );
      expect(await kubectl.ok('explain', `${plural}.spec.bars`)).toMatch(
        /(FIELD|RESOURCE):.*bars.*<\[\]Object>.*DESCRIPTION:.*List of Bars and their specs.*FIELDS:.*bazs.*<\[\]string>.*List of Bazs.*name.*<string>.*Name of Bar/s,
      );
      expect(await kubectl.fails('explain', `${plural}.spec.bars2`)).toContain(
        'field "bars2" does not exist',
      );
      await cleanUp(definition);
    });

    const anything = { a: { b: [{ c: 'd' }] } };

    it('[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] works for CRD without validation schema [Conformance]', async () => {
      const definition = await setUp('empty', undefined, { type: 'object' });
      await accepts(definition, 'test-cr', anything);
      expect(await kubectl.ok('explain', definition.spec.names.plural)).toMatch(/DESCRIPTION:.*<empty>/s);
      await cleanUp(definition);
    });

    it('[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] works for CRD preserving unknown fields at the schema root [Conformance]', async () => {
      const definition = await setUp('unknown-at-root', PRESERVE_ROOT, undefined);
      const { plural, kind } = definition.spec.names;
      await accepts(definition, 'test-cr', anything);
      expect(await kubectl.ok('explain', plural)).toMatch(new RegExp(`KIND:.*${kind}`, 's'));
      await cleanUp(definition);
    });

    it('[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] works for CRD preserving unknown fields in an embedded object [Conformance]', async () => {
      const definition = await setUp('unknown-in-nested', PRESERVE_NESTED, undefined);
      await accepts(definition, 'test-cr', { spec: { a: null, b: [{ c: 'd' }] } });
      expect(await kubectl.ok('explain', definition.spec.names.plural)).toMatch(
        /DESCRIPTION:.*preserve-unknown-properties in nested field for Testing/s,
      );
      await cleanUp(definition);
    });
  });
}
