import type { Draft } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import { eventStrategy } from './event.ts';
import { leaseStrategy } from '../coordination/lease.ts';
import { endpointSliceStrategy } from '../discovery/endpoint-slice.ts';
import { priorityClassStrategy } from '../scheduling/priority-class.ts';
import { create, update, type Json } from '../testing/strategy-calls.ts';
import type { Strategy } from '../contract.ts';
import { configMapStrategy } from './config-map.ts';
import { endpointsStrategy } from './endpoints.ts';
import { limitRangeStrategy } from './limit-range.ts';
import { namespaceStrategy } from './namespace.ts';
import { nodeStrategy } from './node.ts';
import { persistentVolumeClaimStrategy } from './persistent-volume-claim.ts';
import { persistentVolumeStrategy } from './persistent-volume.ts';
import { resourceQuotaStrategy } from './quota.ts';
import { replicationControllerStrategy } from './replication-controller.ts';
import { secretStrategy } from './secret.ts';

// Tables hold strategies of many kinds.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type AnyStrategy = Strategy<any>;

const named = (fields: Json = {}, name = 'x'): Json => ({
  metadata: { name, namespace: 'default' },
  ...fields,
});
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const claimSpec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } };
const volumeSpec = {
  capacity: { storage: '1Gi' },
  accessModes: ['ReadWriteOnce'],
  hostPath: { path: '/data' },
};

