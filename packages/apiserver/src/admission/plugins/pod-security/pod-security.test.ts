import { appsv1, batchv1, corev1 } from '@k8ts/api';
import type { KubeObject, ResourceType } from '@k8ts/api';
import { createMetrics } from '@k8ts/base';
import { describe, expect, test } from 'vitest';
import { createObjectTable } from '../../../testing/object-table.ts';
import type { ObjectTable } from '../../../testing/object-table.ts';
import { admissionRequest, type AdmissionRequest } from '../../testing/admission-request.ts';
import { podSecurity } from './pod-security.ts';
import { LEVELS, levelVersionText, MODES, policyOf, type Policy } from './policy.ts';

const LABEL = 'pod-security.kubernetes.io/';
const labels = (policy: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(policy).map(([name, value]) => [LABEL + name, value]));

const shown = (policy: Policy): string => MODES.map((mode) => levelVersionText(policy[mode])).join(' ');

describe('a namespace’s policy', () => {
  test.each([
    [{}, 'privileged:latest privileged:latest privileged:latest'],
    [{ enforce: 'privileged' }, 'privileged:latest privileged:latest privileged:latest'],
    // Who is refused is warned.
    [{ enforce: 'baseline' }, 'baseline:latest privileged:latest baseline:latest'],
    [
      { enforce: 'restricted', 'enforce-version': 'v1.25' },
      'restricted:v1.25 privileged:latest restricted:v1.25',
    ],
    [
      { enforce: 'restricted', 'enforce-version': 'v1.25', 'warn-version': 'v1.30' },
      'restricted:v1.25 privileged:latest restricted:v1.30',
    ],
    [{ enforce: 'restricted', warn: 'privileged' }, 'restricted:latest privileged:latest privileged:latest'],
    [{ audit: 'restricted', 'audit-version': 'v1.0' }, 'privileged:latest restricted:v1.0 privileged:latest'],
    [{ warn: 'baseline', 'warn-version': 'latest' }, 'privileged:latest privileged:latest baseline:latest'],
  ])('%j: %s', (given, wanted) => {
    const { policy, errors } = policyOf(labels(given));
    expect(errors).toEqual([]);
    expect(shown(policy)).toBe(wanted);
  });

  test.each([
    [{ enforce: 'strict' }, 'restricted:latest privileged:latest privileged:latest', 'enforce', 'strict'],
    [{ audit: 'Baseline' }, 'privileged:latest privileged:latest privileged:latest', 'audit', 'Baseline'],
    [{ warn: '' }, 'privileged:latest privileged:latest privileged:latest', 'warn', ''],
    [
      { enforce: 'baseline', 'enforce-version': '1.25' },
      'baseline:latest privileged:latest baseline:latest',
      'enforce-version',
      '1.25',
    ],
    [
      { 'audit-version': 'v1.01' },
      'privileged:latest privileged:latest privileged:latest',
      'audit-version',
      'v1.01',
    ],
    [
      { 'warn-version': 'v2.0' },
      'privileged:latest privileged:latest privileged:latest',
      'warn-version',
      'v2.0',
    ],
  ])('%j cannot be read', (given, wanted, label, value) => {
    const { policy, errors } = policyOf(labels(given));
    expect(shown(policy)).toBe(wanted);
    const detail = label.endsWith('version')
      ? 'must be "latest" or "v1.x"'
      : `must be one of ${LEVELS.join(', ')}`;
    expect(errors).toMatchObject([
      { field: `metadata.labels[${LABEL}${label}]`, body: `Invalid value: "${value}": ${detail}` },
    ]);
  });
});

const spec = (privileged = false): corev1.PodSpec => ({
  containers: [{ name: 'c', image: 'i', ...(privileged ? { securityContext: { privileged } } : {}) }],
});
const pod = (name = 'web', privileged = false, owner?: string): corev1.Pod => ({
  metadata: {
    name,
    namespace: 'ns',
    ...(owner === undefined
      ? {}
      : { ownerReferences: [{ apiVersion: 'v1', kind: 'X', name: owner, uid: owner, controller: true }] }),
  },
  spec: spec(privileged),
});
const PRIVILEGED = 'privileged (container "c" must not set securityContext.privileged=true)';
const UNHARDENED =
  'allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")';

