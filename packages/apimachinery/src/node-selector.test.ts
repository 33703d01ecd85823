import type { corev1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { matchesNode } from './node-selector.ts';

const node: corev1.Node = {
  metadata: { name: 'n1', labels: { disk: 'ssd', cores: '8', slots: '8a', bytes: '9007199254740993' } },
  spec: {},
};
type Term = corev1.NodeSelectorTerm;
const expression = (key: string, operator: string, ...values: string[]): Term => ({
  matchExpressions: [{ key, operator: operator as 'In', values }],
});

describe('the nodes that a pod asks for', () => {
  it.each<[string, Term[], boolean]>([
    ['In', [expression('disk', 'In', 'hdd', 'ssd')], true],
    ['In, not there', [expression('gpu', 'In', 'a')], false],
    ['NotIn', [expression('disk', 'NotIn', 'ssd')], false],
    ['NotIn, not there', [expression('gpu', 'NotIn', 'a')], true],
    ['Exists', [expression('disk', 'Exists')], true],
    ['DoesNotExist', [expression('disk', 'DoesNotExist')], false],
    ['Gt', [expression('cores', 'Gt', '4')], true],
    ['Lt', [expression('cores', 'Lt', '4')], false],
    ['Gt of no number', [expression('disk', 'Gt', '4')], false],
    ['Gt of a number and more', [expression('slots', 'Gt', '4')], false],
    ['Gt than no number', [expression('cores', 'Gt', '4x')], false],
    ['Gt beyond what floats hold', [expression('bytes', 'Gt', '9007199254740992')], true],
    ['a name that every object inherits', [expression('constructor', 'Exists')], false],
    ['one of several terms', [expression('disk', 'In', 'hdd'), expression('cores', 'Exists')], true],
    ['an empty term', [{}], false],
    ['no terms', [], false],
    ['the name', [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n1'] }] }], true],
    ['another name', [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n2'] }] }], false],
    ['an unknown operator', [expression('disk', 'Near', 'ssd')], false],
  ])('%s', (_, nodeSelectorTerms, expected) => {
    const requiredDuringSchedulingIgnoredDuringExecution = { nodeSelectorTerms };
    const spec = {
      containers: [],
      affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution } },
    };
    expect(matchesNode(spec, node)).toBe(expected);
    expect(matchesNode({ ...spec, nodeSelector: { disk: 'hdd' } }, node)).toBe(false);
  });
});