test.each<[string, AnyStrategy, Json, readonly string[]]>([
  ['a config map', configMapStrategy, named({ data: { 'a.b-c_d': 'x' } }), []],
  [
    'a config map with a key that is none',
    configMapStrategy,
    named({ data: { 'a b': 'x' } }),
    [
      "data[a b]: Invalid value: \"a b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
    ],
  ],
  [
    'a config map with a key twice',
    configMapStrategy,
    named({ data: { a: 'x' }, binaryData: { a: base64('x') } }),
    ['data[a]: Invalid value: "a": duplicate of key present in binaryData'],
  ],
  [
    'a config map that is too large',
    configMapStrategy,
    named({ data: { a: 'x'.repeat(1024 * 1024 + 1) } }),
    ['[]: Too long: may not be more than 1048576 bytes'],
  ],
  ['a secret', secretStrategy, named({ data: { a: base64('x') } }), []],
  [
    'a TLS secret without key',
    secretStrategy,
    named({ type: 'kubernetes.io/tls', data: { 'tls.crt': base64('x') } }),
    ['data[tls.key]: Required value'],
  ],
  [
    'a basic auth secret with nothing',
    secretStrategy,
    named({ type: 'kubernetes.io/basic-auth' }),
    ['data[username]: Required value', 'data[password]: Required value'],
  ],
  ['a quota', resourceQuotaStrategy, named({ spec: { hard: { pods: '10', 'requests.cpu': '4' } } }), []],
  [
    'a quota of parts of pods',
    resourceQuotaStrategy,
    named({ spec: { hard: { pods: '1500m' } } }),
    ['spec.hard[pods]: Invalid value: "1500m": must be an integer'],
  ],
  [
    'a quota of scopes that contradict each other',
    resourceQuotaStrategy,
    named({ spec: { hard: { pods: '1' }, scopes: ['BestEffort', 'NotBestEffort'] } }),
    ['spec.scopes: Invalid value: ["BestEffort","NotBestEffort"]: conflicting scopes'],
  ],
  [
    'a limit range whose least is above its most',
    limitRangeStrategy,
    named({ spec: { limits: [{ type: 'Container', min: { cpu: '2' }, max: { cpu: '1' } }] } }),
    [
      'spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1',
      'spec.limits[0].defaultRequest[cpu]: Invalid value: "1": min value 2 is greater than default request value 1',
      'spec.limits[0].default[cpu]: Invalid value: "2": min value 2 is greater than default value 1',
    ],
  ],
  [
    'a limit range of pods with defaults, and of more than there is',
    limitRangeStrategy,
    named({
      spec: {
        limits: [
          {
            type: 'Pod',
            default: { cpu: '1' },
            min: { cpu: '1' },
            max: { cpu: '2' },
            maxLimitRequestRatio: { cpu: '3' },
          },
          { type: 'Pod' },
          { type: 'Node' },
          { type: 'PersistentVolumeClaim', max: { cpu: '1' } },
        ],
      },
    }),
    [
      "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'",
      'spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "3": ratio 3 is greater than max/min = 2.000000',
      'spec.limits[1].type: Duplicate value: "Pod"',
      'spec.limits[2].type: Invalid value: "Node": must be a standard limit type or fully qualified',
      'spec.limits[3].limits: Required value: either minimum or maximum storage value is required, but neither was provided',
    ],
  ],
  [
    'a quota whose scopes do not fit what it limits',
    resourceQuotaStrategy,
    named({
      spec: {
        hard: { services: '1', 'count/pods': '1', unheard: '1' },
        scopes: ['BestEffort'],
        scopeSelector: {
          matchExpressions: [
            { scopeName: 'PriorityClass', operator: 'In' },
            { scopeName: 'Terminating', operator: 'DoesNotExist' },
          ],
        },
      },
    }),
    [
      'spec.hard[unheard]: Invalid value: "unheard": must be a standard resource type or fully qualified',
      'spec.hard[unheard]: Invalid value: "unheard": must be a standard resource for quota',
      'spec.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to resource',
      'spec.scopeSelector.matchExpressions: Invalid value: {"matchExpressions":[{"scopeName":"PriorityClass","operator":"In"},{"scopeName":"Terminating","operator":"DoesNotExist"}]}: unsupported scope applied to resource',
      "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
      'spec.scopeSelector.matchExpressions: Invalid value: {"matchExpressions":[{"scopeName":"PriorityClass","operator":"In"},{"scopeName":"Terminating","operator":"DoesNotExist"}]}: unsupported scope applied to resource',
      'spec.scopeSelector.matchExpressions.operator: Invalid value: "DoesNotExist": must be \'Exists\' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity',
    ],
  ],
  [
    'endpoints on the loopback',
    endpointsStrategy,
    named({ subsets: [{ addresses: [{ ip: '127.0.0.1' }], ports: [{ port: 80 }] }] }),
    [
      'subsets[0].addresses[0].ip: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
    ],
  ],
  [
    'a slice of no family',
    endpointSliceStrategy,
    named({ addressType: '', endpoints: [], ports: [] }),
    ['addressType: Required value'],
  ],
  [
    'a lease of no time',
    leaseStrategy,
    named({ spec: { leaseDurationSeconds: 0, leaseTransitions: -1 } }),
    [
      'spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0',
      'spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0',
    ],
  ],
  [
    'an event about another namespace',
    eventStrategy,
    named({ involvedObject: { kind: 'Pod', namespace: 'other' } }),
    ['involvedObject.namespace: Invalid value: "other": does not match event.namespace'],
  ],
  [
    'a priority that only the system has',
    priorityClassStrategy,
    { metadata: { name: 'x' }, value: 1_000_000_001 },
    ['value: Forbidden: maximum allowed value of a user defined priority is 1000000000'],
  ],
  ['a claim', persistentVolumeClaimStrategy, named({ spec: claimSpec }), []],
  [
    'a claim of nothing',
    persistentVolumeClaimStrategy,
    named({ spec: {} }),
    [
      'spec.accessModes: Required value: at least 1 access mode is required',
      'spec.resources[storage]: Required value',
    ],
  ],
  ['a volume', persistentVolumeStrategy, { metadata: { name: 'v' }, spec: volumeSpec }, []],
  [
    'a volume of nothing',
    persistentVolumeStrategy,
    { metadata: { name: 'v' }, spec: {} },
    [
      'spec.accessModes: Required value',
      'spec.capacity: Required value',
      'spec.capacity: Unsupported value: null: supported values: "storage"',
      'spec: Required value: must specify a volume type',
    ],
  ],
  [
    'a local volume of no node',
    persistentVolumeStrategy,
    {
      metadata: { name: 'v' },
      spec: { ...volumeSpec, hostPath: undefined, local: { path: '/d' } },
    },
    ['spec.nodeAffinity: Required value: Local volume requires node affinity'],
  ],
  [
    'a replication controller without template',
    replicationControllerStrategy,
    named({ spec: {} }),
    ['spec.selector: Required value', 'spec.template: Required value'],
  ],
])('%s', async (_, strategy, object, expected) => {
  expect((await create(strategy, object)).errors).toEqual(expected);
});

describe('namespaces', () => {
  test('begin active, wait for their finalizers', async () => {
    const { object, errors } = await create(namespaceStrategy, { metadata: { name: 'n' } });
    expect(errors).toEqual([]);
    expect(object.spec?.finalizers).toEqual(['kubernetes']);
    expect(object.status?.phase).toBe('Active');
    expect(namespaceStrategy.mayBeRemoved?.(object)).toBe(false);
    const { object: done } = await update(
      namespaceStrategy,
      object,
      (next) => {
        next.spec = { finalizers: [] };
      },
      'finalize',
    );
    expect(namespaceStrategy.mayBeRemoved?.(done)).toBe(true);
    const kept = await update(namespaceStrategy, object, (next) => {
      next.spec = { finalizers: [] };
    });
    expect(kept.object.spec?.finalizers).toEqual(['kubernetes']);
  });
});

