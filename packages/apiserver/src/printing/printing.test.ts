import type { corev1, KubeObject } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import type { Column } from './contract.ts';
import { nodeColumns, serviceColumns } from './columns/core.ts';
import { mutatingAdmissionPolicyColumns, policyBindingColumns } from './columns/other.ts';
import { podColumns, podRowConditions } from './columns/pod.ts';
import { deploymentColumns, jobColumns } from './columns/workloads.ts';
import { humanDuration, timeSince } from './human-duration.ts';
import { parseIncludeObject, printTable } from './print-table.ts';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const CREATED = '2026-01-01T10:00:00Z';

function cells<T extends KubeObject>(columns: readonly Column<T>[], object: unknown, wide = false): unknown {
  return Object.fromEntries(
    columns
      .filter(({ priority }) => wide || priority === 0)
      .map(({ name, cell }) => [name, cell(object as T, NOW)]),
  );
}

test.each([
  [-5, '<invalid>'],
  [-1, '0s'],
  [0, '0s'],
  [119, '119s'],
  [120, '2m'],
  [200, '3m20s'],
  [600, '10m'],
  [179 * 60, '179m'],
  [3 * 3600, '3h'],
  [7 * 3600 + 60, '7h1m'],
  [47 * 3600, '47h'],
  [49 * 3600, '2d1h'],
  [8 * 86400, '8d'],
  [2 * 365 * 86400, '2y'],
  [(2 * 365 + 40) * 86400, '2y40d'],
  [9 * 365 * 86400, '9y'],
])('%d seconds are %s', (seconds, text) => {
  expect(humanDuration(seconds * 1000)).toBe(text);
});

test('an age needs a beginning', () => {
  expect(timeSince(undefined, NOW)).toBe('<unknown>');
  expect(timeSince(CREATED, NOW)).toBe('120m');
});

const running = { ready: true, restartCount: 0, state: { running: { startedAt: CREATED } } };
const status = (fields: object, name = 'c'): object => ({ name, ready: false, restartCount: 0, ...fields });
const pod = (podStatus: object, spec: object = {}, metadata: object = {}): object => ({
  metadata: { name: 'p', creationTimestamp: CREATED, ...metadata },
  spec: { containers: [{ name: 'c' }], ...spec },
  status: podStatus,
});

describe('pods', () => {
  test.each<[string, object, object]>([
    ['pending', pod({ phase: 'Pending' }), { Ready: '0/1', Status: 'Pending', Restarts: '0' }],
    [
      'running',
      pod({ phase: 'Running', containerStatuses: [status(running)] }),
      { Ready: '1/1', Status: 'Running', Restarts: '0' },
    ],
    [
      'in a loop of crashes',
      pod({
        phase: 'Running',
        containerStatuses: [
          status({
            restartCount: 3,
            state: { waiting: { reason: 'CrashLoopBackOff' } },
            lastState: { terminated: { exitCode: 1, finishedAt: '2026-01-01T11:55:00Z' } },
          }),
        ],
      }),
      { Ready: '0/1', Status: 'CrashLoopBackOff', Restarts: '3 (5m ago)' },
    ],
    [
      'done',
      pod({
        phase: 'Succeeded',
        containerStatuses: [status({ state: { terminated: { exitCode: 0, reason: 'Completed' } } })],
      }),
      { Ready: '0/1', Status: 'Completed', Restarts: '0' },
    ],
    [
      'killed by a signal',
      pod({
        phase: 'Failed',
        containerStatuses: [status({ state: { terminated: { exitCode: 137, signal: 9 } } })],
      }),
      { Ready: '0/1', Status: 'Signal:9', Restarts: '0' },
    ],
    [
      'failed without words',
      pod({
        phase: 'Failed',
        containerStatuses: [status({ state: { terminated: { exitCode: 2 } } })],
      }),
      { Ready: '0/1', Status: 'ExitCode:2', Restarts: '0' },
    ],
    [
      'at its first init container',
      pod(
        { phase: 'Pending', initContainerStatuses: [status({ state: { running: {} } }, 'i')] },
        { initContainers: [{ name: 'i' }, { name: 'j' }] },
      ),
      { Ready: '0/1', Status: 'Init:0/2', Restarts: '0' },
    ],
    [
      'broken in an init container',
      pod(
        {
          phase: 'Pending',
          initContainerStatuses: [status({ state: { terminated: { exitCode: 1, reason: 'Error' } } }, 'i')],
        },
        { initContainers: [{ name: 'i' }] },
      ),
      { Ready: '0/1', Status: 'Init:Error', Restarts: '0' },
    ],
    [
      'ending',
      pod({ phase: 'Running', containerStatuses: [status(running)] }, {}, { deletionTimestamp: CREATED }),
      { Ready: '1/1', Status: 'Terminating', Restarts: '0' },
    ],
    [
      'lost with its node',
      pod({ phase: 'Running', reason: 'NodeLost' }, {}, { deletionTimestamp: CREATED }),
      { Ready: '0/1', Status: 'Unknown', Restarts: '0' },
    ],
    [
      'evicted',
      pod({ phase: 'Failed', reason: 'Evicted' }),
      { Ready: '0/1', Status: 'Evicted', Restarts: '0' },
    ],
    [
      'behind gates',
      pod({
        phase: 'Pending',
        conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }],
      }),
      { Ready: '0/1', Status: 'SchedulingGated', Restarts: '0' },
    ],
  ])('%s', (_, object, expected) => {
    expect(cells(podColumns, object)).toEqual({ Name: 'p', Age: '120m', ...expected });
  });

  test('wide', () => {
    const object = pod(
      { phase: 'Running', podIPs: [{ ip: '10.0.0.1' }], containerStatuses: [status(running)] },
      { nodeName: 'n', readinessGates: [{ conditionType: 'g' }] },
    );
    expect(cells(podColumns, object, true)).toMatchObject({
      IP: '10.0.0.1',
      Node: 'n',
      'Nominated Node': '<none>',
      'Readiness Gates': '0/1',
    });
  });

  test('that are done say so', () => {
    expect(podRowConditions(pod({ phase: 'Succeeded' }) as corev1.Pod)).toEqual([
      {
        type: 'Completed',
        status: 'True',
        reason: 'Succeeded',
        message: 'The pod has completed successfully.',
      },
    ]);
    expect(podRowConditions(pod({ phase: 'Running' }) as corev1.Pod)).toBeUndefined();
  });
});

