import { beforeAll, describe, expect, it } from 'vitest';

import { until } from '../../support/waiting.ts';
import type { Kubectl } from './program.ts';
import type { Session } from './session.ts';

/** cordon, drain, taint: last, since they move pods about. */
export function testNodes(session: Session): void {
  describe('nodes', () => {
    let kubectl: Kubectl;
    const nodesOfPods = async (): Promise<readonly string[]> =>
      (await kubectl.ok('get', 'pods', '-o', 'jsonpath={.items[*].spec.nodeName}')).split(' ').sort();
    beforeAll(async () => {
      kubectl = await session.freshNamespace('nodes');
      await kubectl.ok('create', 'deployment', 'web', '--image=nginx', '--replicas=4');
      await kubectl.ok('rollout', 'status', 'deployment/web', '--timeout=20s');
    });

    it('spread over the nodes', async () => {
      expect(await nodesOfPods()).toEqual(['node-0', 'node-0', 'node-1', 'node-1']);
    });

    it('cordon', async () => {
      expect(await kubectl.ok('cordon', 'node-0')).toBe('node/node-0 cordoned\n');
      expect(await kubectl.ok('cordon', 'node-0')).toBe('node/node-0 already cordoned\n');
      expect(await kubectl.ok('get', 'node', 'node-0')).toMatch(/^node-0 +Ready,SchedulingDisabled /m);
    });

    it('drain', async () => {
      const args = ['drain', 'node-0', '--force', '--ignore-daemonsets', '--delete-emptydir-data'];
      const drained = await kubectl.ok(...args, '--timeout=30s');
      expect(drained).toMatch(/^evicting pod nodes\/web-|^pod\/web-\S+ evicted$/m);
      expect(drained).toContain('node/node-0 drained\n');
      await kubectl.ok('rollout', 'status', 'deployment/web', '--timeout=20s');
      await until(async () => (await nodesOfPods()).join() === 'node-1,node-1,node-1,node-1');
      expect(await kubectl.ok('uncordon', 'node-0')).toBe('node/node-0 uncordoned\n');
    });

    it('drain respects a disruption budget', async () => {
      await kubectl.ok('create', 'poddisruptionbudget', 'all', '--selector=app=web', '--min-available=4');
      const healthy = ['get', 'pdb', 'all', '-o', 'jsonpath={.status.currentHealthy}'];
      await until(async () => (await kubectl.ok(...healthy)) === '4');
      expect(await kubectl.ok('get', 'pdb', 'all')).toMatch(/^all +4 +N\/A +0 /m);
      await using drain = kubectl.start('drain', 'node-1', '--pod-selector=app=web', '--timeout=20s');
      await drain.until(/Cannot evict pod as it would violate the pod's disruption budget\./);
      expect(await nodesOfPods()).toEqual(['node-1', 'node-1', 'node-1', 'node-1']);
      await kubectl.ok('delete', 'poddisruptionbudget', 'all');
      await kubectl.ok('uncordon', 'node-1');
    });

    it('taint', async () => {
      expect(await kubectl.ok('taint', 'node', 'node-1', 'team=red:NoSchedule')).toBe(
        'node/node-1 tainted\n',
      );
      expect(await kubectl.ok('describe', 'node', 'node-1')).toMatch(/^Taints: +team=red:NoSchedule$/m);
      await kubectl.ok('scale', 'deployment/web', '--replicas=6');
      await kubectl.ok('rollout', 'status', 'deployment/web', '--timeout=20s');
      expect((await nodesOfPods()).filter((node) => node === 'node-0')).toHaveLength(2);
      expect(await kubectl.ok('taint', 'node', 'node-1', 'team-')).toBe('node/node-1 untainted\n');
    });

    it('taint NoExecute evicts', async () => {
      await kubectl.ok('taint', 'node', 'node-1', 'gone=yes:NoExecute');
      await until(async () => !(await nodesOfPods()).includes('node-1'));
      await kubectl.ok('taint', 'node', 'node-1', 'gone=yes:NoExecute-');
    });

    it('label a node and ask for it', async () => {
      expect(await kubectl.ok('label', 'node', 'node-1', 'disk=fast')).toBe('node/node-1 labeled\n');
      const overrides = JSON.stringify({ spec: { nodeSelector: { disk: 'fast' } } });
      await kubectl.ok('run', 'picky', '--image=nginx', `--overrides=${overrides}`);
      await kubectl.ok('wait', 'pod/picky', '--for=condition=Ready', '--timeout=20s');
      expect(await kubectl.ok('get', 'pod', 'picky', '-o', 'jsonpath={.spec.nodeName}')).toBe('node-1');
    });

    it('drain goes on as soon as the budget allows', async () => {
      const guarded = await session.freshNamespace('guarded');
      await guarded.ok('create', 'deployment', 'web', '--image=nginx', '--replicas=2');
      await guarded.ok('rollout', 'status', 'deployment/web', '--timeout=20s');
      await guarded.ok('create', 'poddisruptionbudget', 'all', '--selector=app=web', '--min-available=100%');
      const [node = ''] = (await guarded.ok('get', 'pods', '-o', 'jsonpath={.items[*].spec.nodeName}')).split(
        ' ',
      );
      await using drain = guarded.start('drain', node, '--pod-selector=app=web', '--timeout=25s');
      await drain.until(/Cannot evict pod as it would violate the pod's disruption budget\./);
      await guarded.ok('patch', 'pdb', 'all', '-p', '{"spec":{"minAvailable":"50%"}}');
      await drain.until(/^node\/\S+ drained$/m);
      await guarded.ok('uncordon', node);
    });
  });
}