interface Outcome {
  readonly refusal: string | undefined;
  readonly warnings: readonly string[];
}

function run(objects: ObjectTable, request: AdmissionRequest, plugin = podSecurity({ objects })): Outcome {
  const { attributes, warnings } = admissionRequest(request);
  if (!plugin.handles(request.resource, request.subresource ?? '')) return { refusal: undefined, warnings };
  try {
    expect(plugin.validate?.(attributes)).toBeUndefined();
    return { refusal: undefined, warnings };
  } catch (error) {
    return { refusal: (error as Error).message, warnings };
  }
}

function inNamespace(policy: Readonly<Record<string, string>>): ObjectTable {
  const objects = createObjectTable();
  objects.put(corev1.namespaces, { metadata: { name: 'ns', labels: labels(policy) }, spec: {} });
  return objects;
}

describe('pods', () => {
  test.each<[Readonly<Record<string, string>>, boolean, string | undefined, string[]]>([
    [{}, true, undefined, []],
    [{ enforce: 'privileged' }, true, undefined, []],
    [{ enforce: 'baseline' }, false, undefined, []],
    [
      { enforce: 'baseline' },
      true,
      `pods "web" is forbidden: violates PodSecurity "baseline:latest": ${PRIVILEGED}`,
      [],
    ],
    [
      { enforce: 'baseline', 'enforce-version': 'v1.30', warn: 'restricted' },
      true,
      `pods "web" is forbidden: violates PodSecurity "baseline:v1.30": ${PRIVILEGED}`,
      [],
    ],
    [
      { enforce: 'restricted' },
      false,
      `pods "web" is forbidden: violates PodSecurity "restricted:latest": ${UNHARDENED}`,
      [],
    ],
    [
      { enforce: 'baseline', warn: 'restricted', 'warn-version': 'v1.25' },
      false,
      undefined,
      [`would violate PodSecurity "restricted:v1.25": ${UNHARDENED}`],
    ],
    [{ warn: 'baseline' }, true, undefined, [`would violate PodSecurity "baseline:latest": ${PRIVILEGED}`]],
    [{ audit: 'restricted' }, true, undefined, []],
    // What cannot be read is the strictest.
    [
      { enforce: 'basline' },
      false,
      `pods "web" is forbidden: violates PodSecurity "restricted:latest": ${UNHARDENED}`,
      [],
    ],
  ])('%j, privileged: %s', (policy, privileged, refusal, warnings) => {
    const object = pod('web', privileged);
    expect(run(inNamespace(policy), { operation: 'CREATE', resource: corev1.pods, object })).toEqual({
      refusal,
      warnings,
    });
  });

  test('a namespace that is not there', () => {
    expect(
      run(createObjectTable(), { operation: 'CREATE', resource: corev1.pods, object: pod() }).refusal,
    ).toBe('Internal error occurred: failed to lookup namespace "ns"');
  });

  const change = (subresource: string, changed: Partial<corev1.PodSpec>): string | undefined => {
    const old = pod('web', true);
    const object = { ...old, spec: { ...old.spec, ...changed } };
    return run(inNamespace({ enforce: 'baseline' }), {
      operation: 'UPDATE',
      resource: corev1.pods,
      subresource,
      object,
      oldObject: old,
    }).refusal;
  };
  test.each<[string, string, Partial<corev1.PodSpec>, boolean]>([
    ['labels', '', {}, true],
    ['a toleration', '', { tolerations: [{ operator: 'Exists' }] }, true],
    ['an image', '', { containers: [{ ...spec(true).containers[0], name: 'c', image: 'j' }] }, false],
    ['a container', '', { containers: [...spec(true).containers, { name: 'd' }] }, false],
    ['an init container', '', { initContainers: [{ name: 'd' }] }, false],
    ['an ephemeral container', 'ephemeralcontainers', { ephemeralContainers: [{ name: 'e' }] }, false],
    ['resources', 'resize', {}, true],
    ['a status', 'status', { initContainers: [{ name: 'd' }] }, true],
    ['unknown things', 'future', { initContainers: [{ name: 'd' }] }, false],
  ])('an update of %s (pods/%s)', (_what, subresource, changed, allowed) => {
    expect(change(subresource, changed)).toBe(
      allowed ? undefined : `pods "web" is forbidden: violates PodSecurity "baseline:latest": ${PRIVILEGED}`,
    );
  });
});

