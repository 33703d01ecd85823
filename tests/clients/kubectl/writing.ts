import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import type { Kubectl } from './program.ts';
import type { Session } from './session.ts';

const configMap = (name: string, data: Readonly<Record<string, string>>): object => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data,
});

/** Everything that creates, changes and deletes objects. */
export function testWriting(session: Session): void {
  describe('writing', () => {
    let kubectl: Kubectl;
    const dataOf = async (name: string): Promise<unknown> =>
      JSON.parse(await kubectl.ok('get', 'configmap', name, '-o', 'jsonpath={.data}'));
    beforeAll(async () => {
      kubectl = await session.freshNamespace('writing');
    });

    it('create of each generator', async () => {
      const created = async (answer: string, ...args: readonly string[]): Promise<void> => {
        expect(await kubectl.ok('create', ...args)).toBe(`${answer} created\n`);
      };
      await created('configmap/c', 'configmap', 'c', '--from-literal=a=b');
      await created('secret/s', 'secret', 'generic', 's', '--from-literal=password=x');
      await created('serviceaccount/robot', 'serviceaccount', 'robot');
      await created('role.rbac.authorization.k8s.io/r', 'role', 'r', '--verb=get,list', '--resource=pods');
      await created(
        'rolebinding.rbac.authorization.k8s.io/rb',
        'rolebinding',
        'rb',
        '--role=r',
        '--serviceaccount=writing:robot',
      );
      await created('service/ci', 'service', 'clusterip', 'ci', '--tcp=80:8080');
      await created('service/np', 'service', 'nodeport', 'np', '--tcp=80');
      await created('service/en', 'service', 'externalname', 'en', '--external-name=example.org');
      await created('job.batch/j', 'job', 'j', '--image=busybox');
      await created('cronjob.batch/cj', 'cronjob', 'cj', '--image=busybox', '--schedule=*/5 * * * *');
      await created('ingress.networking.k8s.io/in', 'ingress', 'in', '--rule=example.org/*=ci:80');
      await created(
        'poddisruptionbudget.policy/pdb',
        'poddisruptionbudget',
        'pdb',
        '--selector=a=b',
        '--min-available=1',
      );
      await created('resourcequota/q', 'resourcequota', 'q', '--hard=pods=50');
      await created('priorityclass.scheduling.k8s.io/high', 'priorityclass', 'high', '--value=1000');
      await created('namespace/writing-too', 'namespace', 'writing-too');
      expect(await kubectl.fails('create', 'configmap', 'c')).toBe(
        'error: failed to create configmap: configmaps "c" already exists\n',
      );
      expect(await kubectl.ok('create', 'token', 'robot', '--duration=20m')).toMatch(
        /^[\w-]+\.[\w-]+\.[\w-]+$/,
      );
    });

    it('what a role gives', async () => {
      const can = (...args: readonly string[]): Promise<{ readonly stdout: string }> =>
        kubectl.run(['auth', 'can-i', ...args, '--as=system:serviceaccount:writing:robot']);
      expect((await can('list', 'pods')).stdout).toBe('yes\n');
      expect((await can('delete', 'pods')).stdout).toMatch(/^no/);
    });

    it('dry runs leave nothing', async () => {
      const manifest = configMap('dry', { a: 'b' });
      expect(await kubectl.feed(manifest, 'create', '--dry-run=server', '-f', '-')).toBe(
        'configmap/dry created (server dry run)\n',
      );
      expect(await kubectl.feed(manifest, 'apply', '--dry-run=client', '-f', '-')).toBe(
        'configmap/dry created (dry run)\n',
      );
      expect(await kubectl.fails('get', 'configmap', 'dry')).toContain('"dry" not found');
    });

    it('apply on the client', async () => {
      const apply = (data: Readonly<Record<string, string>>): Promise<string> =>
        kubectl.feed(configMap('applied', data), 'apply', '-f', '-');
      expect(await apply({ a: '1', b: '2' })).toBe('configmap/applied created\n');
      expect(await apply({ a: '1', b: '2' })).toBe('configmap/applied unchanged\n');
      await kubectl.ok('patch', 'configmap', 'applied', '--type=merge', '-p', '{"data":{"mine":"x"}}');
      expect(await apply({ a: '3' })).toBe('configmap/applied configured\n');
      expect(await dataOf('applied')).toEqual({ a: '3', mine: 'x' });
      expect(await kubectl.ok('apply', 'view-last-applied', 'configmap/applied', '-o', 'json')).toContain(
        '"a": "3"',
      );
    });

    it('apply on the server, conflicts, force', async () => {
      const apply = (data: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<string> =>
        kubectl.feed(configMap('owned', data), 'apply', '--server-side', '-f', '-', ...args);
      expect(await apply({ a: '1', b: '2' }, '--field-manager=one')).toBe(
        'configmap/owned serverside-applied\n',
      );
      const { code, stderr } = await kubectl.run(
        ['apply', '--server-side', '-f', '-', '--field-manager=two'],
        { stdin: JSON.stringify(configMap('owned', { a: '2' })) },
      );
      expect(code).toBe(1);
      expect(stderr).toContain('Apply failed with 1 conflict: conflict with "one": .data.a');
      await apply({ a: '2' }, '--field-manager=two', '--force-conflicts');
      await apply({}, '--field-manager=one');
      expect(await dataOf('owned')).toEqual({ a: '2' });
      // What was applied on the client goes over to the server.
      expect(await kubectl.feed(configMap('applied', { a: '4' }), 'apply', '--server-side', '-f', '-')).toBe(
        'configmap/applied serverside-applied\n',
      );
      expect(await dataOf('applied')).toEqual({ a: '4', mine: 'x' });
    });

    it('apply --prune', async () => {
      const labelled = (name: string): object => ({
        ...configMap(name, { a: 'b' }),
        metadata: { name, labels: { set: 'p' } },
      });
      const list = (...names: readonly string[]): object => ({
        apiVersion: 'v1',
        kind: 'List',
        items: names.map(labelled),
      });
      const args = ['apply', '--prune', '-l', 'set=p', '--prune-allowlist=core/v1/ConfigMap', '-f', '-'];
      await kubectl.feed(list('p1', 'p2'), ...args);
      expect(await kubectl.feed(list('p1'), ...args)).toContain('configmap/p2 pruned');
    });

    it('diff', async () => {
      const manifest = configMap('c', { a: 'changed' });
      const { code, stdout } = await kubectl.run(['diff', '-f', '-'], { stdin: JSON.stringify(manifest) });
      expect(code).toBe(1);
      expect(stdout).toMatch(/^-  a: b$/m);
      expect(stdout).toMatch(/^\+  a: changed$/m);
      const same = await kubectl.run(['diff', '--server-side', '-f', '-'], {
        stdin: JSON.stringify(configMap('owned', { a: '2' })),
      });
      expect(same).toMatchObject({ code: 0, stdout: '' });
    });

    it('edit', async () => {
      const editor = join(session.directory, 'editor');
      await writeFile(editor, '#!/bin/sh\nsed -i "s/a: b/a: edited/" "$1"\n');
      await chmod(editor, 0o755);
      const { stdout } = await kubectl.run(['edit', 'configmap', 'c'], { env: { KUBE_EDITOR: editor } });
      expect(stdout).toBe('configmap/c edited\n');
      expect(await dataOf('c')).toEqual({ a: 'edited' });
      const again = await kubectl.run(['edit', 'configmap', 'c'], { env: { KUBE_EDITOR: editor } });
      expect(again.stdout + again.stderr).toContain('Edit cancelled, no changes made.');
    });

    it('patch of each type', async () => {
      const patch = (...args: readonly string[]): Promise<string> =>
        kubectl.ok('patch', 'service', 'ci', ...args);
      expect(await patch('-p', '{"spec":{"ports":[{"port":81,"targetPort":81,"name":"more"}]}}')).toBe(
        'service/ci patched\n',
      );
      expect(await kubectl.ok('get', 'service', 'ci', '-o', 'jsonpath={.spec.ports[*].port}')).toBe('81 80');
      await patch('--type=json', '-p', '[{"op":"remove","path":"/spec/ports/0"}]');
      expect(await kubectl.ok('get', 'service', 'ci', '-o', 'jsonpath={.spec.ports[*].port}')).toBe('80');
      await patch('--type=merge', '-p', '{"spec":{"ports":[{"port":82}]}}');
      expect(await kubectl.ok('get', 'service', 'ci', '-o', 'jsonpath={.spec.ports[*].port}')).toBe('82');
      expect(await patch('--type=merge', '-p', '{"spec":{"ports":[{"port":82}]}}')).toBe(
        'service/ci patched (no change)\n',
      );
    });

    it('replace, and replace --force', async () => {
      expect(await kubectl.feed(configMap('c', { r: '1' }), 'replace', '-f', '-')).toBe(
        'configmap/c replaced\n',
      );
      expect(await dataOf('c')).toEqual({ r: '1' });
      const before = await kubectl.ok('get', 'configmap', 'c', '-o', 'jsonpath={.metadata.uid}');
      expect(await kubectl.feed(configMap('c', { r: '2' }), 'replace', '--force', '-f', '-')).toContain(
        'configmap/c replaced\n',
      );
      expect(await kubectl.ok('get', 'configmap', 'c', '-o', 'jsonpath={.metadata.uid}')).not.toBe(before);
    });

    it('label and annotate', async () => {
      expect(await kubectl.ok('label', 'configmap', 'c', 'tier=front')).toBe('configmap/c labeled\n');
      expect(await kubectl.fails('label', 'configmap', 'c', 'tier=back')).toContain('already has a value');
      await kubectl.ok('label', 'configmap', 'c', 'tier=back', '--overwrite');
      expect(await kubectl.ok('get', 'configmap', '--selector=tier=back', '-o', 'name')).toBe(
        'configmap/c\n',
      );
      expect(await kubectl.ok('label', 'configmap', 'c', 'tier-')).toBe('configmap/c unlabeled\n');
      expect(await kubectl.fails('label', 'configmap', 'c', 'a b=c')).toContain('Invalid value');
      expect(await kubectl.ok('annotate', 'configmap', 'c', 'note=two words')).toMatch(
        /^configmap\/c annotated?\n$/,
      );
      expect(await kubectl.ok('annotate', 'configmap', 'c', '--list')).toContain('note=two words');
    });

    it('fields that do not exist', async () => {
      const manifest = { ...configMap('typo', {}), dta: { a: 'b' } };
      const run = (mode: string): ReturnType<Kubectl['run']> =>
        kubectl.run(['apply', `--validate=${mode}`, '-f', '-'], { stdin: JSON.stringify(manifest) });
      const strict = await run('strict');
      expect(strict.code).toBe(1);
      expect(strict.stderr).toContain('strict decoding error: unknown field "dta"');
      expect(await run('warn')).toMatchObject({
        code: 0,
        stdout: 'configmap/typo created\n',
        stderr: 'Warning: unknown field "dta"\n',
      });
    });

    it('every wrong field of a manifest', async () => {
      const { code, stderr } = await kubectl.run(['create', '-f', '-'], {
        stdin: JSON.stringify({
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name: 'Wrong' },
          spec: { type: 'Never', ports: [{ port: 0, protocol: 'ICMP' }] },
        }),
      });
      expect(code).toBe(1);
      expect(stderr).toContain('The Service "Wrong" is invalid: ');
      for (const field of ['metadata.name', 'spec.type', 'spec.ports[0].port', 'spec.ports[0].protocol'])
        expect(stderr).toContain(`* ${field}: `);
    });

    it('delete by name, selector, file, all', async () => {
      expect(await kubectl.ok('delete', 'secret', 's')).toMatch(/^secret "s" deleted/);
      await kubectl.ok('label', 'configmap', 'applied', 'owned', 'gone=yes');
      expect(await kubectl.ok('delete', 'configmap', '--selector=gone=yes')).toMatch(
        /^configmap "applied" deleted.*\nconfigmap "owned" deleted/,
      );
      expect(await kubectl.feed(configMap('c', {}), 'delete', '-f', '-')).toMatch(/^configmap "c" deleted/);
      expect(await kubectl.fails('delete', 'configmap', 'c')).toContain('configmaps "c" not found');
      expect(await kubectl.run(['delete', 'configmap', 'c', '--ignore-not-found'])).toMatchObject({
        code: 0,
      });
      await kubectl.ok('delete', 'services', '--all');
      expect((await kubectl.run(['get', 'services'])).stderr).toContain('No resources found');
    });

    it('delete of a namespace waits for its content', async () => {
      const inside = kubectl.in('writing-too');
      await inside.ok('create', 'configmap', 'inner');
      expect(await kubectl.ok('delete', 'namespace', 'writing-too', '--timeout=20s')).toMatch(
        /^namespace "writing-too" deleted/,
      );
      expect(await inside.fails('get', 'namespace', 'writing-too')).toContain('not found');
    });
  });
}
