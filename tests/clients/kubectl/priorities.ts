import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { until } from '../../support/waiting.ts';
import type { Kubectl } from './program.ts';
import type { Session } from './session.ts';

const RESOURCE = 'example.com/seat';

/** Pods that make others leave. */
export function testPriorities(session: Session): void {
  describe('priorities', () => {
    let kubectl: Kubectl;
    const provide = async (amount: string | null): Promise<void> => {
      const status = { capacity: { [RESOURCE]: amount }, allocatable: { [RESOURCE]: amount } };
      const patch = JSON.stringify({ status });
      await kubectl.ok('patch', 'node', 'node-1', '--subresource=status', '--type=merge', '-p', patch);
    };
    const podOf = (name: string, priorityClassName: string, metadata: object = {}): object => {
      const resources = { limits: { [RESOURCE]: '1' } };
      return {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, ...metadata },
        spec: { priorityClassName, containers: [{ name: 'main', image: 'nginx', resources }] },
      };
    };

    beforeAll(async () => {
      kubectl = await session.freshNamespace('priorities');
      await provide('1');
    });
    afterAll(async () => {
      await provide(null);
      await kubectl.ok('delete', 'priorityclass', 'economy', 'business');
    });

    it('decide who leaves', async () => {
      expect(await kubectl.ok('create', 'priorityclass', 'economy', '--value=1')).toBe(
        'priorityclass.scheduling.k8s.io/economy created\n',
      );
      await kubectl.ok('create', 'priorityclass', 'business', '--value=1000');
      const annotations = { 'k8ts.io/simulate': JSON.stringify({ stopAfter: 8 }) };
      await kubectl.feed(podOf('first', 'economy', { annotations }), 'create', '-f', '-');
      await kubectl.ok('wait', 'pod/first', '--for=condition=Ready', '--timeout=20s');

      await kubectl.feed(podOf('second', 'business'), 'create', '-f', '-');
      const reason = '-o=jsonpath={.status.conditions[?(@.type=="DisruptionTarget")].reason}';
      await until(async () => (await kubectl.ok('get', 'pod', 'first', reason)) === 'PreemptionByScheduler');
      const wide = ['get', 'pod', 'second', '-o', 'wide', '--no-headers'];
      await until(async () => / Pending .* node-1 +<none>$/m.test((await kubectl.ok(...wide)).trimEnd()));
      const described = await kubectl.ok('describe', 'pod', 'second');
      expect(described).toMatch(/^NominatedNodeName: +node-1$/m);
      expect(described).toMatch(
        /FailedScheduling .* 0\/2 nodes are available: 2 Insufficient example\.com\/seat\./,
      );
      const uid = await kubectl.ok('get', 'pod', 'second', '-o', 'jsonpath={.metadata.uid}');
      await until(async () =>
        (await kubectl.ok('describe', 'pod', 'first')).includes(`Preempted by pod ${uid} on node node-1`),
      );
    });

    it('let who came later wait for the room', async () => {
      await kubectl.feed(podOf('third', 'business'), 'create', '-f', '-');
      await until(async () =>
        / preemption: 0\/2 nodes are available: 1 [^,]+, 1 Preemption is not helpful for scheduling\./.test(
          await kubectl.ok('describe', 'pod', 'third'),
        ),
      );
      await kubectl.ok('wait', 'pod/second', '--for=condition=Ready', '--timeout=20s');
      expect(await kubectl.ok('get', 'pod', 'third', '-o', 'jsonpath={.spec.nodeName}')).toBe('');
      await kubectl.ok('delete', 'pod', 'second', 'third', '--now');
    });
  });
}
