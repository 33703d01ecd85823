import { beforeAll, describe, expect, it } from 'vitest';

import { until } from '../../support/waiting.ts';
import type { Kubectl } from './program.ts';
import type { Session } from './session.ts';

/** Deployments over their life: scale, autoscale, rollout …, expose, deletion with each cascade. */
export function testRollouts(session: Session): void {
  describe('rollouts', () => {
    let kubectl: Kubectl;
    const image = (): Promise<string> =>
      kubectl.ok('get', 'deployment', 'web', '-o', 'jsonpath={.spec.template.spec.containers[0].image}');
    const finished = async (): Promise<void> => {
      expect(await kubectl.ok('rollout', 'status', 'deployment/web', '--timeout=20s')).toContain(
        'deployment "web" successfully rolled out\n',
      );
    };
    beforeAll(async () => {
      kubectl = await session.freshNamespace('rollouts');
      await kubectl.ok('create', 'deployment', 'web', '--image=nginx:1', '--replicas=3');
      await finished();
    });

    it('scale', async () => {
      expect(await kubectl.ok('scale', 'deployment/web', '--replicas=5')).toBe(
        'deployment.apps/web scaled\n',
      );
      await finished();
      expect(await kubectl.ok('get', 'deployment', 'web')).toMatch(/web +5\/5/);
      expect(
        await kubectl.fails('scale', 'deployment/web', '--current-replicas=2', '--replicas=1'),
      ).toContain('Expected replicas to be 2, was 5');
      await kubectl.ok('scale', 'deployment/web', '--replicas=2');
      await until(async () => /^web +2\/2 +2 +2/m.test(await kubectl.ok('get', 'deployment', 'web')));
    });

    it('autoscale', async () => {
      const args = ['autoscale', 'deployment/web', '--min=2', '--max=4', '--cpu-percent=50'];
      expect(await kubectl.ok(...args)).toBe('horizontalpodautoscaler.autoscaling/web autoscaled\n');
      expect(await kubectl.ok('get', 'horizontalpodautoscaler')).toMatch(
        /^NAME +REFERENCE +TARGETS +MINPODS +MAXPODS +REPLICAS +AGE\nweb +Deployment\/web +(cpu: )?<unknown>\/50% +2 +4 +\d+ +\d+s\n$/,
      );
      await kubectl.ok('delete', 'horizontalpodautoscaler', 'web');
    });

    it('set image, rollout status and history', async () => {
      expect(await kubectl.ok('set', 'image', 'deployment/web', 'nginx=nginx:2')).toBe(
        'deployment.apps/web image updated\n',
      );
      await kubectl.ok('annotate', 'deployment/web', 'kubernetes.io/change-cause=to 2');
      await finished();
      const history = await kubectl.ok('rollout', 'history', 'deployment/web');
      expect(history).toMatch(/^deployment\.apps\/web ?\nREVISION +CHANGE-CAUSE\n1 +<none>\n2 +to 2\n/);
      expect(await kubectl.ok('rollout', 'history', 'deployment/web', '--revision=1')).toMatch(
        /deployment\.apps\/web with revision #1\nPod Template:\n[^]*Image:\tnginx:1\n/,
      );
    });

    it('rollout undo', async () => {
      expect(await kubectl.ok('rollout', 'undo', 'deployment/web')).toBe('deployment.apps/web rolled back\n');
      await finished();
      expect(await image()).toBe('nginx:1');
      expect(await kubectl.ok('rollout', 'undo', 'deployment/web', '--to-revision=2')).toBe(
        'deployment.apps/web rolled back\n',
      );
      await finished();
      expect(await image()).toBe('nginx:2');
      expect(await kubectl.fails('rollout', 'undo', 'deployment/web', '--to-revision=77')).toContain(
        'unable to find specified revision 77 in history',
      );
    });

    it('rollout pause and resume', async () => {
      expect(await kubectl.ok('rollout', 'pause', 'deployment/web')).toBe('deployment.apps/web paused\n');
      await kubectl.ok('set', 'image', 'deployment/web', 'nginx=nginx:3');
      await until(async () =>
        (await kubectl.ok('get', 'deployment/web', '-o', 'yaml')).includes('reason: DeploymentPaused'),
      );
      expect(await kubectl.ok('get', 'pods', '-o', 'jsonpath={.items[*].spec.containers[*].image}')).toBe(
        'nginx:2 nginx:2',
      );
      expect(await kubectl.fails('rollout', 'undo', 'deployment/web')).toContain(
        'cannot rollback a paused deployment',
      );
      expect(await kubectl.ok('rollout', 'resume', 'deployment/web')).toBe('deployment.apps/web resumed\n');
      await finished();
      await kubectl.ok('wait', 'deployment/web', '--for=condition=Available', '--timeout=10s');
    });

    it('rollout restart', async () => {
      expect(await kubectl.ok('rollout', 'restart', 'deployment/web')).toBe(
        'deployment.apps/web restarted\n',
      );
      await finished();
      expect(
        await kubectl.ok(
          'get',
          'deployment/web',
          '-o',
          'jsonpath={.spec.template.metadata.annotations.kubectl\\.kubernetes\\.io/restartedAt}',
        ),
      ).toMatch(/^\d{4}-/);
    });

    it('a rollout that cannot succeed', async () => {
      await kubectl.feed(
        {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          metadata: { name: 'stuck' },
          spec: {
            replicas: 1,
            progressDeadlineSeconds: 1,
            selector: { matchLabels: { app: 'stuck' } },
            template: {
              metadata: { labels: { app: 'stuck' } },
              spec: { nodeSelector: { no: 'where' }, containers: [{ name: 'c', image: 'nginx' }] },
            },
          },
        },
        'apply',
        '-f',
        '-',
      );
      expect(await kubectl.fails('rollout', 'status', 'deployment/stuck', '--timeout=20s')).toBe(
        'error: deployment "stuck" exceeded its progress deadline\n',
      );
      await kubectl.ok('delete', 'deployment', 'stuck');
    });

    it('expose', async () => {
      expect(await kubectl.ok('expose', 'deployment/web', '--port=80', '--type=NodePort', '--name=out')).toBe(
        'service/out exposed\n',
      );
      expect(await kubectl.ok('get', 'service', 'out')).toMatch(
        /^NAME +TYPE +CLUSTER-IP +EXTERNAL-IP +PORT\(S\) +AGE\nout +NodePort +10\.\S+ +<none> +80:3\d{4}\/TCP +\d+s\n$/,
      );
      await until(async () => /^out +10\.\S+:80,10\.\S+:80 /m.test(await kubectl.ok('get', 'endpoints')));
      expect(await kubectl.ok('get', 'endpointslices')).toMatch(
        /^out-\w+ +IPv4 +80 +10\.\S+,10\.\S+ +\d+s$/m,
      );
    });

    it('delete --cascade=orphan, foreground and background', async () => {
      const pods = (): Promise<string> => kubectl.ok('get', 'pods', '--selector=app=web', '-o', 'name');
      await kubectl.ok('delete', 'deployment', 'web', '--cascade=orphan');
      expect(await kubectl.ok('get', 'replicasets', '-o', 'name')).toContain('replicaset.apps/web-');
      expect(await pods()).not.toBe('');
      // Created again it takes the orphans over.
      await kubectl.ok('create', 'deployment', 'web', '--image=nginx:3', '--replicas=2');
      await finished();
      await kubectl.ok('delete', 'deployment', 'web', '--cascade=foreground', '--timeout=20s');
      expect(await pods()).toBe('');
      await kubectl.ok('create', 'deployment', 'web', '--image=nginx:1', '--replicas=2');
      await finished();
      await kubectl.ok('delete', 'deployment', 'web');
      await until(async () => (await pods()) === '');
      expect(await kubectl.ok('get', 'replicasets', '-o', 'name')).toBe('');
    });
  });
}
