import { describe, expect, it } from 'vitest';

import { crontab, crontabDefinition } from './custom-resources.ts';
import type { Session } from './session.ts';

/** For the versions between the oldest and the newest: the verbs whose wire changed over them, and the everyday ones. */
export function testShortTour(session: Session): void {
  describe('a short tour', () => {
    it('an application from apply to delete', async () => {
      const kubectl = await session.freshNamespace('tour');
      await kubectl.ok('create', 'deployment', 'web', '--image=nginx:1', '--replicas=2', '--port=80');
      await kubectl.ok('rollout', 'status', 'deployment/web', '--timeout=20s');
      await kubectl.ok('expose', 'deployment/web', '--port=80');
      expect(await kubectl.ok('get', 'all')).toMatch(/^deployment\.apps\/web +2\/2 +2 +2 +\d+s$/m);
      expect(await kubectl.ok('describe', 'deployment/web')).toContain('MinimumReplicasAvailable');
      await kubectl.ok('set', 'image', 'deployment/web', 'nginx=nginx:2');
      await kubectl.ok('rollout', 'status', 'deployment/web', '--timeout=20s');
      await kubectl.ok('rollout', 'undo', 'deployment/web');
      await kubectl.ok('delete', 'deployment/web', '--cascade=foreground', '--timeout=20s');
      expect(await kubectl.ok('get', 'pods', '-o', 'name')).toBe('');
    });

    it('apply on the client and on the server, diff', async () => {
      const kubectl = await session.freshNamespace('apply');
      const manifest = (value: string): object => ({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'c' },
        data: { value },
      });
      await kubectl.feed(manifest('1'), 'apply', '-f', '-');
      expect(await kubectl.feed(manifest('2'), 'apply', '-f', '-')).toBe('configmap/c configured\n');
      expect(await kubectl.feed(manifest('3'), 'apply', '--server-side', '-f', '-')).toBe(
        'configmap/c serverside-applied\n',
      );
      const { code } = await kubectl.run(['diff', '-f', '-'], { stdin: JSON.stringify(manifest('4')) });
      expect(code).toBe(1);
    });

    it('logs, exec, port-forward', async () => {
      const kubectl = await session.freshNamespace('streams');
      await kubectl.ok('run', 'p', '--image=x', '--annotations=k8ts.io/simulate={"log":["said"]}');
      await kubectl.ok('wait', 'pod/p', '--for=condition=Ready', '--timeout=20s');
      expect(await kubectl.ok('logs', 'p')).toBe('said\n');
      const echoed = await kubectl.run(['exec', '-i', 'p', '--', 'cat'], { stdin: 'echoed' });
      expect(echoed).toMatchObject({ code: 0, stdout: 'echoed' });
      await using forward = kubectl.start('port-forward', 'pod/p', ':80');
      await forward.until(/Forwarding from 127\.0\.0\.1:\d+ -> 80/);
    });

    it('a custom resource from its definition to its deletion', async () => {
      const kubectl = await session.freshNamespace('custom');
      const group = 'tour.example.com';
      await kubectl.feed(crontabDefinition(group), 'apply', '-f', '-');
      await kubectl.ok('wait', '--for=condition=Established', `crd/crontabs.${group}`, '--timeout=20s');
      const manifest = crontab(group, 'a', { cronSpec: '* * * * *' });
      expect(await kubectl.feed(manifest, 'apply', '-f', '-')).toBe(`crontab.${group}/a created\n`);
      expect(await kubectl.feed(manifest, 'apply', '-f', '-')).toBe(`crontab.${group}/a unchanged\n`);
      expect(await kubectl.feed(manifest, 'apply', '--server-side', '-f', '-')).toBe(
        `crontab.${group}/a serverside-applied\n`,
      );
      expect(await kubectl.ok('get', 'ct')).toMatch(/^a +\* \* \* \* \* +1 +\d+s$/m);
      expect(await kubectl.ok('explain', 'crontab.spec.cronSpec')).toContain('When it runs.');
      await kubectl.ok('scale', 'ct/a', '--replicas=2');
      expect(await kubectl.ok('get', 'ct', 'a', '-o', 'jsonpath={.spec.replicas}')).toBe('2');
      await kubectl.ok('delete', 'crd', `crontabs.${group}`, '--timeout=20s');
    });

    it('explain, api-resources, auth', async () => {
      const { kubectl, minor } = session;
      expect(await kubectl.ok('explain', 'pod.spec.containers')).toMatch(/ {2}image\s+<string>/);
      expect(await kubectl.ok('api-resources', '--no-headers')).toMatch(/^pods +po +v1 +true +Pod$/m);
      expect(await kubectl.ok('auth', 'can-i', 'get', 'pods')).toBe('yes\n');
      if (minor >= 28) expect(await kubectl.ok('auth', 'whoami')).toContain('kubernetes-admin');
    });
  });
}
