import { describe, expect, it } from 'vitest';

import { changing, useSuite } from './support.ts';
import { define, definitionsOf, undefine, type Definition, type JsonSchema } from './custom-resources.ts';
import { FOO, publishedDefinition, untilNotShown, untilShown, WALDO } from './published-schemas.ts';

/** The rest of these tests uses kubectl: tests/clients/kubectl/custom-resource-open-api.ts. */
describe('published OpenAPI of custom resources', () => {
  const suite = useSuite({ nodes: 0 });
  let kinds = 0;
  const setUp = async (
    groupSuffix: string,
    schema: JsonSchema,
    ...versions: readonly string[]
  ): Promise<Definition> => {
    const kind = `E2e-test-${groupSuffix}-${++kinds}-crd`;
    const definition = await define(
      suite.client,
      publishedDefinition(kind, groupSuffix, schema, ...versions),
    );
    for (const version of versions) await untilShown(suite.wire, definition, version, schema);
    return definition;
  };
  const cleanUp = async (...definitions: readonly Definition[]): Promise<void> => {
    await undefine(suite.client, ...definitions);
    for (const definition of definitions)
      for (const { name } of definition.spec.versions) await untilNotShown(suite.wire, definition, name);
  };

  it('[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] works for multiple CRDs of different groups [Conformance]', async () => {
    const foo = await setUp('foo', FOO, 'v1');
    const waldo = await setUp('waldo', WALDO, 'v1beta1');
    expect(foo.spec.group).not.toBe(waldo.spec.group);
    await untilShown(suite.wire, waldo, 'v1beta1', WALDO);
    await untilShown(suite.wire, foo, 'v1', FOO);
    await cleanUp(foo, waldo);
  });

  it('[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] works for multiple CRDs of same group but different versions [Conformance]', async () => {
    const multi = await setUp('multi-ver', FOO, 'v2', 'v3');
    await untilShown(suite.wire, multi, 'v3', FOO);
    await untilShown(suite.wire, multi, 'v2', FOO);
    await cleanUp(multi);

    const foo = await setUp('common-group', FOO, 'v4');
    const waldo = await setUp('common-group', WALDO, 'v5');
    expect(foo.spec.group).toBe(waldo.spec.group);
    await untilShown(suite.wire, waldo, 'v5', WALDO);
    await untilShown(suite.wire, foo, 'v4', FOO);
    await cleanUp(foo, waldo);
  });

  it('[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] works for multiple CRDs of same group and version but different kinds [Conformance]', async () => {
    const foo = await setUp('common-group', FOO, 'v6');
    const waldo = await setUp('common-group', WALDO, 'v6');
    expect(foo.spec.group).toBe(waldo.spec.group);
    await untilShown(suite.wire, waldo, 'v6', WALDO);
    await untilShown(suite.wire, foo, 'v6', FOO);
    await cleanUp(foo, waldo);
  });

  it('[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] updates the published spec when one version gets renamed [Conformance]', async () => {
    const multi = await setUp('multi-ver', FOO, 'v2', 'v3');
    const renamed = await definitionsOf(suite.client).patch(
      multi.metadata.name,
      [
        { op: 'test', path: '/spec/versions/1/name', value: 'v3' },
        { op: 'replace', path: '/spec/versions/1/name', value: 'v4' },
      ],
      { type: 'json' },
    );
    await untilShown(suite.wire, renamed, 'v4', FOO);
    await untilNotShown(suite.wire, renamed, 'v3');
    await untilShown(suite.wire, renamed, 'v2', FOO);
    await cleanUp(renamed);
  });

  it('[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] removes definition from spec when one version gets changed to not be served [Conformance]', async () => {
    const multi = await setUp('multi-to-single-ver', FOO, 'v5', 'v6alpha1');
    const changed = await changing(definitionsOf(suite.client), multi.metadata.name, (current) => ({
      ...current,
      spec: {
        ...current.spec,
        versions: current.spec.versions.map((version) => ({ ...version, served: version.name === 'v5' })),
      },
    }));
    await untilNotShown(suite.wire, changed, 'v6alpha1');
    await untilShown(suite.wire, changed, 'v5', FOO);
    await cleanUp(changed);
  });
});
