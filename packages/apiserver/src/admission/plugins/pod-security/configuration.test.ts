import { corev1 } from '@k8ts/api';
import type { JsonObject } from '@k8ts/apimachinery';
import { createMetrics } from '@k8ts/base';
import { describe, expect, test } from 'vitest';
import { userInfo } from '../../../authentication/well-known-users.ts';
import { createObjectTable } from '../../../testing/object-table.ts';
import { admissionRequest, type AdmissionRequest } from '../../testing/admission-request.ts';
import { podSecurityConfiguration } from './configuration.ts';
import { podSecurity } from './pod-security.ts';
import { levelVersionText, MODES, policyOf } from './policy.ts';

const configuration = (fields: object): JsonObject => ({
  apiVersion: 'pod-security.admission.config.k8s.io/v1',
  kind: 'PodSecurityConfiguration',
  ...fields,
});
const LABEL = 'pod-security.kubernetes.io/';

describe('the operator’s defaults', () => {
  const { defaults } = podSecurityConfiguration(
    configuration({
      defaults: { enforce: 'baseline', 'enforce-version': 'v1.30', warn: 'restricted', audit: '' },
    }),
  );
  const shown = (labels: Readonly<Record<string, string>>): string =>
    MODES.map((mode) => levelVersionText(policyOf(labels, defaults).policy[mode])).join(' ');

  test.each([
    [{}, 'baseline:v1.30 privileged:latest restricted:latest'],
    [{ [`${LABEL}enforce`]: 'privileged' }, 'privileged:v1.30 privileged:latest restricted:latest'],
    [{ [`${LABEL}enforce-version`]: 'v1.31' }, 'baseline:v1.31 privileged:latest restricted:latest'],
    [{ [`${LABEL}warn`]: 'privileged' }, 'baseline:v1.30 privileged:latest privileged:latest'],
    [{ [`${LABEL}audit`]: 'baseline' }, 'baseline:v1.30 baseline:latest restricted:latest'],
  ])('with the labels %j: %s', (labels, expected) => {
    expect(shown(labels)).toBe(expected);
  });
});

describe('what is exempt', () => {
  const objects = createObjectTable();
  for (const name of ['ns', 'infra'])
    objects.put(corev1.namespaces, {
      metadata: { name, labels: { [`${LABEL}enforce`]: 'baseline' } },
      spec: {},
    });
  const metrics = createMetrics();
  const plugin = podSecurity({
    objects,
    metrics,
    configuration: podSecurityConfiguration(
      configuration({
        exemptions: { usernames: ['robot'], namespaces: ['infra'], runtimeClasses: ['vm'] },
      }),
    ),
  });

  const pod = (namespace: string, spec: object = {}): corev1.Pod => ({
    metadata: { name: 'p', namespace },
    spec: { containers: [{ name: 'c', image: 'i', securityContext: { privileged: true } }], ...spec },
  });
  const refused = (request: Partial<AdmissionRequest>): boolean => {
    const { attributes } = admissionRequest({
      operation: 'CREATE',
      resource: corev1.pods,
      object: pod('ns'),
      ...request,
    });
    try {
      void plugin.validate?.(attributes);
      return false;
    } catch {
      return true;
    }
  };

  test('users, namespaces and runtime classes', async () => {
    expect(refused({})).toBe(true);
    expect(refused({ user: userInfo('robot', []) })).toBe(false);
    expect(refused({ object: pod('infra') })).toBe(false);
    expect(refused({ object: pod('ns', { runtimeClassName: 'vm' }) })).toBe(false);
    expect(refused({ object: pod('ns', { runtimeClassName: 'other' }) })).toBe(true);
    expect(await metrics.text()).toContain(
      'pod_security_exemptions_total{request_operation="create",resource="pod",subresource=""} 3',
    );
  });

  test('is noted in the audit', () => {
    const notes: string[] = [];
    const { attributes } = admissionRequest({
      operation: 'CREATE',
      resource: corev1.pods,
      object: pod('infra'),
    });
    void plugin.validate?.({ ...attributes, annotate: (key, value) => notes.push(`${key}=${value}`) });
    expect(notes).toEqual([`${LABEL}exempt=namespace`]);
  });

  test('has no pods that would be refused, when its namespace becomes stricter', () => {
    const warningsOf = (name: string): readonly string[] => {
      objects.put(corev1.pods, pod(name, { runtimeClassName: name === 'ns' ? 'vm' : undefined }));
      const { attributes, warnings } = admissionRequest({
        operation: 'UPDATE',
        resource: corev1.namespaces,
        oldObject: { metadata: { name } },
        object: { metadata: { name, labels: { [`${LABEL}enforce`]: 'baseline' } } },
      });
      void plugin.validate?.(attributes);
      return warnings;
    };
    expect(warningsOf('infra')).toEqual([]);
    expect(warningsOf('ns')).toEqual([]);
  });
});

test.each([
  [{ default: {} }, 'strict decoding error: unknown field "default"'],
  [{ defaults: { enforced: 'baseline' } }, 'strict decoding error: unknown field "defaults.enforced"'],
  [
    { defaults: { enforce: 'strict', 'warn-version': '1.2' } },
    '[defaults.enforce: Invalid value: "strict": must be one of privileged, baseline, restricted, defaults.warn-version: Invalid value: "1.2": must be "latest" or "v1.x"]',
  ],
  [
    { exemptions: { usernames: [''], namespaces: ['a', 'a'], runtimeClasses: ['_'] } },
    'exemptions.namespaces[1]: Duplicate value: "a"',
  ],
])('%j cannot be used', (fields, problem) => {
  expect(() => podSecurityConfiguration(configuration(fields))).toThrow(problem);
});

test('nor can what is of another kind', () => {
  expect(() => podSecurityConfiguration({ apiVersion: 'v1', kind: 'Pod' })).toThrow(
    'no kind "Pod" is registered for version "v1"',
  );
});
