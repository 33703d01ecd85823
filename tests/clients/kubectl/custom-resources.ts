import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import type { Kubectl } from './program.ts';
import type { Session } from './session.ts';

const TEXT = { type: 'string' };
const SCHEMA = {
  type: 'object',
  description: 'A crontab of a team.',
  properties: {
    spec: {
      type: 'object',
      required: ['cronSpec'],
      properties: {
        cronSpec: { ...TEXT, description: 'When it runs.', pattern: '^(\\S+ ){4}\\S+$' },
        image: { ...TEXT, default: 'busybox' },
        replicas: { type: 'integer', minimum: 0, default: 1 },
        tags: { type: 'array', 'x-kubernetes-list-type': 'set', items: TEXT },
      },
    },
    status: { type: 'object', properties: { replicas: { type: 'integer' }, selector: TEXT } },
  },
};

export function crontabDefinition(group: string, schema: object = SCHEMA): object {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `crontabs.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: {
        plural: 'crontabs',
        singular: 'crontab',
        kind: 'CronTab',
        shortNames: ['ct'],
        categories: ['all'],
      },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: schema },
          subresources: {
            status: {},
            scale: {
              specReplicasPath: '.spec.replicas',
              statusReplicasPath: '.status.replicas',
              labelSelectorPath: '.status.selector',
            },
          },
          additionalPrinterColumns: [
            { name: 'Spec', type: 'string', jsonPath: '.spec.cronSpec' },
            { name: 'Replicas', type: 'integer', jsonPath: '.spec.replicas' },
            { name: 'Image', type: 'string', jsonPath: '.spec.image', priority: 1 },
            { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
          ],
        },
      ],
    },
  };
}

export function crontab(group: string, name: string, spec: object): object {
  return { apiVersion: `${group}/v1`, kind: 'CronTab', metadata: { name }, spec };
}

/** A definition of one's own and what can be done with its objects. */
export function testCustomResources(session: Session): void {
  describe('custom resources', () => {
    const group = 'stable.example.com';
    const definition = `crontabs.${group}`;
    let kubectl: Kubectl;
    const path = (name: string, jsonPath: string): Promise<string> =>
      kubectl.ok('get', 'crontab', name, '-o', `jsonpath={${jsonPath}}`);
    beforeAll(async () => {
      kubectl = await session.freshNamespace('custom');
    });

    it('apply a definition, wait until it is served', async () => {
      const crd = crontabDefinition(group);
      const named = `customresourcedefinition.apiextensions.k8s.io/${definition}`;
      expect(await kubectl.feed(crd, 'apply', '-f', '-')).toBe(`${named} created\n`);
      expect(
        await kubectl.ok('wait', '--for=condition=Established', `crd/${definition}`, '--timeout=20s'),
      ).toBe(`${named} condition met\n`);
      expect(await kubectl.feed(crd, 'apply', '-f', '-')).toBe(`${named} unchanged\n`);
      expect(await kubectl.feed(crd, 'apply', '--server-side', '--force-conflicts', '-f', '-')).toBe(
        `${named} serverside-applied\n`,
      );
      expect(await kubectl.ok('get', 'crd', definition)).toMatch(
        /^NAME +CREATED AT\ncrontabs\.stable\.example\.com +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n$/,
      );
      const resources = await kubectl.ok('api-resources', `--api-group=${group}`, '--no-headers');
      expect(resources).toMatch(/^crontabs +ct +stable\.example\.com\/v1 +true +CronTab\n$/);
      expect(await kubectl.ok('api-resources', '--categories=all', '-o', 'name')).toContain(definition);
      expect(await kubectl.ok('describe', 'crd', definition)).toMatch(/Message: +no conflicts found/);
    });

    it('create and get, by every name, as columns and as YAML', async () => {
      expect(await kubectl.feed(crontab(group, 'a', { cronSpec: '* * * * *' }), 'create', '-f', '-')).toBe(
        `crontab.${group}/a created\n`,
      );
      const row = /^NAME +SPEC +REPLICAS +AGE\na +\* \* \* \* \* +1 +\d+s\n$/;
      for (const name of ['crontabs', 'crontab', 'ct', definition, `crontabs.v1.${group}`])
        expect(await kubectl.ok('get', name)).toMatch(row);
      expect(await kubectl.ok('get', 'ct', '-o', 'wide')).toMatch(
        /^NAME +SPEC +REPLICAS +IMAGE +AGE\na +\* \* \* \* \* +1 +busybox +\d+s\n$/,
      );
      expect(await kubectl.ok('get', 'all')).toMatch(/^crontab\.stable\.example\.com\/a +\* \* \* \* \*/m);
      const yaml = await kubectl.ok('get', 'ct', 'a', '-o', 'yaml');
      expect(yaml).toMatch(/^apiVersion: stable\.example\.com\/v1\nkind: CronTab\n/);
      expect(yaml).toMatch(
        /^spec:\n {2}cronSpec: '?\* \* \* \* \*'?\n {2}image: busybox\n {2}replicas: 1\n$/m,
      );
      expect(await kubectl.ok('describe', 'ct', 'a')).toMatch(/Cron Spec: +\* \* \* \* \*/);
      expect(await kubectl.fails('get', 'ct', 'b')).toContain(
        'Error from server (NotFound): crontabs.stable.example.com "b" not found',
      );
    });

    it('refuse what the schema refuses', async () => {
      const refused = async (spec: object): Promise<string> =>
        (await kubectl.run(['create', '-f', '-'], { stdin: JSON.stringify(crontab(group, 'bad', spec)) }))
          .stderr;
      expect(await refused({})).toContain('The CronTab "bad" is invalid: spec.cronSpec: Required value');
      expect(await refused({ cronSpec: 'often' })).toContain('spec.cronSpec in body should match');
      expect(await refused({ cronSpec: '* * * * *', replica: 1 })).toContain('unknown field "spec.replica"');
    });

    it('explain', async () => {
      expect(await kubectl.ok('explain', 'ct')).toMatch(
        /KIND: +CronTab\nVERSION: +(stable\.example\.com\/)?v1\n.*DESCRIPTION:\n +A crontab of a team\./s,
      );
      expect(await kubectl.ok('explain', 'crontab.spec.cronSpec')).toContain('When it runs.');
      expect(await kubectl.ok('explain', 'crontab.spec', '--recursive')).toMatch(/tags\s+<\[\]string>/);
    });

    it('apply, again, with something else, on the server', async () => {
      const apply = (spec: object, ...args: readonly string[]): Promise<string> =>
        kubectl.feed(crontab(group, 'b', spec), 'apply', '-f', '-', ...args);
      expect(await apply({ cronSpec: '1 * * * *', tags: ['x'] })).toBe(`crontab.${group}/b created\n`);
      expect(await apply({ cronSpec: '1 * * * *', tags: ['x'] })).toBe(`crontab.${group}/b unchanged\n`);
      expect(await apply({ cronSpec: '2 * * * *' })).toBe(`crontab.${group}/b configured\n`);
      expect(await path('b', '.spec')).toBe('{"cronSpec":"2 * * * *","image":"busybox","replicas":1}');
      const onServer = ['--server-side', '--field-manager'];
      expect(await apply({ cronSpec: '2 * * * *', tags: ['s'] }, ...onServer, 'one')).toBe(
        `crontab.${group}/b serverside-applied\n`,
      );
      await apply({ tags: ['t'], cronSpec: '2 * * * *' }, ...onServer, 'two');
      expect(await path('b', '.spec.tags')).toBe('["s","t"]');
      const { stderr } = await kubectl.run(['apply', '-f', '-', ...onServer, 'three'], {
        stdin: JSON.stringify(crontab(group, 'b', { cronSpec: '3 * * * *' })),
      });
      expect(stderr).toMatch(/Apply failed with \d conflicts?: conflicts? with "/);
      const { code, stdout } = await kubectl.run(['diff', '-f', '-'], {
        stdin: JSON.stringify(crontab(group, 'b', { cronSpec: '4 * * * *' })),
      });
      expect([code, stdout]).toEqual([1, expect.stringMatching(/^\+ +cronSpec: '?4 \* \* \* \*'?$/m)]);
    });

    it('patch, label, annotate, scale, edit', async () => {
      const patch = (...args: readonly string[]): Promise<string> =>
        kubectl.ok('patch', 'crontab', 'a', ...args);
      expect(await patch('--type=merge', '-p', '{"spec":{"image":"nginx"}}')).toBe(
        `crontab.${group}/a patched\n`,
      );
      await patch('--type=json', '-p', '[{"op":"add","path":"/spec/tags","value":["new"]}]');
      expect(await path('a', '.spec')).toBe(
        '{"cronSpec":"* * * * *","image":"nginx","replicas":1,"tags":["new"]}',
      );
      // kubectl's default is a strategic patch, which custom resources do not take.
      expect(await kubectl.fails('patch', 'crontab', 'a', '-p', '{"spec":{"image":"x"}}')).toContain(
        `application/strategic-merge-patch+json is not supported by ${group}/v1, Kind=CronTab`,
      );
      await patch('--subresource=status', '--type=merge', '-p', '{"status":{"replicas":1}}');
      expect(await path('a', '.status.replicas')).toBe('1');

      expect(await kubectl.ok('label', 'ct', 'a', 'tier=front')).toBe(`crontab.${group}/a labeled\n`);
      expect(await kubectl.ok('get', 'ct', '-l', 'tier=front', '-o', 'name')).toBe(`crontab.${group}/a\n`);
      await kubectl.ok('annotate', 'ct', 'a', 'note=two words');
      expect(await path('a', '.metadata.annotations.note')).toBe('two words');

      expect(await kubectl.ok('scale', 'ct/a', '--replicas=5', '--current-replicas=1')).toBe(
        `crontab.${group}/a scaled\n`,
      );
      expect(await path('a', '.spec.replicas')).toBe('5');

      const editor = join(session.directory, 'crontab-editor');
      await writeFile(editor, '#!/bin/sh\nsed -i "s/image: nginx/image: edited/" "$1"\n');
      await chmod(editor, 0o755);
      const { stdout } = await kubectl.run(['edit', 'crontab', 'a'], { env: { KUBE_EDITOR: editor } });
      expect(stdout).toBe(`crontab.${group}/a edited\n`);
      expect(await path('a', '.spec.image')).toBe('edited');
    });

    it('watch, wait for a value, delete', async () => {
      await using watch = kubectl.start('get', 'crontabs', '--watch', '--output-watch-events');
      await watch.until(/^EVENT +NAME +SPEC +REPLICAS +AGE\nADDED +a /m);
      await kubectl.ok('scale', 'ct/a', '--replicas=6');
      await watch.until(/^MODIFIED +a +\* \* \* \* \* +6 +\d+s$/m);
      await kubectl.ok('wait', 'ct/a', '--for=jsonpath={.spec.replicas}=6', '--timeout=20s');
      expect(await kubectl.ok('delete', 'ct', 'a')).toMatch(/^crontab\.stable\.example\.com "a" deleted/);
      await watch.until(/^DELETED +a +\* \* \* \* \* +6 +\d+s$/m);
      expect(await kubectl.ok('delete', 'ct', '--all')).toMatch(/^crontab\.stable\.example\.com "b" deleted/);
      expect((await kubectl.run(['get', 'ct'])).stderr).toContain('No resources found');
    });

    it('change a definition, delete it with its objects', async () => {
      await kubectl.feed(crontab(group, 'left', { cronSpec: '* * * * *' }), 'create', '-f', '-');
      const changed = structuredClone(SCHEMA) as { properties: { spec: { properties: object } } };
      Object.assign(changed.properties.spec.properties, { late: { type: 'string', default: 'new' } });
      expect(await kubectl.feed(crontabDefinition(group, changed), 'apply', '-f', '-')).toContain(
        'configured',
      );
      await kubectl.ok('wait', 'ct/left', '--for=jsonpath={.spec.late}=new', '--timeout=20s');
      expect(await kubectl.ok('delete', 'crd', definition, '--timeout=20s')).toMatch(
        /^customresourcedefinition\.apiextensions\.k8s\.io "crontabs\.stable\.example\.com" deleted/,
      );
      // It has asked before which resources there are.
      expect(await kubectl.fails('get', 'crontabs')).toContain('could not find the requested resource');
      expect((await kubectl.run(['api-resources', `--api-group=${group}`, '-o', 'name'])).stdout).toBe('');
      expect(await kubectl.fails('get', 'crontabs')).toContain(
        'the server doesn\'t have a resource type "crontabs"',
      );
    });
  });
}
