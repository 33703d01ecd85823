import type { corev1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { toleratesTaint } from './tolerations.ts';

describe('tolerations', () => {
  const taint = { key: 'gpu', value: '8', effect: 'NoSchedule' } as const;

  it.each<[string, corev1.Toleration, boolean]>([
    ['the same', { key: 'gpu', operator: 'Equal', value: '8', effect: 'NoSchedule' }, true],
    ['no operator is Equal', { key: 'gpu', value: '8' }, true],
    ['another value', { key: 'gpu', value: '9' }, false],
    ['another key', { key: 'disk', value: '8' }, false],
    ['another effect', { key: 'gpu', value: '8', effect: 'NoExecute' }, false],
    ['Exists', { key: 'gpu', operator: 'Exists' }, true],
    ['Exists of another effect', { key: 'gpu', operator: 'Exists', effect: 'NoExecute' }, false],
    ['Exists without a key', { operator: 'Exists' }, true],
    ['Lt', { key: 'gpu', operator: 'Lt', value: '9' }, true],
    ['Lt, equal', { key: 'gpu', operator: 'Lt', value: '8' }, false],
    ['Gt', { key: 'gpu', operator: 'Gt', value: '-1' }, true],
    ['Gt with leading zeros', { key: 'gpu', operator: 'Gt', value: '01' }, false],
    ['Gt of no number', { key: 'gpu', operator: 'Gt', value: 'few' }, false],
    ['an unknown operator', { key: 'gpu', operator: 'Near' as 'Equal', value: '8' }, false],
  ])('%s', (_, toleration, expected) => {
    expect(toleratesTaint(toleration, taint)).toBe(expected);
  });
});