describe('secrets and config maps', () => {
  test('stringData becomes data', async () => {
    const { object } = await create(
      secretStrategy,
      named({ data: { a: base64('1') }, stringData: { b: '2' } }),
    );
    expect(object.type).toBe('Opaque');
    expect(object.data).toEqual({ a: base64('1'), b: base64('2') });
    expect(object.stringData).toBeUndefined();
  });

  test('what is immutable stays', async () => {
    const map = (await create(configMapStrategy, named({ data: { a: '1' }, immutable: true }))).object;
    const { errors } = await update(configMapStrategy, map, (next) => {
      next.data = { a: '2' };
      next.immutable = false;
    });
    expect(errors).toEqual([
      'immutable: Forbidden: field is immutable when `immutable` is set',
      'data: Forbidden: field is immutable when `immutable` is set',
    ]);
    const secret = (await create(secretStrategy, named({ type: 'Opaque' }))).object;
    const changed = await update(secretStrategy, secret, (next) => {
      next.type = 'other';
    });
    expect(changed.errors).toEqual(['type: Invalid value: "other": field is immutable']);
  });
});

describe('nodes', () => {
  test('their status is its own', async () => {
    const node = (await create(nodeStrategy, { metadata: { name: 'n' }, spec: { podCIDR: '10.0.0.0/24' } }))
      .object;
    expect(node.spec?.podCIDRs).toEqual(['10.0.0.0/24']);
    const change = (next: Draft<typeof node>): void => {
      (next.spec ??= {}).unschedulable = true;
      next.status = { ...next.status, phase: 'Running' };
    };
    const plain = (await update(nodeStrategy, node, change)).object;
    expect([plain.spec?.unschedulable, plain.status?.phase]).toEqual([true, undefined]);
    const status = (await update(nodeStrategy, node, change, 'status')).object;
    expect([status.spec?.unschedulable, status.status?.phase]).toEqual([undefined, 'Running']);
  });

  test('the range of pods may not change once it is there', async () => {
    const node = (await create(nodeStrategy, { metadata: { name: 'n' }, spec: { podCIDR: '10.0.0.0/24' } }))
      .object;
    const { errors } = await update(nodeStrategy, node, (next) => {
      next.spec = { podCIDR: '10.0.1.0/24', podCIDRs: ['10.0.1.0/24'] };
    });
    expect(errors[0]).toBe(
      'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid',
    );
  });
});

test('events say the same in both groups', () => {
  const conversion = eventStrategy.conversions?.['events.k8s.io/v1'];
  const stored = conversion?.toStorage({
    kind: 'Event',
    apiVersion: 'events.k8s.io/v1',
    metadata: { name: 'e', namespace: 'default' },
    regarding: { kind: 'Pod', name: 'p' },
    note: 'hello',
    reportingController: 'a.b/c',
  } as never);
  expect(stored).toMatchObject({
    apiVersion: 'v1',
    involvedObject: { kind: 'Pod', name: 'p' },
    message: 'hello',
    reportingComponent: 'a.b/c',
  });
  expect(conversion?.fromStorage(stored as never)).toMatchObject({
    apiVersion: 'events.k8s.io/v1',
    regarding: { kind: 'Pod', name: 'p' },
    note: 'hello',
    reportingController: 'a.b/c',
  });
  expect(eventStrategy.timeToLive).toBe(3600);
});

describe('claims', () => {
  test('may grow when bound, and nothing else', async () => {
    const claim = (await create(persistentVolumeClaimStrategy, named({ spec: claimSpec }))).object;
    expect(claim.status).toEqual({ phase: 'Pending' });
    const bound = { ...claim, status: { phase: 'Bound' as const, capacity: { storage: '1Gi' } } };
    const grow = (next: Draft<typeof claim>): void => {
      next.spec.resources = { requests: { storage: '2Gi' } };
    };
    expect((await update(persistentVolumeClaimStrategy, bound, grow)).errors).toEqual([]);
    const [problem] = (await update(persistentVolumeClaimStrategy, claim, grow)).errors;
    expect(problem).toMatch(
      /^spec: Forbidden: spec is immutable after creation except resources\.requests and volumeAttributesClassName for bound claims\n/,
    );
    const { errors } = await update(persistentVolumeClaimStrategy, bound, (next) => {
      next.spec.resources = { requests: { storage: '500Mi' } };
    });
    expect(errors).toEqual([
      'spec.resources.requests.storage: Forbidden: field can not be less than status.capacity',
    ]);
  });

  test('volumes keep where their data is', async () => {
    const volume = (await create(persistentVolumeStrategy, { metadata: { name: 'v' }, spec: volumeSpec }))
      .object;
    const { errors } = await update(persistentVolumeStrategy, volume, (next) => {
      next.spec = { ...next.spec, hostPath: { path: '/other', type: '' } };
    });
    expect(errors[0]).toMatch(
      /^spec\.persistentvolumesource: Forbidden: spec\.persistentvolumesource is immutable after creation\n/,
    );
  });
});
