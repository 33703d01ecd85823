import { describe, expect, it } from 'vitest';

import type { Session } from './session.ts';

/** What kubectl asks of the server about itself. */
export function testQuestions(session: Session): void {
  describe('asking', () => {
    it('version', async () => {
      const output = await session.kubectl.ok('version', '--output=json');
      expect(JSON.parse(output)).toMatchObject({
        clientVersion: { major: '1' },
        serverVersion: { major: '1', minor: '36', gitVersion: expect.stringMatching(/^v1\.36\./) as string },
      });
    });

    it('cluster-info', async () => {
      const colours = new RegExp('\\u001b\\[[0-9;]*m', 'g');
      expect((await session.kubectl.ok('cluster-info')).replaceAll(colours, '')).toContain(
        `Kubernetes control plane is running at ${session.cluster.server}`,
      );
    });

    it('api-resources', async () => {
      const lines = (await session.kubectl.ok('api-resources')).split('\n');
      expect(lines[0]).toMatch(/^NAME +SHORTNAMES +APIVERSION +NAMESPACED +KIND$/);
      for (const line of [
        /^pods +po +v1 +true +Pod$/,
        /^nodes +no +v1 +false +Node$/,
        /^deployments +deploy +apps\/v1 +true +Deployment$/,
        /^horizontalpodautoscalers +hpa +autoscaling\/v2 +true +HorizontalPodAutoscaler$/,
        /^endpointslices +discovery\.k8s\.io\/v1 +true +EndpointSlice$/,
      ])
        expect(lines).toContainEqual(expect.stringMatching(line));
    });

    it('api-resources of a group, by verb and as names', async () => {
      const names = await session.kubectl.ok(
        'api-resources',
        '--api-group=apps',
        '--verbs=watch',
        '--output=name',
      );
      expect(names.trim().split('\n').sort()).toEqual([
        'controllerrevisions.apps',
        'daemonsets.apps',
        'deployments.apps',
        'replicasets.apps',
        'statefulsets.apps',
      ]);
      const all = await session.kubectl.ok('api-resources', '--categories=all', '--output=name');
      expect(all).toContain('deployments.apps\n');
      expect(all).not.toContain('configmaps');
    });

    it('api-versions', async () => {
      const versions = (await session.kubectl.ok('api-versions')).trim().split('\n');
      expect(versions).toEqual(expect.arrayContaining(['v1', 'apps/v1', 'batch/v1', 'autoscaling/v2']));
    });

    it('explain', async () => {
      const pod = await session.kubectl.ok('explain', 'pod.spec');
      expect(pod).toMatch(/KIND: +Pod/);
      expect(pod).toMatch(/ {2}containers\s+<\[\]Container> -required-/);
      const tree = await session.kubectl.ok('explain', 'deployments.spec.strategy', '--recursive');
      expect(tree).toMatch(/GROUP: +apps/);
      expect(tree).toMatch(/ {4}maxSurge\s+<IntOrString>/);
      expect(await session.kubectl.fails('explain', 'pod.spec.nonsense')).toContain(
        'field "nonsense" does not exist',
      );
    });

    it('auth can-i', async () => {
      expect(await session.kubectl.ok('auth', 'can-i', 'create', 'deployments')).toBe('yes\n');
      const other = await session.kubectl.run(['auth', 'can-i', 'delete', 'nodes', '--as=alice']);
      expect(other).toMatchObject({ code: 1, stdout: expect.stringMatching(/^no/) as string });
      expect(await session.kubectl.ok('auth', 'can-i', '--list')).toMatch(/^\*\.\* +\[\] +\[\] +\[\*\]$/m);
    });

    it('auth whoami', async () => {
      // Up to 1.27 it asks versions that are no longer served, as it would be with upstream.
      if (session.minor < 28) {
        expect(await session.kubectl.fails('auth', 'whoami')).toContain(
          'the selfsubjectreviews API is not enabled in the cluster',
        );
        return;
      }
      const review = JSON.parse(await session.kubectl.ok('auth', 'whoami', '--output=json')) as unknown;
      expect(review).toMatchObject({
        status: {
          userInfo: { username: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'] },
        },
      });
    });

    it('get --raw', async () => {
      expect(await session.kubectl.ok('get', '--raw', '/readyz')).toBe('ok');
      expect(await session.kubectl.ok('get', '--raw', '/livez?verbose')).toContain('livez check passed');
      expect(await session.kubectl.ok('get', '--raw', '/metrics')).toContain('# TYPE ');
      const list = JSON.parse(
        await session.kubectl.ok('get', '--raw', '/api/v1/namespaces/default'),
      ) as object;
      expect(list).toMatchObject({ kind: 'Namespace', metadata: { name: 'default' } });
      expect(await session.kubectl.fails('get', '--raw', '/nothing')).toBe(
        'Error from server (NotFound): the server could not find the requested resource\n',
      );
    });

    it('proxy', async () => {
      await using proxy = session.kubectl.start('proxy', '--port=0', '--address=127.0.0.1');
      const [, port] = await proxy.until(/Starting to serve on 127\.0\.0\.1:(\d+)/);
      const version = await fetch(`http://127.0.0.1:${port}/version`);
      expect(await version.json()).toMatchObject({ major: '1', minor: '36' });
      const pods = await fetch(`http://127.0.0.1:${port}/api/v1/namespaces/default/pods`);
      expect(await pods.json()).toMatchObject({ kind: 'PodList', apiVersion: 'v1' });
    });

    it('says what is wrong with a request', async () => {
      expect(await session.kubectl.fails('get', 'pod', 'nobody')).toBe(
        'Error from server (NotFound): pods "nobody" not found\n',
      );
      expect(await session.kubectl.fails('get', 'wonders')).toBe(
        'error: the server doesn\'t have a resource type "wonders"\n',
      );
      expect(await session.kubectl.fails('get', 'pods', '--as=alice')).toBe(
        'Error from server (Forbidden): pods is forbidden: User "alice" cannot list resource "pods" in API group "" in the namespace "default"\n',
      );
    });
  });
}
