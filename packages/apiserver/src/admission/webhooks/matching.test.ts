import { corev1 } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import type { ObjectReader } from '../../object-reader.ts';
import type { AdmissionAttributes } from '../contract.ts';
import { wantedVersion, type Webhook } from './matching.ts';

const NONE = { matchExpressions: [{ key: 'a', operator: 'Nonsense' }] };
const PODS = { apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], operations: ['*'] };
const namespace = { metadata: { name: 'default', labels: { a: 'b' } } };
const objects = { get: () => namespace } as unknown as ObjectReader;
const attributes = {
  resource: corev1.pods,
  operation: 'CREATE',
  subresource: '',
  namespace: 'default',
  name: 'a',
  object: { metadata: { name: 'a' } },
  versions: { requested: corev1.pods, equivalents: [] },
} as unknown as AdmissionAttributes;
const wanted = (webhook: object): unknown =>
  wantedVersion({ rules: [PODS], ...webhook } as unknown as Webhook, attributes, objects);

/** Configurations that were stored before selectors were checked, or by others. */
describe('a webhook with a selector that is none', () => {
  test.each(['namespaceSelector', 'objectSelector'])('stops what its rules are about: %s', (field) => {
    expect(() => wanted({ [field]: NONE })).toThrow('"Nonsense" is not a valid label selector operator');
  });

  test.each([
    { objectSelector: NONE, rules: [{ ...PODS, resources: ['secrets'] }] },
    { namespaceSelector: NONE, rules: [] },
    { namespaceSelector: { matchLabels: { a: 'c' } }, objectSelector: NONE },
    { namespaceSelector: NONE, objectSelector: { matchLabels: { a: 'c' } } },
  ])('stops nothing else: %j', (webhook) => {
    expect(wanted(webhook)).toBeUndefined();
  });
});