describe('workloads are only warned', () => {
  const template = { metadata: {}, spec: spec(true) };
  test.each<[ResourceType<KubeObject>, object]>([
    [corev1.replicationControllers, { spec: { template } }],
    [corev1.podTemplates, { template }],
    [appsv1.replicaSets, { spec: { template } }],
    [appsv1.deployments, { spec: { template } }],
    [appsv1.statefulSets, { spec: { template } }],
    [appsv1.daemonSets, { spec: { template } }],
    [batchv1.jobs, { spec: { template } }],
    [batchv1.cronJobs, { spec: { jobTemplate: { spec: { template } } } }],
  ])('$resource', (resource, content) => {
    const object = { metadata: { name: 'w', namespace: 'ns' }, ...content } as KubeObject;
    const create = { operation: 'CREATE', resource, object } as const;
    const warnings = [`would violate PodSecurity "baseline:latest": ${PRIVILEGED}`];
    expect(run(inNamespace({ enforce: 'baseline' }), create)).toEqual({ refusal: undefined, warnings });
    expect(run(inNamespace({ warn: 'baseline' }), create)).toEqual({ refusal: undefined, warnings });
    expect(run(inNamespace({ audit: 'baseline' }), create).warnings).toEqual([]);
    expect(run(inNamespace({ enforce: 'baseline', warn: 'privileged' }), create).warnings).toEqual([]);
    expect(run(inNamespace({}), create).warnings).toEqual([]);
    expect(run(inNamespace({ enforce: 'baseline' }), { ...create, subresource: 'status' }).warnings).toEqual(
      [],
    );
    expect(run(createObjectTable(), create).refusal).toBeUndefined();
  });

  test('a ReplicationController without a template', () => {
    const object = { metadata: { name: 'w', namespace: 'ns' }, spec: {} };
    const resource = corev1.replicationControllers;
    expect(run(inNamespace({ enforce: 'baseline' }), { operation: 'CREATE', resource, object })).toEqual({
      refusal: undefined,
      warnings: [],
    });
  });
});

