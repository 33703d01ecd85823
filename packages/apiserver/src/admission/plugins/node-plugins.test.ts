import { corev1 } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import { createObjectTable } from '../../testing/object-table.ts';
import { admit } from '../testing/admission-request.ts';
import { podTopologyLabels } from './pod-topology-labels.ts';
import { taintNodesByCondition } from './taint-nodes-by-condition.ts';

describe('TaintNodesByCondition', () => {
  const NOT_READY: corev1.Taint = { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' };
  test.each<[readonly corev1.Taint[] | undefined, readonly corev1.Taint[]]>([
    [undefined, [NOT_READY]],
    [[{ key: 'a', effect: 'NoExecute' }], [{ key: 'a', effect: 'NoExecute' }, NOT_READY]],
    [[{ ...NOT_READY, value: 'v' }], [{ ...NOT_READY, value: 'v' }]],
    [[{ ...NOT_READY, effect: 'NoExecute' }], [{ ...NOT_READY, effect: 'NoExecute' }, NOT_READY]],
  ])('%j', async (taints, wanted) => {
    const object: corev1.Node = {
      metadata: { name: 'n' },
      spec: taints === undefined ? {} : { taints },
    };
    const { spec } = await admit(taintNodesByCondition(), {
      operation: 'CREATE',
      resource: corev1.nodes,
      object,
    });
    expect(spec.taints).toEqual(wanted);
  });

  test('only at their creation', async () => {
    const object: corev1.Node = { metadata: { name: 'n' }, spec: {} };
    const request = { operation: 'UPDATE', resource: corev1.nodes, object, oldObject: object } as const;
    expect((await admit(taintNodesByCondition(), request)).spec.taints).toBeUndefined();
  });
});

describe('PodTopologyLabels', () => {
  const objects = createObjectTable();
  const zone = { 'topology.kubernetes.io/zone': 'z', 'topology.kubernetes.io/region': 'r' };
  objects.put(corev1.nodes, {
    metadata: { name: 'zoned', labels: { ...zone, 'topology.kubernetes.io/rack': '1', a: 'b' } },
    spec: {},
  });
  objects.put(corev1.nodes, { metadata: { name: 'plain' }, spec: {} });

  test.each<[string, corev1.ObjectReference, Readonly<Record<string, string>> | undefined]>([
    ['a node with a zone', { kind: 'Node', name: 'zoned' }, zone],
    ['a node without one', { kind: 'Node', name: 'plain' }, undefined],
    ['a node that is not there', { kind: 'Node', name: 'gone' }, undefined],
    ['something else', { kind: 'Pod', name: 'zoned' }, undefined],
  ])('bound to %s', async (_what, target, labels) => {
    const object: corev1.Binding = { metadata: { name: 'p', namespace: 'ns' }, target };
    const request = {
      operation: 'CREATE',
      resource: corev1.pods,
      subresource: 'binding',
      object,
    } as const;
    expect((await admit(podTopologyLabels(objects), request)).metadata.labels).toEqual(labels);
  });

  test('pods that name their node have its words, not their own', async () => {
    const create = async (nodeName?: string): Promise<unknown> => {
      const object: corev1.Pod = {
        metadata: {
          name: 'p',
          namespace: 'ns',
          labels: { app: 'web', 'topology.kubernetes.io/zone': 'mine' },
        },
        spec: { containers: [{ name: 'c' }], ...(nodeName === undefined ? {} : { nodeName }) },
      };
      const request = { operation: 'CREATE', resource: corev1.pods, object } as const;
      return (await admit(podTopologyLabels(objects), request)).metadata.labels;
    };
    expect(await create('zoned')).toEqual({ app: 'web', ...zone });
    expect(await create('plain')).toEqual({ app: 'web', 'topology.kubernetes.io/zone': 'mine' });
    expect(await create()).toEqual({ app: 'web', 'topology.kubernetes.io/zone': 'mine' });
  });
});
