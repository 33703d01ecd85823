import { describe, expect, it } from 'vitest';

import { useSuite } from './support.ts';

const deployment = (more: {
  readonly metadata?: string;
  readonly spec?: string;
  readonly container?: string;
}): string => `{
  "apiVersion": "apps/v1",
  "kind": "Deployment",
  "metadata": { "name": "NAME", "labels": {"app": "nginx"}${more.metadata ?? ''} },
  "spec": {
    "replicas": 2,
    "selector": {"matchLabels": {"app": "nginx"}}${more.spec ?? ''},
    "template": {
      "metadata": {"labels": {"app": "nginx"}${more.metadata ?? ''}},
      "spec": { "containers": [{
        "name": "nginx",
        "image": "registry.example/nginx:1"${more.container ?? ''}
      }] }
    }
  }
}`;

describe('field validation', () => {
  const suite = useSuite({ nodes: 0 });
  const create = async (namespace: string, name: string, body: string, mode?: string) =>
    suite.wire.send(
      'POST',
      `/apis/apps/v1/namespaces/${namespace}/deployments${mode === undefined ? '' : `?fieldValidation=${mode}`}`,
      { body: body.replace('NAME', name) },
    );

  it('[sig-api-machinery] FieldValidation should detect unknown and duplicate fields of a typed object [Conformance]', async () => {
    const namespace = await suite.namespace();
    const body = deployment({
      spec: ', "unknown1": "val1", "unknownDupe": "valDupe", "unknownDupe": "valDupe2", "paused": true, "paused": false',
      container: ', "unknownNested": "val1", "imagePullPolicy": "Always", "imagePullPolicy": "Never"',
    });
    const strict = await create(namespace, 'strict', body, 'Strict');
    expect(strict.code).toBe(400);
    const { message } = strict.json<{ readonly message: string }>();
    expect(message).toContain('strict decoding error: ');
    for (const fault of [
      'unknown field "spec.unknown1"',
      'unknown field "spec.unknownDupe"',
      'duplicate field "spec.paused"',
      'unknown field "spec.template.spec.containers[0].unknownNested"',
      'duplicate field "spec.template.spec.containers[0].imagePullPolicy"',
    ])
      expect(message).toContain(fault);

    const warned = await create(namespace, 'warned', body, 'Warn');
    expect(warned.code).toBe(201);
    const warnings = String(warned.headers['warning']);
    expect(warnings).toContain('299 - "unknown field \\"spec.unknown1\\""');
    expect(warnings).toContain(
      '299 - "duplicate field \\"spec.template.spec.containers[0].imagePullPolicy\\""',
    );
    // The last of repeated fields counts; what is unknown is not kept.
    const { spec } = warned.json<{
      readonly spec: { readonly paused?: boolean; readonly unknown1?: string };
    }>();
    expect(spec.paused ?? false).toBe(false);
    expect(spec).not.toHaveProperty('unknown1');

    const ignored = await create(namespace, 'ignored', body, 'Ignore');
    expect(ignored.code).toBe(201);
    expect(ignored.headers).not.toHaveProperty('warning');
    // Without a wish, faults are warned of.
    expect((await create(namespace, 'default', body)).headers).toHaveProperty('warning');
    expect((await create(namespace, 'other', body, 'Perhaps')).code).toBe(422);
  });

  it('[sig-api-machinery] FieldValidation should detect unknown metadata fields of a typed object [Conformance]', async () => {
    const namespace = await suite.namespace();
    const body = deployment({ metadata: ', "unknownMeta": "metaVal"' });
    const strict = await create(namespace, 'strict', body, 'Strict');
    expect(strict.code).toBe(400);
    for (const field of ['metadata.unknownMeta', 'spec.template.metadata.unknownMeta'])
      expect(strict.text).toContain(`unknown field \\"${field}\\"`);
  });

  it('checks patches and applies alike', async () => {
    const namespace = await suite.namespace();
    expect((await create(namespace, 'patched', deployment({}), 'Strict')).code).toBe(201);
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments/patched?fieldManager=tester&fieldValidation=Strict`;
    const patch = '{"spec": {"typo": 1}}';
    for (const contentType of ['application/merge-patch+json', 'application/strategic-merge-patch+json']) {
      const answer = await suite.wire.send('PATCH', path, { contentType, body: patch });
      expect([answer.code, answer.text]).toEqual([
        422,
        expect.stringContaining('unknown field \\"spec.typo\\"'),
      ]);
    }
    const json = await suite.wire.send('PATCH', path, {
      contentType: 'application/json-patch+json',
      body: '[{"op": "add", "path": "/spec/typo", "value": 1}]',
    });
    expect([json.code, json.text]).toEqual([422, expect.stringContaining('unknown field \\"spec.typo\\"')]);
    const apply = await suite.wire.send('PATCH', `${path}&force=true`, {
      contentType: 'application/apply-patch+yaml',
      body: `{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "patched"}, "spec": {"typo": 1}}`,
    });
    expect(apply.code).toBeGreaterThanOrEqual(400);
    expect(apply.code).toBeLessThan(500);
    expect(apply.text).toContain('typo');
  });
});