describe('namespaces', () => {
  const namespace = (policy: Readonly<Record<string, string>>): corev1.Namespace => ({
    metadata: { name: 'ns', labels: labels(policy) },
    spec: {},
  });
  const update = (
    before: Readonly<Record<string, string>>,
    after: Readonly<Record<string, string>>,
    pods: readonly corev1.Pod[] = [],
  ): Outcome => {
    const objects = createObjectTable();
    for (const each of pods) objects.put(corev1.pods, each);
    return run(objects, {
      operation: 'UPDATE',
      resource: corev1.namespaces,
      object: namespace(after),
      oldObject: namespace(before),
    });
  };
  const INVALID =
    'Namespace "ns" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "x": must be one of privileged, baseline, restricted';

  test('labels must be right, unless they were wrong before', () => {
    const create = { operation: 'CREATE', resource: corev1.namespaces } as const;
    expect(run(createObjectTable(), { ...create, object: namespace({ enforce: 'x' }) }).refusal).toBe(
      INVALID,
    );
    expect(run(createObjectTable(), { ...create, object: namespace({ enforce: 'baseline' }) }).refusal).toBe(
      undefined,
    );
    expect(update({}, { enforce: 'x' }).refusal).toBe(INVALID);
    expect(update({ enforce: 'y' }, { enforce: 'x' }).refusal).toBe(INVALID);
    expect(update({ enforce: 'x' }, { enforce: 'x' }).refusal).toBeUndefined();
    expect(update({ enforce: 'x' }, {}).refusal).toBeUndefined();
    expect(update({}, { enforce: 'x', 'warn-version': '1' }).refusal).toBe(
      'Namespace "ns" is invalid: [metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "x": must be one of privileged, baseline, restricted, metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: "1": must be "latest" or "v1.x"]',
    );
  });

  const existing = [
    pod('c', true),
    pod('b', true),
    pod('a', true),
    { ...pod('d'), spec: { ...spec(), hostPID: true } },
    pod('e'),
  ];
  const WARNINGS = [
    'existing pods in namespace "ns" violate the new PodSecurity enforce level "baseline:latest"',
    'a (and 2 other pods): privileged',
    'd: host namespaces',
  ];
  test.each<[string, Readonly<Record<string, string>>, Readonly<Record<string, string>>, readonly string[]]>([
    ['a stricter level', {}, { enforce: 'baseline' }, WARNINGS],
    ['the same', { enforce: 'baseline' }, { enforce: 'baseline' }, []],
    ['a relaxed one', { enforce: 'restricted' }, { enforce: 'baseline' }, []],
    [
      'a relaxed one of another version',
      { enforce: 'restricted', 'enforce-version': 'v1.0' },
      { enforce: 'baseline' },
      WARNINGS,
    ],
    ['none any more', { enforce: 'restricted' }, { 'enforce-version': 'v1.0' }, []],
    ['other modes', {}, { warn: 'restricted', audit: 'restricted' }, []],
  ])('warns of existing pods: %s', (_what, before, after, warnings) => {
    expect(update(before, after, existing)).toEqual({ refusal: undefined, warnings });
  });

  test('two pods, and a replica of each controller first', () => {
    const pods = [pod('b', true), pod('a', true)];
    expect(update({}, { enforce: 'baseline' }, pods).warnings).toContain('a (and 1 other pod): privileged');
    const many = [...Array.from({ length: 3000 }, (_, i) => pod(`r${i}`, false, 'set')), pod('last', true)];
    expect(update({}, { enforce: 'baseline' }, many).warnings).toEqual([
      'new PodSecurity enforce level only checked against the first 3000 of 3001 existing pods',
      'existing pods in namespace "ns" violate the new PodSecurity enforce level "baseline:latest"',
      'last: privileged',
    ]);
  });
});

test('counts what it decides', async () => {
  const metrics = createMetrics();
  const create = (policy: Readonly<Record<string, string>>, privileged: boolean): void => {
    const objects = inNamespace(policy);
    const request = { operation: 'CREATE', resource: corev1.pods, object: pod('web', privileged) } as const;
    run(objects, request, podSecurity({ objects, metrics }));
  };
  create({}, true);
  create({ enforce: 'baseline', 'enforce-version': 'v1.99' }, true);
  create({ enforce: 'baseline', 'enforce-version': 'v1.30', audit: 'baseline' }, false);
  create({ audit: 'baseline', warn: 'baseline' }, true);
  create({ enforce: 'x' }, true);
  const text = await metrics.text();
  const rest = 'request_operation="create",resource="pod",subresource=""';
  expect(
    text
      .split('\n')
      .filter((line) => line.startsWith('pod_security_'))
      .sort(),
  ).toEqual(
    [
      `pod_security_errors_total{fatal="false",${rest}} 1`,
      `pod_security_evaluations_total{decision="allow",policy_level="privileged",policy_version="latest",mode="enforce",${rest}} 2`,
      `pod_security_evaluations_total{decision="deny",policy_level="baseline",policy_version="future",mode="enforce",${rest}} 1`,
      `pod_security_evaluations_total{decision="allow",policy_level="baseline",policy_version="v1.30",mode="enforce",${rest}} 1`,
      `pod_security_evaluations_total{decision="deny",policy_level="baseline",policy_version="latest",mode="audit",${rest}} 1`,
      `pod_security_evaluations_total{decision="deny",policy_level="baseline",policy_version="latest",mode="warn",${rest}} 1`,
      `pod_security_evaluations_total{decision="deny",policy_level="restricted",policy_version="latest",mode="enforce",${rest}} 1`,
    ].sort(),
  );
});