test('services', () => {
  const metadata = { name: 's', creationTimestamp: CREATED };
  expect(
    cells(serviceColumns, {
      metadata,
      spec: {
        type: 'NodePort',
        clusterIP: '10.96.0.1',
        clusterIPs: ['10.96.0.1'],
        ports: [
          { port: 80, protocol: 'TCP', nodePort: 30000 },
          { port: 53, protocol: 'UDP' },
        ],
      },
    }),
  ).toEqual({
    Name: 's',
    Type: 'NodePort',
    'Cluster-IP': '10.96.0.1',
    'External-IP': '<none>',
    'Port(s)': '80:30000/TCP,53/UDP',
    Age: '120m',
  });
  expect(
    cells(serviceColumns, { metadata, spec: { type: 'LoadBalancer', clusterIP: '10.96.0.2' } }),
  ).toMatchObject({ 'External-IP': '<pending>', 'Port(s)': '<none>' });
});

test('nodes', () => {
  expect(
    cells(nodeColumns, {
      metadata: {
        name: 'n',
        creationTimestamp: CREATED,
        labels: { 'node-role.kubernetes.io/control-plane': '' },
      },
      spec: { unschedulable: true },
      status: {
        conditions: [{ type: 'Ready', status: 'True' }],
        nodeInfo: { kubeletVersion: 'v1.36.2' },
      },
    }),
  ).toEqual({
    Name: 'n',
    Status: 'Ready,SchedulingDisabled',
    Roles: 'control-plane',
    Age: '120m',
    Version: 'v1.36.2',
  });
});

test('deployments and jobs', () => {
  const metadata = { name: 'd', creationTimestamp: CREATED };
  expect(
    cells(deploymentColumns, {
      metadata,
      spec: { replicas: 3 },
      status: { readyReplicas: 1, updatedReplicas: 2, availableReplicas: 1 },
    }),
  ).toEqual({ Name: 'd', Ready: '1/3', 'Up-to-date': 2, Available: 1, Age: '120m' });
  expect(
    cells(jobColumns, {
      metadata,
      spec: { completions: 2 },
      status: { succeeded: 1, startTime: CREATED },
    }),
  ).toEqual({ Name: 'd', Status: 'Running', Completions: '1/2', Duration: '120m', Age: '120m' });
});

describe('tables', () => {
  const object = { kind: 'Thing', apiVersion: 'a/v1', metadata: { name: 't', creationTimestamp: CREATED } };

  test('of kinds without columns of their own', () => {
    const table = printTable([object], {}, { now: NOW, includeObject: 'None' });
    expect(table).toMatchObject({
      kind: 'Table',
      apiVersion: 'meta.k8s.io/v1',
      columnDefinitions: [
        { name: 'Name', type: 'string', format: 'name', priority: 0 },
        { name: 'Created At', type: 'date', format: '', priority: 0 },
      ],
      rows: [{ cells: ['t', CREATED], object: null }],
    });
  });

  test('hold the objects, or what identifies them', () => {
    expect(printTable([object], {}, { now: NOW, includeObject: 'Object' }).rows[0]?.object).toBe(object);
    expect(printTable([object], {}, { now: NOW }).rows[0]?.object).toEqual({
      kind: 'PartialObjectMetadata',
      apiVersion: 'meta.k8s.io/v1',
      metadata: object.metadata,
    });
    expect(() => parseIncludeObject('All')).toThrow();
  });
});

test('admission policies and their bindings', () => {
  const metadata = { name: 'p', creationTimestamp: CREATED };
  expect(
    cells(mutatingAdmissionPolicyColumns, {
      metadata,
      spec: { mutations: [{}, {}], paramKind: { apiVersion: 'v1', kind: 'ConfigMap' } },
    }),
  ).toEqual({ Name: 'p', Mutations: 2, ParamKind: 'v1/ConfigMap', Age: '120m' });
  expect(cells(mutatingAdmissionPolicyColumns, { metadata, spec: {} })).toMatchObject({
    Mutations: 0,
    ParamKind: '<unset>',
  });
  const refersTo = (paramRef?: object): unknown =>
    (cells(policyBindingColumns, { metadata, spec: { policyName: 'x', paramRef } }) as { ParamRef: string })
      .ParamRef;
  expect(refersTo()).toBe('<unset>');
  expect(refersTo({ name: 'a' })).toBe('*/a');
  expect(refersTo({ name: 'a', namespace: 'n' })).toBe('n/a');
});
